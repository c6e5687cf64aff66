//! What a query string says, byte by byte.

/// Most parameters that are read.
const PARAMETERS_MAX: usize = 64;

/// Reads a query string in which only some names may stand, each once; nothing where it breaks a rule.
pub fn pairs(raw: &str, allowed: &[&str]) -> Option<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        if !allowed.contains(&name.as_str()) || pairs.iter().any(|(known, _)| *known == name) {
            return None;
        }
        pairs.push((name, value));
    }
    (pairs.len() <= PARAMETERS_MAX).then_some(pairs)
}

/// Decodes `%XX`, and nothing else.
pub fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}
