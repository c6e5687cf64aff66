//! A page of ticks, its metadata, or the newest ticks; the first byte chooses.

#![no_main]

use chrono_fuzz::blob::check;
use chrono_storage::sqlite::fuzzing::Kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, body)) = input.split_first() else { return };
    let kinds = [Kind::Ticks, Kind::Metadata, Kind::Newest];
    check(kinds[usize::from(*choice) % kinds.len()], body);
});
