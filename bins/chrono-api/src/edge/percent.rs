//! Percent-decoding of path parameters and query strings.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Decodes `%XX`; nothing when an escape is broken or the text is not UTF-8.
///
/// A plus sign stays one: no value of ours has a space, and times have zones such as `+02:00`.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    let mut escapes = text.split('%');
    let whole = |escape: &str| {
        escape.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    escapes.next();
    if !escapes.all(whole) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_escapes_and_leaves_the_rest() {
        assert_eq!(decode("BTC%2FUSD").as_deref(), Some("BTC/USD"));
        assert_eq!(decode("12:00:00+02:00").as_deref(), Some("12:00:00+02:00"));
        assert_eq!(decode("%c3%a9%00").as_deref(), Some("\u{e9}\0"));
        assert!(matches!(decode("plain"), Some(Cow::Borrowed("plain"))));
        for broken in ["%", "%2", "a%zz", "%%41", "%ff", "%2\u{e9}"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }
}
