//! An ingest batch: the same verdict on the envelope and on each feed as the oracle's.

#![no_main]

use chrono_domain::Timestamp;
use chrono_ingest::ParsedBatch;
use chrono_testkit::oracle::batch::{Batch, in_order, judge};
use libfuzzer_sys::fuzz_target;

/// 2025-10-09T12:34:57Z, in microseconds.
const NOW: i64 = 1_760_013_297_000_000;

fuzz_target!(|body: &[u8]| {
    let now = Timestamp::from_micros(NOW).expect("a time");
    let parsed = ParsedBatch::parse(&mut body.to_vec(), now).map_err(|fault| fault.field);
    let parsed = parsed.map(|batch| Batch {
        worker: batch.worker.to_string(),
        batch_id: batch.batch_id.map(|id| id.as_str().to_owned()),
        feeds: in_order(
            &batch.ticks,
            batch.faults.iter().map(|fault| (fault.index, fault.field.as_str())),
        ),
        unknown_fields: batch.unknown_fields,
    });
    assert_eq!(parsed, judge(body, NOW));
});
