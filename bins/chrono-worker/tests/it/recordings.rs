//! Every recorded row becomes a feed that a gateway takes.

use std::fs::File;
use std::io::{BufRead, BufReader};

use chrono_domain::{Price, Source, Symbol, Tick, Timestamp, Volume};
use chrono_testkit::{TickRow, data_dir, tick_files};
use chrono_worker::{TickerVolume, read_row};
use flate2::read::MultiGzDecoder;

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    rows: usize,
    prices_with_exponent: usize,
    volumes_with_exponent: usize,
    rolling_volumes: usize,
    null_volumes: usize,
    times_finer_than_a_microsecond: usize,
}

#[test]
fn every_recorded_row_becomes_a_tick() {
    let Some(dir) = data_dir() else { return };
    let mut seen = Seen::default();
    for file in tick_files(&dir).unwrap() {
        let lines = BufReader::new(MultiGzDecoder::new(File::open(&file).unwrap())).lines();
        for line in lines {
            check(&line.unwrap(), &mut seen);
        }
    }
    let expected = Seen {
        rows: 23_803,
        prices_with_exponent: 146,
        volumes_with_exponent: 3,
        rolling_volumes: 1_945,
        null_volumes: 1_766,
        times_finer_than_a_microsecond: 1_619,
    };
    assert_eq!(seen, expected);
}

fn check(line: &str, seen: &mut Seen) {
    let row: TickRow = serde_json::from_str(line).unwrap();
    let moved = read_row(line.as_bytes(), TickerVolume::Move).unwrap();
    let kept = read_row(line.as_bytes(), TickerVolume::Keep).unwrap();
    for feed in [&moved, &kept] {
        let volume = feed.volume.as_deref().map(|text| Volume::try_new(text).unwrap());
        let tick = Tick::try_new(
            Symbol::try_new(&feed.symbol).unwrap(),
            Source::try_new(&feed.source).unwrap(),
            Price::try_new(&feed.price).unwrap(),
            volume,
            Timestamp::parse_rfc3339(&feed.timestamp).unwrap(),
        )
        .unwrap();
        assert_eq!(tick.price.to_string(), feed.price);
        assert_eq!(feed.timestamp, row.timestamp);
        assert!(feed.metadata.as_ref().unwrap().get().len() <= 4_096);
    }
    let exponent = |text: &str| text.contains(['e', 'E']);
    if !exponent(&row.price) {
        assert_eq!(kept.price, row.price);
    }
    if !row.volume.as_deref().is_some_and(exponent) {
        assert_eq!(kept.volume, row.volume);
    }
    let rolling = row.volume.is_some() && row.metadata["volume_kind"] == "24h";
    if rolling {
        assert_eq!(moved.volume, None);
        let metadata: serde_json::Value =
            serde_json::from_str(moved.metadata.unwrap().get()).unwrap();
        assert_eq!(metadata["volume_24h"].as_str(), kept.volume.as_deref());
    } else {
        assert_eq!(moved.volume, kept.volume);
    }
    let decimals = row.timestamp.split_once('.').map_or(0, |(_, rest)| rest.len() - 1);
    seen.rows += 1;
    seen.prices_with_exponent += usize::from(exponent(&row.price));
    seen.volumes_with_exponent += usize::from(row.volume.as_deref().is_some_and(exponent));
    seen.rolling_volumes += usize::from(rolling);
    seen.null_volumes += usize::from(row.volume.is_none());
    seen.times_finer_than_a_microsecond += usize::from(decimals > 6);
}
