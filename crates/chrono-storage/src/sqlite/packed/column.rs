//! One column of integers: blocks that stand alone, each as far from its least value as its bits reach.
//!
//! A block keeps either its values or the steps between them, whichever is narrower, without the least of them (frame
//! of reference): a byte for width and choice, one or two starting values, and the rest packed. Arithmetic wraps, so
//! any two integers have a distance, and any bytes of a fitting length are a block.

use super::Damage;
use super::bits::{is_width, pack, packed_bytes, unpack, width_for};
use super::cursor::{Cursor, put_signed};

/// Values of a block; the last of a column may have fewer.
pub(super) const BLOCK: usize = 32;
/// Set in a block's first byte when it keeps steps.
const STEPS: u8 = 0x80;

/// Where the values of a block are decoded to.
pub(super) type Places = [u64; BLOCK];
/// Places before anything is decoded to them.
pub(super) const PLACES: Places = [0; BLOCK];

/// A column whose blocks are found and not yet decoded.
#[derive(Debug)]
pub(super) struct Column<'a>(Vec<Block<'a>>);

#[derive(Debug)]
struct Block<'a> {
    first: i64,
    /// The least step, when steps are kept.
    step: Option<i64>,
    width: u32,
    count: usize,
    packed: &'a [u8],
}

/// Appends a column.
pub(super) fn encode(out: &mut Vec<u8>, values: &[i64]) {
    let mut before = 0;
    for block in values.chunks(BLOCK) {
        before = encode_block(out, block, before);
    }
}

/// Appends a block; `before` is what the block before it starts from.
fn encode_block(out: &mut Vec<u8>, values: &[i64], before: i64) -> i64 {
    let steps = || values.iter().zip(values.iter().skip(1)).map(|(a, b)| b.wrapping_sub(*a));
    let (least, width) = frame(values.iter().copied());
    let (least_step, step_width) = frame(steps());
    let start = |out: &mut Vec<u8>, head: u8, first: i64| {
        out.push(head);
        put_signed(out, first.wrapping_sub(before));
        first
    };
    let off = |least: i64| move |value: i64| value.wrapping_sub(least).cast_unsigned();
    if step_width < width {
        let first = values.first().copied().unwrap_or_default();
        start(out, head(step_width) | STEPS, first);
        put_signed(out, least_step);
        pack(out, step_width, steps().map(off(least_step)));
        first
    } else {
        start(out, head(width), least);
        pack(out, width, values.iter().copied().map(off(least)));
        least
    }
}

/// Gives the least of some values and how many bits the others are from it.
fn frame(values: impl Iterator<Item = i64>) -> (i64, u32) {
    let (least, most) = values
        .fold((i64::MAX, i64::MIN), |(least, most), value| (least.min(value), most.max(value)));
    if least > most { (0, 0) } else { (least, width_for(most.wrapping_sub(least).cast_unsigned())) }
}

fn head(width: u32) -> u8 {
    u8::try_from(width).unwrap_or_default()
}

impl<'a> Column<'a> {
    /// Finds the blocks of a column of `count` values.
    pub(super) fn open(cursor: &mut Cursor<'a>, count: usize) -> Result<Self, Damage> {
        let (mut blocks, mut left, mut before) = (Vec::new(), count, 0);
        while left > 0 {
            let block = Block::open(cursor, left.min(BLOCK), before)?;
            left -= block.count;
            before = block.first;
            blocks.push(block);
        }
        Ok(Self(blocks))
    }

    /// Decodes one block; answers the values, none after the last block.
    pub(super) fn decode<'p>(&self, block: usize, places: &'p mut Places) -> &'p [u64] {
        let Some(block) = self.0.get(block) else { return &[] };
        block.decode(places)
    }
}

impl<'a> Block<'a> {
    fn open(cursor: &mut Cursor<'a>, count: usize, before: i64) -> Result<Self, Damage> {
        let head = cursor.byte()?;
        let width = u32::from(head & !STEPS);
        if !is_width(width) {
            return Err(Damage("an integer of no width"));
        }
        let first = before.wrapping_add(cursor.signed()?);
        let step = if head & STEPS == 0 { None } else { Some(cursor.signed()?) };
        let packed = cursor.take(packed_bytes(width, count - usize::from(step.is_some())))?;
        Ok(Self { first, step, width, count, packed })
    }

    fn decode<'p>(&self, places: &'p mut Places) -> &'p [u64] {
        let Some(places) = places.get_mut(..self.count) else { return &[] };
        let mut value = self.first.cast_unsigned();
        let Some(step) = self.step.map(i64::cast_unsigned) else {
            unpack(self.packed, self.width, places);
            for place in &mut *places {
                *place = place.wrapping_add(value);
            }
            return places;
        };
        if let Some((start, rest)) = places.split_first_mut() {
            *start = value;
            unpack(self.packed, self.width, rest);
            for place in rest {
                value = value.wrapping_add(step).wrapping_add(*place);
                *place = value;
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decodes_what_it_encoded(
            values in prop_oneof![
                prop::collection::vec(any::<i64>(), 0..400),
                prop::collection::vec(-3_i64..1_000, 0..400),
                prop::collection::vec(prop::sample::select(vec![i64::MIN, -1, 0, i64::MAX]), 0..400),
            ],
        ) {
            let mut out = Vec::new();
            encode(&mut out, &values);
            let mut cursor = Cursor::new(&out);
            let column = Column::open(&mut cursor, values.len()).unwrap();
            prop_assert!(cursor.end().is_ok());
            let mut decoded = Vec::new();
            for block in 0..values.len().div_ceil(BLOCK) {
                decoded.extend(column.decode(block, &mut PLACES.clone()).iter().map(|value| value.cast_signed()));
            }
            prop_assert_eq!(decoded, values);
        }
    }
}
