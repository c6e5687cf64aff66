//! Two stores under the same operations.

use std::collections::HashMap;

use chrono_domain::{Arrival, Interval, OrderKey, StoredTick, Timestamp, Window, WindowRow};

use super::delegations::all;
use super::generate::Op;
use super::pages;
use super::sample::materialise_all;
use crate::{
    Appended, Bucket, CandleRange, Delegation, Detail, Order, Progress, Store, StoreError,
    StoredDelegation, TickRange, WindowRange, WindowRead,
};

/// Turns of the recount at the end.
const TURNS: u64 = 8;
/// A page size that no generated answer divides by often.
const PAGE: usize = 7;

/// Runs operations on two fresh stores and compares every answer, then everything that is stored.
///
/// Panics at the first difference. Arrival numbers are compared by their order, as stores may leave numbers out.
pub async fn same_answers(left: &dyn Store, right: &dyn Store, ops: &[Op]) {
    let mut comparison = Comparison::default();
    comparison.run(left, right, ops).await;
    comparison.whole(left, right).await;
}

/// What a comparison remembers between operations; with it, either store may be opened again in between.
#[derive(Debug, Default)]
pub struct Comparison {
    left: Places,
    right: Places,
}

/// The place of each arrival number of a store among those it gave.
#[derive(Debug, Default)]
struct Places {
    of_arrival: HashMap<Arrival, u64>,
    last: Option<Arrival>,
}

impl Comparison {
    /// Runs operations on both stores and compares every answer.
    pub async fn run(&mut self, left: &dyn Store, right: &dyn Store, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Append(batches) => {
                    let lens: Vec<_> = batches.iter().map(|batch| batch.ticks.len()).collect();
                    let of_left = left.append(batches.clone()).await.unwrap();
                    let of_right = right.append(batches.clone()).await.unwrap();
                    let of_left = self.left.note(&of_left, &lens);
                    assert_eq!(of_left, self.right.note(&of_right, &lens), "{op:?}");
                }
                Op::Ticks(range) => self.ticks(left, right, range).await,
                Op::Candles(range) => self.candles(left, right, range).await,
                Op::Materialise(up_to, steps) => {
                    materialise(left, *up_to, *steps).await;
                    materialise(right, *up_to, *steps).await;
                }
                other => compare(left, right, other).await,
            }
        }
    }

    /// Compares everything that is stored, before and after materialising all of it.
    pub async fn whole(&self, left: &dyn Store, right: &dyn Store) {
        for _time in 0..2 {
            self.names_and_ticks(left, right).await;
            self.all_candles(left, right).await;
            for store in [left, right] {
                for turn in 0..TURNS {
                    assert_eq!(store.recount(turn).await.unwrap().mismatches, 0);
                }
                materialise_all(store, Timestamp::MAX).await;
            }
        }
        compare(left, right, &Op::Delegations(all())).await;
        assert_eq!(left.keys().await.unwrap(), right.keys().await.unwrap());
    }

    async fn names_and_ticks(&self, left: &dyn Store, right: &dyn Store) {
        let (mut of_left, mut of_right) =
            (left.names().await.unwrap(), right.names().await.unwrap());
        for names in [&mut of_left, &mut of_right] {
            names.symbols.sort_unstable();
            names.sources.sort_unstable();
            names.workers.sort_unstable();
        }
        assert_eq!(of_left, of_right);
        let sources: Vec<_> = of_left.sources.into_iter().map(Some).chain([None]).collect();
        let counts = (left.stats().await.unwrap().ticks, right.stats().await.unwrap().ticks);
        assert_eq!(counts.0, counts.1);
        let by_key = |mut ticks: Vec<Seen>| {
            ticks.sort_by_key(|seen| (seen.stored.tick.symbol, seen.stored.tick.source));
            ticks
        };
        let of_left = by_key(self.left.seen(left.newest().await.unwrap()));
        assert_eq!(of_left, by_key(self.right.seen(right.newest().await.unwrap())));
        for symbol in of_left.iter().map(|seen| seen.stored.tick.symbol) {
            for order in [Order::OldestFirst, Order::NewestFirst] {
                for &source in &sources {
                    let detail = Detail::WithMetadata;
                    let all = TickRange { order, detail, limit: PAGE, ..TickRange::of(symbol) };
                    self.ticks(left, right, &TickRange { source, ..all }).await;
                }
            }
        }
    }

    async fn all_candles(&self, left: &dyn Store, right: &dyn Store) {
        let names = left.names().await.unwrap();
        let sources: Vec<_> = names.sources.into_iter().map(Some).chain([None]).collect();
        for symbol in names.symbols {
            for &source in &sources {
                for interval in Interval::ALL {
                    let range = CandleRange { source, ..CandleRange::of(symbol, interval) };
                    self.candles(left, right, &range).await;
                }
            }
        }
    }

    async fn ticks(&self, left: &dyn Store, right: &dyn Store, range: &TickRange) {
        let of_left = self.left.seen(pages::ticks(left, range).await);
        assert_eq!(of_left, self.right.seen(pages::ticks(right, range).await), "{range:?}");
        let TickRange { symbol, from, to, limit, .. } = *range;
        for ticks_max in [usize::MAX, limit] {
            let range = WindowRange { symbol, from, to, ticks_max };
            let of_left = self.left.spelt(left.window(&range).await.unwrap());
            assert_eq!(of_left, self.right.spelt(right.window(&range).await.unwrap()), "{range:?}");
        }
    }

    async fn candles(&self, left: &dyn Store, right: &dyn Store, range: &CandleRange) {
        let of_left = self.left.placed(pages::candles(left, range).await);
        assert_eq!(of_left, self.right.placed(pages::candles(right, range).await), "{range:?}");
    }
}

