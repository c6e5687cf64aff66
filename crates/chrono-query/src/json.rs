//! The spec's JSON, written piece by piece.
//!
//! Everything inside quotes here is a name, a number or a time of our own grammar, none of which needs escaping;
//! metadata is JSON already. A body ends with the time it took, which is written last and anew for a kept answer.

use std::fmt::{self, Display};

use bytes::Bytes;

pub(crate) mod consensus;
pub(crate) mod latest;
pub(crate) mod metadata;
pub(crate) mod range;

/// A string.
pub(crate) struct Text<T>(pub(crate) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// A value, or null.
pub(crate) struct OrNull<T>(pub(crate) Option<T>);

impl<T: Display> Display for OrNull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("null"),
        }
    }
}

/// An array.
pub(crate) struct List<I>(pub(crate) I);

impl<I> Display for List<I>
where
    I: Iterator<Item: Display> + Clone,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (idx, item) in self.0.clone().enumerate() {
            if idx > 0 {
                f.write_str(",")?;
            }
            item.fmt(f)?;
        }
        f.write_str("]")
    }
}

/// Writes the latency behind a body that ends in `"latency_ms":`, and closes it.
pub(crate) fn finish(body: impl Into<Vec<u8>>, latency_ms: u128) -> Bytes {
    let mut body = body.into();
    body.extend_from_slice(itoa::Buffer::new().format(latency_ms).as_bytes());
    body.push(b'}');
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_strings_nulls_and_arrays() {
        assert_eq!(List([1, 2].iter().map(Text)).to_string(), r#"["1","2"]"#);
        assert_eq!(List(std::iter::empty::<u8>()).to_string(), "[]");
        assert_eq!(OrNull(Some(Text("x"))).to_string(), r#""x""#);
        assert_eq!(OrNull(None::<u8>).to_string(), "null");
    }

    #[test]
    fn a_body_ends_with_its_latency() {
        assert_eq!(finish(r#"{"latency_ms":"#, 17), r#"{"latency_ms":17}"#);
    }
}
