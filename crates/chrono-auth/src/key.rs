//! The text of a key: how one is made, and what can be told from it without asking anybody.
//!
//! A key that Chrono made is `chrono_{role}_{id}_{secret}{checksum}`: 8, 43 and 6 characters of base 62. The secret is
//! 256 random bits; the checksum is the CRC-32 of everything before it, so that typing errors and junk of this form are
//! refused without a lookup and scanners recognise a leaked key. Any other text with a role's prefix is an opaque key,
//! as operators put them into the configuration.

use std::fmt;

use arrayvec::ArrayString;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::{AuthError, Role};

/// Digits of base 62, in the order of their value.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of an id.
const ID_CHARS: usize = 8;
/// Characters of 256 bits in base 62.
const SECRET_CHARS: usize = 43;
/// Characters of 32 bits in base 62.
const CHECKSUM_CHARS: usize = 6;
/// Characters after the role's prefix of a key that Chrono made.
const MADE_CHARS: usize = ID_CHARS + 1 + SECRET_CHARS + CHECKSUM_CHARS;
/// Shortest key that is taken; the specification's own examples have 25 and more.
pub(crate) const KEY_CHARS_MIN: usize = 20;
/// Longest key that is taken, so that junk costs one short hash at most.
pub(crate) const KEY_CHARS_MAX: usize = 128;

/// The public part of a key: what logs, limits and operators use.
///
/// Eight characters: of base 62 for a key that Chrono made, the first of the hash in hexadecimal for an opaque one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(ArrayString<ID_CHARS>);

impl KeyId {
    /// Takes eight letters or digits; anything else is no id.
    pub fn find(text: &str) -> Option<Self> {
        let fits = text.len() == ID_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        ArrayString::from(text).ok().filter(|_| fits).map(Self)
    }

    /// Gives the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.0)
    }
}

/// A key just made; its text exists here and nowhere else.
#[derive(Debug)]
pub(crate) struct FreshKey {
    pub(crate) id: KeyId,
    pub(crate) hash: [u8; 32],
    pub(crate) text: SecretString,
}

impl FreshKey {
    /// Makes a key from the system's random numbers.
    pub(crate) fn generate(role: Role) -> Result<Self, getrandom::Error> {
        let mut random = [0_u8; 40];
        getrandom::fill(&mut random)?;
        let (id_bytes, secret) = random.split_at(ID_CHARS);
        let mut text = String::with_capacity(role.prefix().len() + MADE_CHARS);
        text.push_str(role.prefix());
        // Eight digits hold 47.6 bits: the top of 64 is cut off, which biases them by less than 2^-16.
        push_base62(&mut text, id_bytes, ID_CHARS);
        text.push('_');
        push_base62(&mut text, secret, SECRET_CHARS);
        let checksum = crc32fast::hash(text.as_bytes());
        push_base62(&mut text, &checksum.to_be_bytes(), CHECKSUM_CHARS);
        // What was just written has the form that is read here.
        let presented = Presented::read(&text).map_err(|_fault| getrandom::Error::UNEXPECTED)?;
        Ok(Self { id: presented.id, hash: presented.hash, text: text.into() })
    }
}

/// What the text of a key says by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presented {
    pub(crate) id: KeyId,
    pub(crate) role: Role,
    pub(crate) hash: [u8; 32],
}

impl Presented {
    /// Reads a text of bounded length; never allocates.
    pub(crate) fn read(text: &str) -> Result<Self, AuthError> {
        let sized = (KEY_CHARS_MIN..=KEY_CHARS_MAX).contains(&text.len());
        if !sized || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AuthError::Malformed);
        }
        let (role, rest) = Role::ALL
            .into_iter()
            .find_map(|role| Some((role, text.strip_prefix(role.prefix())?)))
            .ok_or(AuthError::Malformed)?;
        let made_id = made_id(rest);
        if made_id.is_some() && !checksum_holds(text) {
            return Err(AuthError::Malformed);
        }
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        Ok(Self { id: made_id.unwrap_or_else(|| opaque_id(&hash)), role, hash })
    }
}

/// Finds the id of a key that has the form Chrono makes.
fn made_id(rest: &str) -> Option<KeyId> {
    let (id, tail) = rest.split_once('_')?;
    let made = rest.len() == MADE_CHARS && tail.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if made { KeyId::find(id) } else { None }
}