/// A tick as both stores must give it: its number is its place, and the digits count.
#[derive(Debug, PartialEq)]
struct Seen {
    stored: StoredTick,
    digits: (String, Option<String>),
}

impl Places {
    /// Notes the numbers that a call gave, and gives outcomes without them.
    fn note(&mut self, outcomes: &[Result<Appended, StoreError>], lens: &[usize]) -> Vec<String> {
        assert_eq!(outcomes.len(), lens.len());
        let noted = outcomes.iter().zip(lens).map(|(outcome, len)| match outcome {
            Ok(Appended::Stored(first)) => {
                for arrival in (first.0..).take(*len).map(Arrival) {
                    assert!(self.last.is_none_or(|last| last < arrival), "{arrival:?} again");
                    self.last = Some(arrival);
                    self.of_arrival.insert(arrival, self.of_arrival.len() as u64);
                }
                "stored".to_owned()
            }
            other => format!("{other:?}"),
        });
        noted.collect()
    }

    fn place(&self, arrival: Arrival) -> Arrival {
        let place = self.of_arrival.get(&arrival).copied();
        assert!(place.is_some(), "{arrival:?} was never given");
        Arrival(place.unwrap_or_default())
    }

    fn seen(&self, ticks: Vec<StoredTick>) -> Vec<Seen> {
        let seen = ticks.into_iter().map(|stored| Seen {
            digits: (stored.tick.price.to_string(), stored.tick.volume.map(|v| v.to_string())),
            stored: StoredTick { arrival: self.place(stored.arrival), ..stored },
        });
        seen.collect()
    }

    /// Gives the rows of a window as texts, which show the digits, with places for numbers; none of too many.
    fn spelt(&self, read: WindowRead) -> Option<Vec<String>> {
        let WindowRead::Whole(Window { sources, rows }) = read else { return None };
        let spell = |row: &WindowRow| {
            let WindowRow { source_idx, price, key } = *row;
            let place = self.place(key.arrival);
            format!("{} {price} {} {place:?}", sources[source_idx as usize], key.timestamp)
        };
        Some(rows.iter().map(spell).collect())
    }

    /// Gives buckets as texts, which show the digits, with places for numbers.
    fn placed(&self, buckets: Vec<Bucket>) -> Vec<String> {
        let place = |key: OrderKey| OrderKey { arrival: self.place(key.arrival), ..key };
        let placed = buckets.into_iter().map(|mut bucket| {
            bucket.candle.open_at = place(bucket.candle.open_at);
            bucket.candle.close_at = place(bucket.candle.close_at);
            format!("{bucket:?}")
        });
        placed.collect()
    }
}

async fn compare(left: &dyn Store, right: &dyn Store, op: &Op) {
    match op {
        Op::ForgetKeys(before) => {
            let counts = (left.forget_keys(*before).await, right.forget_keys(*before).await);
            assert_eq!(counts.0.unwrap(), counts.1.unwrap(), "{op:?}");
        }
        Op::PutSnapshots(new) => {
            let of_left = left.put_snapshots(new.clone()).await.unwrap();
            assert_eq!(of_left, right.put_snapshots(new.clone()).await.unwrap(), "{op:?}");
            for held in new {
                let of_left = left.snapshot(held.symbol, held.at).await.unwrap();
                assert_eq!(of_left, right.snapshot(held.symbol, held.at).await.unwrap());
                let (from, to) = (Timestamp::MIN, held.at);
                let of_left = left.snapshot_times(held.symbol, from, to, 2).await.unwrap();
                let of_right = right.snapshot_times(held.symbol, from, to, 2).await.unwrap();
                assert_eq!(of_left, of_right);
            }
        }
        Op::AppendDelegations(new) => {
            let of_left = left.append_delegations(new.clone()).await.unwrap();
            assert_eq!(of_left, right.append_delegations(new.clone()).await.unwrap(), "{op:?}");
        }
        Op::Delegations(range) => {
            let of_left = said(pages::delegations(left, range).await);
            assert_eq!(of_left, said(pages::delegations(right, range).await), "{op:?}");
        }
        Op::PutKey(key) => {
            let of_left = left.put_keys(vec![key.clone()]).await.map_err(|fault| fault.to_string());
            let of_right =
                right.put_keys(vec![key.clone()]).await.map_err(|fault| fault.to_string());
            assert_eq!(of_left, of_right, "{op:?}");
        }
        Op::RevokeKey(id, at) => {
            let of_left = left.revoke_key(id, *at).await.unwrap();
            assert_eq!(of_left, right.revoke_key(id, *at).await.unwrap(), "{op:?}");
            assert_eq!(left.keys().await.unwrap(), right.keys().await.unwrap());
        }
        Op::Append(_) | Op::Ticks(_) | Op::Candles(_) | Op::Materialise(..) => {
            unreachable!("compared with the places of arrival numbers: {op:?}")
        }
    }
}

async fn materialise(store: &dyn Store, up_to: Timestamp, steps: usize) {
    for _step in 0..steps {
        if store.materialise(up_to).await.unwrap() == Progress::Idle {
            return;
        }
    }
}

/// Gives delegations without their ids, which stores choose as they like.
fn said(stored: Vec<StoredDelegation>) -> Vec<Delegation> {
    stored.into_iter().map(|stored| stored.delegation).collect()
}
