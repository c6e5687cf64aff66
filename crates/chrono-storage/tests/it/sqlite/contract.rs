//! The contract's cases on fresh files, over restarts, and against the model.

use std::cell::RefCell;
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use chrono_storage::conformance::{self, Comparison, generate};
use chrono_storage::model::ModelStore;
use chrono_storage::sqlite::{CycleSettings, MemoryLimits, Settings};
use chrono_storage::{
    Appended, CandleStore, DelegationStore, Progress, Store, StoreError, TickStore,
};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::append::{NOW, batch, tick};
use super::running::{self, Running, fresh_file, tiny};

/// All in memory, and all in pages as soon as asked for.
const SETTINGS: [fn(&Path) -> Settings; 2] = [in_memory, tiny];

fn in_memory(path: &Path) -> Settings {
    let default = Settings::new(path);
    Settings { cycle: CycleSettings { age: Duration::MAX, ..default.cycle }, ..default }
}

/// Polls a call, so that it is in its queue or refused.
async fn poll_once<F: Future + ?Sized>(mut call: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await
}

/// A file that is opened again and again; each store must be dropped before the next is asked for.
struct Place {
    settings: Settings,
    threads: RefCell<Vec<JoinHandle<()>>>,
    _dir: TempDir,
}

impl Place {
    fn fresh(settings: impl FnOnce(&Path) -> Settings) -> Self {
        let (dir, path) = fresh_file();
        Self { settings: settings(&path), threads: RefCell::default(), _dir: dir }
    }

    fn reopen(&self) -> Arc<dyn Store> {
        // The lanes of a dropped store end by themselves, and with them its lock.
        self.threads.take().into_iter().for_each(|thread| thread.join().unwrap());
        let (store, threads) = running::start(self.settings.clone());
        self.threads.replace(threads);
        Arc::new(store)
    }
}

#[tokio::test]
async fn keeps_every_promise_of_the_contract() {
    for settings in SETTINGS {
        let places = RefCell::new(Vec::new());
        conformance::run_all(async || {
            let place = Place::fresh(settings);
            let store = place.reopen();
            places.borrow_mut().push(place);
            store
        })
        .await;
    }
}

#[tokio::test]
async fn keeps_every_promise_over_restarts() {
    for settings in SETTINGS {
        conformance::run_restarts(async || {
            let place = Place::fresh(settings);
            async move || place.reopen()
        })
        .await;
    }
}

#[tokio::test]
async fn a_write_that_another_process_holds_up_stores_nothing_and_works_later() {
    let (_dir, path) = fresh_file();
    let busy_timeout = Duration::from_millis(1);
    let running = Running::with(Settings { busy_timeout, ..Settings::new(&path) });
    let call = || vec![batch("w", Some(("a", 1)), vec![tick("A/B", "s", NOW, "1", None)])];
    let shell = rusqlite::Connection::open(&path).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(running.store.append(call()).await, Err(StoreError::Unavailable(_))));
    shell.execute_batch("ROLLBACK").unwrap();
    assert_eq!(running.store.stats().await.unwrap().ticks, 0);
    running.store.append(call()).await.unwrap();
    assert_eq!(running.store.stats().await.unwrap().ticks, 1);
}

#[tokio::test]
async fn appends_are_refused_until_cycles_have_caught_up() {
    let (_dir, path) = fresh_file();
    let memory = MemoryLimits { ticks: 2, bytes: u64::MAX, patience: Duration::from_millis(20) };
    let running = Running::with(Settings { memory, ..tiny(&path) });
    let store = &running.store;
    let call = || vec![batch("w", None, vec![tick("A/B", "s", NOW, "1", None)])];
    store.append(call()).await.unwrap();
    store.append(call()).await.unwrap();
    assert!(matches!(store.append(call()).await, Err(StoreError::Overloaded)));
    assert_eq!(store.stats().await.unwrap().ticks, 2);
    let now = chrono_domain::Timestamp::MAX;
    while store.materialise(now).await.unwrap() != Progress::Idle {}
    assert!(matches!(&store.append(call()).await.unwrap()[..], [Ok(Appended::Stored(_))]));
}

