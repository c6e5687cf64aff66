//! A commit under way while the one before is published, and what is left of both when either fails.

use std::collections::{BTreeSet, VecDeque};

use chrono_cache::BusError;
use chrono_domain::Epoch;
use proptest::prelude::*;
use tokio::time::sleep;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// What a bus does with the next ticks it is given.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Carry(Duration),
    Refuse,
    Panic,
}

/// A bus that goes wrong as told, and then no more.
#[derive(Default)]
struct Rough {
    bus: MemoryBus,
    fates: std::sync::Mutex<VecDeque<Fate>>,
}

#[async_trait::async_trait]
impl Bus for Rough {
    fn epoch(&self) -> Epoch {
        self.bus.epoch()
    }

    fn head(&self) -> Seq {
        self.bus.head()
    }

    async fn publish(&self, ticks: Arc<[StoredTick]>, at: Timestamp) -> Result<Seq, BusError> {
        let fate = self.fates.lock().unwrap().pop_front();
        match fate {
            Some(Fate::Carry(time)) => sleep(time).await,
            Some(Fate::Refuse) => return Err(BusError::Unavailable("away".into())),
            Some(Fate::Panic) => panic!("as planned"),
            None => {}
        }
        self.bus.publish(ticks, at).await
    }

    async fn read(&self, after: Seq) -> Result<BusRead, BusError> {
        self.bus.read(after).await
    }
}

/// A running writer over a bus that goes wrong; it is run again after a panic, as the supervisor does.
struct Plant {
    store: Arc<ModelStore>,
    book: Arc<LatestBook>,
    bus: Arc<Rough>,
    ingest: Arc<Ingest>,
    _tasks: JoinSet<()>,
}

async fn plant(commits: &[Fault], fates: &[Fate]) -> Plant {
    let store = Arc::new(ModelStore::default());
    let book = Arc::new(LatestBook::default());
    let fates = std::sync::Mutex::new(fates.iter().copied().collect());
    let bus = Arc::new(Rough { bus: MemoryBus::default(), fates });
    for fault in commits {
        store.next_commit(*fault);
    }
    let (ingest, writer) = Writer::start(
        IngestSettings::default(),
        Arc::clone(&store) as _,
        Arc::clone(&book),
        Arc::clone(&bus) as _,
        Arc::new(ManualClock::new(now())),
    )
    .await
    .unwrap();
    let (mut tasks, writer) = (JoinSet::new(), Arc::new(writer));
    tasks.spawn(async move {
        let mut runs = JoinSet::new();
        loop {
            let writer = Arc::clone(&writer);
            runs.spawn(async move { writer.run().await });
            if runs.join_next().await.is_some_and(|ended| ended.is_ok()) {
                return;
            }
        }
    });
    Plant { store, book, bus, ingest: Arc::new(ingest), _tasks: tasks }
}

impl Plant {
    /// What the bus carried, as prices.
    async fn published(&self) -> Vec<String> {
        let mut seen = Vec::new();
        while Seq(seen.len() as u64) < self.bus.head() {
            let BusRead::Entries(entries) = self.bus.read(Seq(seen.len() as u64)).await.unwrap()
            else {
                panic!("lost")
            };
            let ticks = entries.iter().flat_map(|entry| entry.ticks.iter());
            seen.extend(ticks.map(|stored| stored.tick.price.to_string()));
        }
        seen
    }

