//! Finding where an answer ends.

use anyhow::Context;
use memchr::memmem;

/// An answer that is wholly there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its length in bytes, head and body.
    pub bytes: usize,
}

/// Finds the first answer in what was read; none while it is not whole. Our servers send `content-length` in lower case.
///
/// # Errors
/// When what was read is no answer with a length.
pub fn find_answer(read: &[u8]) -> anyhow::Result<Option<Answer>> {
    let Some(end) = memmem::find(read, b"\r\n\r\n") else { return Ok(None) };
    let head = read.get(..end).unwrap_or_default();
    let status = head.get(9..12).and_then(number).context("an answer without a status")?;
    let after = memmem::find(head, b"\r\ncontent-length: ").context("an answer without length")?;
    let rest = head.get(after + 18..).unwrap_or_default();
    let digits = rest.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let length = number(digits).context("a length that is no number")?;
    let bytes = end + 4 + length;
    let status = u16::try_from(status)?;
    Ok((read.len() >= bytes).then_some(Answer { status, bytes }))
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_whole_answer() {
        let text = b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 3\r\nc: d\r\n\r\nxyz";
        for cut in 0..text.len() {
            assert_eq!(find_answer(&text[..cut]).unwrap(), None, "{cut}");
        }
        let whole = Answer { status: 200, bytes: text.len() };
        assert_eq!(find_answer(text).unwrap(), Some(whole));
        assert!(find_answer(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
