//! The writer over the model store, with commits that go wrong.

mod names;
mod pipeline;
mod waiting;

use std::collections::BTreeMap;

use chrono_cache::BusRead;
use chrono_cache::memory::MemoryBus;
use chrono_domain::{ManualClock, Seq, Symbol, Timestamp};
use chrono_storage::model::{Fault, ModelStore, ReadFault};
use chrono_storage::{IdempotencyKey, TickStore};
use tokio::task::JoinSet;

use super::*;
use crate::queue::Held;
use crate::{IngestError, NameLimits, ParsedBatch, Receipt};

struct House {
    store: Arc<ModelStore>,
    book: Arc<LatestBook>,
    bus: Arc<MemoryBus>,
    ingest: Arc<Ingest>,
    writer: Arc<Writer>,
    tasks: JoinSet<()>,
}

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2025-10-09T12:34:56Z").unwrap()
}

async fn house(settings: IngestSettings) -> House {
    let (store, book, bus) = (
        Arc::new(ModelStore::default()),
        Arc::new(LatestBook::default()),
        Arc::new(MemoryBus::default()),
    );
    let clock = Arc::new(ManualClock::new(now()));
    let started = Writer::start(
        settings,
        Arc::clone(&store) as _,
        Arc::clone(&book),
        Arc::clone(&bus) as _,
        clock,
    )
    .await;
    let (ingest, writer) = started.unwrap();
    House {
        store,
        book,
        bus,
        ingest: Arc::new(ingest),
        writer: Arc::new(writer),
        tasks: JoinSet::new(),
    }
}

impl House {
    fn start_writer(&mut self) {
        let writer = Arc::clone(&self.writer);
        self.tasks.spawn(async move { writer.run().await });
    }

    /// What the bus carried so far, as (number, price).
    async fn published(&self) -> Vec<(u64, String)> {
        let mut seen = Vec::new();
        while Seq(seen.len() as u64) < self.bus.head() {
            let BusRead::Entries(entries) = self.bus.read(Seq(seen.len() as u64)).await.unwrap()
            else {
                panic!("lost")
            };
            for entry in entries {
                let numbers = entry.first.0..;
                seen.extend(
                    numbers.zip(entry.ticks.iter().map(|stored| stored.tick.price.to_string())),
                );
            }
        }
        seen
    }
}

fn batch(symbol: &str, prices: &[&str]) -> ParsedBatch {
    batch_of("w", "s", symbol, prices)
}

fn batch_of(worker: &str, source: &str, symbol: &str, prices: &[&str]) -> ParsedBatch {
    let feed = |price: &&str| {
        format!(
            r#"{{"symbol":"{symbol}","price":"{price}","source":"{source}","timestamp":"2025-10-09T12:34:56Z"}}"#
        )
    };
    let feeds: Vec<_> = prices.iter().map(feed).collect();
    let body = format!(
        r#"{{"worker_id":"{worker}","timestamp":"2025-10-09T12:34:56Z","feeds":[{}]}}"#,
        feeds.join(",")
    );
    ParsedBatch::parse(&mut body.into_bytes(), now()).unwrap()
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::try_new(text).unwrap()
}

fn prices(published: &[(u64, String)]) -> Vec<&str> {
    published.iter().map(|(_, price)| price.as_str()).collect()
}

#[tokio::test]
async fn what_is_answered_is_stored_and_published() {
    let mut house = house(IngestSettings::default()).await;
    house.start_writer();
    let receipt = house.ingest.submit(batch("A/B", &["1", "2.0", "0"]), None).await.unwrap();
    assert_eq!((receipt.ingested, receipt.faults.len(), receipt.repeated), (2, 1, false));
    assert_eq!(house.published().await, [(1, "1".to_owned()), (2, "2.0".to_owned())]);
    let entry = house.book.get(&Symbol::try_new("A/B").unwrap()).unwrap();
    assert_eq!(entry.newest.tick.price.to_string(), "2.0");
    assert_eq!(house.store.stats().await.unwrap().ticks, 2);
}

