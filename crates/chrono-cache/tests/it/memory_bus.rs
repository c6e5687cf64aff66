//! The bus in memory: the contract, a model, and many tasks at once.

use std::sync::Arc;
use std::time::Duration;

use chrono_cache::memory::{BusSettings, MemoryBus};
use chrono_cache::{Bus, BusRead, conformance};
use chrono_domain::{Arrival, Metadata, Price, Seq, Source, StoredTick, Symbol, Tick, Timestamp};
use proptest::prelude::*;
use tokio::task::JoinSet;

fn small(ticks_max: usize, read_ticks_max: usize) -> BusSettings {
    BusSettings { ticks_max, read_ticks_max, ..BusSettings::default() }
}

fn stored(arrival: u64) -> StoredTick {
    let tick = Tick::try_new(
        Symbol::try_new("BTC/USD").unwrap(),
        Source::try_new("kraken").unwrap(),
        Price::try_new("1").unwrap(),
        None,
        Timestamp::MIN,
    );
    StoredTick { tick: tick.unwrap(), arrival: Arrival(arrival), ingested_at: Timestamp::MIN }
}

/// What a read gave, as (number, arrival), or where it says to go on.
fn numbered(read: BusRead) -> Result<Vec<(u64, u64)>, Seq> {
    match read {
        BusRead::Lost(after) => Err(after),
        BusRead::Entries(entries) => Ok(entries
            .iter()
            .flat_map(|entry| (entry.first.0..).zip(entry.ticks.iter().map(|t| t.arrival.0)))
            .collect()),
    }
}

#[tokio::test]
async fn keeps_every_promise_of_the_contract() {
    for settings in [small(100, 1), small(100, 7), small(100, 1_000)] {
        let make = async || Arc::new(MemoryBus::new(settings)) as Arc<dyn Bus>;
        conformance::run_bus(make, 100).await;
    }
}

#[tokio::test]
async fn holds_the_newest_commit_whatever_its_size() {
    let bus = MemoryBus::new(small(3, 2));
    let commit = |arrivals: std::ops::Range<u64>| arrivals.map(stored).collect::<Arc<[_]>>();
    bus.publish(commit(0..2), Timestamp::MIN).await.unwrap();
    bus.publish(commit(2..10), Timestamp::MIN).await.unwrap();
    assert_eq!(numbered(bus.read(Seq(0)).await.unwrap()), Err(Seq(2)));
    assert_eq!(numbered(bus.read(Seq(2)).await.unwrap()).unwrap().len(), 8);
}

#[tokio::test]
async fn bounds_the_bytes_of_its_history() {
    let note = Metadata::from_canonical(format!("{{\"note\":\"{}\"}}", "x".repeat(4_000)));
    let bus = MemoryBus::new(BusSettings { bytes_max: 50_000, ..BusSettings::default() });
    for arrival in 0..100 {
        let mut noted = stored(arrival);
        noted.tick.metadata = Some(note.clone());
        bus.publish([noted].into(), Timestamp::MIN).await.unwrap();
    }
    let Err(lost) = numbered(bus.read(Seq(0)).await.unwrap()) else { panic!("all is held") };
    assert!((86..=90).contains(&lost.0), "{} of 4 KiB are held", 100 - lost.0);
    for arrival in 0..100 {
        bus.publish([stored(arrival)].into(), Timestamp::MIN).await.unwrap();
    }
    assert_eq!(numbered(bus.read(Seq(100)).await.unwrap()).unwrap().len(), 100);
}

/// One step of a random schedule.
#[derive(Debug, Clone)]
enum Step {
    Publish(u64),
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![(0..6_u64).prop_map(Step::Publish), (0..4_usize).prop_map(Step::Read)]
}

/// What was published, and which commits a history of so many ticks still holds.
struct History {
    commits: Vec<Vec<u64>>,
    ticks_max: usize,
}

impl History {
    fn head(&self) -> u64 {
        self.commits.iter().map(|commit| commit.len() as u64).sum()
    }

    /// The number before the first that is held: the newest commit, and older ones while they fit.
    fn lost(&self) -> u64 {
        let mut held = 0;
        for (place, commit) in self.commits.iter().rev().enumerate() {
            if place > 0 && held + commit.len() > self.ticks_max {
                break;
            }
            held += commit.len();
        }
        self.head() - held as u64
    }

    /// What follows a number, as (number, arrival).
    fn after(&self, seen: u64) -> Vec<(u64, u64)> {
        let all = (1..).zip(self.commits.iter().flatten().copied());
        all.filter(|(seq, _)| *seq > seen).collect()
    }
}

