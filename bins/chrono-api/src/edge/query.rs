//! Typed access to a query string.

use std::borrow::Cow;

use super::percent::decode;
use super::{ApiError, Details, ErrorCode};

/// The name of the parameter whose value is never repeated, neither to the client nor in the log.
const KEY: &str = "key";
/// Most parameters of a query string.
const PARAMETERS_MAX: usize = 64;

/// A query string whose names are all known and stand once.
///
/// A name that nobody knows is refused: a typing error such as `form=` for `from=` would otherwise give wrong data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Reads a raw query string in which only the names `allowed` may stand.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an unknown or repeated name, a broken escape, or too many parameters.
    pub fn parse(raw: &'a str, allowed: &[&'static str]) -> Result<Self, ApiError> {
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == PARAMETERS_MAX {
                return Err(refuse("query", None, "at most 64 parameters"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                // A name that cannot be read may have been meant as the key's.
                let shown = decode(name).filter(|name| may_be_shown(name)).map(|_name| pair);
                return Err(refuse("query", shown, "percent-encoded UTF-8"));
            };
            if !allowed.contains(&&*name) {
                let expected = match allowed {
                    [] => "no parameters".to_owned(),
                    allowed => format!("parameters among {}", allowed.join(", ")),
                };
                let shown = Some(&*name).filter(|name| *name == KEY || may_be_shown(name));
                return Err(refuse("query", shown, expected));
            }
            if pairs.iter().any(|(known, _)| *known == name) {
                let shown = Some(&*value).filter(|_value| may_be_shown(&name));
                return Err(refuse(name.into_owned(), shown, "one value"));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// Gives a value, if the name is there.
    pub fn find(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// Gives a value that must be there.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when it is missing or empty.
    pub fn one(&self, name: &'static str, expected: &'static str) -> Result<&str, ApiError> {
        let found = self.find(name).filter(|value| !value.is_empty());
        found.ok_or_else(|| ApiError::invalid(name, self.find(name), expected))
    }

    /// Reads a value, if the name is there, in a way that may find it wrong.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when `read` gives nothing.
    pub fn read<T>(
        &self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.find(name) else { return Ok(None) };
        let wrong = || ApiError::invalid(name, Some(value), expected);
        read(value).ok_or_else(wrong).map(Some)
    }

    /// Reads `true` or `false`; a name that is not there is false.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for any other value.
    pub fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        let read = |value: &str| value.parse().ok();
        self.read(name, "true or false", read).map(Option::unwrap_or_default)
    }

    /// Splits a value that must be there at its commas, into 1 to `items_max` items.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when it is missing or empty, or has too many items.
    pub fn list(
        &self,
        name: &'static str,
        expected: &'static str,
        items_max: usize,
    ) -> Result<Vec<&str>, ApiError> {
        let items: Vec<&str> = self.one(name, expected)?.split(',').take(items_max + 1).collect();
        if items.len() > items_max {
            return Err(ApiError::invalid(
                name,
                self.find(name),
                format!("at most {items_max} items"),
            ));
        }
        Ok(items)
    }
}

/// Says what is wrong with a query string, and shows it where it may be shown.
fn refuse(
    field: impl Into<Cow<'static, str>>,
    shown: Option<&str>,
    expected: impl Into<Cow<'static, str>>,
) -> ApiError {
    if shown.is_some() {
        return ApiError::invalid(field, shown, expected);
    }
    let (field, expected) = (field.into(), expected.into());
    let message = format!("Invalid {field}. Expected: {expected}");
    ApiError::new(ErrorCode::Validation, message).with_details(Details::new(field, None, expected))
}

/// Tells whether a parameter of this name is not the key's, however that is written. What looks like a key is shown
/// nowhere ([`Details::new`]).
fn may_be_shown(name: &str) -> bool {
    !name.trim().get(..KEY.len()).is_some_and(|start| start.eq_ignore_ascii_case(KEY))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: &[&str] = &["symbol", "from", "flag", "symbols"];

    fn query(raw: &str) -> Query<'_> {
        Query::parse(raw, ALLOWED).unwrap()
    }

    #[test]
    fn values_are_decoded_and_plus_stays_plus() {
        let query = query("symbol=BTC%2FUSD&&from=2025-10-09T00:00:00+02:00&flag");
        assert_eq!(query.one("symbol", "").unwrap(), "BTC/USD");
        assert_eq!(query.find("from"), Some("2025-10-09T00:00:00+02:00"));
        assert_eq!(query.find("flag"), Some(""));
        assert_eq!(query.find("symbols"), None);
    }

    #[test]
    fn unknown_repeated_and_broken_parameters_are_refused() {
        let many = "symbol=1&".repeat(65);
        for raw in ["form=1", "symbol=a&symbol=a", "symbol=%zz", "%ff=1", "Symbol=a", &many] {
            let fault = Query::parse(raw, ALLOWED).unwrap_err();
            assert_eq!(fault.code(), ErrorCode::Validation, "{raw}");
        }
        assert!(Query::parse("a=1", &[]).is_err());
        assert!(Query::parse("", &[]).is_ok());
    }

    #[test]
    fn a_key_is_never_repeated_however_its_parameter_is_written() {
        for raw in [
            "key=SECRET&key=SECRET",
            "%6bey=SECRET&key=SECRET",
            "key=%zzSECRET",
            "k%65y=%zzSECRET",
            "k%zzey=SECRET",
            "key%3DSECRET",
            "Key%3DSECRET=",
            "%20key%20=%zzSECRET",
            "chrono_public_SECRET",
            "chrono_public_SECRET=%zz",
            "amp;key=%zzchrono_public_SECRET",
            "symbols=%zz;key=chrono_public_SECRET",
        ] {
            for allowed in [&["symbols", "key"][..], &["symbols"], &[]] {
                let fault = format!("{:?}", Query::parse(raw, allowed).unwrap_err());
                assert!(!fault.contains("SECRET"), "{raw}: {fault}");
            }
        }
        let query = Query::parse("symbols=A;key=chrono_public_SECRET", &["symbols"]).unwrap();
        let fault = format!("{:?}", query.flag("symbols").unwrap_err());
        assert!(fault.contains("Invalid symbols") && !fault.contains("SECRET"), "{fault}");
        let shown = |raw| format!("{:?}", Query::parse(raw, &["symbols"]).unwrap_err());
        assert!(shown("symbols=%zz").contains("symbols=%zz"));
        assert!(shown("symbols=AB&symbols=BC").contains("BC"));
        assert!(shown("form=1").contains("form"));
        assert!(shown("key=1").contains("key"), "that a key is not taken here is said");
        let hidden = format!("{:?}", Query::parse("key=1&key=1", &["key"]).unwrap_err());
        assert!(hidden.contains("Invalid key. Expected: one value"), "{hidden}");
    }

    #[test]
    fn missing_and_wrong_values_are_refused() {
        let query = query("symbol=&flag=yes&from=7&symbols=a,b,c");
        assert!(query.one("symbol", "a symbol").is_err());
        assert!(query.flag("flag").is_err());
        assert!(!query.flag("other").unwrap());
        assert_eq!(query.read("from", "a number", |text| text.parse().ok()).unwrap(), Some(7));
        assert!(query.read("flag", "a number", |text| text.parse::<u8>().ok()).is_err());
        assert_eq!(query.list("symbols", "symbols", 3).unwrap(), ["a", "b", "c"]);
        assert!(query.list("symbols", "symbols", 2).is_err());
    }
}