    /// What is stored of the symbols of these tests, in order of arrival.
    async fn stored(&self) -> Vec<StoredTick> {
        let mut stored = Vec::new();
        for symbol in ["A/B", "C/D"] {
            let range = TickRange::of(Symbol::try_new(symbol).unwrap());
            stored.extend(self.store.ticks(&range).await.unwrap());
        }
        stored.sort_by_key(|stored| stored.arrival);
        stored
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_is_committed_while_the_one_before_is_published() {
    let late = Fault::Late(100 * MS);
    let slow = Fate::Carry(100 * MS);
    let plant = plant(&[late, late], &[slow, slow]).await;
    let first = plant.ingest.submit(batch("A/B", &["1"]), None);
    let second = async {
        sleep(50 * MS).await;
        plant.ingest.submit(batch("A/B", &["2"]), None).await
    };
    let both = async { tokio::join!(first, second) };
    let (first, second) = timeout(350 * MS, both).await.expect("one after the other takes 400 ms");
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(plant.published().await, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_publishing_leaves_the_commit_under_way_to_be_settled() {
    let late = Fault::Late(100 * MS);
    let plant = plant(&[late, late], &[Fate::Panic]).await;
    let first = plant.ingest.submit(batch("A/B", &["1"]), None);
    let second = async {
        sleep(50 * MS).await;
        plant.ingest.submit(batch("A/B", &["2"]), None).await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(matches!(first, Err(IngestError::OutcomeUnknown)), "{first:?}");
    assert!(matches!(second, Err(IngestError::OutcomeUnknown)), "{second:?}");
    sleep(2 * SETTLE_EVERY).await;
    assert_eq!(plant.published().await, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_bus_refuses_is_answered_as_stored_and_published_with_what_follows() {
    for refusals in 1..4 {
        let late = Fault::Late(100 * MS);
        let plant = plant(&[late, late], &vec![Fate::Refuse; refusals]).await;
        let first = plant.ingest.submit(batch("A/B", &["1"]), None);
        let second = async {
            sleep(50 * MS).await;
            plant.ingest.submit(batch("A/B", &["2"]), None).await
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!((first.unwrap().ingested, second.unwrap().ingested), (1, 1));
        let entry = plant.book.get(&Symbol::try_new("A/B").unwrap()).unwrap();
        assert_eq!(entry.newest.tick.price.to_string(), "2", "the book has it before the answer");
        sleep(3 * SETTLE_EVERY).await;
        assert_eq!(plant.published().await, ["1", "2"]);
    }
}

#[derive(Debug, Clone)]
struct Sent {
    after: Duration,
    symbol: &'static str,
    ticks: usize,
}

fn sent() -> impl Strategy<Value = Sent> {
    (0_u32..8, prop::sample::select(vec!["A/B", "C/D"]), 1_usize..4)
        .prop_map(|(after, symbol, ticks)| Sent { after: after * MS, symbol, ticks })
}

fn commit_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => (0_u32..10).prop_map(|late| Fault::Late(late * MS)),
        1 => Just(Fault::Late(Duration::from_secs(12))),
        1 => Just(Fault::UnknownStored),
        1 => Just(Fault::UnknownLost),
        1 => Just(Fault::Unavailable),
        1 => Just(Fault::Refuse(0)),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => (0_u32..10).prop_map(|time| Fate::Carry(time * MS)),
        1 => Just(Fate::Refuse),
        1 => Just(Fate::Panic),
    ]
}

proptest! {
    /// Whatever goes wrong: all that is stored is published once, in order of arrival, what is answered is among it,
    /// and the book ends at the newest.
    #[test]
    fn what_is_stored_is_published_once_and_in_order(
        sent in prop::collection::vec(sent(), 1..24),
        commits in prop::collection::vec(commit_fault(), 0..12),
        fates in prop::collection::vec(fate(), 0..12),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(&sent, &commits, &fates))?;
    }
}

async fn run(sent: &[Sent], commits: &[Fault], fates: &[Fate]) -> Result<(), TestCaseError> {
    let plant = plant(commits, fates).await;
    let mut workers = JoinSet::new();
    for (nth, Sent { after, symbol, ticks }) in sent.iter().enumerate() {
        sleep(*after).await;
        let prices: Vec<String> =
            (0..*ticks).map(|tick| format!("{}", 1 + 10 * nth + tick)).collect();
        let parsed = batch(symbol, &prices.iter().map(String::as_str).collect::<Vec<_>>());
        let ingest = Arc::clone(&plant.ingest);
        workers.spawn(async move { (prices, ingest.submit(parsed, None).await) });
    }
    let answers = workers.join_all().await;
    // Longer than any commit, and time to settle what that left.
    sleep(Duration::from_secs(30)).await;
    let stored = plant.stored().await;
    let prices: Vec<String> = stored.iter().map(|stored| stored.tick.price.to_string()).collect();
    prop_assert_eq!(plant.published().await, prices.clone());
    let kept: BTreeSet<&String> = prices.iter().collect();
    for (prices, answer) in &answers {
        match answer {
            Ok(_) => prop_assert!(prices.iter().all(|price| kept.contains(price))),
            Err(IngestError::OutcomeUnknown) => {}
            Err(_) => {
                prop_assert!(prices.iter().all(|price| !kept.contains(price)), "{:?}", answer);
            }
        }
    }
    for symbol in ["A/B", "C/D"].map(|symbol| Symbol::try_new(symbol).unwrap()) {
        let newest = stored.iter().filter(|stored| stored.tick.symbol == symbol);
        let newest = newest.max_by_key(|stored| stored.key()).map(|stored| stored.arrival);
        prop_assert_eq!(plant.book.get(&symbol).map(|entry| entry.newest.arrival), newest);
    }
    Ok(())
}
