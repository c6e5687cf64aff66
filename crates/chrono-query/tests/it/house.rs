//! A store, a book and a clock, with questions asked twice: of kept answers, and of none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chrono_cache::{AnswerCache, LatestBook};
use chrono_domain::{
    Clock, ManualClock, Metadata, Price, Source, StoredTick, Symbol, Tick, Timestamp, Volume,
    WorkerId,
};
use chrono_query::{ConsensusRecorder, ConsensusSettings, PriceQueries};
use chrono_storage::model::ModelStore;
use chrono_storage::{Appended, NewBatch, Progress, Store, TickStore};
use serde_json::Value;

/// What the writer calls late.
const LATE_AFTER: Duration = Duration::from_mins(2);

/// Keeps everything and forgets nothing: the time to live is not its matter.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<HashMap<String, Bytes>>);

#[async_trait::async_trait]
impl AnswerCache for Shelf {
    async fn get(&self, key: &str) -> Option<Bytes> {
        self.0.lock().unwrap().get(key).cloned()
    }

    async fn put(&self, key: &str, answer: Bytes, _time_to_live: Duration) {
        self.0.lock().unwrap().insert(key.to_owned(), answer);
    }
}

impl Shelf {
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.0.lock().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    }
}

/// Keeps nothing.
#[derive(Debug)]
struct Sieve;

#[async_trait::async_trait]
impl AnswerCache for Sieve {
    async fn get(&self, _key: &str) -> Option<Bytes> {
        None
    }

    async fn put(&self, _key: &str, _answer: Bytes, _time_to_live: Duration) {}
}

pub(crate) struct House {
    pub(crate) store: Arc<ModelStore>,
    pub(crate) book: Arc<LatestBook>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) shelf: Arc<Shelf>,
    /// Asks the kept answers first.
    pub(crate) kept: PriceQueries,
    /// Never finds a kept answer.
    pub(crate) fresh: PriceQueries,
    pub(crate) recorder: ConsensusRecorder,
}

impl House {
    pub(crate) fn new(now: &str) -> Self {
        Self::with(now, ConsensusSettings::default())
    }

    pub(crate) fn with(now: &str, settings: ConsensusSettings) -> Self {
        let (store, book) = (Arc::new(ModelStore::default()), Arc::new(LatestBook::default()));
        let clock = Arc::new(ManualClock::new(at(now)));
        let settings = Arc::new(settings);
        let shelf = Arc::new(Shelf::default());
        let queries = |answers: Arc<dyn AnswerCache>| {
            let store: Arc<dyn Store> = store.clone();
            PriceQueries::new(store, book.clone(), answers, clock.clone(), settings.clone())
        };
        let (kept, fresh) = (queries(shelf.clone()), queries(Arc::new(Sieve)));
        let recorder =
            ConsensusRecorder::new(store.clone(), book.clone(), clock.clone(), settings.clone());
        Self { store, book, clock, shelf, kept, fresh, recorder }
    }

    /// Replaces the process: the store is as it was, and the late marks are gone.
    pub(crate) async fn restarted(&self) -> PriceQueries {
        let (store, book) = (self.store.clone(), Arc::new(LatestBook::default()));
        // As a recorder's first step does before it marks anything.
        book.late().watch_from(Timestamp::MIN);
        let settings = Arc::new(ConsensusSettings::default());
        let queries = PriceQueries::new(store, book, Arc::new(Sieve), self.clock.clone(), settings);
        queries.refresh().await.unwrap();
        queries
    }

    /// Stores a tick and publishes it, as the writer does.
    pub(crate) async fn post(&self, tick: Tick) {
        self.store_only(tick, |stored, late_before| self.book.apply([stored], late_before)).await;
    }

    /// Stores a tick and hands it over for publication.
    pub(crate) async fn store_only(
        &self,
        tick: Tick,
        publish: impl FnOnce(&StoredTick, Timestamp),
    ) {
        let batch = NewBatch {
            worker: WorkerId::try_new("w").unwrap(),
            idempotency: None,
            ticks: vec![tick.clone()],
            receipt: Bytes::new(),
            received_at: self.clock.now(),
        };
        let outcomes = self.store.append(vec![Arc::new(batch)]).await.unwrap();
        let Ok(Appended::Stored(arrival)) = outcomes[0] else { panic!("{outcomes:?}") };
        let tick = tick.with_metadata(None);
        let stored = StoredTick { tick, arrival, ingested_at: self.clock.now() };
        publish(&stored, self.clock.now().minus(LATE_AFTER));
    }

    /// Lets the recorder work until nothing waits.
    pub(crate) async fn record(&self) {
        while self.recorder.step(self.clock.now()).await.unwrap() == Progress::More {}
    }

    pub(crate) fn advance_ms(&self, by: u64) {
        self.clock.advance(Duration::from_millis(by));
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

pub(crate) fn symbol(text: &str) -> Symbol {
    Symbol::try_new(text).unwrap()
}

pub(crate) fn source(text: &str) -> Source {
    Source::try_new(text).unwrap()
}

/// Makes a tick of BTC/USD.
pub(crate) fn tick(source: &str, time: Timestamp, price: &str) -> Tick {
    tick_of("BTC/USD", source, time, price, None)
}

pub(crate) fn tick_of(
    symbol_text: &str,
    source_text: &str,
    time: Timestamp,
    price: &str,
    volume: Option<&str>,
) -> Tick {
    let volume = volume.map(|volume| Volume::try_new(volume).unwrap());
    let price = Price::try_new(price).unwrap();
    Tick::try_new(symbol(symbol_text), source(source_text), price, volume, time).unwrap()
}

pub(crate) fn with_metadata(tick: Tick, metadata: &str) -> Tick {
    tick.with_metadata(Some(Metadata::from_canonical(metadata)))
}

pub(crate) fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// Runs a future that only the model keeps waiting.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}
