//! A feed's free JSON, read into canonical text: no white space, keys in the order sent.

use std::fmt;

use chrono_domain::Metadata;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Longest canonical text, in bytes.
const BYTES_MAX: usize = 4_096;
/// Deepest nesting, the object itself counted.
const DEPTH_MAX: usize = 8;
/// Deepest nesting that is read past at all; deeper ones fail the body.
const READ_DEPTH_MAX: usize = 64;

/// What a `metadata` field held.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or null.
    #[default]
    Absent,
    /// An object within the bounds.
    Object(Metadata),
    /// Something else; the text says what would have been accepted.
    Bad(&'static str),
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
        let kind = Value { canonical: &mut *canonical, depth: 1 }.deserialize(deserializer)?;
        Ok(match (kind, canonical.fault) {
            (Kind::Null, _) => Found::Absent,
            (Kind::Other, _) => Found::Bad("a JSON object, or null"),
            (Kind::Object, Some(fault)) => Found::Bad(fault),
            (Kind::Object, None) => {
                Found::Object(Metadata::from_canonical(canonical.text.as_str()))
            }
        })
    }
}

/// The canonical text of one value after the other, in the same memory.
#[derive(Default)]
pub(crate) struct Canonical<'de> {
    text: String,
    /// The keys so far of the objects that are open, the innermost's last.
    keys: Vec<&'de str>,
    fault: Option<&'static str>,
}

impl<'de> Canonical<'de> {
    /// Appends, unless a bound was broken before; the value is then still read to its end.
    fn put(&mut self, text: &str) {
        if self.fault.is_some() {
            return;
        }
        if self.text.len() + text.len() > BYTES_MAX {
            self.fault = Some("metadata of at most 4096 bytes");
        } else {
            self.text.push_str(text);
        }
    }

    fn put_string<E: Error>(&mut self, text: &str) -> Result<(), E> {
        let escaped = |byte| byte < b' ' || byte == b'"' || byte == b'\\';
        if text.len() > BYTES_MAX {
            self.fault = Some("metadata of at most 4096 bytes");
        } else if text.bytes().any(escaped) {
            self.put(&serde_json::to_string(text).map_err(E::custom)?);
        } else {
            self.put("\"");
            self.put(text);
            self.put("\"");
        }
        Ok(())
    }

    /// Appends a key of the object whose keys begin at `first`.
    fn put_key<E: Error>(&mut self, key: &'de str, first: usize) -> Result<(), E> {
        let known = self.keys.get(first..).unwrap_or_default();
        let separator = if known.is_empty() { "{" } else { "," };
        if self.fault.is_none() && known.contains(&key) {
            self.fault = Some("metadata without a key given twice");
        }
        self.put(separator);
        if self.fault.is_none() {
            self.keys.push(key);
        }
        self.put_string(key)?;
        self.put(":");
        Ok(())
    }

    fn enter<E: Error>(&mut self, depth: usize) -> Result<(), E> {
        if depth > READ_DEPTH_MAX {
            return Err(E::custom("nested too deeply"));
        }
        if depth > DEPTH_MAX {
            self.fault = Some("metadata nested at most 8 deep");
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Null,
    Object,
    Other,
}

struct Value<'c, 'de> {
    canonical: &'c mut Canonical<'de>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Value<'_, 'de> {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
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
        self.canonical.enter(self.depth)?;
        let mut separator = "[";
        loop {
            let before = self.canonical.text.len();
            self.canonical.put(separator);
            let element = Value { canonical: &mut *self.canonical, depth: self.depth + 1 };
            if seq.next_element_seed(element)?.is_none() {
                self.canonical.text.truncate(before);
                break;
            }
            separator = ",";
        }
        self.canonical.put(if separator == "[" { "[]" } else { "]" });
        Ok(Kind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let Self { canonical, depth } = self;
        canonical.enter(depth)?;
        let first = canonical.keys.len();
        while let Some(key) = map.next_key::<&'de str>()? {
            canonical.put_key(key, first)?;
            map.next_value_seed(Value { canonical: &mut *canonical, depth: depth + 1 })?;
        }
        let empty = canonical.keys.len() == first;
        canonical.keys.truncate(first);
        canonical.put(if empty { "{}" } else { "}" });
        Ok(Kind::Object)
    }
}

#[cfg(test)]
mod tests {
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
            assert!(matches!(read(json), Found::Bad(_)), "{json}");
        }
    }

    #[test]
    fn bounds_size_depth_and_repeats() {
        let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(matches!(read(&nested(8)), Found::Object(_)));
        assert_eq!(read(&nested(9)), Found::Bad("metadata nested at most 8 deep"));
        let sized = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert_eq!(text(&sized(4_096)).len(), 4_096);
        for bytes in [4_097, 5_000] {
            assert_eq!(read(&sized(bytes)), Found::Bad("metadata of at most 4096 bytes"));
        }
        assert_eq!(read(r#"{"a":1,"\u0061":2}"#), Found::Bad("metadata without a key given twice"));
    }
}
