//! The current value of every symbol, for snapshots and for those who were slow.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use chrono_domain::{Seq, Symbol};
use foldhash::HashMap;

use crate::frame::Frame;
use crate::topic::Topic;

/// The newest frame of every symbol by (timestamp, arrival); a value never goes back.
#[derive(Debug, Default)]
pub(crate) struct Values {
    newest: Vec<Arc<Frame>>,
    ids: HashMap<Symbol, u32>,
    /// The symbols that a one-sided pattern covers, in order of their first appearance.
    by_pattern: HashMap<Topic, Vec<u32>>,
    /// The live values in order of their numbers. Seeded ones are not here: they have no number of their own.
    recent: BTreeMap<Seq, u32>,
}

impl Values {
    /// Takes a frame of the bus in.
    pub(crate) fn apply(&mut self, frame: &Arc<Frame>) {
        if let Some(id) = self.replace(frame) {
            self.recent.insert(frame.seq, id);
        }
    }

    /// Takes a value in that was read from the book.
    pub(crate) fn seed(&mut self, frame: &Arc<Frame>) {
        self.replace(frame);
    }

    /// Gives a symbol that a topic covers, by its place among them.
    pub(crate) fn member(&self, topic: &Topic, idx: usize) -> Option<&Arc<Frame>> {
        let id = match topic.rank() {
            0 if idx > 0 => return None,
            0 => *self.ids.get(&Symbol::try_new(topic.as_str()).ok()?)?,
            3 => u32::try_from(idx).ok()?,
            _ => *self.by_pattern.get(topic)?.get(idx)?,
        };
        self.newest.get(id as usize)
    }

    /// Gives the values that came after a number, in order of theirs.
    pub(crate) fn after(&self, after: Seq) -> impl Iterator<Item = &Arc<Frame>> {
        self.recent.range(after.next()..).filter_map(|(_, id)| self.newest.get(*id as usize))
    }

    /// Puts the frame in its symbol's place; answers none when what is there is newer.
    fn replace(&mut self, frame: &Arc<Frame>) -> Option<u32> {
        match self.ids.entry(frame.symbol) {
            Entry::Occupied(id) => {
                let id = *id.get();
                let held = self.newest.get_mut(id as usize)?;
                if frame.key < held.key {
                    return None;
                }
                self.recent.remove(&held.seq);
                *held = Arc::clone(frame);
                Some(id)
            }
            Entry::Vacant(slot) => {
                let id = u32::try_from(self.newest.len()).ok()?;
                slot.insert(id);
                self.newest.push(Arc::clone(frame));
                let [_, base, quote, _] = Topic::covering(&frame.symbol);
                self.by_pattern.entry(base).or_default().push(id);
                self.by_pattern.entry(quote).or_default().push(id);
                Some(id)
            }
        }
    }
}
