//! A time: as the oracle reads it, and printed as the `time` crate prints it.

#![no_main]

use chrono_domain::Timestamp;
use chrono_testkit::oracle::{grammar, time::rfc3339};
use libfuzzer_sys::fuzz_target;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const BUCKET: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const MICROS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

fuzz_target!(|text: &str| {
    let read = Timestamp::parse_rfc3339(text).ok();
    assert_eq!(read.map(Timestamp::micros), rfc3339(text));
    let queried = Timestamp::parse_query(text).ok();
    assert_eq!(queried.map(Timestamp::micros), grammar::queried_time(text));
    let Some(at) = read.or(queried) else { return };
    let nanos = i128::from(at.micros()) * 1_000;
    let other = OffsetDateTime::from_unix_timestamp_nanos(nanos).expect("a time");
    let form = if at.micros() % 1_000 == 0 { MILLIS } else { MICROS };
    let text = at.tick_text().to_string();
    assert_eq!(text, other.format(form).expect("a text"));
    assert_eq!(at.bucket_text().to_string(), other.format(BUCKET).expect("a text"));
    assert_eq!(Timestamp::parse_rfc3339(&text), Ok(at));
});
