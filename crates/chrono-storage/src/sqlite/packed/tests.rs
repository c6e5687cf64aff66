//! What goes in comes out, bit for bit; what is damaged is noticed.

use bytes::Bytes;
use chrono_domain::{Arrival, Candle, Metadata, OrderKey, Price, Timestamp, Volume};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::log::{LoggedBatch, LoggedCommit, LoggedTick};
use super::seal::Format;
use super::{Damage, Row, candles, log, metadata, newest, seal, sets, ticks};
use crate::{Idempotency, IdempotencyKey};

mod recorded;

/// Rows of the pages that are generated: more than two blocks.
const ROWS_MAX: usize = 300;

/// A comparison that sees the scale, which equality of prices does not.
fn shown(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn micros() -> impl Strategy<Value = i64> {
    let last = Timestamp::MAX.micros();
    prop_oneof![
        4 => 1_760_000_000_000_000..1_760_000_010_000_000_i64,
        4 => (1_760_000_000_000..1_760_000_010_000_i64).prop_map(|millis| millis * 1_000),
        1 => 0..=last,
        1 => prop::sample::select(vec![0, 1, last - 1, last]),
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    micros().prop_map(|micros| Timestamp::from_micros(micros).unwrap())
}

fn decimal() -> impl Strategy<Value = (u128, u32)> {
    let most = 10_u128.pow(28) - 1;
    let mantissa = prop_oneof![
        6 => 6_700_000..6_800_000_u128,
        2 => 0..1_000_000_000_000_u128,
        1 => 0..=most,
        1 => prop::sample::select(vec![1, most, i64::MAX as u128, i64::MAX as u128 + 1]),
    ];
    (mantissa, prop_oneof![5 => Just(2), 1 => 0_u32..=18])
}

fn price() -> impl Strategy<Value = Price> {
    decimal()
        .prop_filter_map("a price", |(mantissa, scale)| Price::try_from_parts(mantissa, scale).ok())
}

fn volume() -> impl Strategy<Value = Volume> {
    decimal().prop_filter_map("a volume", |(mantissa, scale)| {
        Volume::try_from_parts(mantissa, scale).ok()
    })
}

fn arrival() -> impl Strategy<Value = Arrival> {
    prop_oneof![9 => 0..500_u64, 1 => any::<u64>()].prop_map(Arrival)
}

fn id() -> impl Strategy<Value = u32> {
    prop_oneof![9 => 1..6_u32, 1 => any::<u32>()]
}

fn row() -> impl Strategy<Value = Row> {
    (time(), arrival(), id(), id(), price(), option::weighted(0.8, volume()), time()).prop_map(
        |(timestamp, arrival, source_id, worker_id, price, volume, ingested_at)| Row {
            key: OrderKey { timestamp, arrival },
            source_id,
            worker_id,
            price,
            volume,
            ingested_at,
        },
    )
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    vec(row(), 1..ROWS_MAX).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.key);
        rows.dedup_by_key(|row| row.key);
        rows
    })
}

fn object() -> impl Strategy<Value = Option<Metadata>> {
    let text = prop_oneof!["\\{\"bid\":\"[0-9]{5}\"\\}", "\\{\"a\":\"\\PC{0,30}\"\\}"];
    option::of(text.prop_map(|text| Metadata::from_canonical(text.as_str())))
}

fn logged_tick() -> impl Strategy<Value = LoggedTick> {
    (id(), id(), time(), price(), option::of(volume()), object()).prop_map(
        |(symbol_id, source_id, timestamp, price, volume, metadata)| LoggedTick {
            symbol_id,
            source_id,
            timestamp,
            price,
            volume,
            metadata,
        },
    )
}

fn commit() -> impl Strategy<Value = LoggedCommit> {
    let repeatable = ("[!-~]{1,128}", any::<[u8; 32]>(), vec(any::<u8>(), 0..60)).prop_map(
        |(key, fingerprint, receipt)| {
            let key = IdempotencyKey::try_new(&key).unwrap();
            (Idempotency { key, fingerprint }, Bytes::from(receipt))
        },
    );
    let batch = (id(), time(), option::of(repeatable), vec(logged_tick(), 0..20)).prop_map(
        |(worker_id, received_at, repeatable, ticks)| LoggedBatch {
            worker_id,
            received_at,
            repeatable,
            ticks,
        },
    );
    (any::<u64>(), vec(batch, 0..6))
        .prop_map(|(first_arrival, batches)| LoggedCommit { first_arrival, batches })
}

