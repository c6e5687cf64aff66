//! A feed's free JSON, read into canonical text: no white space, keys in the order sent.

use std::fmt;

use chrono_domain::Metadata;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

/// Longest canonical text, in bytes.
const BYTES_MAX: usize = 4_096;
/// Deepest nesting, the object itself counted.
const DEPTH_MAX: usize = 8;
/// Deepest nesting that is read past at all; deeper ones fail the body.
const READ_DEPTH_MAX: usize = 64;

/// What is said of a value that is no object.
const NO_OBJECT: &str = "a JSON object, or null";

/// What a `metadata` field held.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or null.
    #[default]
    Absent,
    /// An object within the bounds.
    Object(Metadata),
    /// Something else.
    Bad {
        /// What would have been accepted.
        expected: &'static str,
        /// SHA-256 of its canonical text, however long.
        sent: Box<[u8; 32]>,
    },
}

/// Reads a `metadata` value.
pub(crate) struct FoundSeed<'c, 'de> {
    pub(crate) canonical: &'c mut Canonical<'de>,
}

impl<'de> DeserializeSeed<'de> for FoundSeed<'_, 'de> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        let canonical = self.canonical;
        canonical.text.clear();
        canonical.keys.clear();
        canonical.fault = None;
        let value = Value { canonical: &mut *canonical, before: "", depth: 1 };
        let kind = value.deserialize(deserializer)?;
        if let Kind::Other = kind {
            canonical.note(NO_OBJECT);
        }
        Ok(match (kind, canonical.fault.take()) {
            (Kind::Null, _) => Found::Absent,
            (Kind::Other, Some(fault)) => Fault { expected: NO_OBJECT, ..fault }.into_found(),
            (_, Some(fault)) => fault.into_found(),
            (_, None) => Found::Object(Metadata::from_canonical(canonical.text.as_str())),
        })
    }
}

/// The canonical text of one value after the other, in the same memory.
#[derive(Default)]
pub(crate) struct Canonical<'de> {
    text: String,
    /// The keys so far of the objects that are open, the innermost's last.
    keys: Vec<&'de str>,
    fault: Option<Fault>,
}

/// The first bound that a value breaks.
struct Fault {
    expected: &'static str,
    /// Takes the canonical text in; the value is read to its end, and not kept.
    sent: Sha256,
}

impl Fault {
    fn into_found(self) -> Found {
        Found::Bad { expected: self.expected, sent: Box::new(self.sent.finalize().into()) }
    }
}

impl Canonical<'_> {
    /// Appends; what is too long goes into the fault alone.
    fn put(&mut self, text: &str) {
        if self.fault.is_none() && self.text.len() + text.len() > BYTES_MAX {
            self.note("metadata of at most 4096 bytes");
        }
        match &mut self.fault {
            Some(fault) => fault.sent.update(text),
            None => self.text.push_str(text),
        }
    }

    /// Notes a fault, unless there is one.
    fn note(&mut self, expected: &'static str) {
        let text = self.text.as_str();
        self.fault
            .get_or_insert_with(|| Fault { expected, sent: Sha256::new().chain_update(text) });
    }

    fn put_string<E: Error>(&mut self, text: &str) -> Result<(), E> {
        let escaped = |byte| byte < b' ' || byte == b'"' || byte == b'\\';
        if text.bytes().any(escaped) {
            self.put(&serde_json::to_string(text).map_err(E::custom)?);
        } else if self.fault.is_none() && self.text.len() + text.len() + 2 <= BYTES_MAX {
            // Most strings: no look at bounds for each of three parts.
            self.text.reserve(text.len() + 2);
            self.text.push('"');
            self.text.push_str(text);
            self.text.push('"');
        } else {
            self.put("\"");
            self.put(text);
            self.put("\"");
        }
        Ok(())
    }

    /// Ends the object whose keys begin at `first`.
    fn end(&mut self, first: usize) {
        if has_repeat(self.keys.get_mut(first..).unwrap_or_default()) {
            self.note("metadata without a key given twice");
        }
        self.keys.truncate(first);
        self.put("}");
    }

    fn enter<E: Error>(&mut self, depth: usize) -> Result<(), E> {
        if depth > READ_DEPTH_MAX {
            return Err(E::custom("nested too deeply"));
        }
        if depth > DEPTH_MAX {
            self.note("metadata nested at most 8 deep");
        }
        Ok(())
    }
}

/// Tells whether one of the keys is there twice; sorts them, so that thousands cost little more than as many compares.
fn has_repeat<T: Ord>(keys: &mut [T]) -> bool {
    keys.sort_unstable();
    keys.windows(2).any(|pair| matches!(pair, [one, next] if one == next))
}

#[derive(Clone, Copy)]
enum Kind {
    Null,
    Object,
    Other,
}

