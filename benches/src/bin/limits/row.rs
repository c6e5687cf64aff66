//! Batches as they are parsed, and the rows they become.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use serde::Deserialize;

/// A batch, borrowed from the request's bytes.
#[derive(Debug, Deserialize)]
pub(crate) struct Batch<'a> {
    worker_id: &'a str,
    #[serde(borrow)]
    pub(crate) feeds: Vec<Feed<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Feed<'a> {
    symbol: &'a str,
    price: &'a str,
    volume: &'a str,
    source: &'a str,
    timestamp: &'a str,
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

/// What the generator sends beside a price; it has to be kept like the rest.
#[derive(Debug, Deserialize)]
struct Metadata<'a> {
    bid: &'a str,
    ask: &'a str,
}

/// Numbers for names, so that a row holds no text twice.
#[derive(Debug, Default)]
pub(crate) struct Names(RwLock<HashMap<Box<str>, u32>>);

impl Names {
    fn number(&self, name: &str) -> u32 {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        known.unwrap_or_else(|| {
            let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
            let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
            *names.entry(name.into()).or_insert(next)
        })
    }
}

impl Batch<'_> {
    /// Encodes the feeds, some 50 bytes each; none when one is not as the generator makes it.
    pub(crate) fn rows(&self, names: &Names) -> Option<Vec<u8>> {
        let mut rows = Vec::with_capacity(self.feeds.len() * 64);
        let worker = names.number(self.worker_id);
        for feed in &self.feeds {
            let (price, volume) = (Decimal::parse(feed.price)?, Decimal::parse(feed.volume)?);
            for number in [worker, names.number(feed.symbol), names.number(feed.source)] {
                rows.extend_from_slice(&number.to_le_bytes());
            }
            rows.extend_from_slice(&millis(feed.timestamp)?.to_le_bytes());
            for decimal in [price, volume] {
                rows.extend_from_slice(&decimal.mantissa.to_le_bytes());
                rows.push(decimal.scale);
            }
            for text in [feed.metadata.bid, feed.metadata.ask] {
                rows.push(u8::try_from(text.len()).ok()?);
                rows.extend_from_slice(text.as_bytes());
            }
        }
        Some(rows)
    }
}

struct Decimal {
    mantissa: u64,
    scale: u8,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (mut mantissa, mut scale, mut fraction) = (0_u64, 0, false);
        for byte in text.bytes() {
            match byte {
                b'.' if !fraction => fraction = true,
                b'0'..=b'9' => {
                    mantissa = mantissa.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                    scale += u8::from(fraction);
                }
                _ => return None,
            }
        }
        Some(Self { mantissa, scale })
    }
}

/// Reads `2025-10-09T12:34:56.123Z` into milliseconds since 1970, by the days of the civil calendar
/// (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn millis(text: &str) -> Option<i64> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100
        + day_of_year
        - 719_468;
    let seconds = ((days * 24 + part(11, 13)?) * 60 + part(14, 16)?) * 60 + part(17, 19)?;
    Some(seconds * 1_000 + part(20, 23)?)
}