fn slots() -> impl Strategy<Value = Vec<candles::Slot>> {
    let small = prop_oneof![Just(2_u32), 0..=9_u32]
        .prop_flat_map(|scale| (1..1_000_000_000_u128).prop_map(move |units| (units, scale)));
    let tick = (time(), arrival(), small.clone(), option::of(small)).prop_map(
        |(timestamp, arrival, (units, scale), volume)| {
            let price = Price::try_from_parts(units, scale).unwrap();
            let volume = volume.map(|(units, scale)| Volume::try_from_parts(units, scale).unwrap());
            Candle::of_one(OrderKey { timestamp, arrival }, price, volume)
        },
    );
    let candle = vec(tick, 1..8).prop_map(|ticks| {
        ticks
            .into_iter()
            .reduce(|mut all, tick| {
                all.merge(&tick);
                all
            })
            .unwrap()
    });
    prop::collection::btree_map(any::<u16>(), candle, 0..70)
        .prop_map(|slots| slots.into_iter().collect())
}

/// All that a blob may be.
const FORMATS: [Format; 6] =
    [Format::Ticks, Format::Metadata, Format::Candles, Format::Log, Format::Newest, Format::Sets];

/// Reads a blob as one of a format; its rows in all ways that there are.
fn read_as(format: Format, blob: &[u8]) -> Result<(), Damage> {
    match format {
        Format::Ticks => {
            let page = ticks::Page::open(blob)?;
            page.keys()?;
            page.rows(0..page.len(), Some(1))?;
            page.rows(0..page.len(), None).map(drop)
        }
        Format::Metadata => metadata::decode(blob).map(drop),
        Format::Candles => candles::decode(blob).map(drop),
        Format::Log => log::decode(blob).map(drop),
        Format::Newest => newest::decode(blob).map(drop),
        Format::Sets => sets::decode(blob, None).map(drop),
    }
}

/// Every reading of a blob, whichever kind it claims to be; tells whether one succeeds.
fn reads(blob: &[u8]) -> Result<(), Damage> {
    let first = read_as(Format::Ticks, blob);
    FORMATS.into_iter().fold(first, |read, format| read.or_else(|_| read_as(format, blob)))
}

/// Makes a blob of a format, with a right checksum, and reads it as what it claims to be.
fn read_body(format: Format, body: &[u8]) -> Result<(), Damage> {
    let mut blob = seal::begin(format, body.len());
    blob.extend_from_slice(body);
    let blob = seal::finish(blob);
    assert_eq!(seal::open(format, &blob), Ok(body));
    read_as(format, &blob)
}

fn any_blob() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        rows().prop_map(|rows| ticks::encode(&rows, ticks::Beside::Nothing)),
        vec(object(), 1..90).prop_filter_map("metadata", |rows| metadata::encode(&rows)),
        slots().prop_map(|slots| candles::encode(&slots)),
        slots().prop_map(|slots| sets::encode(&[(0, slots.clone()), (3, slots)])),
        vec((row(), object()), 0..9).prop_map(|ticks| newest::encode(&ticks)),
        commit().prop_map(|commit| log::encode(&commit)),
    ]
}

