//! The counters of the file: how far the pages cover the log.

use rusqlite::{Connection, params};

use super::codec::whole;
use super::fault::Fault;

const READ: &str = "SELECT (SELECT next FROM counters WHERE name = 'sealed_commit'), \
    (SELECT next FROM counters WHERE name = 'cycle'), (SELECT next FROM counters WHERE name = 'arrival')";
const WRITE: &str = "UPDATE counters SET next = CASE name WHEN 'sealed_commit' THEN ?1 WHEN 'cycle' THEN ?2 \
    ELSE ?3 END WHERE name IN ('sealed_commit', 'cycle', 'arrival')";

/// What the last cycle that was published says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Published {
    /// The log is covered by pages up to this commit.
    pub(super) sealed: u64,
    /// Rows of later cycles do not count.
    pub(super) cycle: i64,
    /// The arrival number of the first tick that the pages do not hold.
    pub(super) next_arrival: u64,
}

impl Published {
    /// Reads it.
    pub(super) fn load(connection: &Connection) -> Result<Self, Fault> {
        let (sealed, cycle, next_arrival): (i64, i64, i64) = connection
            .prepare_cached(READ)?
            .query_one([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(Self {
            sealed: u64::try_from(sealed)?,
            cycle,
            next_arrival: u64::try_from(next_arrival)?,
        })
    }

    /// Writes it: with the transaction's commit its cycle counts.
    pub(super) fn store(self, connection: &Connection) -> Result<(), Fault> {
        let (sealed, next_arrival) = (whole(self.sealed), whole(self.next_arrival));
        connection.prepare_cached(WRITE)?.execute(params![sealed, self.cycle, next_arrival])?;
        Ok(())
    }
}
