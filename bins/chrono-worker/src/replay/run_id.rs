//! A run's name, which holds all that its batches depend on.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::Speed;

/// Most feeds in a batch, the gateway's own bound.
const BATCH_MAX: usize = 100;
/// Most lanes; more connections would not make a gateway faster.
const LANES_MAX: usize = 64;

/// A replay that can be repeated batch for batch.
///
/// Its text, such as `00c0ffee00c0ffee_100_1_max_0`, is what an interrupted run prints and a resumed one takes: a
/// different batch size, speed or shift would make other batches under the same keys, or the same ticks under others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// A random number that tells this run from all others.
    pub nonce: u64,
    /// Feeds in a batch, 1 to 100.
    pub batch: usize,
    /// Lanes, 1 to 64.
    pub lanes: usize,
    /// How fast; it decides where batches end, so that ticks do not wait long for others.
    pub speed: Speed,
    /// How far all times are moved, in microseconds; zero leaves their text alone.
    pub shift_micros: i64,
}

/// Says that a text is no run's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a run, such as 00c0ffee00c0ffee_100_1_max_0")]
pub struct RunError;

impl Run {
    /// Names a batch by run, file and the line of its first row: never by content, which may repeat.
    ///
    /// `file_tag` comes from [`file_tag`]; a path itself may be long and hold anything.
    pub(crate) fn key(&self, file_tag: &str, first_line: u64) -> String {
        format!("{self}.{file_tag}.{first_line}")
    }

    /// Tells which lane posts a symbol; the same in every run.
    pub(crate) fn lane(&self, symbol: &str) -> usize {
        let [byte, ..] = <[u8; 32]>::from(Sha256::digest(symbol));
        usize::from(byte) % self.lanes.max(1)
    }
}

/// Names a file by its path: 16 hexadecimal digits.
pub(crate) fn file_tag(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let head = digest.iter().take(8).fold(0, |tag, &byte| tag << 8 | u64::from(byte));
    format!("{head:016x}")
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nonce, batch, lanes, speed, shift_micros } = self;
        write!(f, "{nonce:016x}_{batch}_{lanes}_{speed}_{shift_micros}")
    }
}

impl FromStr for Run {
    type Err = RunError;

    fn from_str(text: &str) -> Result<Self, RunError> {
        let mut parts = text.split('_');
        let mut part = || parts.next().ok_or(RunError);
        let run = Self {
            nonce: u64::from_str_radix(part()?, 16).map_err(|_fault| RunError)?,
            batch: part()?.parse().map_err(|_fault| RunError)?,
            lanes: part()?.parse().map_err(|_fault| RunError)?,
            speed: part()?.parse().map_err(|_fault| RunError)?,
            shift_micros: part()?.parse().map_err(|_fault| RunError)?,
        };
        let bounded = (1..=BATCH_MAX).contains(&run.batch) && (1..=LANES_MAX).contains(&run.lanes);
        // Printing it back refuses every second way to write the same run, whose keys would differ.
        if bounded && run.to_string() == text { Ok(run) } else { Err(RunError) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_name_run_file_and_line() {
        let run: Run = "00c0ffee00c0ffee_100_4_10_-5".parse().unwrap();
        let tag = file_tag(Path::new("ticks/a.ndjson.gz"));
        assert_eq!(run.key(&tag, 7), format!("00c0ffee00c0ffee_100_4_10_-5.{tag}.7"));
        assert_ne!(tag, file_tag(Path::new("ticks/b.ndjson.gz")));
        assert_eq!(tag.len(), 16);
    }

    #[test]
    fn refuses_every_other_text() {
        for text in [
            "",
            "x",
            "1_100_1_max_0",
            "00c0ffee00c0ffee_0_1_max_0",
            "00c0ffee00c0ffee_101_1_max_0",
            "00c0ffee00c0ffee_100_65_max_0",
            "00c0ffee00c0ffee_100_1_fast_0",
            "00c0ffee00c0ffee_100_1_max_+0",
            "00c0ffee00c0ffee_100_1_max_0_0",
            "00C0FFEE00C0FFEE_100_1_max_0",
        ] {
            assert_eq!(text.parse::<Run>(), Err(RunError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_prints(
            nonce: u64,
            batch in 1..=BATCH_MAX,
            lanes in 1..=LANES_MAX,
            speed in prop_oneof!["max", "[1-9][0-9]{0,2}(\\.[0-9]{0,2}[1-9])?"],
            shift_micros: i64,
        ) {
            let speed: Speed = speed.parse().unwrap();
            let run = Run { nonce, batch, lanes, speed, shift_micros };
            let text = run.to_string();
            prop_assert!(text.len() <= 64, "{text}");
            prop_assert_eq!(text.parse(), Ok(run));
        }

        #[test]
        fn a_symbol_keeps_its_lane(symbol in "[A-Z]{1,5}/[A-Z]{1,5}", lanes in 1..=LANES_MAX) {
            let run = Run { nonce: 0, batch: 1, lanes, speed: Speed::Max, shift_micros: 0 };
            let again = Run { nonce: 9, batch: 7, shift_micros: 5, ..run.clone() };
            prop_assert!(run.lane(&symbol) < lanes);
            prop_assert_eq!(run.lane(&symbol), again.lane(&symbol));
        }
    }
}