proptest! {
    #[test]
    fn a_page_gives_its_rows_back_bit_for_bit(rows in rows()) {
        let blob = ticks::encode(&rows, ticks::Beside::Nothing);
        let page = ticks::Page::open(&blob).unwrap();
        prop_assert_eq!(page.len(), rows.len());
        let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
        prop_assert_eq!(page.keys().unwrap(), keys);
        let all: Vec<_> = rows.into_iter().enumerate().collect();
        prop_assert_eq!(shown(&page.rows(0..usize::MAX, None).unwrap()), shown(&all));
    }

    #[test]
    fn a_page_gives_any_range_of_any_source(
        rows in rows(), from in 0..ROWS_MAX, to in 0..ROWS_MAX, source_id in 0..6_u32,
    ) {
        let blob = ticks::encode(&rows, ticks::Beside::Nothing);
        let page = ticks::Page::open(&blob).unwrap();
        let within = |source_id: Option<u32>| -> Vec<_> {
            let rows = rows.iter().copied().enumerate();
            let rows = rows.filter(|(index, _)| (from..to).contains(index));
            rows.filter(|(_, row)| source_id.is_none_or(|id| id == row.source_id)).collect()
        };
        for source_id in [None, Some(source_id)] {
            let read = page.rows(from..to, source_id).unwrap();
            prop_assert_eq!(shown(&read), shown(&within(source_id)));
        }
    }

    #[test]
    fn metadata_come_back_in_their_places(rows in vec(object(), 0..90)) {
        match metadata::encode(&rows) {
            Some(blob) => prop_assert_eq!(metadata::decode(&blob), Ok(rows)),
            None => prop_assert!(rows.iter().all(Option::is_none)),
        }
    }

    #[test]
    fn candles_come_back_bit_for_bit(slots in slots()) {
        let read = candles::decode(&candles::encode(&slots)).unwrap();
        prop_assert_eq!(shown(&read), shown(&slots));
    }

    #[test]
    fn the_candles_of_each_source_come_back_alone_and_together(
        sets in prop::collection::btree_map(id(), slots(), 0..5), other in id(),
    ) {
        let sets: Vec<_> = sets.into_iter().collect();
        let blob = sets::encode(&sets);
        prop_assert_eq!(shown(&sets::decode(&blob, None).unwrap()), shown(&sets));
        for wanted in sets.iter().map(|(id, _)| *id).chain([other]) {
            let alone: Vec<_> = sets.iter().filter(|(id, _)| *id == wanted).cloned().collect();
            prop_assert_eq!(shown(&sets::decode(&blob, Some(wanted)).unwrap()), shown(&alone));
        }
    }

    #[test]
    fn newest_ticks_come_back_bit_for_bit(ticks in vec((row(), object()), 0..9)) {
        let read = newest::decode(&newest::encode(&ticks)).unwrap();
        prop_assert_eq!(shown(&read), shown(&ticks));
    }

    #[test]
    fn commits_come_back_bit_for_bit(commit in commit()) {
        let read = log::decode(&log::encode(&commit)).unwrap();
        prop_assert_eq!(shown(&read), shown(&commit));
    }

    #[test]
    fn a_flipped_bit_is_noticed(blob in any_blob(), at: prop::sample::Index, bit in 0..8) {
        let mut blob = blob;
        let at = at.index(blob.len());
        blob[at] ^= 1_u8 << bit;
        prop_assert!(reads(&blob).is_err());
    }

    #[test]
    fn a_truncated_blob_is_noticed(blob in any_blob(), at: prop::sample::Index) {
        prop_assert!(reads(&blob[..at.index(blob.len())]).is_err());
    }

    /// The checksum hides most damage from the readers, so here it is made right again.
    #[test]
    fn bytes_under_a_right_checksum_never_panic(
        blob in any_blob(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut: prop::sample::Index,
    ) {
        let mut body = blob[..blob.len() - 4].to_vec();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        reads(&seal::finish(body.clone())).ok();
        body.truncate(1 + cut.index(body.len()));
        reads(&seal::finish(body)).ok();
    }

    #[test]
    fn random_bytes_never_panic(
        format in prop::sample::select(FORMATS.to_vec()),
        bytes in vec(any::<u8>(), 0..300),
    ) {
        reads(&bytes).ok();
        read_body(format, &bytes).ok();
    }

    /// Random bytes are mostly refused at the head of a page of ticks, so here that is as it should be.
    #[test]
    fn random_columns_of_ticks_never_panic(
        rows in rows(), keeps in 0..40_usize, bytes in vec(any::<u8>(), 0..300),
    ) {
        let page = ticks::encode(&rows, ticks::Beside::Nothing);
        let mut body = page[1..page.len() - 4].to_vec();
        body.truncate(keeps);
        body.extend(bytes);
        read_body(Format::Ticks, &body).ok();
    }
}

#[test]
fn a_candle_takes_the_room_of_its_digits() {
    let minute = |nth: u16| {
        let at = Timestamp::from_micros(i64::from(nth) * 60_000_000).unwrap();
        let at = OrderKey { timestamp: at, arrival: Arrival(u64::from(nth) * 100) };
        let volume = Volume::try_new("0.250").unwrap();
        (nth, Candle::of_one(at, Price::try_new("67234.56").unwrap(), Some(volume)))
    };
    let hour: Vec<_> = (0..60).map(minute).collect();
    let bytes = candles::encode(&hour).len();
    assert!(bytes < 60 * 40, "{bytes}");
}

#[test]
fn a_blob_of_another_kind_is_refused() {
    let commit = log::encode(&LoggedCommit { first_arrival: 1, batches: Vec::new() });
    assert_eq!(candles::decode(&commit).unwrap_err(), Damage("of another kind or version"));
}

#[test]
fn no_count_makes_room_for_more_than_there_is() {
    for format in FORMATS {
        // A count of 2^63 wherever the first or second integer is one.
        for lead in [&[][..], &[0][..], &[1][..]] {
            let mut body = lead.to_vec();
            body.extend([0x80; 9]);
            body.extend([1; 20]);
            assert!(read_body(format, &body).is_err(), "{format:?} after {lead:?}");
        }
    }
    let too_many = [&[0][..], &[0x80; 9], &[1; 20]].concat();
    let refused = read_body(Format::Ticks, &too_many);
    assert_eq!(refused, Err(Damage("more rows than bytes")));
}
