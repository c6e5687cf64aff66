//! Who is subscribed to what.

use std::sync::Arc;

use chrono_domain::Symbol;
use foldhash::HashMap;

use crate::outbox::{ClientId, Outbox};
use crate::topic::Topic;

/// The clients and the topics they hold. A topic without subscribers is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    clients: HashMap<ClientId, Member>,
    topics: Vec<Subscribers>,
    free: Vec<u32>,
    ids: HashMap<Topic, u32>,
}

#[derive(Debug)]
struct Subscribers {
    topic: Topic,
    outboxes: Vec<Arc<Outbox>>,
}

/// A client and what it holds.
#[derive(Debug)]
struct Member {
    outbox: Arc<Outbox>,
    /// In order of topic id.
    held: Vec<Held>,
    /// How many topics of each rank are held, so that ranks without any cost no lookup.
    ranks: [u16; 4],
}

/// One topic that a client holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    topic: u32,
    /// The client's place among the topic's subscribers.
    place: u32,
    /// Its current values were sent, or will be.
    valued: bool,
}

impl Registry {
    pub(crate) fn join(&mut self, outbox: Arc<Outbox>) {
        let member = Member { outbox, held: Vec::new(), ranks: [0; 4] };
        self.clients.insert(member.outbox.id, member);
    }

    pub(crate) fn leave(&mut self, id: ClientId) {
        let topics: Vec<u32> = self.held(id).collect();
        for topic in topics {
            self.drop_held(id, topic);
        }
        self.clients.remove(&id);
    }

    /// Gives the connections, in no order.
    pub(crate) fn outboxes(&self) -> impl Iterator<Item = &Arc<Outbox>> {
        self.clients.values().map(|member| &member.outbox)
    }

    pub(crate) fn outbox(&self, id: ClientId) -> Option<&Arc<Outbox>> {
        self.clients.get(&id).map(|member| &member.outbox)
    }

    /// Gives the ids of the topics a client holds.
    pub(crate) fn held(&self, id: ClientId) -> impl Iterator<Item = u32> {
        self.clients.get(&id).into_iter().flat_map(|member| &member.held).map(|held| held.topic)
    }

    pub(crate) fn held_len(&self, id: ClientId) -> usize {
        self.clients.get(&id).map_or(0, |member| member.held.len())
    }

    pub(crate) fn topic(&self, id: u32) -> Option<Topic> {
        self.topics.get(id as usize).map(|entry| entry.topic)
    }

    /// Tells whether a client holds a topic.
    pub(crate) fn holds(&self, id: ClientId, topic: &Topic) -> bool {
        self.find(id, topic).is_some()
    }

    /// Subscribes a client, unless it holds the topic; answers the topic's id.
    pub(crate) fn subscribe(&mut self, id: ClientId, topic: Topic) -> Option<u32> {
        let topic_id = self.intern(topic);
        let (Some(member), Some(entry)) =
            (self.clients.get_mut(&id), self.topics.get_mut(topic_id as usize))
        else {
            self.forget_if_unused(topic_id);
            return None;
        };
        if let Err(at) = member.held.binary_search_by_key(&topic_id, |held| held.topic) {
            let place = u32::try_from(entry.outboxes.len()).ok()?;
            entry.outboxes.push(Arc::clone(&member.outbox));
            member.held.insert(at, Held { topic: topic_id, place, valued: false });
            if let Some(count) = member.ranks.get_mut(topic.rank()) {
                *count += 1;
            }
        }
        Some(topic_id)
    }

    /// Ends a subscription; answers the id of the topic if it was held.
    pub(crate) fn unsubscribe(&mut self, id: ClientId, topic: &Topic) -> Option<u32> {
        let topic_id = self.find(id, topic)?.topic;
        self.drop_held(id, topic_id);
        Some(topic_id)
    }

