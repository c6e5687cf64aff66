//! An API key: which texts are keys of a role, and what opens what.

#![no_main]

use chrono_auth::{ConfiguredKey, Keyring, Role, Tier};
use chrono_domain::Timestamp;
use libfuzzer_sys::fuzz_target;
use num_bigint::BigUint;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fuzz_target!(|input: &str| {
    // With the right checksum behind it, a text of chance has the form of a key that the gateway made.
    for text in [input.to_owned(), format!("{input}{}", checksum(input))] {
        check(&text);
    }
});

fn check(text: &str) {
    let other = ConfiguredKey::try_new(Role::Admin, Tier::Free, &OTHER.into()).expect("a key");
    for role in Role::ALL {
        let key = ConfiguredKey::try_new(role, Tier::Paid, &text.into());
        assert_eq!(key.is_ok(), is_key(text, role), "{text:?}");
        let Ok(key) = key else { continue };
        let id = key.id();
        let principal =
            Keyring::new([key]).authenticate(text, Timestamp::MIN).expect("its own key");
        assert_eq!((principal.role, principal.key_id), (role, id));
    }
    assert_eq!(Keyring::new([other]).authenticate(text, Timestamp::MIN).is_ok(), text == OTHER);
}

const OTHER: &str = "chrono_admin_some_other_key_001";

fn is_key(text: &str, role: Role) -> bool {
    let prefix = format!("chrono_{}_", role.as_str());
    let visible = text.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    let Some(rest) = text.strip_prefix(&prefix) else { return false };
    (20..=128).contains(&text.len()) && visible && (!is_made(rest) || has_checksum(text))
}

/// Eight letters or digits, a low line, 49 letters or digits.
fn is_made(rest: &str) -> bool {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    rest.len() == 58
        && rest.is_ascii()
        && is_digits(&rest[..8])
        && &rest[8..9] == "_"
        && is_digits(&rest[9..])
}

fn has_checksum(text: &str) -> bool {
    let (body, sent) = text.split_at(text.len() - 6);
    checksum(body) == sent
}

fn checksum(body: &str) -> String {
    let digits = BigUint::from(crc32fast::hash(body.as_bytes())).to_radix_be(62);
    let text: String = digits.iter().map(|digit| char::from(DIGITS[usize::from(*digit)])).collect();
    format!("{text:0>6}")
}
