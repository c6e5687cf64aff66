//! JSON as `serde_json` reads it, with every field that was sent, in its order.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
    /// A number or a truth value, which nothing here may be.
    Other,
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

impl Json {
    /// Gives the one value of a field, none when it is absent, or a fault when it stands twice.
    pub(crate) fn field(&self, name: &str) -> Result<Option<&Json>, ()> {
        let Self::Object(fields) = self else { return Err(()) };
        let mut found = fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value);
        let first = found.next();
        if found.next().is_some() { Err(()) } else { Ok(first) }
    }

    /// Gives the text of a field that must stand once.
    pub(crate) fn text(&self, name: &str) -> Result<&str, ()> {
        match self.field(name)? {
            Some(Self::Text(text)) => Ok(text),
            _ => Err(()),
        }
    }

    /// How deep it is nested; what is no array and no object is not.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(fields) => {
                1 + fields.iter().map(|(_, value)| value.depth()).max().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Whether an object somewhere in it has a field twice.
    pub(crate) fn repeats_a_field(&self) -> bool {
        match self {
            Self::Array(items) => items.iter().any(Self::repeats_a_field),
            Self::Object(fields) => fields.iter().enumerate().any(|(place, (name, value))| {
                value.repeats_a_field() || fields[..place].iter().any(|(before, _)| before == name)
            }),
            _ => false,
        }
    }
}
