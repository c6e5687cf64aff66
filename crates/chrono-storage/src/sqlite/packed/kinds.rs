//! What rows of a page have in common: source, worker, and the scales of price and volume.
//!
//! A source's ticks come from one worker and mostly with the same decimals, so one small number says all four; the
//! integers of prices of one kind are near each other, so they are kept as distances from the kind's first.

use foldhash::HashMap;

use super::cursor::{Cursor, put_signed, put_unsigned};
use super::{Damage, Row, values};

/// Least bytes of a kind: two ids, two scales, one price.
const KIND_BYTES_MIN: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) source_id: u32,
    pub(super) worker_id: u32,
    pub(super) price_scale: u8,
    /// Zero for no volume, else its scale plus one.
    pub(super) volume_scale: u8,
}

/// A kind and where the integers of its prices start.
pub(super) type Entry = (Kind, i64);

impl Kind {
    fn of(row: &Row) -> Self {
        Self {
            source_id: row.source_id,
            worker_id: row.worker_id,
            price_scale: values::scale(row.price),
            volume_scale: values::shifted_scale(row.volume),
        }
    }
}

/// The kinds met so far, numbered in the order of their first rows.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    entries: Vec<Entry>,
    numbers: HashMap<Kind, i64>,
    /// What the row before was: rows of a kind come in runs.
    last: Option<(Kind, i64, i64)>,
}

impl Kinds {
    /// Gives the number of a row's kind and where its prices start; `price` starts a kind that is new.
    pub(super) fn number(&mut self, row: &Row, price: i64) -> (i64, i64) {
        let kind = Kind::of(row);
        if let Some((last, number, start)) = self.last
            && last == kind
        {
            return (number, start);
        }
        let next = self.entries.len() as u64;
        let number = *self.numbers.entry(kind).or_insert_with(|| {
            self.entries.push((kind, price));
            next.cast_signed()
        });
        let start = self.start(number);
        self.last = Some((kind, number, start));
        (number, start)
    }

    fn start(&self, number: i64) -> i64 {
        let index = usize::try_from(number).unwrap_or_default();
        self.entries.get(index).map_or(0, |(_, start)| *start)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_unsigned(out, self.entries.len() as u64);
        for (kind, start) in &self.entries {
            put_unsigned(out, kind.source_id.into());
            put_unsigned(out, kind.worker_id.into());
            out.extend([kind.price_scale, kind.volume_scale]);
            put_signed(out, *start);
        }
    }
}

/// Reads the kinds of a page.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Vec<Entry>, Damage> {
    let count = cursor.count(KIND_BYTES_MIN)?;
    let entry = |cursor: &mut Cursor<'_>| {
        let (source_id, worker_id) = (cursor.id()?, cursor.id()?);
        let (price_scale, volume_scale) = (cursor.byte()?, cursor.byte()?);
        Ok((Kind { source_id, worker_id, price_scale, volume_scale }, cursor.signed()?))
    };
    (0..count).map(|_| entry(cursor)).collect()
}