#[tokio::test]
async fn what_waits_goes_into_one_commit() {
    let mut house = house(IngestSettings::default()).await;
    let mut workers = JoinSet::new();
    for number in 0..50 {
        let ingest = Arc::clone(&house.ingest);
        workers.spawn(async move {
            ingest.submit(batch("A/B", &[&format!("{}", number + 1)]), None).await.unwrap()
        });
    }
    while house.ingest.waiting() < 50 {
        tokio::task::yield_now().await;
    }
    house.start_writer();
    assert_eq!(workers.join_all().await.len(), 50);
    let BusRead::Entries(entries) = house.bus.read(Seq(0)).await.unwrap() else { panic!("lost") };
    assert_eq!(entries.len(), 1, "one bus entry is one commit");
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_publishes_nothing() {
    let mut house = house(IngestSettings::default()).await;
    house.start_writer();
    let first = house.ingest.submit(batch("A/B", &["1", "x"]), Some(key("k"))).await.unwrap();
    let again = house.ingest.submit(batch("A/B", &["1", "x"]), Some(key("k"))).await.unwrap();
    assert_eq!(again, Receipt { repeated: true, ..first });
    let clash = house.ingest.submit(batch("A/B", &["1", "3"]), Some(key("k"))).await;
    assert!(matches!(clash, Err(IngestError::KeyClash)));
    assert_eq!(house.published().await.len(), 1);
}

#[tokio::test]
async fn a_refused_batch_harms_no_neighbour() {
    let mut house = house(IngestSettings::default()).await;
    house.store.next_commit(Fault::Refuse(0));
    house.start_writer();
    let refused = house.ingest.submit(batch("A/B", &["1"]), None).await;
    assert!(matches!(refused, Err(IngestError::NotStored(_))));
    house.ingest.submit(batch("A/B", &["2"]), None).await.unwrap();
    assert_eq!(prices(&house.published().await), ["2"]);
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_is_published_once_if_it_was_stored() {
    for (fault, expected) in
        [(Fault::UnknownStored, vec!["1", "2", "9"]), (Fault::UnknownLost, vec!["9"])]
    {
        let mut house = house(IngestSettings::default()).await;
        house.store.next_commit(fault);
        house.start_writer();
        let unknown = house.ingest.submit(batch("A/B", &["1", "2"]), Some(key("k"))).await;
        assert!(matches!(unknown, Err(IngestError::OutcomeUnknown)));
        house.ingest.submit(batch("C/D", &["9"]), None).await.unwrap();
        assert_eq!(prices(&house.published().await), expected, "{fault:?}");
        let retried = house.ingest.submit(batch("A/B", &["1", "2"]), Some(key("k"))).await.unwrap();
        assert_eq!(retried.repeated, fault == Fault::UnknownStored);
        let mut counts = BTreeMap::new();
        for price in prices(&house.published().await) {
            *counts.entry(price.to_owned()).or_insert(0) += 1;
        }
        assert_eq!(
            counts,
            BTreeMap::from([("1".into(), 1), ("2".into(), 1), ("9".into(), 1)]),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn nothing_is_committed_while_an_unknown_outcome_cannot_be_settled() {
    let mut house = house(IngestSettings::default()).await;
    house.store.next_commit(Fault::UnknownStored);
    house.store.next_read(ReadFault::Unavailable);
    house.start_writer();
    assert!(house.ingest.submit(batch("A/B", &["1"]), None).await.is_err());
    let blocked = house.ingest.submit(batch("A/B", &["2"]), None).await;
    assert!(matches!(blocked, Err(IngestError::NotStored(_))));
    assert!(house.ingest.failed_within(Duration::from_secs(1)));
    house.ingest.submit(batch("A/B", &["3"]), None).await.unwrap();
    assert_eq!(prices(&house.published().await), ["1", "3"]);
    assert!(!house.ingest.failed_within(Duration::from_secs(1)));
}

#[tokio::test]
async fn a_writer_that_is_dropped_in_a_commit_settles_it_in_its_next_run() {
    let mut house = house(IngestSettings::default()).await;
    house.store.next_commit(Fault::UnknownStored);
    let group = {
        let (reply, _answer) = tokio::sync::oneshot::channel();
        let (batch, _faults, names) = house.ingest.admit(batch("A/B", &["1"])).unwrap();
        let new = NewBatch {
            worker: batch.worker,
            idempotency: None,
            ticks: batch.ticks,
            receipt: bytes::Bytes::new(),
            received_at: now(),
        };
        let held = Held::new(names, house.ingest.find_room(1).unwrap());
        vec![Job::new(Arc::new(new), held, reply).0]
    };
    house.writer.commit(group).await;
    assert!(house.published().await.is_empty());
    house.start_writer();
    house.ingest.submit(batch("A/B", &["2"]), None).await.unwrap();
    assert_eq!(prices(&house.published().await), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_outlasts_every_patience_is_published_once_when_it_lands() {
    let mut house = house(IngestSettings::default()).await;
    house.store.next_commit(Fault::Late(Duration::from_secs(30)));
    house.start_writer();
    let answered = async {
        let late = house.ingest.submit(batch("A/B", &["1"]), None).await;
        assert!(matches!(late, Err(IngestError::OutcomeUnknown)));
        let waiting = house.ingest.submit(batch("A/B", &["2"]), None).await;
        assert!(matches!(waiting, Err(IngestError::Expired)));
    };
    timeout(Duration::from_secs(7), answered).await.unwrap();
    tokio::time::sleep(COMMIT_PATIENCE).await;
    let refused = house.ingest.submit(batch("A/B", &["3"]), None).await;
    assert!(matches!(refused, Err(IngestError::NotStored(_))), "{refused:?}");
    assert!(house.published().await.is_empty());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(prices(&house.published().await), ["1"], "without a new batch");
    house.ingest.submit(batch("A/B", &["4"]), None).await.unwrap();
    assert_eq!(prices(&house.published().await), ["1", "4"]);
}

#[tokio::test]
async fn a_full_queue_is_refused_at_once() {
    let house = house(IngestSettings { queue_batches: 1, ..IngestSettings::default() }).await;
    let first = house.ingest.submit(batch("A/B", &["1"]), None);
    let second = house.ingest.submit(batch("A/B", &["2"]), None);
    let (_, second) = tokio::join!(tokio::time::timeout(Duration::from_millis(10), first), second);
    assert!(matches!(second, Err(IngestError::Overloaded)));
}

#[tokio::test]
async fn batches_that_wait_hold_no_more_than_their_bytes() {
    const BYTES: usize = 2 << 20;
    let mut house = house(IngestSettings { queue_bytes: BYTES, ..IngestSettings::default() }).await;
    // As large as a body may be: feeds with 4 KiB of metadata, and one whose refused price is told at length.
    let metadata = format!("{{\"a\":\"{}\"}}", "x".repeat(4_088));
    let feed = |price: &str| {
        format!(
            r#"{{"symbol":"A/B","price":"{price}","source":"s","timestamp":"2025-10-09T12:34:56Z","metadata":{metadata}}}"#
        )
    };
    let mut feeds = vec![feed("1"); 99];
    feeds.push(feed(&"\\u0001".repeat(200)));
    let body = format!(
        r#"{{"worker_id":"w","timestamp":"2025-10-09T12:34:56Z","feeds":[{}]}}"#,
        feeds.join(",")
    );
    let large = || ParsedBatch::parse(&mut body.clone().into_bytes(), now()).unwrap();

    let (mut waiting, mut sent) = (JoinSet::new(), 0);
    loop {
        let (ingest, batch) = (Arc::clone(&house.ingest), large());
        waiting.spawn(async move { ingest.submit(batch, None).await });
        tokio::task::yield_now().await;
        if let Some(ended) = waiting.try_join_next() {
            assert!(matches!(ended, Ok(Err(IngestError::Overloaded))), "{ended:?}");
            break;
        }
        sent += 1;
        assert!(sent * 99 * metadata.len() <= BYTES, "{sent} batches wait");
    }
    assert!(sent >= 4 && house.ingest.waiting() == sent);
    house.start_writer();
    for fate in waiting.join_all().await {
        assert_eq!(fate.unwrap().ingested, 99);
    }
    house.ingest.submit(large(), None).await.unwrap();
}

#[tokio::test]
async fn names_beyond_the_cap_are_refused_by_name() {
    let names = NameLimits { symbols: 1, sources: 1, workers: 1 };
    let mut house = house(IngestSettings { names, ..IngestSettings::default() }).await;
    house.start_writer();
    house.ingest.submit(batch("A/B", &["1"]), None).await.unwrap();
    house.ingest.submit(batch("A/B", &["2"]), None).await.unwrap();
    let refused = house.ingest.submit(batch("C/D", &["0", "3"]), None).await;
    let Err(IngestError::AllRefused(faults)) = refused else { panic!("{refused:?}") };
    assert_eq!(faults.iter().map(|fault| fault.index).collect::<Vec<_>>(), [0, 1]);
    assert!(
        faults[1].field == "symbol" && faults[1].expected.contains("cap is 1"),
        "{:?}",
        faults[1]
    );
}

#[tokio::test]
async fn names_of_sources_and_workers_are_capped_too() {
    let names = NameLimits { symbols: 9, sources: 0, workers: 0 };
    let mut house = house(IngestSettings { names, ..IngestSettings::default() }).await;
    house.start_writer();
    let refused = house.ingest.submit(batch("A/B", &["1"]), None).await;
    let Err(IngestError::Refused(fault)) = refused else { panic!("{refused:?}") };
    assert_eq!(fault.field, "worker_id");

    let names = NameLimits { symbols: 9, sources: 0, workers: 1 };
    let mut house = self::house(IngestSettings { names, ..IngestSettings::default() }).await;
    house.start_writer();
    let refused = house.ingest.submit(batch("A/B", &["1"]), None).await;
    let Err(IngestError::AllRefused(faults)) = refused else { panic!("{refused:?}") };
    assert_eq!(faults[0].field, "source");
}
