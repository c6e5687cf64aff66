//! One JSON value where a string is expected: kept when it is one, described when it is not.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::fingerprint::Sent;

/// Deepest nesting inside a value that nobody asked for; deeper ones fail the body.
const DEPTH_MAX: usize = 16;

/// A value as it was found.
#[derive(Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Text(&'a str),
    Null,
    Bool(bool),
    Integer(i64),
    /// An integer beyond the one above.
    Natural(u64),
    Float(f64),
    /// With the digest of what is in it; boxed, since a feed holds six scalars and is moved about.
    Array(Box<[u8; 32]>),
    /// As above.
    Object(Box<[u8; 32]>),
}

impl<'de> Scalar<'de> {
    /// Reads past an array.
    pub(crate) fn of_array<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        let mut sent = Sent::default();
        Drain { depth: DEPTH_MAX, sent: Some(&mut sent) }.visit_seq(seq)?;
        Ok(Self::Array(Box::new(sent.finish())))
    }

    /// Reads past an object.
    pub(crate) fn of_object<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        let mut sent = Sent::default();
        Drain { depth: DEPTH_MAX, sent: Some(&mut sent) }.visit_map(map)?;
        Ok(Self::Object(Box::new(sent.finish())))
    }
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => write!(f, "{value} (a number)"),
            Self::Natural(value) => write!(f, "{value} (a number)"),
            Self::Float(value) => write!(f, "{value} (a number)"),
            Self::Array(_) => f.write_str("an array"),
            Self::Object(_) => f.write_str("an object"),
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
    ($self:ident, $found:ident => $value:expr) => {
        fn visit_borrowed_str<E: serde::de::Error>($self, text: &'de str) -> Result<Self::Value, E> {
            let $found = $crate::scalar::Scalar::Text(text);
            $value
        }

        fn visit_unit<E: serde::de::Error>($self) -> Result<Self::Value, E> {
            let $found = $crate::scalar::Scalar::Null;
            $value
        }

        fn visit_none<E: serde::de::Error>($self) -> Result<Self::Value, E> {
            $self.visit_unit()
        }

        fn visit_bool<E: serde::de::Error>($self, value: bool) -> Result<Self::Value, E> {
            let $found = $crate::scalar::Scalar::Bool(value);
            $value
        }

        fn visit_i64<E: serde::de::Error>($self, value: i64) -> Result<Self::Value, E> {
            let $found = $crate::scalar::Scalar::Integer(value);
            $value
        }

        fn visit_u64<E: serde::de::Error>($self, value: u64) -> Result<Self::Value, E> {
            let $found = match i64::try_from(value) {
                Ok(value) => $crate::scalar::Scalar::Integer(value),
                Err(_) => $crate::scalar::Scalar::Natural(value),
            };
            $value
        }

        fn visit_f64<E: serde::de::Error>($self, value: f64) -> Result<Self::Value, E> {
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

    visit_scalars!(self, found => Ok(found));

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Scalar::of_array(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Scalar::of_object(map)
    }
}

/// Reads past a value; bounds the depth, so that no input can exhaust the stack.
pub(crate) struct Drain<'s> {
    depth: usize,
    /// Takes in what is read, where that is wanted.
    sent: Option<&'s mut Sent>,
}

impl Default for Drain<'_> {
    fn default() -> Self {
        Self { depth: DEPTH_MAX, sent: None }
    }
}

impl Drain<'_> {
    fn deeper<E: Error>(&mut self) -> Result<Drain<'_>, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Drain { depth, sent: self.sent.as_deref_mut() }),
            None => Err(E::custom("nested too deeply")),
        }
    }

    fn note(&mut self, note: impl FnOnce(&mut Sent)) {
        if let Some(sent) = &mut self.sent {
            note(sent);
        }
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Drain<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Drain<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    visit_scalars!(self, found => {
        let mut drain = self;
        drain.note(|sent| sent.add(&found));
        Ok(())
    });

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.note(Sent::begin_array);
        while seq.next_element_seed(self.deeper()?)?.is_some() {}
        self.note(Sent::end);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.note(Sent::begin_object);
        while let Some(key) = map.next_key::<&'de str>()? {
            self.note(|sent| sent.add(&Scalar::Text(key)));
            map.next_value_seed(self.deeper()?)?;
        }
        self.note(Sent::end);
        Ok(())
    }
}
