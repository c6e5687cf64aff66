//! Bytes and variable-length integers, in turn: seven bits a byte, the lowest first (LEB128).

use super::Damage;

const SHORT: Damage = Damage("ends in the middle of a value");

/// Reads a blob's body from its beginning to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) const fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// Gives how many bytes are left.
    pub(super) const fn left(&self) -> usize {
        self.0.len()
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], Damage> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Damage> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn unsigned(&mut self) -> Result<u64, Damage> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damage("an integer of more than 64 bits"))
    }

    pub(super) fn wide(&mut self) -> Result<u128, Damage> {
        let mut value = 0_u128;
        for shift in (0..u128::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damage("an integer of more than 128 bits"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, Damage> {
        let folded = self.unsigned()?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }

    pub(super) fn id(&mut self) -> Result<u32, Damage> {
        u32::try_from(self.unsigned()?).map_err(|_fault| Damage("an id of more than 32 bits"))
    }

    /// Reads how many items follow, each of at least `bytes`, so that nobody makes room for more than there are.
    pub(super) fn count(&mut self, bytes: usize) -> Result<usize, Damage> {
        let count = usize::try_from(self.unsigned()?).unwrap_or(usize::MAX);
        if count > self.left() / bytes { Err(Damage("more items than bytes")) } else { Ok(count) }
    }

    /// Reads a length and as many bytes.
    pub(super) fn sized(&mut self) -> Result<&'a [u8], Damage> {
        let bytes = self.count(1)?;
        self.take(bytes)
    }

    /// Demands that nothing is left.
    pub(super) const fn end(&self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage("longer than what it holds")) }
    }
}

pub(super) fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

pub(super) fn put_wide(out: &mut Vec<u8>, mut value: u128) {
    while let Err(_wider) = u64::try_from(value) {
        out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    put_unsigned(out, u64::try_from(value).unwrap_or_default());
}

/// Folds the sign into the lowest bit, so that small values of either sign are short.
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

pub(super) fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_unsigned(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn low_bits(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or_default()
}
