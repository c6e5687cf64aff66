//! How far a stream got, so that it can go on from there.

use serde::Serialize;

use super::Event;

/// A place in the gateway's sequence of updates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The life of the bus; numbers of different lives are not comparable.
    pub epoch: String,
    /// Every update up to this number was seen, or was told to be missing.
    #[serde(rename = "since")]
    pub seq: u64,
}

/// Follows the messages and keeps the position.
///
/// It begins with and goes forward only on what proves that everything before was written: a live update, a heartbeat, a
/// gap. An acknowledgement tells where the bus is, not which snapshots this stream has seen, so it gives the epoch only.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    position: Option<Position>,
    /// Where the bus was at the last acknowledgement.
    head: Option<Position>,
    /// Between asking for what was missed and the answer to that.
    resuming: bool,
}

impl Tracker {
    pub(crate) fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    pub(crate) fn reconnected(&mut self) {
        self.head = None;
        self.resuming = self.position.is_some();
    }

    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::Subscribed { epoch: Some(epoch), seq: Some(seq), .. } => {
                self.head = Some(Position { epoch: epoch.clone(), seq: *seq });
            }
            Event::PriceUpdate(update) if !update.snapshot => self.reach(update.seq),
            Event::Heartbeat { seq, .. } => self.reach(*seq),
            Event::Resumed { .. } => self.resuming = false,
            Event::Gap { to, .. } => {
                self.resuming = false;
                self.reach(Some(*to));
            }
            Event::Reset { .. } => {
                self.resuming = false;
                self.position = None;
            }
            _ => {}
        }
    }

    fn reach(&mut self, seq: Option<u64>) {
        if self.resuming {
            return;
        }
        let Some(seq) = seq else { return };
        if let Some(position) = &mut self.position {
            position.seq = position.seq.max(seq);
        } else {
            let epoch = self.head.as_ref().map(|head| head.epoch.clone());
            self.position = epoch.map(|epoch| Position { epoch, seq });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PriceUpdate;

    fn subscribed(epoch: &str, seq: u64) -> Event {
        Event::Subscribed {
            symbols: Vec::new(),
            rejected: Vec::new(),
            epoch: Some(epoch.to_owned()),
            seq: Some(seq),
        }
    }

    fn update(seq: u64) -> PriceUpdate {
        PriceUpdate {
            symbol: "BTC/USD".to_owned(),
            price: "1".to_owned(),
            volume: None,
            source: "s".to_owned(),
            timestamp: "2025-10-09T12:34:56Z".to_owned(),
            seq: Some(seq),
            snapshot: false,
            late: false,
        }
    }

    fn after(tracker: &mut Tracker, events: &[Event]) -> Option<(String, u64)> {
        for event in events {
            tracker.note(event);
        }
        tracker.position().map(|position| (position.epoch.clone(), position.seq))
    }

    #[test]
    fn starts_at_the_first_live_update_and_follows_them() {
        let mut tracker = Tracker::default();
        let snapshot = Event::PriceUpdate(PriceUpdate { snapshot: true, ..update(99) });
        assert_eq!(after(&mut tracker, &[subscribed("e", 5), snapshot]), None);
        let events =
            [Event::PriceUpdate(update(6)), subscribed("e", 50), Event::PriceUpdate(update(7))];
        assert_eq!(after(&mut tracker, &events), Some(("e".to_owned(), 7)));
        let heartbeat =
            Event::Heartbeat { timestamp: String::new(), seq: Some(60), bus_lag_ms: None };
        assert_eq!(after(&mut tracker, &[heartbeat]), Some(("e".to_owned(), 60)));
    }

    #[test]
    fn a_resumed_stream_keeps_its_place_until_the_answer() {
        let mut tracker = Tracker::default();
        after(&mut tracker, &[subscribed("e", 4), Event::PriceUpdate(update(5))]);
        tracker.reconnected();
        assert_eq!(after(&mut tracker, &[subscribed("e", 90)]), Some(("e".to_owned(), 5)));
        let events = [Event::Resumed { from: 5, to: 90 }, Event::PriceUpdate(update(6))];
        assert_eq!(after(&mut tracker, &events), Some(("e".to_owned(), 6)));
    }

    #[test]
    fn a_gap_is_passed_over_once_told() {
        let mut tracker = Tracker::default();
        after(&mut tracker, &[subscribed("e", 5)]);
        tracker.reconnected();
        let gap = Event::Gap { from: 5, to: 80, history_url: None };
        assert_eq!(after(&mut tracker, &[subscribed("e", 90), gap]), Some(("e".to_owned(), 80)));
    }

    #[test]
    fn a_reset_starts_over_in_the_new_epoch() {
        let mut tracker = Tracker::default();
        after(&mut tracker, &[subscribed("e", 4), Event::PriceUpdate(update(5))]);
        tracker.reconnected();
        let reset = Event::Reset { epoch: "f".to_owned() };
        assert_eq!(after(&mut tracker, &[subscribed("f", 2), reset]), None);
        let next = Event::PriceUpdate(update(3));
        assert_eq!(after(&mut tracker, &[next]), Some(("f".to_owned(), 3)));
    }
}
