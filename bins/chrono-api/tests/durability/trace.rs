//! Runs a program under `strace -f -y -xx`, and reads what that writes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono_domain::{Clock, SystemClock};
use chrono_testkit::has_program;
use tokio::time::sleep;

/// How long the tracer may take to end after the gateway.
const TRACER: Duration = Duration::from_secs(30);

/// A trace that is being written.
pub(crate) struct Tracer {
    file: PathBuf,
    words: Vec<String>,
}

impl Tracer {
    /// Traces the calls of an expression into a directory; `options` are the tracer's own.
    pub(crate) fn new(directory: &Path, traced: &str, options: &[&str]) -> anyhow::Result<Self> {
        ensure!(
            has_program("strace"),
            "strace is needed to see system calls: apt-get install strace, or your system's like"
        );
        let file = directory.join("trace");
        let path = file.to_str().context("a path in UTF-8")?;
        // With -D the gateway is our own child, and not the tracer's.
        let words = ["strace", "-D", "-f", "-y", "-xx", "-s", "65536", "-e", traced, "-o", path];
        let words = words.iter().chain(options).map(|&word| word.to_owned()).collect();
        Ok(Self { file, words })
    }

    /// Gives the words to put before a program.
    pub(crate) fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    /// Waits for the tracer to finish after its program, by the id that this had, and reads its calls.
    pub(crate) async fn calls(&self, process: u32) -> anyhow::Result<Vec<Call>> {
        let (clock, process) = (SystemClock::new(), process.to_string());
        while clock.uptime() < TRACER {
            let text = std::fs::read_to_string(&self.file)?;
            // The end of the process is that of its first thread, and comes last.
            let last = text.lines().last().unwrap_or_default();
            let is_end = last.contains(" +++ ") && text.ends_with('\n');
            if is_end && last.split_whitespace().next() == Some(process.as_str()) {
                return Ok(calls(&text));
            }
            sleep(Duration::from_millis(20)).await;
        }
        bail!("the trace does not end")
    }
}

/// Tells whether a call sends the answer to a batch that was stored.
pub(crate) fn is_reply(call: &Call) -> bool {
    let writes = ["write", "writev", "sendto", "sendmsg"].contains(&call.name.as_str());
    writes && holds(call, "HTTP/1.1 200 ") && holds(call, "\"ingested\":")
}

/// Tells whether a call wrote or read a text.
pub(crate) fn holds(call: &Call, text: &str) -> bool {
    call.bytes.windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

/// A finished system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// What the first argument's descriptor stands for: a path, or a socket.
    pub(crate) file: String,
    /// All bytes that it wrote or read, from however many buffers.
    pub(crate) bytes: Vec<u8>,
    /// The last argument, if it is a number: an offset or a length.
    pub(crate) last: Option<u64>,
    /// The trace's line in which it began.
    pub(crate) begin: usize,
    /// The trace's line in which it ended.
    pub(crate) end: usize,
    /// What it answered.
    pub(crate) answer: i64,
}

/// Reads a trace's finished calls, in the order of their ends; signals and exits are left out.
fn calls(trace: &str) -> Vec<Call> {
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

/// Reads `name(3<file>, "bytes"..., …) = answer`, or `name("file", …) = answer`.
fn call(text: &str, begin: usize, end: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, answer) = rest.rsplit_once(" = ")?;
    let answer = answer.split(' ').next()?.parse().ok()?;
    let (file, rest) = if let Some(path) = arguments.strip_prefix('"') {
        path.split_once('"')?
    } else {
        let (descriptor, rest) = arguments.split_once('<')?;
        descriptor.parse::<u32>().ok()?;
        rest.split_once('>')?
    };
    // Only buffers are in quotes, and within quotes everything is hexadecimal.
    let bytes = rest.split('"').skip(1).step_by(2).flat_map(unescaped).collect();
    let last = rest.trim_end().strip_suffix(')').and_then(|rest| rest.rsplit(", ").next());
    let mut file = String::from_utf8(unescaped(file)).ok()?;
    if rest.starts_with("(deleted)") {
        file.push_str(" (deleted)");
    }
    let last = last.and_then(|last| last.trim().parse().ok());
    Some(Call { name: name.to_owned(), file, bytes, last, begin, end, answer })
}

/// Reads `\x2f\x77`; a text that is not escaped stands for itself.
fn unescaped(text: &str) -> Vec<u8> {
    if !text.starts_with("\\x") {
        return text.as_bytes().to_vec();
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default();
    let byte = |four: &[u8]| u8::try_from(16 * digit(four[2]) + digit(four[3])).unwrap_or_default();
    text.as_bytes().chunks_exact(4).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_calls_that_others_interrupt() {
        let trace = "\
            7 pwrite64(3<\\x2f\\x61>, \"\\x61\\x00\", 2, 24 <unfinished ...>\n\
            7 <... pwrite64 resumed>) = 2\n\
            7 fdatasync(3<\\x2f\\x61> <unfinished ...>\n\
            8 writev(4<socket:[1]>, [{iov_base=\"\\x48\", iov_len=1}, {iov_base=\"\\x54\", iov_len=1}], 2) = 2\n\
            7 <... fdatasync resumed>)          = 0\n\
            8 --- SIGTERM {si_signo=SIGTERM} ---\n\
            8 write(4<socket:[1]>, \"\\x48\", 1) = -1 EPIPE (Broken pipe)\n\
            7 unlink(\"\\x2f\\x61\") = 0\n\
            7 +++ exited with 0 +++\n";
        let call = |name: &str, file: &str, bytes: &[u8], last, (begin, end), answer| Call {
            name: name.to_owned(),
            file: file.to_owned(),
            bytes: bytes.to_vec(),
            last,
            begin,
            end,
            answer,
        };
        assert_eq!(
            calls(trace),
            [
                call("pwrite64", "/a", b"a\0", Some(24), (0, 1), 2),
                call("writev", "socket:[1]", b"HT", Some(2), (3, 3), 2),
                call("fdatasync", "/a", b"", None, (2, 4), 0),
                call("write", "socket:[1]", b"H", Some(1), (6, 6), -1),
                call("unlink", "/a", b"", None, (7, 7), 0),
            ]
        );
    }
}