/// Follows a random schedule of publishing and of readers, some of which come seldom.
async fn follow(steps: Vec<Step>, ticks_max: usize, read_ticks_max: usize) {
    let bus = MemoryBus::new(small(ticks_max, read_ticks_max));
    let mut history = History { commits: Vec::new(), ticks_max };
    let mut seen = [0_u64; 4];
    for (place, step) in steps.into_iter().enumerate() {
        match step {
            Step::Publish(len) => {
                let first = place as u64 * 100;
                let commit: Vec<_> = (first..first + len).collect();
                let ticks = commit.iter().copied().map(stored).collect();
                if len > 0 {
                    history.commits.push(commit);
                }
                let head = bus.publish(ticks, Timestamp::MIN).await.unwrap();
                assert_eq!((head, bus.head()), (Seq(history.head()), Seq(history.head())));
            }
            Step::Read(reader) if seen[reader] == history.head() => {
                let read = tokio::time::timeout(Duration::ZERO, bus.read(Seq(seen[reader]))).await;
                assert!(read.is_err(), "read {read:?} where nothing follows");
            }
            Step::Read(reader) => {
                let lost = history.lost();
                match numbered(bus.read(Seq(seen[reader])).await.unwrap()) {
                    Err(after) => {
                        assert!(seen[reader] < lost, "lost what is held");
                        assert_eq!(after.0, lost);
                        seen[reader] = lost;
                    }
                    Ok(read) => {
                        assert!(seen[reader] >= lost && !read.is_empty());
                        assert_eq!(read, history.after(seen[reader])[..read.len()]);
                        let one_commit = history.commits.iter().any(|c| c.len() >= read.len());
                        assert!(read.len() <= read_ticks_max || one_commit);
                        seen[reader] += read.len() as u64;
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn every_reader_gets_what_was_published_or_knows_what_it_lost(
        steps in prop::collection::vec(step(), 1..120),
        ticks_max in 1_usize..40,
        read_ticks_max in 1_usize..12,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(follow(steps, ticks_max, read_ticks_max));
    }
}

/// Publishes commits of 1 to 4 ticks whose arrivals tell the publisher and its order.
async fn publish_all(bus: Arc<MemoryBus>, publisher: u64, commits: u64) {
    let mut next = publisher * 1_000_000;
    for commit in 0..commits {
        let len = 1 + commit % 4;
        let ticks = (next..next + len).map(stored).collect();
        bus.publish(ticks, Timestamp::MIN).await.unwrap();
        next += len;
        if commit % 16 == publisher {
            tokio::task::yield_now().await;
        }
    }
}

/// Reads up to a number; drops some reads half-way and rests now and then.
async fn read_all(bus: Arc<MemoryBus>, reader: u64, total: u64) -> (Vec<(u64, u64)>, u64) {
    let (mut joined, mut seen, mut lost) = (Vec::new(), 0, 0);
    while seen < total {
        if (seen + reader).is_multiple_of(7) {
            drop(tokio::time::timeout(Duration::ZERO, bus.read(Seq(seen))).await);
        }
        match numbered(bus.read(Seq(seen)).await.unwrap()) {
            Ok(read) => {
                assert_eq!(read[0].0, seen + 1, "a hole or a repeat");
                seen = read[read.len() - 1].0;
                joined.extend(read);
            }
            Err(after) => {
                assert!(after.0 > seen);
                lost += after.0 - seen;
                seen = after.0;
            }
        }
        for _rest in 0..reader {
            tokio::task::yield_now().await;
        }
    }
    (joined, lost)
}

/// Runs publishers and readers on several threads; answers what each reader got and how much it lost.
async fn run_together(settings: BusSettings) -> Vec<(Vec<(u64, u64)>, u64)> {
    const PUBLISHERS: u64 = 4;
    const COMMITS: u64 = 600;
    let bus = Arc::new(MemoryBus::new(settings));
    let last = PUBLISHERS * (COMMITS / 4) * (1 + 2 + 3 + 4);
    let mut readers = JoinSet::new();
    for reader in 0..6 {
        readers.spawn(read_all(Arc::clone(&bus), reader, last));
    }
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        publishers.spawn(publish_all(Arc::clone(&bus), publisher, COMMITS));
    }
    publishers.join_all().await;
    assert_eq!(bus.head(), Seq(last));
    readers.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_on_many_threads_get_one_sequence() {
    let answers = run_together(small(1_000_000, 64)).await;
    let (first, _) = &answers[0];
    assert!(first.iter().map(|(seq, _)| *seq).eq(1..=6_000));
    for publisher in 0..4 {
        let own = first.iter().map(|(_, arrival)| *arrival).filter(|a| a / 1_000_000 == publisher);
        assert!(own.eq((0..1_500).map(|place| publisher * 1_000_000 + place)));
    }
    assert!(answers.iter().all(|(got, lost)| got == first && *lost == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_readers_on_many_threads_know_what_they_lost() {
    let answers = run_together(small(50, 8)).await;
    let mut arrival_of = std::collections::HashMap::new();
    for (got, lost) in &answers {
        assert_eq!(got.len() as u64 + lost, 6_000);
        for (seq, arrival) in got {
            assert_eq!(arrival_of.entry(*seq).or_insert(*arrival), arrival, "two orders");
        }
    }
}
