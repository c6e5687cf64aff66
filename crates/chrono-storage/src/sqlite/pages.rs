//! The table of pages: which page holds a place, what follows it, and which version of it counts.

use chrono_domain::OrderKey;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::codec::whole;
use super::fault::Fault;
use super::packed::bind;

const COVERING: &str = "SELECT id, start, tie, cycle, body FROM pages \
    WHERE family = ?1 AND symbol_id = ?2 AND (start, tie) <= (?3, ?4) AND cycle <= ?5 \
    ORDER BY start DESC, tie DESC, cycle DESC LIMIT 1";
const BEFORE: &str = "SELECT id, start, tie, cycle, body FROM pages \
    WHERE family = ?1 AND symbol_id = ?2 AND (start, tie) < (?3, ?4) AND cycle <= ?5 \
    ORDER BY start DESC, tie DESC, cycle DESC LIMIT 1";
const NEXT: &str = "SELECT start, tie FROM pages WHERE family = ?1 AND symbol_id = ?2 AND (start, tie) > (?3, ?4) \
    AND cycle <= ?5 ORDER BY start, tie LIMIT 1";
const VERSION: &str = "SELECT id, start, tie, cycle, body FROM pages \
    WHERE family = ?1 AND symbol_id = ?2 AND start = ?3 AND tie = ?4 AND cycle = ?5";
const PUT: &str = "INSERT OR REPLACE INTO pages (family, symbol_id, start, tie, cycle, body) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Family {
    /// Ticks without metadata.
    Ticks = 1,
    /// The metadata of the page of ticks of the same key and cycle; absent when no tick of it has any.
    Metadata = 2,
    /// The minutes of an hour.
    Minutes = 3,
    /// The hours of a day.
    Hours = 4,
    /// The days of 32 days.
    Days = 5,
    /// The newest tick of each source.
    Newest = 6,
}

/// The pages of one family and symbol, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) family: Family,
    pub(super) symbol_id: u32,
}

/// The lower bound of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) start: i64,
    pub(super) tie: i64,
}

/// A page as it is stored.
#[derive(Debug)]
pub(super) struct StoredPage {
    pub(super) id: i64,
    pub(super) place: Place,
    pub(super) cycle: i64,
    pub(super) body: Vec<u8>,
}

/// A page to be stored.
#[derive(Debug)]
pub(super) struct NewPage {
    pub(super) chain: Chain,
    pub(super) place: Place,
    pub(super) body: Vec<u8>,
}

/// The pages as of a published cycle; those of later ones do not exist.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pages<'c> {
    pub(super) connection: &'c Connection,
    pub(super) cycle: i64,
}

impl Chain {
    /// Names the pages of a family and symbol.
    pub(super) const fn of(family: Family, symbol_id: u32) -> Self {
        Self { family, symbol_id }
    }
}

impl Place {
    /// From the beginning.
    pub(super) const FIRST: Self = Self { start: 0, tie: 0 };

    /// Behind every tick.
    pub(super) const LAST: Self = Self { start: i64::MAX, tie: i64::MAX };

    /// Gives the place of a tick.
    pub(super) fn of(key: OrderKey) -> Self {
        Self { start: key.timestamp.micros(), tie: whole(key.arrival.0) }
    }

    /// Gives the place right before it; none before the first.
    pub(super) const fn before(self) -> Option<Self> {
        match self {
            Self { start, tie: 1.. } => Some(Self { start, tie: self.tie - 1 }),
            Self { start: 1.., .. } => Some(Self { start: self.start - 1, tie: i64::MAX }),
            _ => None,
        }
    }

    /// Gives the place of what begins at a time.
    pub(super) const fn at(start: i64) -> Self {
        Self { start, tie: 0 }
    }
}

impl Pages<'_> {
    /// Finds the page that covers a place.
    pub(super) fn covering(&self, chain: Chain, place: Place) -> Result<Option<StoredPage>, Fault> {
        find(self.connection, COVERING, chain, place, self.cycle)
    }

    /// Finds the last page that begins before a place.
    pub(super) fn before(&self, chain: Chain, place: Place) -> Result<Option<StoredPage>, Fault> {
        find(self.connection, BEFORE, chain, place, self.cycle)
    }

    /// Finds the page that begins at exactly a place.
    pub(super) fn at(&self, chain: Chain, place: Place) -> Result<Option<StoredPage>, Fault> {
        Ok(self.covering(chain, place)?.filter(|page| page.place == place))
    }

    /// Finds the first page that begins after a place.
    pub(super) fn after(&self, chain: Chain, place: Place) -> Result<Option<StoredPage>, Fault> {
        self.next_place(chain, place)?.map_or(Ok(None), |next| self.at(chain, next))
    }

    /// Finds where the next page begins.
    pub(super) fn next_place(&self, chain: Chain, place: Place) -> Result<Option<Place>, Fault> {
        let mut statement = self.connection.prepare_cached(NEXT)?;
        let Chain { family, symbol_id } = chain;
        let parameters = params![family as u8, symbol_id, place.start, place.tie, self.cycle];
        let next = |row: &Row<'_>| Ok(Place { start: row.get(0)?, tie: row.get(1)? });
        Ok(statement.query_one(parameters, next).optional()?)
    }

    /// Finds the version that a cycle wrote.
    pub(super) fn version(
        &self,
        chain: Chain,
        place: Place,
        cycle: i64,
    ) -> Result<Option<StoredPage>, Fault> {
        find(self.connection, VERSION, chain, place, cycle)
    }
}

/// Counts the pages that a connection has read so far.
#[cfg(test)]
pub(super) fn reads(connection: &Connection) -> i32 {
    let runs = |sql| {
        let statement = connection.prepare_cached(sql).unwrap();
        statement.get_status(rusqlite::StatementStatus::Run)
    };
    [COVERING, BEFORE, VERSION].into_iter().map(runs).sum()
}

/// Writes a page of a cycle that is not published yet, once more if need be.
pub(super) fn put(connection: &Connection, page: &NewPage, cycle: i64) -> Result<(), Fault> {
    let NewPage { chain, place, ref body } = *page;
    let mut body = body.clone();
    bind(&mut body, &key(chain, place, cycle));
    connection.prepare_cached(PUT)?.execute(params![
        chain.family as u8,
        chain.symbol_id,
        place.start,
        place.tie,
        cycle,
        body
    ])?;
    Ok(())
}

/// Writes the key of a row down, so that what is stored under it can be bound to it.
fn key(Chain { family, symbol_id }: Chain, Place { start, tie }: Place, cycle: i64) -> Vec<u8> {
    let numbers = [family as i64, i64::from(symbol_id), start, tie, cycle];
    numbers.into_iter().flat_map(i64::to_le_bytes).collect()
}

fn find(
    connection: &Connection,
    sql: &str,
    chain: Chain,
    place: Place,
    cycle: i64,
) -> Result<Option<StoredPage>, Fault> {
    let Chain { family, symbol_id } = chain;
    let Place { start, tie } = place;
    let read = |row: &Row<'_>| {
        let place = Place { start: row.get(1)?, tie: row.get(2)? };
        let (cycle, mut body): (i64, Vec<u8>) = (row.get(3)?, row.get(4)?);
        bind(&mut body, &key(chain, place, cycle));
        Ok(StoredPage { id: row.get(0)?, place, cycle, body })
    };
    let parameters = params![family as u8, symbol_id, start, tie, cycle];
    Ok(connection.prepare_cached(sql)?.query_one(parameters, read).optional()?)
}