#[tokio::test]
async fn an_append_is_put_off_while_memory_is_nearly_full() {
    let (_dir, path) = fresh_file();
    let memory = MemoryLimits { ticks: 20, bytes: u64::MAX, patience: Duration::from_secs(30) };
    let running = Running::with(Settings { memory, ..in_memory(&path) });
    let store = &running.store;
    let call = |ticks| vec![batch("w", None, vec![tick("A/B", "s", NOW, "1", None); ticks])];
    store.append(call(19)).await.unwrap();
    // Four fifths of the way from three quarters to full, so four fifths of a fifth of a second.
    let hasty = timeout(Duration::from_millis(80), store.append(call(1))).await;
    assert!(hasty.is_err(), "{hasty:?}");
    assert_eq!(store.stats().await.unwrap().ticks, 19);
    assert!(matches!(&store.append(call(1)).await.unwrap()[..], [Ok(Appended::Stored(_))]));
}

#[tokio::test]
async fn cycles_begin_before_memory_is_full_whatever_their_size() {
    let (_dir, path) = fresh_file();
    let memory = MemoryLimits { ticks: 4, bytes: u64::MAX, patience: Duration::from_secs(30) };
    let cycle = CycleSettings { ticks: u64::MAX, ..Settings::new(&path).cycle };
    let running = Running::with(Settings { memory, cycle, ..Settings::new(&path) });
    let store = &running.store;
    for _ in 0..20 {
        let call = vec![batch("w", None, vec![tick("A/B", "s", NOW, "1", None)])];
        store.append(call).await.unwrap();
        let now = chrono_domain::Timestamp::MIN;
        while store.materialise(now).await.unwrap() != Progress::Idle {}
    }
    assert_eq!(store.stats().await.unwrap().ticks, 20);
}

#[tokio::test]
async fn cycles_go_on_while_others_fill_the_queue_of_writes() {
    let (_dir, path) = fresh_file();
    let running = Running::with(Settings { writes_waiting_max: 1, ..tiny(&path) });
    let store = &running.store;
    let call = vec![batch("w", None, vec![tick("A/B", "s", NOW, "1", None); 20])];
    store.append(call).await.unwrap();
    let shell = rusqlite::Connection::open(&path).unwrap();
    let now = chrono_domain::Timestamp::MAX;
    let mut steps = 0;
    loop {
        // Another process holds up one write, and behind that waits as many as may.
        shell.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut waiting = Vec::new();
        while waiting.len() < 2 {
            let mut write = store.append_delegations(Vec::new());
            match poll_once(write.as_mut()).await {
                Poll::Pending => waiting.push(write),
                Poll::Ready(refused) => {
                    assert!(matches!(refused, Err(StoreError::Overloaded)), "{refused:?}");
                    yield_now().await;
                }
            }
        }
        let mut step = store.materialise(now);
        let begun = poll_once(step.as_mut()).await;
        shell.execute_batch("ROLLBACK").unwrap();
        let progress = match begun {
            Poll::Ready(progress) => progress,
            Poll::Pending => step.await,
        };
        for write in waiting {
            write.await.unwrap();
        }
        steps += 1;
        if progress.unwrap() == Progress::Idle {
            break;
        }
    }
    assert!(steps > 4, "{steps} steps");
}

#[tokio::test]
async fn an_append_waits_for_cycles_that_catch_up() {
    let (_dir, path) = fresh_file();
    let memory = MemoryLimits { ticks: 1, bytes: u64::MAX, patience: Duration::from_secs(30) };
    let running = Running::with(Settings { memory, ..tiny(&path) });
    let store = &running.store;
    let call = || vec![batch("w", None, vec![tick("A/B", "s", NOW, "1", None)])];
    store.append(call()).await.unwrap();
    let catch_up = async {
        let now = chrono_domain::Timestamp::MAX;
        while store.materialise(now).await.unwrap() != Progress::Idle {}
    };
    let (waited, ()) = tokio::join!(store.append(call()), catch_up);
    assert!(matches!(&waited.unwrap()[..], [Ok(Appended::Stored(_))]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 256, ..ProptestConfig::default() })]

    /// Random operations on the file and on the model, the file opened again in between.
    #[test]
    fn answers_as_the_model_does(
        lives in prop::collection::vec(generate::ops(16), 1..5),
        ticks in prop::sample::select(vec![1, 30, u64::MAX]),
        (page_rows, slice) in (1_usize..9, 1_usize..65),
    ) {
        let cycle = |default| CycleSettings { ticks, page_rows, slice, ..default };
        let settings = |path: &Path| {
            let default = Settings::new(path);
            Settings { cycle: cycle(default.cycle), ..default }
        };
        let (place, model) = (Place::fresh(settings), ModelStore::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut comparison = Comparison::default();
            for ops in &lives {
                comparison.run(place.reopen().as_ref(), &model, ops).await;
            }
            comparison.whole(place.reopen().as_ref(), &model).await;
        });
    }
}
