//! What a client is sent next.

use std::sync::Arc;

use bytes::Bytes;
use chrono_domain::{Epoch, Seq, Timestamp};

use crate::frame::Frame;
use crate::protocol::message;

/// One message for a client.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// An update.
    Live(Arc<Frame>),
    /// A current value.
    Snapshot(Arc<Frame>),
    /// An answer or a notice.
    Notice {
        /// The message.
        text: Bytes,
        /// Set where a client that has read this message may resume from there.
        position: Option<Seq>,
    },
    /// Updates after `from` up to `to` will not come.
    Gap {
        /// The last update before the gap.
        from: Seq,
        /// The last update in the gap.
        to: Seq,
    },
}

impl Outgoing {
    /// Gives the JSON message, the payload of a WebSocket text frame.
    pub fn text(&self) -> Bytes {
        match self {
            Self::Live(frame) => frame.text(),
            Self::Snapshot(frame) => frame.snapshot_text(),
            Self::Notice { text, .. } => text.clone(),
            Self::Gap { from, to } => message::gap(*from, *to),
        }
    }

    /// Gives the server-sent event; it has an id where a client that has read it may resume from there.
    pub fn event(&self, epoch: Epoch) -> Bytes {
        match self {
            Self::Live(frame) => frame.event(),
            Self::Notice { text, position: Some(position) } => {
                event_of(Some((epoch, *position)), text)
            }
            other => event_of(None, &other.text()),
        }
    }

    /// Gives about what the message takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Live(frame) | Self::Snapshot(frame) => frame.bytes(),
            Self::Notice { text, .. } => text.len(),
            Self::Gap { .. } => 0,
        }
    }
}

fn event_of(id: Option<(Epoch, Seq)>, text: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(text.len() + 64);
    if let Some((epoch, seq)) = id {
        event.extend_from_slice(format!("id: {epoch}-{}\n", seq.0).as_bytes());
    }
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(text);
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// Messages in the order they are to be written, up to a size.
#[derive(Debug)]
pub struct Batch {
    items: Vec<Outgoing>,
    bytes: usize,
    bytes_max: usize,
    updates: usize,
    oldest: Option<Timestamp>,
}

impl Batch {
    /// Makes an empty batch that is full at about this many bytes, or with one message that is larger.
    pub fn new(bytes_max: usize) -> Self {
        Self { items: Vec::new(), bytes: 0, bytes_max, updates: 0, oldest: None }
    }

    /// Gives the messages.
    pub fn into_items(self) -> Vec<Outgoing> {
        self.items
    }

    /// Tells whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Gives how many updates are in it.
    pub fn updates(&self) -> usize {
        self.updates
    }

    /// Gives when the oldest update in it was published; none without updates.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.oldest
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }

    pub(crate) fn push(&mut self, item: Outgoing) {
        self.bytes += item.bytes();
        if let Outgoing::Live(frame) = &item {
            self.updates += 1;
            self.oldest.get_or_insert(frame.published_at);
        }
        self.items.push(item);
    }
}
