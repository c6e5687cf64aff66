//! Random operations from small pools, so that ties, repeats, clashes and cut buckets are common.

use std::sync::Arc;

use bytes::Bytes;
use chrono_domain::{Interval, Metadata, Price, Source, Symbol, Tick, Timestamp, Volume, WorkerId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::delegations::delegation;
use super::keys::key;
use super::sample::{at, source, symbol};
use super::snapshots::snapshot;
use crate::{
    AccountId, CandleRange, Delegation, DelegationRange, Detail, Idempotency, IdempotencyKey,
    NewBatch, Order, Snapshot, StoredKey, TickRange,
};

/// Symbols that get ticks, and one that never does.
const SYMBOLS: [&str; 4] = ["BTC/USD", "ETH/USD", "BTC/EUR", "NONE/USD"];
/// Sources that get ticks, the last of them few, and one that never does.
const SOURCES: [&str; 5] = ["binance", "kraken", "coinbase", "seldom", "nowhere"];
/// Prices: equal ones with different digits, the smallest and the largest.
const PRICES: [&str; 9] = [
    "1",
    "1.0",
    "1.00",
    "2",
    "1.9999",
    "67230.00",
    "67230.5",
    "0.000000000000000001",
    "999999999999999999.0000000000",
];
/// Volumes: zeros of several scales, and values that a 96-bit sum rounds.
const VOLUMES: [&str; 6] =
    ["0", "0.00", "1.5", "0.000000000000000001", "99999999999999999.99", "12.50"];
/// Times around which ticks and edges fall: starts of minutes, hours, days and weeks.
const ANCHORS: [&str; 12] = [
    "2025-11-14T12:00:00Z",
    "2025-11-14T12:01:00Z",
    "2025-11-14T12:05:00Z",
    "2025-11-14T12:15:00Z",
    "2025-11-14T13:00:00Z",
    "2025-11-14T16:00:00Z",
    "2025-11-15T00:00:00Z",
    "2025-11-17T00:00:00Z",
    "2025-11-10T00:00:00Z",
    "2025-12-01T00:00:00Z",
    "1970-01-05T00:00:00Z",
    "9999-12-31T23:59:00Z",
];

/// Something done to two stores that must answer alike.
#[derive(Debug, Clone)]
pub enum Op {
    /// Appends batches in one call.
    Append(Vec<Arc<NewBatch>>),
    /// Forgets idempotency keys taken in before a time.
    ForgetKeys(Timestamp),
    /// Asks for some steps of materialising.
    Materialise(Timestamp, usize),
    /// Reads ticks, page by page of the range's limit.
    Ticks(TickRange),
    /// Reads candles, page by page of the range's limit.
    Candles(CandleRange),
    /// Puts snapshots.
    PutSnapshots(Vec<Snapshot>),
    /// Appends delegations.
    AppendDelegations(Vec<Delegation>),
    /// Reads delegations, page by page of the range's limit.
    Delegations(DelegationRange),
    /// Puts a key.
    PutKey(StoredKey),
    /// Revokes a key from a time on.
    RevokeKey(String, Timestamp),
}

/// Makes sequences of up to `len_max` operations.
pub fn ops(len_max: usize) -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..=len_max)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => vec(batch().prop_map(Arc::new), 1..4).prop_map(Op::Append),
        1 => time().prop_map(Op::ForgetKeys),
        4 => (time(), 1_usize..40).prop_map(|(up_to, steps)| Op::Materialise(up_to, steps)),
        3 => tick_range().prop_map(Op::Ticks),
        5 => candle_range().prop_map(Op::Candles),
        1 => vec(any_snapshot(), 1..4).prop_map(Op::PutSnapshots),
        1 => vec(any_delegation(), 1..4).prop_map(Op::AppendDelegations),
        1 => delegation_range().prop_map(Op::Delegations),
        1 => key_put().prop_map(Op::PutKey),
        1 => (key_id(), time()).prop_map(|(id, at)| Op::RevokeKey(id, at)),
    ]
}

/// Makes times at, just before, just after and some way off the starts of buckets.
pub fn time() -> impl Strategy<Value = Timestamp> {
    let off = prop_oneof![
        3 => Just(0_i64),
        2 => Just(-1),
        2 => Just(1),
        2 => -90_i64..90,
        3 => (-200_i64..200).prop_map(|seconds| seconds * 1_000_000),
        1 => -90_000_000_000_i64..90_000_000_000,
    ];
    // The first anchors are picked far more often, so that buckets fill up.
    let anchor = prop_oneof![6 => 0..6_usize, 2 => 6..10_usize, 1 => 10..ANCHORS.len()];
    (anchor, off).prop_map(|(anchor, off)| {
        let anchor = Timestamp::parse_rfc3339(ANCHORS[anchor]).unwrap();
        Timestamp::from_micros(anchor.micros() + off).unwrap_or(Timestamp::MAX)
    })
}

/// Makes batches of 1 to 12 ticks, most of them under one of a few keys.
pub fn batch() -> impl Strategy<Value = NewBatch> {
    let idempotency = option::of((0..6_u8, 0..2_u8).prop_map(|(key, fingerprint)| Idempotency {
        key: IdempotencyKey::try_new(&format!("key-{key}")).unwrap(),
        fingerprint: [fingerprint; 32],
    }));
    let worker = select(vec!["worker-1", "worker-2"]);
    (worker, idempotency, vec(tick(), 1..=12), any::<[u8; 4]>(), time()).prop_map(
        |(worker, idempotency, ticks, receipt, received_at)| NewBatch {
            worker: WorkerId::try_new(worker).unwrap(),
            idempotency,
            ticks,
            receipt: Bytes::copy_from_slice(&receipt),
            received_at,
        },
    )
}

