//! Walking a range of buckets window by window, so that a page folds little more than it holds.

use chrono_domain::Interval;

use super::span::{Span, bucket, micros};
use super::{CandleRange, Order};

/// Most buckets of the first window, however long the page.
const FIRST_BUCKETS_MAX: i64 = 1_024;
/// Most buckets of any window: what a fold may hold in memory.
const BUCKETS_MAX: i64 = 16_384;

/// A walk along a range of buckets, in the order of the answer.
#[derive(Debug)]
pub(crate) struct Walk {
    interval: Interval,
    order: Order,
    rest: Span,
    buckets: i64,
}

impl Walk {
    /// Stands before the first bucket of the answer.
    pub(crate) fn new(range: &CandleRange) -> Self {
        let mut rest = Span::closed(range.from, range.to);
        let after = range.after.map(chrono_domain::Timestamp::micros);
        match (range.order, after) {
            (_, None) => {}
            (Order::OldestFirst, Some(after)) => {
                rest.from = rest.from.max(bucket(range.interval, after).until);
            }
            (Order::NewestFirst, Some(0)) => rest.until = 0,
            (Order::NewestFirst, Some(after)) => {
                rest.until = rest.until.min(bucket(range.interval, after - 1).until);
            }
        }
        let limit = i64::try_from(range.limit).unwrap_or(i64::MAX);
        let buckets = limit.clamp(1, FIRST_BUCKETS_MAX);
        Self { interval: range.interval, order: range.order, rest, buckets }
    }

    /// Gives what has not been walked; the next tick is its first or last, by the order.
    pub(crate) const fn rest(&self) -> Span {
        self.rest
    }

    /// Steps over the window that begins with the bucket of the next tick.
    pub(crate) fn step(&mut self, next_tick: i64) -> Span {
        let near = bucket(self.interval, next_tick);
        let reach = (self.buckets - 1).saturating_mul(micros(self.interval));
        self.buckets = (self.buckets * 2).min(BUCKETS_MAX);
        match self.order {
            Order::OldestFirst => {
                let far = bucket(self.interval, near.from.saturating_add(reach));
                let window = Span { from: near.from, until: far.until }.within(self.rest);
                self.rest.from = window.until;
                window
            }
            Order::NewestFirst => {
                let far = bucket(self.interval, near.from.saturating_sub(reach));
                let window = Span { from: far.from, until: near.until }.within(self.rest);
                self.rest.until = window.from;
                window
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono_domain::{Symbol, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros).unwrap()
    }

    proptest! {
        #[test]
        fn windows_join_to_the_range_at_bucket_ends(
            which in 0_usize..7,
            ends in (0_i64..3_000_000_000_000, 0_i64..3_000_000_000_000),
            after in prop::option::of(0_i64..3_000_000_000_000),
            newest_first in any::<bool>(),
            limit in 0_usize..40,
        ) {
            let (interval, symbol) = (Interval::ALL[which], Symbol::try_new("A/B").unwrap());
            let order = if newest_first { Order::NewestFirst } else { Order::OldestFirst };
            let range = CandleRange {
                from: at(ends.0), to: at(ends.1), after: after.map(at), order, limit,
                ..CandleRange::of(symbol, interval)
            };
            let mut walk = Walk::new(&range);
            // The places of the answer that are left, by the words of the contract.
            let wanted = |micros: i64| {
                let start = interval.bucket(at(micros));
                (range.from..=range.to).contains(&at(micros))
                    && range.after.is_none_or(|after| if newest_first { start < after } else { start > after })
            };
            for probe in [ends.0, ends.1, after.unwrap_or(0), ends.0 / 2 + ends.1 / 2] {
                for micros in [probe.saturating_sub(1).max(0), probe, probe + 1] {
                    let rest = walk.rest();
                    prop_assert_eq!((rest.from..rest.until).contains(&micros), wanted(micros), "{}", micros);
                }
            }
            let length = micros(interval).unsigned_abs();
            let mut buckets_max = u64::try_from(limit.max(1)).unwrap();
            while !walk.rest().is_empty() {
                let rest = walk.rest();
                let window = walk.step(if newest_first { rest.until - 1 } else { rest.from });
                prop_assert!(!window.is_empty());
                let (near, far) = if newest_first { (window.until, window.from) } else { (window.from, window.until) };
                prop_assert_eq!(near, if newest_first { rest.until } else { rest.from });
                let whole = bucket(interval, far).from == far;
                prop_assert!(whole || walk.rest().is_empty());
                let starts = [window.from, window.until - 1].map(|micros| bucket(interval, micros).from);
                let buckets = starts[1].abs_diff(starts[0]).div_ceil(length) + 1;
                prop_assert!(buckets == buckets_max || (buckets < buckets_max && walk.rest().is_empty()));
                buckets_max = (buckets_max * 2).min(BUCKETS_MAX.unsigned_abs());
            }
        }
    }
}
