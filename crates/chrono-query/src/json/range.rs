//! Ranges: single ticks and candles.

use std::fmt;

use chrono_domain::{Interval, Metadata, StoredTick};
use chrono_storage::Detail;

use super::{List, OrNull, Text};
use crate::queries::Page;
use crate::range::PricedBucket;

pub(crate) fn ticks(page: &Page<StoredTick>, detail: Detail) -> String {
    let rows = page.rows.iter().map(|stored| TickRow { stored, detail });
    body(rows, page, "raw")
}

pub(crate) fn candles(page: &Page<PricedBucket>, interval: Interval) -> String {
    body(page.rows.iter().map(CandleRow), page, interval.name())
}

fn body<T>(
    rows: impl Iterator<Item: fmt::Display> + Clone,
    page: &Page<T>,
    interval: &str,
) -> String {
    let (rows, count) = (List(rows), page.rows.len());
    let next = OrNull(page.next_cursor.as_ref().map(Text));
    format!(
        r#"{{"data":{rows},"interval":"{interval}","count":{count},"next_cursor":{next},"latency_ms":"#
    )
}

struct TickRow<'a> {
    stored: &'a StoredTick,
    detail: Detail,
}

impl fmt::Display for TickRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tick = &self.stored.tick;
        let volume = OrNull(tick.volume.map(Text));
        write!(
            f,
            r#"{{"timestamp":"{}","price":"{}","volume":{volume},"source":"{}""#,
            tick.timestamp, tick.price, tick.source
        )?;
        if self.detail == Detail::WithMetadata {
            let metadata = OrNull(tick.metadata.as_ref().map(Metadata::as_str));
            write!(f, r#","metadata":{metadata}"#)?;
        }
        f.write_str("}")
    }
}

struct CandleRow<'a>(&'a PricedBucket);

impl fmt::Display for CandleRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PricedBucket { open, high, low, close, num_feeds, status, .. } = self.0;
        let (start, status) = (self.0.start.bucket_text(), status.name());
        let (volume, vwap) = (OrNull(self.0.volume.map(Text)), OrNull(self.0.vwap.map(Text)));
        write!(
            f,
            r#"{{"timestamp":"{start}","open":"{open}","high":"{high}","low":"{low}","close":"{close}","volume":{volume},"num_feeds":{num_feeds},"vwap":{vwap},"status":"{status}"}}"#
        )
    }
}
