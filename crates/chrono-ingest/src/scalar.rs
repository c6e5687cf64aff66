//! One JSON value where a string is expected: kept when it is one, described when it is not.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Deepest nesting inside a value that nobody asked for; deeper ones fail the body.
const DEPTH_MAX: usize = 16;

/// A value as it was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Text(&'a str),
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Array,
    Object,
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => write!(f, "{value} (a number)"),
            Self::Float(value) => write!(f, "{value} (a number)"),
            Self::Array => f.write_str("an array"),
            Self::Object => f.write_str("an object"),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// Writes a visitor's methods for every value that is neither array nor object: each hands over a [`Scalar`].
macro_rules! visit_scalars {
    ($found:ident => $value:expr) => {
        fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
            let $found = $crate::scalar::Scalar::Text(text);
            $value
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            let $found = $crate::scalar::Scalar::Null;
            $value
        }

        fn visit_none<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            self.visit_unit()
        }

        fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
            let $found = $crate::scalar::Scalar::Bool(value);
            $value
        }

        fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
            let $found = $crate::scalar::Scalar::Integer(value.into());
            $value
        }

        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
            let $found = $crate::scalar::Scalar::Integer(value.into());
            $value
        }

        fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
            let $found = $crate::scalar::Scalar::Float(value);
            $value
        }
    };
}

pub(crate) use visit_scalars;

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    visit_scalars!(found => Ok(found));

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Drain { depth: DEPTH_MAX }.visit_seq(seq).map(|()| Scalar::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Drain { depth: DEPTH_MAX }.visit_map(map).map(|()| Scalar::Object)
    }
}

/// Reads past a value; bounds the depth, so that no input can exhaust the stack.
#[derive(Clone, Copy)]
pub(crate) struct Drain {
    depth: usize,
}

impl Default for Drain {
    fn default() -> Self {
        Self { depth: DEPTH_MAX }
    }
}

impl Drain {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth }),
            None => Err(E::custom("nested too deeply")),
        }
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Drain {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Drain {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    visit_scalars!(_found => Ok(()));

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}
