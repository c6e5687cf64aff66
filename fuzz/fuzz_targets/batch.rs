//! An ingest batch: the same verdict on the envelope and on each feed as the oracle's.

#![no_main]

use chrono_domain::Timestamp;
use chrono_fuzz::batch::{Sent, judge};
use chrono_ingest::ParsedBatch;
use libfuzzer_sys::fuzz_target;

/// 2025-10-09T12:34:57Z, in microseconds.
const NOW: i64 = 1_760_013_297_000_000;

fuzz_target!(|body: &[u8]| {
    let now = Timestamp::from_micros(NOW).expect("a time");
    let parsed = ParsedBatch::parse(&mut body.to_vec(), now);
    let (parsed, meant) = match (parsed, judge(body, NOW)) {
        (Ok(parsed), Ok(meant)) => (parsed, meant),
        (Err(fault), Err(field)) => return assert_eq!(fault.field, field, "{fault}"),
        (parsed, meant) => panic!("{parsed:?}, but meant {meant:?}"),
    };
    assert_eq!(parsed.worker.as_str(), meant.worker);
    assert_eq!(
        parsed.batch_id.as_ref().map(chrono_storage::IdempotencyKey::as_str),
        meant.batch_id.as_deref()
    );
    assert_eq!(parsed.unknown_fields, meant.unknown_fields);
    let (mut ticks, mut faults) = (parsed.ticks.iter(), parsed.faults.iter());
    for (index, feed) in meant.feeds.into_iter().enumerate() {
        match feed {
            Ok(sent) => {
                let tick = ticks.next().expect("a tick");
                let got = Sent {
                    symbol: tick.symbol.to_string(),
                    source: tick.source.to_string(),
                    price: tick.price.to_string(),
                    volume: tick.volume.map(|volume| volume.to_string()),
                    micros: tick.timestamp.micros(),
                    metadata: tick.metadata.as_ref().map(|text| text.as_str().to_owned()),
                };
                assert_eq!(got, sent);
            }
            Err(field) => {
                let fault = faults.next().expect("a fault");
                assert_eq!(
                    (fault.index, fault.field.as_str()),
                    (index, field),
                    "{}",
                    fault.message
                );
            }
        }
    }
    assert_eq!((ticks.next(), faults.next()), (None, None));
});
