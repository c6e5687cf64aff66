//! A commit as the log keeps it.

#![no_main]

use chrono_fuzz::blob::check;
use chrono_storage::sqlite::fuzzing::Kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    check(Kind::Log, input);
});