    /// Gives whoever a symbol's frames go to; a client with overlapping topics comes up several times.
    pub(crate) fn subscribers(&self, symbol: &Symbol) -> impl Iterator<Item = &Arc<Outbox>> {
        let ids = Topic::covering(symbol).map(|topic| self.ids.get(&topic));
        ids.into_iter()
            .flatten()
            .filter_map(|id| self.topics.get(*id as usize))
            .flat_map(|entry| &entry.outboxes)
    }

    /// Tells whether a client holds a topic that covers the symbol.
    pub(crate) fn is_subscribed(&self, id: ClientId, symbol: &Symbol) -> bool {
        let Some(member) = self.clients.get(&id) else { return false };
        let covering = Topic::covering(symbol);
        let mut ranked = covering.iter().zip(member.ranks);
        ranked.any(|(topic, held)| held > 0 && self.holds(id, topic))
    }

    /// Notes that the current values of a topic that a client holds were sent, or will be.
    pub(crate) fn note_valued(&mut self, id: ClientId, topic: u32) {
        if let Some(member) = self.clients.get_mut(&id)
            && let Ok(at) = member.held.binary_search_by_key(&topic, |held| held.topic)
            && let Some(held) = member.held.get_mut(at)
        {
            held.valued = true;
        }
    }

    /// Tells whether the value of a symbol belongs to the snapshot of a topic narrower than this rank.
    pub(crate) fn is_valued_narrower(&self, id: ClientId, symbol: &Symbol, rank: usize) -> bool {
        let covering = Topic::covering(symbol);
        let mut narrower = covering.iter().take(rank);
        narrower.any(|topic| self.find(id, topic).is_some_and(|held| held.valued))
    }

    fn find(&self, id: ClientId, topic: &Topic) -> Option<Held> {
        let topic = *self.ids.get(topic)?;
        let held = &self.clients.get(&id)?.held;
        let at = held.binary_search_by_key(&topic, |held| held.topic).ok()?;
        held.get(at).copied()
    }

    fn intern(&mut self, topic: Topic) -> u32 {
        if let Some(id) = self.ids.get(&topic) {
            return *id;
        }
        let entry = Subscribers { topic, outboxes: Vec::new() };
        let id =
            self.free.pop().unwrap_or_else(|| u32::try_from(self.topics.len()).unwrap_or(u32::MAX));
        match self.topics.get_mut(id as usize) {
            Some(slot) => *slot = entry,
            None => self.topics.push(entry),
        }
        self.ids.insert(topic, id);
        id
    }

    fn drop_held(&mut self, id: ClientId, topic: u32) {
        let Some(member) = self.clients.get_mut(&id) else { return };
        let Ok(at) = member.held.binary_search_by_key(&topic, |held| held.topic) else { return };
        let held = member.held.remove(at);
        let Some(entry) = self.topics.get_mut(topic as usize) else { return };
        if let Some(count) = member.ranks.get_mut(entry.topic.rank()) {
            *count = count.saturating_sub(1);
        }
        let place = held.place as usize;
        if place < entry.outboxes.len() {
            entry.outboxes.swap_remove(place);
        }
        // The subscriber that filled the hole learns its new place: this keeps leaving cheap on a hot topic.
        let moved = entry.outboxes.get(place).map(|outbox| outbox.id);
        if let Some(moved) = moved.and_then(|moved| self.clients.get_mut(&moved))
            && let Ok(at) = moved.held.binary_search_by_key(&topic, |held| held.topic)
            && let Some(held) = moved.held.get_mut(at)
        {
            held.place = u32::try_from(place).unwrap_or(held.place);
        }
        self.forget_if_unused(topic);
    }

    fn forget_if_unused(&mut self, topic: u32) {
        if let Some(entry) = self.topics.get_mut(topic as usize)
            && entry.outboxes.is_empty()
            && self.ids.remove(&entry.topic).is_some()
        {
            entry.outboxes = Vec::new();
            self.free.push(topic);
        }
    }
}
