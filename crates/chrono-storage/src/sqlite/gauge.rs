//! The packing of ticks without a file around it, for benchmarks: what the store itself cannot show apart.

use std::hint::black_box;

use chrono_domain::StoredTick;

use super::packed::{Row, ticks};

/// Rows of one symbol, in memory.
#[derive(Debug, Clone)]
pub struct Rows(Vec<Row>);

impl Rows {
    /// Takes ticks of one symbol, sorted by (timestamp, arrival); `source_id` numbers their sources.
    pub fn new(ticks: &[StoredTick], source_id: impl Fn(&StoredTick) -> u32) -> Self {
        let row = |stored: &StoredTick| Row {
            key: stored.key(),
            source_id: source_id(stored),
            worker_id: source_id(stored),
            price: stored.tick.price,
            volume: stored.tick.volume,
            ingested_at: stored.ingested_at,
        };
        Self(ticks.iter().map(row).collect())
    }

    /// Packs them into a page.
    pub fn pack(&self) -> Vec<u8> {
        ticks::encode(&self.0, ticks::Beside::Nothing)
    }

    /// Reads all rows of a page and answers how many there are; none of a damaged one.
    pub fn count(page: &[u8]) -> Option<usize> {
        let page = ticks::Page::open(page).ok()?;
        Some(black_box(page.rows(0..page.len(), None).ok()?).len())
    }
}
