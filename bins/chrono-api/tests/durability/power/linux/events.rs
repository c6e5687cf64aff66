//! What a trace says that matters: calls that the disk must see, and acknowledgements that left.

use std::collections::HashMap;

use anyhow::Context;

use crate::disk::Disk;
use crate::images::Sent;
use crate::trace::{Call, is_reply};

/// Opens the line that names a batch in a request's head.
const KEY_LINE: &[u8] = b"idempotency-key: ";

/// What happened, in order.
pub(super) enum Event {
    /// A call that the disk must see.
    Disk(Call),
    /// The first byte of a reply left, for the batch with this number.
    Acknowledged(usize),
}

/// Puts what matters in order: writes and replies by their beginnings, syncs by their ends; gives the last line too.
pub(super) fn events(
    calls: Vec<Call>,
    disk: &Disk,
    sent: &Sent,
    from_line: usize,
) -> anyhow::Result<(Vec<Event>, usize)> {
    let keys = sent.batches().iter().enumerate();
    let keys: HashMap<_, _> =
        keys.filter_map(|(at, batch)| Some((batch.key.as_deref()?, at))).collect();
    let mut events = Vec::new();
    let mut asked: HashMap<String, usize> = HashMap::new();
    let mut last = from_line;
    for mut call in calls {
        call.begin += from_line;
        call.end += from_line;
        last = last.max(call.end + 1);
        let socket = call.file.starts_with("socket:");
        if let Some(key) = key_of(&call).filter(|_| socket) {
            let batch = *keys.get(key.as_str()).with_context(|| format!("an unknown key {key}"))?;
            asked.insert(call.file, batch);
        } else if socket && is_reply(&call) {
            let batch = asked.remove(&call.file).context("a reply without a request")?;
            events.push((call.begin, Event::Acknowledged(batch)));
        } else if disk.concerns(&call) && call.name != "read" {
            let syncs = matches!(call.name.as_str(), "fsync" | "fdatasync");
            events.push((if syncs { call.end } else { call.begin }, Event::Disk(call)));
        }
    }
    events.sort_by_key(|(line, _)| *line);
    Ok((events.into_iter().map(|(_, event)| event).collect(), last))
}

/// Finds the key in the head of a request.
fn key_of(call: &Call) -> Option<String> {
    let at = call.bytes.windows(KEY_LINE.len()).position(|bytes| bytes == KEY_LINE)?;
    let key = call.bytes[at + KEY_LINE.len()..].split(|byte| *byte == b'\r').next()?;
    String::from_utf8(key.to_vec()).ok()
}
