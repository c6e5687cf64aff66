//! Cursors: where a page ended, and of which question.

use chrono_domain::{Arrival, OrderKey, Timestamp};

use crate::QueryError;

/// The first byte of every cursor; another layout gets another number.
const VERSION: u8 = 1;
/// Bytes before the place: version and fingerprint.
const HEAD_BYTES: usize = 9;
/// Longest cursor that is looked at, in characters.
const CURSOR_CHARS_MAX: usize = 256;
/// What a refused cursor should have been.
const EXPECTED: &str = "the next_cursor of the same query";

/// Tells questions apart: FNV-1a over everything that decides which rows follow which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn of(question: &str) -> Self {
        Self(question.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        }))
    }

    /// Writes a cursor: version, fingerprint and place, in hexadecimal digits.
    pub(crate) fn cursor(self, place: &[u8]) -> String {
        let head = std::iter::once(VERSION).chain(self.0.to_be_bytes());
        let digits = head.chain(place.iter().copied()).flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
    }

    /// Reads the place out of a cursor.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for anything but a cursor of the same question.
    pub(crate) fn place(self, cursor: &str) -> Result<Vec<u8>, QueryError> {
        let mut bytes = unhex(cursor).unwrap_or_default();
        let head = std::iter::once(VERSION).chain(self.0.to_be_bytes());
        if bytes.len() < HEAD_BYTES || !head.eq(bytes.iter().copied().take(HEAD_BYTES)) {
            return Err(refused(cursor));
        }
        Ok(bytes.split_off(HEAD_BYTES))
    }
}

/// Where a page of something ordered by time ended, with the times the first page was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) last: OrderKey,
}

impl Place {
    pub(crate) fn cursor(self, of: Fingerprint) -> String {
        let times = [self.from, self.to, self.last.timestamp].map(Timestamp::micros);
        let times = times.into_iter().flat_map(i64::to_be_bytes);
        of.cursor(&times.chain(self.last.arrival.0.to_be_bytes()).collect::<Vec<_>>())
    }

    /// Reads what [`Place::cursor`] wrote.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for anything but a cursor of the same question.
    pub(crate) fn read(cursor: &str, of: Fingerprint) -> Result<Self, QueryError> {
        let place = of.place(cursor)?;
        let (numbers, rest) = place.as_chunks();
        let numbers: Vec<i64> = numbers.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect();
        let ([from, to, at, arrival], []) = (numbers.as_slice(), rest) else {
            return Err(refused(cursor));
        };
        let time = |micros: &i64| Timestamp::from_micros(*micros).map_err(|_fault| refused(cursor));
        let arrival = Arrival(arrival.cast_unsigned());
        let last = OrderKey { timestamp: time(at)?, arrival };
        Ok(Self { from: time(from)?, to: time(to)?, last })
    }
}

pub(crate) fn refused(cursor: &str) -> QueryError {
    QueryError::invalid("cursor", &cursor, EXPECTED)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() > CURSOR_CHARS_MAX || !text.len().is_multiple_of(2) {
        return None;
    }
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().as_chunks::<2>().0.iter();
    pairs.map(|[high, low]| Some(digit(high)? * 16 + digit(low)?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_back_its_own_and_refuses_those_of_other_questions(
            times in prop::array::uniform3(0_i64..=253_402_300_799_999_999),
            arrival in any::<u64>(),
        ) {
            let [from, to, at] = times.map(|micros| Timestamp::from_micros(micros).unwrap());
            let last = OrderKey { timestamp: at, arrival: Arrival(arrival) };
            let (place, mine) = (Place { from, to, last }, Fingerprint::of("mine"));
            let cursor = place.cursor(mine);
            prop_assert_eq!(Place::read(&cursor, mine).unwrap(), place);
            prop_assert!(Place::read(&cursor, Fingerprint::of("yours")).is_err());
        }

        #[test]
        fn refuses_its_own_with_bytes_behind(digits in "[0-9a-f]{1,20}") {
            let (at, mine) = (Timestamp::MAX, Fingerprint::of("mine"));
            let last = OrderKey { timestamp: at, arrival: Arrival(7) };
            let longer = Place { from: at, to: at, last }.cursor(mine) + &digits;
            prop_assert!(Place::read(&longer, mine).is_err());
        }

        #[test]
        fn refuses_what_it_never_wrote(text in "\\PC{0,300}", digits in "[0-9a-f]{0,300}") {
            for text in [text, digits] {
                prop_assert!(Place::read(&text, Fingerprint::of("mine")).is_err());
            }
        }
    }
}
