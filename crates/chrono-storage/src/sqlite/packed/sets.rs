//! The candles of all sources of a symbol side by side in one page, each source a blob of [`super::candles`].
//!
//! A cycle touches every source of a busy symbol: one page for all of them is one row to write instead of many, and a
//! reader unpacks only the source it wants.

use super::Damage;
use super::candles::{self, Slot};
use super::cursor::{Cursor, put_sized, put_unsigned};
use super::seal::{self, Format};

/// Least bytes of a source: its id, a length, and the outside of a blob.
const SET_BYTES_MIN: usize = 7;

/// Candles of one source.
pub(in super::super) type Set = (u32, Vec<Slot>);

/// Packs sets, sorted by source.
pub(in super::super) fn encode(sets: &[Set]) -> Vec<u8> {
    debug_assert!(sets.is_sorted_by(|a, b| a.0 < b.0), "sets are sorted by source");
    let mut out = seal::begin(Format::Sets, 0);
    put_unsigned(&mut out, sets.len() as u64);
    for (source_id, slots) in sets {
        put_unsigned(&mut out, (*source_id).into());
        put_sized(&mut out, &candles::encode(slots));
    }
    seal::finish(out)
}

/// Unpacks the sets of one source, or of all; one that is not there is left out.
///
/// # Errors
/// [`Damage`].
pub(in super::super) fn decode(blob: &[u8], source_id: Option<u32>) -> Result<Vec<Set>, Damage> {
    let mut cursor = Cursor::new(seal::open(Format::Sets, blob)?);
    let mut sets = Vec::new();
    let mut last = None;
    for _ in 0..cursor.count(SET_BYTES_MIN)? {
        let (id, packed) = (cursor.id()?, cursor.sized()?);
        if last.replace(id).is_some_and(|last| last >= id) {
            return Err(Damage("sources that are not in order"));
        }
        if source_id.is_none_or(|wanted| wanted == id) {
            sets.push((id, candles::decode(packed)?));
        }
    }
    cursor.end()?;
    Ok(sets)
}
