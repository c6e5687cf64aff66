//! Carrying a database of the row layout over into pages.
//!
//! It runs before the migration that drops the rows, in cycles of bounded size over a file that nobody else has open.
//! Cut short, it begins again from the rows.

use chrono_domain::{Metadata, OrderKey};
use rusqlite::{Connection, Row, params};

use super::codec::{self, whole};
use super::counters::Published;
use super::cycle;
use super::fault::Fault;
use super::generation::{Generation, Held};
use super::open::{BRING_SOME_OVER, CycleSettings};

const ROWS: &str = "SELECT symbol_id, timestamp, arrival, source_id, worker_id, price, volume, ingested_at, metadata \
    FROM price_ticks WHERE (symbol_id, timestamp, arrival) > (?1, ?2, ?3) \
    ORDER BY symbol_id, timestamp, arrival LIMIT ?4";

/// The place of a row in its table.
type RowKey = (i64, i64, i64);

/// Makes pages of every row.
pub(super) fn carry_over(
    connection: &mut Connection,
    settings: CycleSettings,
) -> Result<(), Fault> {
    let published = Published::load(connection)?;
    Published { sealed: 0, cycle: 0, ..published }.store(connection)?;
    cycle::remove_unpublished(connection)?;
    let total = published.next_arrival.saturating_sub(1);
    let (mut after, mut carried) = ((0, i64::MIN, i64::MIN), 0);
    loop {
        let (generation, last) = read(connection, after, settings)?;
        let Some(last) = last else { break };
        cycle::seal_alone(connection, &generation, settings)?;
        // Else the log file grows to the length of all.
        connection.query_one(BRING_SOME_OVER, [], |_row| Ok(()))?;
        after = last;
        carried += generation.ticks;
        tracing::info!(carried, total, "ticks carried over into pages");
    }
    Ok(())
}

/// Reads the rows after a place, as many as a cycle takes; tells where they end.
fn read(
    connection: &Connection,
    after: RowKey,
    settings: CycleSettings,
) -> Result<(Generation, Option<RowKey>), Fault> {
    let mut generation = Generation::default();
    let mut last = None;
    let mut statement = connection.prepare_cached(ROWS)?;
    let mut rows = statement.query(params![after.0, after.1, after.2, whole(settings.ticks)])?;
    while (generation.bytes as u64) < settings.bytes
        && let Some(row) = rows.next()?
    {
        let (key, held) = tick(row)?;
        last = Some((row.get(0)?, row.get(1)?, row.get(2)?));
        generation.add(row.get(0)?, key, held);
    }
    Ok((generation, last))
}

fn tick(row: &Row<'_>) -> Result<(OrderKey, Held), Fault> {
    let held = Held {
        source_id: row.get(3)?,
        worker_id: row.get(4)?,
        price: codec::price(row, 5)?,
        volume: codec::volume(row, 6)?,
        ingested_at: codec::time(row, 7)?,
        metadata: row.get::<_, Option<String>>(8)?.map(Metadata::from_canonical),
    };
    Ok((codec::order_key(row, 1)?, held))
}

#[cfg(test)]
mod tests {
    use super::super::open::Settings;
    use super::*;

    #[test]
    fn what_is_carried_at_a_time_has_a_bound_in_bytes() {
        let connection = Connection::open_in_memory().unwrap();
        let rows = format!(
            "CREATE TABLE price_ticks (symbol_id, timestamp, arrival, source_id, worker_id, price, volume, metadata, \
             ingested_at); \
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 500) \
             INSERT INTO price_ticks SELECT 1, n, n, 1, 1, '1', NULL, '{{\"a\":\"{}\"}}', n FROM n",
            "x".repeat(4_000)
        );
        connection.execute_batch(&rows).unwrap();
        let default = Settings::new("chrono.db").cycle;
        let settings = CycleSettings { bytes: 100_000, ..default };
        let (mut after, mut carried, mut times) = ((0, i64::MIN, i64::MIN), 0, 0);
        while let (generation, Some(last)) = read(&connection, after, settings).unwrap() {
            assert!(generation.bytes < 110_000, "{} bytes at a time", generation.bytes);
            (after, carried, times) = (last, carried + generation.ticks, times + 1);
        }
        assert_eq!((after, carried), ((1, 500, 500), 500));
        assert!(times > 10, "{times} times");
    }
}
