//! What the hub makes of what a bus gives.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;

/// A bus that gives what a test wrote down, once, then nothing.
struct Scripted {
    reads: Mutex<VecDeque<Result<BusRead, BusError>>>,
    asked: Mutex<Vec<u64>>,
}

impl Scripted {
    fn new(reads: Vec<Result<BusRead, BusError>>) -> Self {
        Self { reads: Mutex::new(reads.into()), asked: Mutex::default() }
    }
}

#[async_trait::async_trait]
impl Bus for Scripted {
    fn epoch(&self) -> Epoch {
        Epoch(1)
    }

    fn head(&self) -> Seq {
        Seq(0)
    }

    async fn publish(&self, _: Arc<[StoredTick]>, _: Timestamp) -> Result<Seq, BusError> {
        Ok(Seq(0))
    }

    async fn read(&self, after: Seq) -> Result<BusRead, BusError> {
        self.asked.lock().unwrap().push(after.0);
        let next = self.reads.lock().unwrap().pop_front();
        match next {
            Some(read) => read,
            None => std::future::pending().await,
        }
    }
}

fn entry(first: u64, count: u64, published_ms: i64) -> Arc<BusEntry> {
    let ticks: Vec<_> = (first..first + count).map(|n| stored("A/X", "s", 1, n)).collect();
    let published_at = Timestamp::from_micros(published_ms * 1_000).unwrap();
    Arc::new(BusEntry { first: Seq(first), published_at, ticks: ticks.into() })
}

fn failure() -> BusError {
    BusError::Unavailable("gone".into())
}

/// Runs the hub over a script until nothing follows, for a while of paused time.
async fn run(reads: Vec<Result<BusRead, BusError>>) -> (Client, Vec<u64>) {
    let book = LatestBook::default();
    let bus = Scripted::new(reads);
    let start = Timestamp::from_micros(5_000).unwrap();
    let clock = Arc::new(ManualClock::new(start));
    let hub = Arc::new(Hub::new(&bus, &book, Arc::clone(&clock) as _, StreamSettings::default()));
    let client = hub.connect(HERE).unwrap();
    let everything = topics(&["*"]);
    client.subscribe(&Subscribe {
        topics: everything,
        mode: Some(Mode::All),
        ..Subscribe::default()
    });
    let ran = tokio::time::timeout(Duration::from_secs(1), hub.run(&bus, &book)).await;
    assert!(ran.is_err(), "it runs for ever");
    clock.advance(Duration::from_millis(7));
    let asked = bus.asked.lock().unwrap().clone();
    (client, asked)
}

#[tokio::test(start_paused = true)]
async fn reads_on_after_the_last_update_of_each_entry() {
    let script = vec![
        Ok(BusRead::Entries(vec![entry(1, 2, 0), entry(3, 1, 2)])),
        Ok(BusRead::Entries(vec![entry(4, 1, 4)])),
    ];
    let (client, asked) = run(script).await;
    assert_eq!(
        (drain(&client), asked),
        (vec!["1".into(), "2".into(), "3".into(), "4".into()], vec![0, 3, 4])
    );
    let pulse = client.heartbeat().unwrap();
    assert_eq!((pulse.position, pulse.lag), (Seq(4), Duration::from_millis(1)));
}

#[tokio::test(start_paused = true)]
async fn reads_on_after_a_loss() {
    let script = vec![Ok(BusRead::Lost(Seq(9))), Ok(BusRead::Entries(vec![entry(10, 1, 0)]))];
    let (client, asked) = run(script).await;
    assert_eq!((drain(&client), asked), (vec!["gap 0-9".into(), "10".into()], vec![0, 9, 10]));
}

#[tokio::test(start_paused = true)]
async fn tries_again_after_a_failure_and_tells_how_long_it_lasts() {
    let script = vec![Err(failure()), Err(failure()), Ok(BusRead::Entries(vec![entry(1, 1, 5)]))];
    let (client, asked) = run(script).await;
    assert_eq!((drain(&client), asked), (vec!["1".into()], vec![0, 0, 0, 1]));
    assert_eq!(client.heartbeat().unwrap().lag, Duration::ZERO);
    let failing = (0..100).map(|_| Err(failure())).collect();
    let (client, _) = run(failing).await;
    assert_eq!(client.heartbeat().unwrap().lag, Duration::from_millis(7));
}

#[tokio::test(start_paused = true)]
async fn wakes_whoever_has_something_to_take() {
    let (client, _) = run(vec![Ok(BusRead::Entries(vec![entry(1, 1, 0)]))]).await;
    let woken = || std::future::poll_fn(|cx| client.poll_woken(cx));
    let soon = tokio::time::timeout(Duration::from_secs(1), woken()).await;
    assert!(soon.is_ok(), "not woken");
    assert_eq!(drain(&client), ["1"]);
    let again = tokio::time::timeout(Duration::from_secs(1), woken()).await;
    assert!(again.is_err(), "nothing more to take");
}

#[tokio::test]
async fn leaves_the_bus_alone_until_somebody_comes_and_then_reads_all_of_it() {
    let (book, bus) = (LatestBook::default(), chrono_cache::memory::MemoryBus::default());
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(9_000_000).unwrap()));
    let hub = Arc::new(Hub::new(&bus, &book, clock, StreamSettings::default()));
    let publish = async |first: u64, count: u64| {
        let ticks: Vec<_> = (first..first + count).map(|n| stored("A/X", "s", 1, n)).collect();
        bus.publish(ticks.into(), Timestamp::from_micros(5_000).unwrap()).await.unwrap();
    };
    let settle = async || {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    let visit = async {
        publish(1, 3_000).await;
        settle().await;
        assert_eq!(hub.lock().head, Seq(0), "nobody listens");
        let roused = hub.rouse().await;
        let client = hub.connect(HERE).unwrap();
        drop(roused);
        assert_eq!(hub.lock().head, Seq(3_000));
        assert_eq!(client.heartbeat().unwrap().lag, Duration::ZERO);
        let everything = topics(&["*"]);
        client.subscribe(&Subscribe { topics: everything, ..Subscribe::default() });
        publish(3_001, 2).await;
        std::future::poll_fn(|cx| client.poll_woken(cx)).await;
        while hub.lock().head < Seq(3_002) {
            tokio::task::yield_now().await;
        }
        let seen = drain(&client);
        assert_eq!(seen.last().map(String::as_str), Some("3002"), "{seen:?}");
        drop(client);
        publish(3_003, 1).await;
        settle().await;
        publish(3_004, 1).await;
        settle().await;
        assert!(hub.lock().head < Seq(3_004), "the last has left");
        hub.rouse().await;
        assert_eq!(hub.lock().head, Seq(3_004));
    };
    tokio::select! {
        () = hub.run(&bus, &book) => unreachable!("it runs for ever"),
        () = visit => {}
    }
}
