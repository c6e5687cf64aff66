//! Figures about the store.

use std::path::Path;

use super::connection::Reader;
use super::fault::Fault;
use crate::StoreStats;

const SIZE: &str =
    "SELECT (SELECT page_count FROM pragma_page_count), (SELECT page_size FROM pragma_page_size)";

/// Reads figures about the store; the log file is none of SQLite's pages.
pub(super) fn stats(reader: &Reader, wal: &Path) -> Result<StoreStats, Fault> {
    reader.view(
        |generation| generation.ticks,
        |view| {
            let (pages, page_bytes): (i64, i64) = view
                .pages
                .connection
                .prepare_cached(SIZE)?
                .query_one([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let wal_bytes = match std::fs::metadata(wal) {
                Ok(metadata) => metadata.len(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
                Err(error) => return Err(Fault::File(error)),
            };
            let bytes = u64::try_from(pages.saturating_mul(page_bytes))?.saturating_add(wal_bytes);
            // Arrival numbers begin with 1 and have no holes.
            let sealed = view.published.next_arrival.saturating_sub(1);
            Ok(StoreStats { ticks: sealed + view.parts.iter().sum::<u64>(), bytes: Some(bytes) })
        },
    )
}
