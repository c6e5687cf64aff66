//! Candles: the spec's SQL over the raw ticks, at every read, in code that shares nothing with `Candle`'s merging.

use std::collections::BTreeMap;

use chrono_domain::{Candle, ExactSum, StoredTick, Timestamp};

use super::ModelStore;
use super::paper::Number;
use crate::{Bucket, CandleRange, CandleStore, Order, Progress, Recount, StoreError};

#[async_trait::async_trait]
impl CandleStore for ModelStore {
    async fn candles(&self, range: &CandleRange) -> Result<Vec<Bucket>, StoreError> {
        let mut groups: BTreeMap<Timestamp, Vec<StoredTick>> = BTreeMap::new();
        self.read(|state| {
            for stored in state.ticks.iter().filter(|stored| is_within(range, stored)) {
                let start = range.interval.bucket(stored.tick.timestamp);
                groups.entry(start).or_default().push(stored.clone());
            }
        })
        .await?;
        let buckets = groups
            .into_iter()
            .filter_map(|(start, ticks)| fold(ticks).map(|candle| Bucket { start, candle }));
        Ok(match range.order {
            Order::OldestFirst => buckets
                .filter(|bucket| range.after.is_none_or(|after| bucket.start > after))
                .take(range.limit)
                .collect(),
            Order::NewestFirst => buckets
                .rev()
                .filter(|bucket| range.after.is_none_or(|after| bucket.start < after))
                .take(range.limit)
                .collect(),
        })
    }

    async fn materialise(&self, _up_to: Timestamp) -> Result<Progress, StoreError> {
        Ok(Progress::Idle)
    }

    async fn recount(&self, _turn: u64) -> Result<Recount, StoreError> {
        Ok(Recount::default())
    }
}

fn is_within(range: &CandleRange, stored: &StoredTick) -> bool {
    stored.tick.symbol == range.symbol
        && range.source.is_none_or(|source| stored.tick.source == source)
        && (range.from..=range.to).contains(&stored.tick.timestamp)
}

/// Takes `first`, `max`, `min`, `last`, `sum` and `count` of ticks, those of one timestamp by arrival.
fn fold(mut ticks: Vec<StoredTick>) -> Option<Candle> {
    ticks.sort_by_key(|stored| (stored.tick.timestamp, stored.arrival));
    let (first, last) = (ticks.first()?, ticks.last()?);
    // Among equal values the text with the most decimals wins both ways.
    let valued =
        || ticks.iter().map(|stored| (Number::read(&stored.tick.price), stored.tick.price));
    let (_, high) = valued()
        .max_by(|(left, _), (right, _)| left.cmp(right).then(left.scale().cmp(&right.scale())))?;
    let (_, low) = valued()
        .min_by(|(left, _), (right, _)| left.cmp(right).then(right.scale().cmp(&left.scale())))?;
    let sized = || ticks.iter().filter_map(|stored| Some((stored.tick.price, stored.tick.volume?)));
    let volumes = sized().map(|(_, volume)| Number::read(&volume));
    let notionals =
        sized().map(|(price, volume)| Number::read(&price).times(&Number::read(&volume)));
    Some(Candle {
        open: first.tick.price,
        open_at: first.key(),
        high,
        low,
        close: last.tick.price,
        close_at: last.key(),
        volume: sum(volumes),
        notional: sum(notionals),
        count: ticks.len() as u64,
    })
}

fn sum(numbers: impl Iterator<Item = Number>) -> Option<ExactSum> {
    let total = numbers.reduce(|left, right| left.plus(&right))?;
    ExactSum::parse(&total.to_string()).ok()
}
