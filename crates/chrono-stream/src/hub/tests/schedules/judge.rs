//! The ledger, and what each client was told, held against it.

use std::collections::{HashMap, HashSet};

use chrono_domain::OrderKey;

use super::super::*;
use crate::batch::Outgoing;
use crate::frame::Frame;

/// One tick of the ledger.
pub(super) struct Published {
    pub(super) seq: Seq,
    pub(super) stored: StoredTick,
    /// The hub got it; otherwise the bus lost it.
    pub(super) arrives: bool,
}

/// What was published, in this epoch and before.
#[derive(Default)]
pub(super) struct Judge {
    ledger: Vec<Published>,
    /// Ticks of earlier epochs: they are in the book, and make later ones late.
    earlier: Vec<StoredTick>,
}

impl Judge {
    pub(super) fn publish(&mut self, published: Published) {
        assert_eq!(published.seq.0, self.ledger.len() as u64 + 1, "the ledger has no holes");
        self.ledger.push(published);
    }

    pub(super) fn restart(&mut self) {
        self.earlier.extend(self.ledger.drain(..).map(|published| published.stored));
    }

    pub(super) fn head(&self) -> Seq {
        Seq(self.ledger.len() as u64)
    }

    fn at(&self, seq: Seq) -> &Published {
        &self.ledger[usize::try_from(seq.0 - 1).unwrap()]
    }

    /// Older than something of its symbol and source that was known before it.
    fn is_late(&self, published: &Published) -> bool {
        let tick = &published.stored.tick;
        let before = self.ledger.iter().take_while(|other| other.seq < published.seq);
        before
            .map(|other| &other.stored)
            .chain(&self.earlier)
            .filter(|other| other.tick.symbol == tick.symbol && other.tick.source == tick.source)
            .any(|other| other.key() > published.stored.key())
    }

    fn newest(&self, symbol: &Symbol) -> Option<&StoredTick> {
        let all = self.ledger.iter().map(|published| &published.stored).chain(&self.earlier);
        all.filter(|stored| stored.tick.symbol == *symbol).max_by_key(|stored| stored.key())
    }

    /// The number of a symbol's newest tick, if it is of this epoch.
    fn newest_seq(&self, symbol: &Symbol) -> Option<Seq> {
        let key = self.newest(symbol)?.key();
        self.ledger.iter().find(|other| other.stored.key() == key).map(|other| other.seq)
    }
}

/// A time during which a client was subscribed to a topic.
struct Span {
    topic: Topic,
    from: Seq,
    until: Option<Seq>,
    /// The values must come even if they do not change.
    valued: bool,
}

impl Span {
    fn covers(&self, symbol: &Symbol) -> bool {
        Topic::covering(symbol).contains(&self.topic)
    }

    fn is_open(&self) -> bool {
        self.until.is_none()
    }
}

/// What one connection asked for and got.
pub(super) struct Account {
    mode: Mode,
    spans: Vec<Span>,
    /// The newest update received.
    live: Option<Seq>,
    /// Up to here everything was accounted for.
    settled: Seq,
    /// Everything in here must come, or be declared as a gap.
    promised: Seq,
    /// Since it was up to date, the socket did not keep up or the ring was outrun.
    may_conflate: bool,
    flow: Flow,
    received: HashSet<Seq>,
    /// Received before, on connections that this one resumes.
    heard: HashSet<Seq>,
    snapshots: HashMap<Symbol, usize>,
    values: HashMap<Symbol, OrderKey>,
    told: (u64, Seq),
    up_to_date: Option<Seq>,
}

impl Account {
    pub(super) fn new(mode: Mode) -> Self {
        Self {
            mode,
            spans: Vec::new(),
            live: None,
            settled: Seq(0),
            promised: Seq(0),
            may_conflate: false,
            flow: Flow::Open,
            received: HashSet::new(),
            heard: HashSet::new(),
            snapshots: HashMap::new(),
            values: HashMap::new(),
            told: (0, Seq(0)),
            up_to_date: None,
        }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.flow == Flow::Blocked
    }

    /// The newest position this client was told, and the epoch it belongs to.
    pub(super) fn last_told(&self, epoch: u64) -> (u64, Seq) {
        if self.told.0 == 0 { (epoch, self.told.1) } else { self.told }
    }

    pub(super) fn was_told(&mut self, epoch: u64, seq: Seq) {
        self.told = (epoch, seq);
    }