fn checksum_holds(text: &str) -> bool {
    let Some((body, checksum)) = text.split_at_checked(text.len() - CHECKSUM_CHARS) else {
        return false;
    };
    let mut expected = String::with_capacity(CHECKSUM_CHARS);
    push_base62(&mut expected, &crc32fast::hash(body.as_bytes()).to_be_bytes(), CHECKSUM_CHARS);
    expected == checksum
}

fn opaque_id(hash: &[u8; 32]) -> KeyId {
    let mut id = ArrayString::new();
    for byte in hash.iter().take(ID_CHARS / 2) {
        for digit in [byte >> 4, byte & 15] {
            id.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    KeyId(id)
}

/// Appends the lowest `chars` digits of a big-endian number in base 62, the highest first.
fn push_base62(text: &mut String, number: &[u8], chars: usize) {
    let mut number = number.to_vec();
    let mut digits = Vec::with_capacity(chars);
    for _ in 0..chars {
        let mut rest = 0_usize;
        for byte in &mut number {
            let value = rest << 8 | usize::from(*byte);
            // Below 256, because the rest before was below 62.
            *byte = u8::try_from(value / DIGITS.len()).unwrap_or(u8::MAX);
            rest = value % DIGITS.len();
        }
        digits.push(DIGITS.get(rest).map_or('0', |digit| char::from(*digit)));
    }
    text.extend(digits.iter().rev());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_made_key_has_the_documented_form_and_reads_back() {
        for role in Role::ALL {
            let fresh = FreshKey::generate(role).unwrap();
            let text = fresh.text.expose_secret();
            assert_eq!(text.len(), role.prefix().len() + 8 + 1 + 43 + 6);
            let read = Presented::read(text).unwrap();
            assert_eq!((read.id, read.role, read.hash), (fresh.id, role, fresh.hash));
            assert!(text.starts_with(&format!("{}{}_", role.prefix(), fresh.id)));
        }
    }

    #[test]
    fn two_made_keys_differ_in_id_and_secret() {
        let one = FreshKey::generate(Role::Public).unwrap();
        let two = FreshKey::generate(Role::Public).unwrap();
        assert_ne!(one.id, two.id);
        assert_ne!(one.hash, two.hash);
    }

    #[test]
    fn base_62_keeps_leading_zeros_and_the_order_of_digits() {
        let text = |number: &[u8], chars| {
            let mut text = String::new();
            push_base62(&mut text, number, chars);
            text
        };
        assert_eq!(text(&[0, 0], 3), "000");
        assert_eq!(text(&[61], 2), "0z");
        assert_eq!(text(&[1, 0], 2), "48");
        assert_eq!(text(&[0xFF; 32], 43).len(), 43);
        // 2^256 - 1 fits 43 digits: the first is not cut off.
        assert_ne!(text(&[0xFF; 32], 44).as_bytes()[1], b'0');
        assert_eq!(text(&[0xFF; 32], 44).as_bytes()[0], b'0');
    }

    #[test]
    fn an_opaque_key_is_known_by_the_start_of_its_hash() {
        let read = Presented::read("chrono_internal_dev_key_001").unwrap();
        let hash: [u8; 32] = Sha256::digest(b"chrono_internal_dev_key_001").into();
        let [a, b, c, d, ..] = hash;
        let start = format!("{:08x}", u32::from_be_bytes([a, b, c, d]));
        assert_eq!((read.id.as_str(), read.role), (start.as_str(), Role::Internal));
    }

    #[test]
    fn texts_that_are_no_keys_are_refused() {
        for text in [
            "",
            "chrono_public_abc",
            "chrono_root_0123456789",
            "sk_live_0123456789012345",
            "chrono_public_0123456789\u{e9}",
            "chrono_public_01234 56789",
            &format!("chrono_public_{}", "a".repeat(200)),
        ] {
            assert_eq!(Presented::read(text).unwrap_err(), AuthError::Malformed, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn one_changed_character_of_a_made_key_is_noticed(at in 14_usize..72, digit in 0_usize..62) {
            let fresh = FreshKey::generate(Role::Public).unwrap();
            let mut bytes = fresh.text.expose_secret().as_bytes().to_vec();
            prop_assume!(bytes[at] != b'_' && bytes[at] != DIGITS[digit]);
            bytes[at] = DIGITS[digit];
            let text = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(Presented::read(&text).unwrap_err(), AuthError::Malformed);
        }
    }
}
