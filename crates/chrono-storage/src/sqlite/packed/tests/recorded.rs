//! The recorded ticks: they read back, and what they take is printed.

use std::collections::BTreeMap;

use chrono_testkit::{TickRow, data_dir, read_rows, tick_files};

use super::*;

/// Rows of a page, as the engine cuts them.
const PAGE_ROWS: usize = 1_024;
/// Most bytes of a recorded tick without metadata: the goal of the layout.
const BYTES_MAX: usize = 9;

/// A tick and its metadata, as a gateway would keep them.
fn kept(tick: &TickRow, arrival: u64, ids: &mut BTreeMap<String, u32>) -> Option<(Row, Metadata)> {
    let timestamp = Timestamp::parse_rfc3339(&tick.timestamp).ok()?;
    let received = tick.metadata.get("recv").and_then(|recv| micros_of(recv.as_str()?));
    let next = u32::try_from(ids.len()).ok()? + 1;
    let source_id = *ids.entry(tick.source.clone()).or_insert(next);
    let row = Row {
        key: OrderKey { timestamp, arrival: Arrival(arrival) },
        source_id,
        worker_id: source_id,
        price: Price::try_new(&tick.price).ok()?,
        volume: tick.volume.as_deref().map(Volume::try_new).transpose().ok()?,
        ingested_at: received.unwrap_or(timestamp),
    };
    let text = serde_json::to_string(&tick.metadata).unwrap();
    Some((row, Metadata::from_canonical(text)))
}

/// Reads seconds with any number of decimals.
fn micros_of(seconds: &str) -> Option<Timestamp> {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let micros = format!("{fraction:0<6}");
    Timestamp::from_micros(format!("{whole}{}", micros.get(..6)?).parse().ok()?).ok()
}

#[test]
fn recorded_ticks_take_nine_bytes_at_most() {
    let Some(dir) = data_dir() else { return };
    let (mut symbols, mut ids) = (BTreeMap::<String, Vec<_>>::new(), BTreeMap::new());
    let files = tick_files(&dir).unwrap();
    let ticks = files.iter().flat_map(|file| read_rows::<TickRow>(file).unwrap());
    for (arrival, tick) in (1..).zip(ticks) {
        if let Some(kept) = kept(&tick, arrival, &mut ids) {
            symbols.entry(tick.symbol).or_default().push(kept);
        }
    }
    let (mut rows, mut bytes, mut beside) = (0, 0, 0);
    for page in symbols.values_mut() {
        page.sort_by_key(|(row, _)| row.key);
        for page in page.chunks(PAGE_ROWS) {
            let (page, texts): (Vec<Row>, Vec<_>) =
                page.iter().map(|(row, text)| (*row, Some(text.clone()))).unzip();
            let blob = ticks::encode(&page, ticks::Beside::Metadata);
            let read = ticks::Page::open(&blob).unwrap().rows(0..page.len(), None).unwrap();
            let read: Vec<Row> = read.into_iter().map(|(_, row)| row).collect();
            assert_eq!(shown(&read), shown(&page));
            let packed = metadata::encode(&texts).unwrap();
            assert_eq!(metadata::decode(&packed).unwrap(), texts);
            (rows, bytes, beside) = (rows + page.len(), bytes + blob.len(), beside + packed.len());
        }
    }
    let hundredths = |bytes: usize| bytes * 100 / rows;
    println!(
        "{rows} ticks of {} symbols: {} hundredths of a byte each, and {} of metadata",
        symbols.len(),
        hundredths(bytes),
        hundredths(beside)
    );
    assert!(bytes <= rows * BYTES_MAX, "{} hundredths of a byte a tick", hundredths(bytes));
}