    /// What this client would count as repeated if it came after a resume.
    pub(super) fn heard(&self, since: Option<Seq>, epoch: u64) -> HashSet<Seq> {
        let same_life = since.is_some() && (self.told.0 == 0 || self.told.0 == epoch);
        let all = self.received.union(&self.heard).copied();
        all.filter(|seq| same_life && since.is_some_and(|since| *seq <= since)).collect()
    }

    pub(super) fn remember(&mut self, heard: HashSet<Seq>) {
        self.heard = heard;
    }

    pub(super) fn flow(&mut self, flow: Flow) {
        self.flow = flow;
        // A queue that fills while a writer has not asked for more counts as a blockage.
        self.may_conflate |= flow != Flow::Open;
    }

    /// A client so far behind that the ring cannot bridge it may be conflated.
    pub(super) fn note_distance(&mut self, judge: &Judge, ring_frames_max: usize) {
        let since = self.up_to_date.unwrap_or(Seq(0)).max(self.settled);
        self.may_conflate |= judge.head().0 - since.0.min(judge.head().0) > ring_frames_max as u64;
    }

    pub(super) fn subscribed(&mut self, judge: &Judge, request: &Subscribe, done: &Subscribed) {
        assert_eq!(done.topics, request.topics);
        let mut start = done.position;
        match done.resumption {
            Some(Resumption::Resumed { from, to }) => {
                assert_eq!((from, to), (request.resume.unwrap().since, judge.head()));
                if self.spans.iter().all(|span| !span.is_open()) {
                    (self.settled, self.live, self.promised) = (from, Some(from), to);
                    // It asked for what comes after, whether it had some of that or not.
                    self.received.retain(|seq| *seq <= from);
                    self.heard.retain(|seq| *seq <= from);
                }
                start = from;
            }
            Some(Resumption::Gap { from, to }) => {
                assert!(from == request.resume.unwrap().since && from <= to);
                self.told_position(judge, done.position);
            }
            Some(Resumption::Reset) | None => self.told_position(judge, done.position),
        }
        self.snapshots.clear();
        for topic in &done.topics {
            let held = self.spans.iter().any(|span| span.is_open() && span.topic == *topic);
            if !held {
                self.spans.push(Span { topic: *topic, from: start, until: None, valued: false });
            }
        }
        if done.snapshot {
            self.owe_values(&done.topics);
        }
        assert!(
            done.snapshot
                || !request.snapshot
                || matches!(done.resumption, Some(Resumption::Resumed { .. }))
        );
    }

    fn owe_values(&mut self, topics: &[Topic]) {
        let open = self.spans.iter_mut().filter(|span| span.is_open());
        for span in open.filter(|span| topics.contains(&span.topic)) {
            span.valued = true;
        }
    }

    pub(super) fn unsubscribed(&mut self, judge: &Judge, done: &Unsubscribed) {
        self.told_position(judge, done.position);
        // What a wider topic left to one that is gone now is its own again.
        self.snapshots.clear();
        for topic in &done.topics {
            let span = self.spans.iter_mut().find(|span| span.is_open() && span.topic == *topic);
            span.expect("held").until = Some(done.position);
        }
        for topic in &done.unknown {
            assert!(!self.spans.iter().any(|span| span.is_open() && span.topic == *topic));
        }
    }

    /// A position told is true: everything up to it was accounted for.
    pub(super) fn told_position(&mut self, judge: &Judge, position: Seq) {
        assert!(position <= judge.head(), "{position:?}");
        assert!(
            self.live.is_none_or(|live| live <= position),
            "{position:?} after {:?}",
            self.live
        );
        self.settle(judge, position);
        self.told.1 = self.told.1.max(position);
    }

    pub(super) fn received(&mut self, judge: &Judge, item: &Outgoing) {
        match item {
            Outgoing::Live(frame) => self.received_live(judge, frame),
            Outgoing::Snapshot(frame) => self.received_snapshot(judge, frame),
            Outgoing::Gap { from, to } => {
                self.told_position(judge, *from);
                assert!(from < to && *to <= judge.head());
                (self.settled, self.live) = (*to, Some(*to));
                self.snapshots.clear();
                let open = self.spans.iter().filter(|span| span.is_open());
                assert!(open.clone().count() > 0, "a gap of nothing");
                let topics: Vec<_> = open.map(|span| span.topic).collect();
                self.owe_values(&topics);
            }
            Outgoing::Notice { .. } => panic!("the hub makes no notices"),
        }
    }

