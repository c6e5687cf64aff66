//! The hub's promises, without sockets and without time.

mod conversations;
mod promises;
mod reading;
mod schedules;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use chrono_cache::{Bus, BusEntry, BusError, BusRead, LatestBook};
use chrono_domain::{
    Arrival, Epoch, ManualClock, Price, Seq, Source, StoredTick, Symbol, Tick, Timestamp,
};

use super::*;
use crate::outbox::Mode;
use crate::topic::Topic;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A bus that tells where it stands; tests hand its entries to the hub themselves.
struct Standing(Epoch, Seq);

#[async_trait::async_trait]
impl Bus for Standing {
    fn epoch(&self) -> Epoch {
        self.0
    }

    fn head(&self) -> Seq {
        self.1
    }

    async fn publish(&self, _: Arc<[StoredTick]>, _: Timestamp) -> Result<Seq, BusError> {
        Ok(self.1)
    }

    async fn read(&self, _: Seq) -> Result<BusRead, BusError> {
        std::future::pending().await
    }
}

fn stored(symbol: &str, source: &str, micros: i64, arrival: u64) -> StoredTick {
    let tick = Tick::try_new(
        Symbol::try_new(symbol).unwrap(),
        Source::try_new(source).unwrap(),
        Price::try_new(&format!("{arrival}.50")).unwrap(),
        None,
        Timestamp::from_micros(micros).unwrap(),
    );
    StoredTick { tick: tick.unwrap(), arrival: Arrival(arrival), ingested_at: Timestamp::MIN }
}

fn topics(names: &[&str]) -> Vec<Topic> {
    names.iter().map(|name| Topic::parse(name).unwrap()).collect()
}

fn hub_of(settings: StreamSettings, book: &LatestBook, epoch: u64, head: u64) -> Arc<Hub> {
    let clock = Arc::new(ManualClock::new(Timestamp::MIN));
    Arc::new(Hub::new(&Standing(Epoch(epoch), Seq(head)), book, clock, settings))
}

/// A hub with its book, fed by hand.
struct Desk {
    hub: Arc<Hub>,
    book: LatestBook,
    arrival: u64,
}

impl Desk {
    fn new(settings: StreamSettings) -> Self {
        let book = LatestBook::default();
        Self { hub: hub_of(settings, &book, 1, 0), book, arrival: 0 }
    }

    /// Publishes one commit of (symbol, source, time) ticks.
    fn publish(&mut self, ticks: &[(&str, &str, i64)]) {
        let first = self.hub.lock().head.next();
        let ticks: Vec<_> = ticks
            .iter()
            .map(|(symbol, source, at)| {
                self.arrival += 1;
                stored(symbol, source, *at, self.arrival)
            })
            .collect();
        self.book.apply(&ticks, Timestamp::MIN);
        let entry = BusEntry { first, published_at: Timestamp::MIN, ticks: ticks.into() };
        self.hub.publish(&entry, &self.book);
    }

    fn client(&self, names: &[&str], mode: Mode) -> Client {
        let client = self.hub.connect(HERE).unwrap();
        client.subscribe(&Subscribe {
            topics: topics(names),
            mode: Some(mode),
            ..Subscribe::default()
        });
        client
    }
}

/// Everything there is to take, in short form: `7` live, `s7` snapshot, `gap 2-9`.
fn drain(client: &Client) -> Vec<String> {
    let mut got = Vec::new();
    for _ in 0..10_000 {
        let mut batch = Batch::new(1_000);
        let more = client.take(&mut batch);
        got.extend(batch.into_items().iter().map(|item| match item {
            Outgoing::Live(frame) => frame.seq.0.to_string(),
            Outgoing::Snapshot(frame) => format!("s{}", frame.seq.0),
            Outgoing::Gap { from, to } => format!("gap {}-{}", from.0, to.0),
            Outgoing::Notice { text, .. } => format!("{text:?}"),
        }));
        if !more {
            return got;
        }
    }
    panic!("there is always more: {got:?}");
}