/// Makes ticks; volume and metadata are missing from many.
pub fn tick() -> impl Strategy<Value = Tick> {
    let price = prop_oneof![
        3 => select(PRICES.to_vec()).prop_map(str::to_owned),
        1 => "[1-9][0-9]{0,4}(\\.[0-9]{1,6})?",
    ];
    let volume = prop_oneof![
        3 => select(VOLUMES.to_vec()).prop_map(|text| Some(text.to_owned())),
        1 => "[1-9][0-9]{0,4}(\\.[0-9]{1,6})?".prop_map(Some),
        2 => Just(None),
    ];
    let metadata = option::weighted(0.2, (0..3_u8).prop_map(|n| format!("{{\"n\":{n}}}")));
    let source = prop_oneof![12 => source_index(3), 1 => Just(source(SOURCES[3]))];
    (symbol_index(3), source, price, volume, time(), metadata).prop_map(
        |(symbol, source, price, volume, at, metadata)| {
            let price = Price::try_new(&price).unwrap();
            let volume = volume.map(|text| Volume::try_new(&text).unwrap());
            // A product that no tick may have goes without its volume.
            let tick = Tick::try_new(symbol, source, price, volume, at)
                .or_else(|_too_large| Tick::try_new(symbol, source, price, None, at));
            tick.unwrap().with_metadata(metadata.map(Metadata::from_canonical))
        },
    )
}

fn symbol_index(count: usize) -> impl Strategy<Value = Symbol> {
    (0..count).prop_map(|idx| symbol(SYMBOLS[idx]))
}

fn source_index(count: usize) -> impl Strategy<Value = Source> {
    (0..count).prop_map(|idx| source(SOURCES[idx]))
}

fn order() -> impl Strategy<Value = Order> {
    select(vec![Order::OldestFirst, Order::NewestFirst])
}

/// Makes both ends of a range: often everything, else two times, at times the wrong way round.
fn ends() -> impl Strategy<Value = (Timestamp, Timestamp)> {
    prop_oneof![
        1 => Just((Timestamp::MIN, Timestamp::MAX)),
        4 => (time(), time()).prop_map(|(one, other)| (one.min(other), one.max(other))),
        1 => (time(), time()),
    ]
}

fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![1_usize..8, Just(usize::MAX)]
}

fn tick_range() -> impl Strategy<Value = TickRange> {
    let detail = select(vec![Detail::Plain, Detail::WithMetadata]);
    let source = option::of(source_index(SOURCES.len()));
    (symbol_index(SYMBOLS.len()), source, ends(), order(), limit(), detail).prop_map(
        |(symbol, source, (from, to), order, limit, detail)| TickRange {
            symbol,
            source,
            from,
            to,
            after: None,
            order,
            limit,
            detail,
        },
    )
}

fn candle_range() -> impl Strategy<Value = CandleRange> {
    let interval = select(Interval::ALL.to_vec());
    let source = option::of(source_index(SOURCES.len()));
    (symbol_index(SYMBOLS.len()), source, interval, ends(), order(), limit()).prop_map(
        |(symbol, source, interval, (from, to), order, limit)| CandleRange {
            symbol,
            source,
            interval,
            from,
            to,
            after: None,
            order,
            limit,
        },
    )
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let price = option::of(select(vec!["1", "1.0", "2"]));
    (symbol_index(2), 0..4_u8, price, 1..3_u64, time()).prop_map(
        |(symbol, second, price, num_feeds, computed_at)| Snapshot {
            symbol,
            num_feeds,
            computed_at,
            ..snapshot(&format!("12:00:0{second}"), price)
        },
    )
}

fn any_delegation() -> impl Strategy<Value = Delegation> {
    let amount = select(vec!["1", "2.50"]);
    (0..2_u8, 0..2_u8, 0..3_u8, amount).prop_map(|(delegator, provider, second, amount)| {
        let names = (format!("d{delegator}"), format!("p{provider}"));
        Delegation {
            amount: Volume::try_new(amount).unwrap(),
            ..delegation(&names.0, &names.1, &format!("12:00:0{second}"))
        }
    })
}

fn delegation_range() -> impl Strategy<Value = DelegationRange> {
    let account = |letter: char| {
        option::of(
            (0..3_u8).prop_map(move |n| AccountId::try_new(&format!("{letter}{n}")).unwrap()),
        )
    };
    let ends = (0..3_u8, 0..3_u8)
        .prop_map(|(from, to)| (at(&format!("12:00:0{from}")), at(&format!("12:00:0{to}"))));
    (account('d'), account('p'), ends, limit()).prop_map(
        |(delegator, provider, (from, to), limit)| DelegationRange {
            delegator,
            provider,
            from,
            to,
            after: None,
            limit,
        },
    )
}

fn key_id() -> impl Strategy<Value = String> {
    (0..4_u8).prop_map(|n| format!("id-{n}"))
}

/// Makes keys whose age follows from their id, so that `keys` has one right order.
fn key_put() -> impl Strategy<Value = StoredKey> {
    (0..4_u8, any::<[u8; 32]>(), option::of(time())).prop_map(|(n, hash, not_after)| StoredKey {
        hash,
        not_after,
        ..key(&format!("id-{n}"), &format!("12:00:0{n}"))
    })
}
