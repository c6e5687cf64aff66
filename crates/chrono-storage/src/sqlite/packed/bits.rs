//! Integers of one width, bit after bit, the lowest first.

/// Widest that one load of eight bytes gives from any bit of its first byte.
const NARROW_BITS_MAX: u32 = 57;

/// Gives the least width that holds `largest`: up to 57 bits, or 64.
pub(super) const fn width_for(largest: u64) -> u32 {
    let needed = u64::BITS - largest.leading_zeros();
    if needed > NARROW_BITS_MAX { u64::BITS } else { needed }
}

/// Tells whether [`width_for`] gives such a width.
pub(super) const fn is_width(width: u32) -> bool {
    width <= NARROW_BITS_MAX || width == u64::BITS
}

/// Gives how many bytes `count` integers of a width take.
pub(super) const fn packed_bytes(width: u32, count: usize) -> usize {
    (width as usize * count).div_ceil(8)
}

/// Appends integers, none of which needs more bits than `width`.
pub(super) fn pack(out: &mut Vec<u8>, width: u32, values: impl Iterator<Item = u64>) {
    if width == 0 {
        return;
    }
    let (mut word, mut filled) = (0_u64, 0);
    for value in values {
        word |= value << filled;
        filled += width;
        if filled >= u64::BITS {
            out.extend_from_slice(&word.to_le_bytes());
            filled -= u64::BITS;
            word = if filled == 0 { 0 } else { value >> (width - filled) };
        }
    }
    out.extend(word.to_le_bytes().into_iter().take((filled as usize).div_ceil(8)));
}

/// Reads as many integers as there are places; `packed` has their bytes and no more.
pub(super) fn unpack(packed: &[u8], width: u32, places: &mut [u64]) {
    if width == 0 {
        return places.fill(0);
    }
    let mask = u64::MAX >> (u64::BITS - width);
    let mut bit = 0_usize;
    for place in places {
        *place = (load(packed, bit / 8) >> (bit % 8)) & mask;
        bit += width as usize;
    }
}

/// Loads eight bytes, or what is left of them.
fn load(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    if let Some(chunk) = rest.first_chunk() {
        return u64::from_le_bytes(*chunk);
    }
    rest.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn unpacks_what_it_packed(
            values in (0_u32..=64).prop_flat_map(|bits| {
                let most = if bits == 0 { 0 } else { u64::MAX >> (64 - bits) };
                prop::collection::vec(0..=most, 0..200)
            }),
        ) {
            let width = width_for(values.iter().copied().max().unwrap_or(0));
            prop_assert!(is_width(width));
            let mut packed = Vec::new();
            pack(&mut packed, width, values.iter().copied());
            prop_assert_eq!(packed.len(), packed_bytes(width, values.len()));
            let mut places = vec![7; values.len()];
            unpack(&packed, width, &mut places);
            prop_assert_eq!(places, values);
        }
    }
}