struct Value<'c, 'de> {
    canonical: &'c mut Canonical<'de>,
    /// What stands before it.
    before: &'static str,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Value<'_, 'de> {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        self.canonical.put(self.before);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, 'de> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Kind, E> {
        self.canonical.put_string(text).map(|()| Kind::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Kind, E> {
        self.canonical.put("null");
        Ok(Kind::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Kind, E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Kind, E> {
        self.canonical.put(if value { "true" } else { "false" });
        Ok(Kind::Other)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Kind, E> {
        self.canonical.put(itoa::Buffer::new().format(value));
        Ok(Kind::Other)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Kind, E> {
        self.canonical.put(itoa::Buffer::new().format(value));
        Ok(Kind::Other)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Kind, E> {
        // The parser gives `-0` as 0, and `-0.0` shall be no different.
        if value == 0.0 && value.is_sign_negative() {
            return self.visit_u64(0);
        }
        self.canonical.put(&serde_json::to_string(&value).map_err(E::custom)?);
        Ok(Kind::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let Self { canonical, depth, .. } = self;
        canonical.enter(depth)?;
        canonical.put("[");
        let mut before = "";
        while let Some(_kind) =
            seq.next_element_seed(Value { canonical: &mut *canonical, before, depth: depth + 1 })?
        {
            before = ",";
        }
        canonical.put("]");
        Ok(Kind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let Self { canonical, depth, .. } = self;
        canonical.enter(depth)?;
        canonical.put("{");
        let (first, mut before) = (canonical.keys.len(), "");
        while let Some(key) = map.next_key::<&'de str>()? {
            canonical.put(before);
            canonical.put_string(key)?;
            if canonical.fault.is_none() {
                canonical.keys.push(key);
            }
            let value = Value { canonical: &mut *canonical, before: ":", depth: depth + 1 };
            map.next_value_seed(value)?;
            before = ",";
        }
        canonical.end(first);
        Ok(Kind::Object)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;

    use super::*;

    fn read(json: &str) -> Found {
        let mut bytes = json.as_bytes().to_vec();
        let mut deserializer = simd_json::Deserializer::from_slice(&mut bytes).unwrap();
        let canonical = &mut Canonical::default();
        FoundSeed { canonical }.deserialize(&mut deserializer).unwrap()
    }

    fn text(json: &str) -> String {
        match read(json) {
            Found::Object(metadata) => metadata.as_str().to_owned(),
            other => panic!("{json} is {other:?}"),
        }
    }

    fn fault(json: &str) -> (&'static str, [u8; 32]) {
        match read(json) {
            Found::Bad { expected, sent } => (expected, *sent),
            other => panic!("{json} is {other:?}"),
        }
    }

    #[test]
    fn keeps_an_object_without_its_white_space() {
        let json =
            r#" { "b" : [ 1 , -2 , -2.5 , [ ] , null ] , "a" : { "é\n" : true , "x" : { } } } "#;
        assert_eq!(text(json), r#"{"b":[1,-2,-2.5,[],null],"a":{"é\n":true,"x":{}}}"#);
        assert_eq!(text("{}"), "{}");
        assert_eq!(text(&text(json)), text(json));
    }

    #[test]
    fn a_zero_has_no_sign() {
        assert_eq!(text(r#"{"a":[-0,-0.0,-0e2,0.0,-0.5]}"#), r#"{"a":[0,0,0,0.0,-0.5]}"#);
    }

    #[test]
    fn takes_null_as_absent_and_nothing_else() {
        assert_eq!(read("null"), Found::Absent);
        for json in ["1", "\"x\"", "[]", "true"] {
            assert_eq!(fault(json).0, "a JSON object, or null", "{json}");
        }
    }

    #[test]
    fn bounds_size_depth_and_repeats() {
        let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(matches!(read(&nested(8)), Found::Object(_)));
        assert_eq!(fault(&nested(9)).0, "metadata nested at most 8 deep");
        let sized = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert_eq!(text(&sized(4_096)).len(), 4_096);
        for bytes in [4_097, 5_000] {
            assert_eq!(fault(&sized(bytes)).0, "metadata of at most 4096 bytes");
        }
        for json in [r#"{"a":1,"\u0061":2}"#, r#"{"b":0,"x":{"a":1,"c":2,"a":3}}"#] {
            assert_eq!(fault(json).0, "metadata without a key given twice");
        }
        assert_eq!(
            text(r#"{"a":{"a":1,"b":{"a":2}},"b":0}"#),
            r#"{"a":{"a":1,"b":{"a":2}},"b":0}"#
        );
    }

    #[test]
    fn a_bad_value_is_told_by_all_of_its_canonical_text() {
        let long = "x".repeat(5_000);
        for json in [
            format!("\"{long}\""),
            format!("{{\"{long}\":[1,[],{{\"b\":null}}]}}"),
            format!("{{\"a\":[[],\"{long}\"],\"c\":{{}},\"b\":{{}}}}"),
            "[[[[[[[[[[1]]],2]]]]]]]".to_owned(),
            "[1]".to_owned(),
        ] {
            let sent: [u8; 32] = Sha256::digest(&json).into();
            assert_eq!(fault(&json).1, sent, "{json}");
        }
    }

    #[test]
    fn many_keys_cost_little_more_than_as_many_compares() {
        #[derive(Eq)]
        struct Counted<'c>(u64, &'c Cell<u64>);
        impl PartialEq for Counted<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }
        impl PartialOrd for Counted<'_> {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for Counted<'_> {
            fn cmp(&self, other: &Self) -> Ordering {
                self.1.set(self.1.get() + 1);
                self.0.cmp(&other.0)
            }
        }
        // As many as 4 KiB hold, in no order.
        let compares = Cell::new(0);
        let mut keys: Vec<_> = (0..600).map(|nth| Counted(nth * 7 % 601, &compares)).collect();
        assert!(!has_repeat(&mut keys));
        assert!(compares.get() < 600 * 20, "{} compares", compares.get());
        keys.push(Counted(77, &compares));
        assert!(has_repeat(&mut keys));
    }
}
