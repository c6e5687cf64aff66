//! The packing of ticks without a file around it, for benchmarks: what the store itself cannot show apart.

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
        ticks::encode(&self.0)
    }

    /// Reads the rows of a page; none of a damaged one.
    pub fn unpack(page: &[u8]) -> Option<Self> {
        let page = ticks::Page::open(page).ok()?;
        let rows = page.rows(0..page.len(), None).ok()?;
        Some(Self(rows.into_iter().map(|(_, row)| row).collect()))
    }
}