    fn received_live(&mut self, judge: &Judge, frame: &Frame) {
        assert!(frame.seq <= judge.head(), "{} is not published", frame.seq.0);
        assert!(self.live.is_none_or(|live| live < frame.seq), "{} comes twice", frame.seq.0);
        let published = judge.at(frame.seq);
        assert!(published.arrives, "{} was lost", frame.seq.0);
        assert_eq!(frame.late, judge.is_late(published));
        assert!(!frame.late || self.mode == Mode::All, "{} is late", frame.seq.0);
        assert!(self.is_entitled(&frame.symbol, frame.seq), "{} is uninvited", frame.seq.0);
        assert!(self.received.insert(frame.seq) && !self.heard.contains(&frame.seq));
        is_text_of(&frame.text(), published, false);
        self.settle(judge, Seq(frame.seq.0 - 1));
        (self.settled, self.live) = (frame.seq, Some(frame.seq));
        self.told.1 = self.told.1.max(frame.seq);
        self.note_value(frame);
    }

    fn received_snapshot(&mut self, judge: &Judge, frame: &Frame) {
        let newest = judge.newest(&frame.symbol).expect("a snapshot of nothing");
        assert_eq!(frame.key, newest.key(), "a snapshot of an older value");
        let invited = self.spans.iter().any(|span| span.is_open() && span.covers(&frame.symbol));
        assert!(invited, "an uninvited snapshot");
        let count = self.snapshots.entry(frame.symbol).or_default();
        *count += 1;
        assert_eq!(*count, 1, "a snapshot comes twice");
        self.note_value(frame);
        // It must not come live again.
        if let Some(seq) = judge.newest_seq(&frame.symbol) {
            assert!(self.settled >= seq || !self.is_entitled(&frame.symbol, seq));
        }
    }

    fn note_value(&mut self, frame: &Frame) {
        let value = self.values.entry(frame.symbol).or_insert(frame.key);
        *value = frame.key.max(*value);
    }

    fn is_entitled(&self, symbol: &Symbol, seq: Seq) -> bool {
        self.spans.iter().any(|span| {
            span.covers(symbol) && span.from < seq && span.until.is_none_or(|until| seq <= until)
        })
    }

    /// Everything up to a number must have come, but what conflation may leave out.
    fn settle(&mut self, judge: &Judge, upto: Seq) {
        for seq in (self.settled.0 + 1..=upto.0).map(Seq) {
            let published = judge.at(seq);
            let symbol = published.stored.tick.symbol;
            let wanted = self.is_entitled(&symbol, seq)
                && (self.mode == Mode::All || !judge.is_late(published));
            if !wanted || self.received.contains(&seq) {
                continue;
            }
            let newer = judge.newest_seq(&symbol).is_none_or(|newest| newest != seq);
            let conflated = self.mode == Mode::Latest
                && self.may_conflate
                && published.arrives
                && seq > self.promised;
            assert!(conflated && newer, "{} is missing", seq.0);
        }
        self.settled = self.settled.max(upto);
    }

    /// There is nothing more to take: everything is accounted for and every value is the newest.
    pub(super) fn up_to_date(&mut self, judge: &Judge) {
        self.settle(judge, judge.head());
        self.may_conflate = self.flow != Flow::Open;
        self.up_to_date = Some(judge.head());
        for symbol in super::SYMBOLS.map(|name| Symbol::try_new(name).unwrap()) {
            let Some(newest) = judge.newest(&symbol) else { continue };
            let newest_seq = judge.newest_seq(&symbol);
            let mut open = self.spans.iter().filter(|span| span.is_open() && span.covers(&symbol));
            if open.any(|span| span.valued || newest_seq.is_some_and(|seq| span.from < seq)) {
                assert_eq!(self.values.get(&symbol), Some(&newest.key()), "{symbol} is stale");
            }
        }
    }

    pub(super) fn is_up_to_date(&self, judge: &Judge) -> bool {
        self.up_to_date == Some(judge.head())
    }
}

fn is_text_of(text: &[u8], published: &Published, snapshot: bool) {
    let message: serde_json::Value = serde_json::from_slice(text).unwrap();
    let tick = &published.stored.tick;
    assert_eq!(message["seq"], published.seq.0);
    assert_eq!(message["data"]["symbol"], tick.symbol.as_str());
    assert_eq!(message["data"]["price"], tick.price.to_string());
    assert_eq!(message["data"]["source"], tick.source.as_str());
    assert_eq!(message.get("snapshot").is_some(), snapshot);
}
