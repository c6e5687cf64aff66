//! Reads what `strace -f -y -xx` writes.

use std::collections::HashMap;

/// A finished system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// What the first argument's descriptor stands for: a path, or a socket.
    pub(crate) file: String,
    /// All bytes that it wrote, from however many buffers.
    pub(crate) bytes: Vec<u8>,
    /// The trace's line in which it began.
    pub(crate) begin: usize,
    /// The trace's line in which it ended.
    pub(crate) end: usize,
    /// What it answered.
    pub(crate) answer: i64,
}

/// Reads a trace's finished calls, in the order of their ends; signals and exits are left out.
pub(crate) fn calls(trace: &str) -> Vec<Call> {
    let mut unfinished: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut calls = Vec::new();
    for (line, text) in trace.lines().enumerate() {
        let Some((thread, text)) = text.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(head) = text.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, (line, head));
        } else if let Some(tail) = text.strip_prefix("<... ") {
            let Some((begin, head)) = unfinished.remove(thread) else { continue };
            let tail = tail.split_once("resumed>").map_or("", |(_, tail)| tail);
            calls.extend(call(&format!("{head}{tail}"), begin, line));
        } else {
            calls.extend(call(text, line, line));
        }
    }
    calls
}

/// Reads `name(3<file>, "bytes"..., …) = answer`.
fn call(text: &str, begin: usize, end: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, answer) = rest.rsplit_once(" = ")?;
    let answer = answer.split(' ').next()?.parse().ok()?;
    let (descriptor, rest) = arguments.split_once('<')?;
    descriptor.parse::<u32>().ok()?;
    let (file, rest) = rest.split_once('>')?;
    // Only buffers are in quotes, and within quotes everything is hexadecimal.
    let bytes = rest.split('"').skip(1).step_by(2).flat_map(unescaped).collect();
    let file = String::from_utf8(unescaped(file)).ok()?;
    Some(Call { name: name.to_owned(), file, bytes, begin, end, answer })
}

/// Reads `\x2f\x77`; a text that is not escaped stands for itself.
fn unescaped(text: &str) -> Vec<u8> {
    if !text.starts_with("\\x") {
        return text.as_bytes().to_vec();
    }
    let digits = text.split("\\x").skip(1);
    digits.map(|digits| u8::from_str_radix(digits, 16).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_calls_that_others_interrupt() {
        let trace = "\
            7 pwrite64(3<\\x2f\\x61>, \"\\x61\\x00\", 2, 24) = 2\n\
            7 fdatasync(3<\\x2f\\x61> <unfinished ...>\n\
            8 writev(4<socket:[1]>, [{iov_base=\"\\x48\", iov_len=1}, {iov_base=\"\\x54\", iov_len=1}], 2) = 2\n\
            7 <... fdatasync resumed>)          = 0\n\
            8 --- SIGTERM {si_signo=SIGTERM} ---\n\
            8 write(4<socket:[1]>, \"\\x48\", 1) = -1 EPIPE (Broken pipe)\n\
            7 +++ exited with 0 +++\n";
        let call = |name: &str, file: &str, bytes: &[u8], (begin, end), answer| Call {
            name: name.to_owned(),
            file: file.to_owned(),
            bytes: bytes.to_vec(),
            begin,
            end,
            answer,
        };
        assert_eq!(
            calls(trace),
            [
                call("pwrite64", "/a", b"a\0", (0, 0), 2),
                call("writev", "socket:[1]", b"HT", (2, 2), 2),
                call("fdatasync", "/a", b"", (1, 3), 0),
                call("write", "socket:[1]", b"H", (5, 5), -1),
            ]
        );
    }
}
