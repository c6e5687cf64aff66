//! A cursor: what is read is written alike but for the case of its digits, and belongs to one question.

#![no_main]

use chrono_domain::{Arrival, OrderKey, Timestamp};
use chrono_query::fuzzing::{read_cursor, write_cursor};
use chrono_testkit::oracle::time::MICROS_MAX;
use libfuzzer_sys::fuzz_target;

const QUESTION: &str = "ticks/BTC/USD";
/// Characters of version and fingerprint, which chance does not find.
const HEAD_CHARS: usize = 18;

fuzz_target!(|text: &str| {
    let last = OrderKey { timestamp: Timestamp::MAX, arrival: Arrival(7) };
    let own = write_cursor((Timestamp::MIN, Timestamp::MAX, last), QUESTION);
    let (head, _) = own.split_at(HEAD_CHARS);
    let with_head = format!("{head}{text}");
    for (cursor, is_cursor) in
        [(&with_head, is_place(text)), (&text.to_owned(), is_own(text, head))]
    {
        let read = read_cursor(cursor, QUESTION);
        assert_eq!(read.is_some(), is_cursor, "{cursor}");
        assert_eq!(read_cursor(cursor, "ticks/ETH/USD"), None);
        if let Some(ended) = read {
            assert_eq!(write_cursor(ended, QUESTION), cursor.to_ascii_lowercase());
        }
    }
});

fn is_own(text: &str, head: &str) -> bool {
    let head_of_text = text.get(..HEAD_CHARS).map(str::to_ascii_lowercase);
    head_of_text.as_deref() == Some(head) && is_place(&text[HEAD_CHARS..])
}

/// Tells whether a text is three times and an arrival number, each of 16 hexadecimal digits.
fn is_place(text: &str) -> bool {
    let time =
        |digits: &str| i64::from_str_radix(digits, 16).is_ok_and(|micros| micros <= MICROS_MAX);
    let all_digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.len() == 64 && all_digits && [0, 16, 32].iter().all(|at| time(&text[*at..at + 16]))
}
