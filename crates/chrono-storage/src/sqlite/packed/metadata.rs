//! Metadata of a page's rows, beside the page: lengths, then texts, compressed together.

use chrono_domain::Metadata;

use super::cursor::{Cursor, put_unsigned};
use super::seal::{self, Format};
use super::{Damage, values};

/// How hard it is compressed: 1 takes a third of the time of 3 and leaves a few per cent more.
const LEVEL: i32 = 1;
/// Most bytes that are compressed; more lies as it is. A page's rows have less: 4,096 times 4 KiB.
const PACKED_BYTES_MAX: usize = 64 << 20;
/// Most bytes that a compressed one can stand for: a block of 128 KiB takes four.
const RATIO_MAX: usize = 32 << 10;
/// Most rows of a page.
const ROWS_MAX: usize = 4_096;
/// Stands in place of a size before texts that are not compressed.
const AS_IT_IS: u64 = 0;

/// Packs the metadata of rows in their order; none when no row has any.
pub(in super::super) fn encode(rows: &[Option<Metadata>]) -> Option<Vec<u8>> {
    rows.iter().flatten().next()?;
    let texts = || rows.iter().map(|row| row.as_ref().map_or("", Metadata::as_str));
    let bytes: usize = texts().map(str::len).sum();
    let mut plain = Vec::with_capacity(bytes + 2 * rows.len());
    put_unsigned(&mut plain, rows.len() as u64);
    texts().for_each(|text| put_unsigned(&mut plain, text.len() as u64));
    texts().for_each(|text| plain.extend_from_slice(text.as_bytes()));
    let packed = zstd::bulk::compress(&plain, LEVEL)
        .ok()
        .filter(|packed| plain.len() <= PACKED_BYTES_MAX && packed.len() < plain.len());
    let size = packed.as_ref().map_or(AS_IT_IS, |_| plain.len() as u64);
    let body = packed.unwrap_or(plain);
    let mut out = seal::begin(Format::Metadata, body.len() + 16);
    put_unsigned(&mut out, size);
    out.extend_from_slice(&body);
    Some(seal::finish(out))
}

/// Unpacks the metadata of rows in their order.
///
/// # Errors
/// [`Damage`].
pub(in super::super) fn decode(blob: &[u8]) -> Result<Vec<Option<Metadata>>, Damage> {
    let mut cursor = Cursor::new(seal::open(Format::Metadata, blob)?);
    let size = cursor.unsigned()?;
    let packed = cursor.take(cursor.left())?;
    if size == AS_IT_IS {
        return rows(packed);
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > PACKED_BYTES_MAX.min(packed.len().saturating_mul(RATIO_MAX)) {
        return Err(Damage("metadata larger than its bytes can be"));
    }
    let plain = zstd::bulk::decompress(packed, size)
        .map_err(|_fault| Damage("metadata that does not unpack"))?;
    rows(&plain)
}

fn rows(plain: &[u8]) -> Result<Vec<Option<Metadata>>, Damage> {
    let mut cursor = Cursor::new(plain);
    let count = cursor.count(1)?;
    if count > ROWS_MAX {
        return Err(Damage("metadata of more rows than a page has"));
    }
    let sizes = (0..count).map(|_| cursor.count(1)).collect::<Result<Vec<_>, _>>()?;
    let row = |size| {
        let text = values::text(cursor.take(size)?)?;
        // No JSON object is empty text.
        Ok(if text.is_empty() { None } else { Some(Metadata::from_canonical(text)) })
    };
    let rows = sizes.into_iter().map(row).collect::<Result<_, _>>()?;
    cursor.end()?;
    Ok(rows)
}
