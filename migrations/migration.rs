//! One numbered step of a schema.

/// Start value of the 64-bit FNV-1a hash (RFC 9923).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
/// Factor of the 64-bit FNV-1a hash.
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// One numbered step of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Its number; steps are applied in growing order, from 1, without holes.
    pub version: u32,
    /// What it is called.
    pub name: &'static str,
    /// The statements, to be run in one transaction.
    pub sql: &'static str,
    /// FNV-1a over the statements, carriage returns left out, to notice an edited step.
    pub checksum: u64,
}

impl Migration {
    pub(crate) const fn new(version: u32, name: &'static str, sql: &'static str) -> Self {
        Self { version, name, sql, checksum: checksum(sql.as_bytes()) }
    }
}

/// Leaves carriage returns out: a checkout with other line ends is the same migration.
const fn checksum(mut text: &[u8]) -> u64 {
    let mut hash = FNV_OFFSET;
    while let [byte, rest @ ..] = text {
        if *byte != b'\r' {
            hash = (hash ^ *byte as u64).wrapping_mul(FNV_PRIME);
        }
        text = rest;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_the_published_vector_and_ignores_line_ends() {
        assert_eq!(checksum(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(checksum(b"a\r\nb"), checksum(b"a\nb"));
    }

    #[test]
    fn are_numbered_from_one_without_holes() {
        for (migration, version) in crate::SQLITE.iter().zip(1..) {
            assert_eq!(migration.version, version);
        }
    }
}
