//! The outside of a blob: what it is, and whether it is whole.

use super::Damage;
#[cfg(feature = "failpoints")]
use crate::failpoint::skips_checksums;

/// Tells whether a test build is to believe a blob whose checksum differs.
#[cfg(not(feature = "failpoints"))]
const fn skips_checksums() -> bool {
    false
}

/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 4;

/// What a blob holds, in which format: its first byte. A changed format takes a new number, and none is given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(in super::super) enum Format {
    Ticks = 0x12,
    Metadata = 0x21,
    Candles = 0x31,
    Log = 0x41,
    Newest = 0x51,
    Sets = 0x61,
}

/// Begins a blob.
pub(in super::super) fn begin(format: Format, bytes: usize) -> Vec<u8> {
    let mut blob = Vec::with_capacity(bytes);
    blob.push(format as u8);
    blob
}

/// Ends a blob with its checksum.
pub(in super::super) fn finish(mut blob: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&blob);
    blob.extend_from_slice(&checksum.to_le_bytes());
    blob
}

/// Binds a blob to the place where it is stored, or takes it out of there again: its checksum is that of both.
///
/// Read at another place, it has the wrong checksum.
pub(in super::super) fn bind(blob: &mut [u8], place: &[u8]) {
    if let Some(checksum) = blob.last_chunk_mut::<CHECKSUM_BYTES>() {
        let bound = u32::from_le_bytes(*checksum) ^ crc32fast::hash(place);
        *checksum = bound.to_le_bytes();
    }
}

/// Gives what lies between the first byte and the checksum, both of which are right.
pub(in super::super) fn open(format: Format, blob: &[u8]) -> Result<&[u8], Damage> {
    let (sealed, checksum) =
        blob.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Damage("shorter than a checksum"))?;
    if crc32fast::hash(sealed) != u32::from_le_bytes(*checksum) && !skips_checksums() {
        return Err(Damage("the checksum differs"));
    }
    match sealed.split_first() {
        Some((first, body)) if *first == format as u8 => Ok(body),
        _ => Err(Damage("of another kind or version")),
    }
}
