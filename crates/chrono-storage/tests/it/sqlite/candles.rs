//! Candles and newest ticks against the model, whatever came late, was materialised or crashed.

use std::sync::Arc;

use bytes::Bytes;
use chrono_domain::{
    Interval, Price, Source, StoredTick, Symbol, Tick, Timestamp, Volume, WorkerId,
};
use chrono_storage::model::ModelStore;
use chrono_storage::{
    CandleRange, CandleStore, NewBatch, Order, Progress, Recount, Store, TickRange, TickStore,
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::running::{Running, crashed_copy, fresh_file};

/// A Sunday, so that weeks end within the days that the tests use.
const BASE: i64 = 1_759_622_400_000_000;
const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

#[derive(Debug, Clone)]
struct Sent {
    symbol: &'static str,
    source: &'static str,
    at: i64,
    price: String,
    volume: Option<String>,
}

#[derive(Debug, Clone)]
struct Asked {
    symbol: &'static str,
    source: Option<&'static str>,
    interval: Interval,
    ends: (i64, i64),
    order: Order,
    limit: usize,
}

#[derive(Debug, Clone)]
enum Step {
    /// Append one batch that was taken in at a time.
    Append(i64, Vec<Sent>),
    /// Materialise up to a time, some steps.
    Materialise(i64, usize),
    /// Go on with the files as a crash would leave them.
    Crash,
    /// Compare pages of candles.
    Ask(Asked),
    /// Compare the newest ticks, and recount.
    Look(u64),
}

/// Moments at the edges of minutes, hours, days and weeks, and within them.
fn any_moment() -> impl Strategy<Value = i64> {
    let hour = prop::sample::select(vec![0, 1, 11, 23]);
    let minute = prop::sample::select(vec![0, 1, 30, 59]);
    let micros = prop::sample::select(vec![0, 1, 30_000_000, MINUTE - 1]);
    (0_i64..4, hour, minute, micros).prop_map(|(day, hour, minute, micros)| {
        BASE + day * DAY + hour * HOUR + minute * MINUTE + micros
    })
}

fn any_decimal() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "1",
        "1.0",
        "1.00",
        "2.5",
        "0.3",
        "0.000000000000000001",
        "99999999999999999.99",
        "7",
    ])
    .prop_map(str::to_owned)
}

fn any_volume() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(vec![
        "0",
        "0.00",
        "0.1",
        "3.25",
        "12.000000000000000001",
    ]))
    .prop_map(|volume| volume.map(str::to_owned))
}

const SYMBOLS: [&str; 2] = ["BTC/USD", "ETH/USD"];
const SOURCES: [&str; 3] = ["binance", "coinbase", "kraken"];

fn any_tick() -> impl Strategy<Value = Sent> {
    let symbol = prop::sample::select(SYMBOLS.to_vec());
    let source = prop::sample::select(SOURCES.to_vec());
    (symbol, source, any_moment(), any_decimal(), any_volume())
        .prop_map(|(symbol, source, at, price, volume)| Sent { symbol, source, at, price, volume })
}

prop_compose! {
    fn any_question()(
        symbol in prop::sample::select(SYMBOLS.to_vec()),
        source in prop::option::of(prop::sample::select(SOURCES.to_vec())),
        interval in prop::sample::select(Interval::ALL.to_vec()),
        ends in (any_moment(), any_moment()),
        newest_first in any::<bool>(),
        limit in prop::sample::select(vec![1_usize, 2, 7, 1_000]),
    ) -> Asked {
        let order = if newest_first { Order::NewestFirst } else { Order::OldestFirst };
        Asked { symbol, source, interval, ends: (ends.0.min(ends.1), ends.0.max(ends.1)), order, limit }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any_moment(), prop::collection::vec(any_tick(), 1..12)).prop_map(|(now, ticks)| Step::Append(now, ticks)),
        3 => (any_moment(), 1_usize..30).prop_map(|(up_to, steps)| Step::Materialise(up_to, steps)),
        2 => Just(Step::Crash),
        4 => any_question().prop_map(Step::Ask),
        1 => (0_u64..200).prop_map(Step::Look),
    ]
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

fn batch(now: i64, ticks: &[Sent]) -> Vec<Arc<NewBatch>> {
    let ticks = ticks.iter().map(|sent| {
        Tick::try_new(
            Symbol::try_new(sent.symbol).unwrap(),
            Source::try_new(sent.source).unwrap(),
            Price::try_new(&sent.price).unwrap(),
            sent.volume.as_deref().map(|text| Volume::try_new(text).unwrap()),
            time(sent.at),
        )
        .unwrap()
    });
    vec![Arc::new(NewBatch {
        worker: WorkerId::try_new("w").unwrap(),
        idempotency: None,
        ticks: ticks.collect(),
        receipt: Bytes::new(),
        received_at: time(now),
    })]
}

/// The store under test and the model that it must equal.
struct Pair {
    running: Running,
    path: std::path::PathBuf,
    _dir: TempDir,
    model: ModelStore,
}

impl Pair {
    fn new() -> Self {
        let (dir, path) = fresh_file();
        Self { running: Running::tiny(&path), path, _dir: dir, model: ModelStore::default() }
    }

    fn crash(self) -> Self {
        let (dir, path) = crashed_copy(&self.path);
        Self { running: Running::tiny(&path), path, _dir: dir, model: self.model }
    }

    async fn append(&self, now: i64, ticks: &[Sent]) {
        let stored = self.running.store.append(batch(now, ticks)).await.unwrap();
        let expected = self.model.append(batch(now, ticks)).await.unwrap();
        assert_eq!(format!("{stored:?}"), format!("{expected:?}"));
    }

    /// Reads page by page, from both; compares texts, since prices of equal value are equal.
    async fn ask(&self, asked: &Asked) {
        let range = CandleRange {
            source: asked.source.map(|name| Source::try_new(name).unwrap()),
            from: time(asked.ends.0),
            to: time(asked.ends.1),
            order: asked.order,
            limit: asked.limit,
            ..CandleRange::of(Symbol::try_new(asked.symbol).unwrap(), asked.interval)
        };
        let stored = pages(&self.running.store, range.clone()).await;
        let expected = pages(&self.model, range).await;
        assert_eq!(stored, expected, "{asked:?}");
    }

    async fn look(&self, turn: u64) {
        assert_eq!(newest(&self.running.store).await, newest(&self.model).await);
        assert_eq!(self.running.store.recount(turn).await.unwrap().mismatches, 0);
    }

    async fn ask_all(&self) {
        for symbol in SYMBOLS {
            for source in [None, Some(SOURCES[0]), Some(SOURCES[2])] {
                for interval in Interval::ALL {
                    let ends = (BASE - DAY, BASE + 9 * DAY);
                    let order = Order::OldestFirst;
                    self.ask(&Asked { symbol, source, interval, ends, order, limit: 1_000 }).await;
                }
            }
        }
    }
}

async fn pages(store: &dyn Store, mut range: CandleRange) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let page = store.candles(&range).await.unwrap();
        assert!(page.len() <= range.limit);
        let Some(last) = page.last() else { return texts };
        range.after = Some(last.start);
        texts.extend(page.iter().map(|bucket| format!("{bucket:?}")));
    }
}

async fn newest(store: &dyn Store) -> Vec<String> {
    let mut newest: Vec<StoredTick> = store.newest().await.unwrap();
    newest.sort_by_key(|stored| (stored.tick.symbol, stored.tick.source));
    newest.iter().map(|stored| format!("{stored:?}")).collect()
}

/// Materialises until nothing waits; a bound, so that a materialiser without an end fails.
async fn materialise_all(store: &dyn Store, up_to: i64) {
    for _ in 0..10_000 {
        if store.materialise(time(up_to)).await.unwrap() == Progress::Idle {
            return;
        }
    }
    panic!("the materialiser does not come to an end");
}

async fn recount_all(store: &dyn Store, turns: u64) -> Recount {
    let mut sum = Recount::default();
    for turn in 0..turns {
        let Recount { checked, mismatches } = store.recount(turn).await.unwrap();
        sum.checked += checked;
        sum.mismatches += mismatches;
    }
    sum
}

async fn run(steps: Vec<Step>) {
    let mut pair = Pair::new();
    for step in steps {
        match step {
            Step::Append(now, ticks) => pair.append(now, &ticks).await,
            Step::Materialise(up_to, times) => {
                for _ in 0..times {
                    pair.running.store.materialise(time(up_to)).await.unwrap();
                }
            }
            Step::Crash => pair = pair.crash(),
            Step::Ask(asked) => pair.ask(&asked).await,
            Step::Look(turn) => pair.look(turn).await,
        }
    }
    pair.ask_all().await;
    materialise_all(&pair.running.store, BASE + 5 * DAY).await;
    pair.ask_all().await;
    pair.look(0).await;
    assert_eq!(recount_all(&pair.running.store, 250).await.mismatches, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 400, ..ProptestConfig::default() })]
    #[test]
    fn answers_as_the_model_does(steps in prop::collection::vec(any_step(), 1..24)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(steps));
    }
}

fn sent(source: &'static str, at: i64, price: &str) -> Sent {
    Sent { symbol: SYMBOLS[0], source, at, price: price.to_owned(), volume: Some("0.5".to_owned()) }
}

#[tokio::test]
async fn a_backfill_of_a_day_and_live_ticks_agree_with_the_model_at_each_step() {
    let mut pair = Pair::new();
    let now = BASE + 2 * DAY + 7 * HOUR;
    for minute in 0..30 {
        let at = now + minute * 20_000_000;
        pair.append(at, &[sent("kraken", at, "5"), sent("binance", at + 1, "6")]).await;
        let past = BASE + DAY + minute * 47 * MINUTE;
        let late: Vec<Sent> =
            (0..20).map(|nth| sent("coinbase", past + nth * MINUTE, "7.25")).collect();
        pair.append(at, &late).await;
        pair.running.store.materialise(time(at - MINUTE)).await.unwrap();
        if minute % 10 == 9 {
            pair = pair.crash();
        }
        pair.ask_all().await;
        pair.look(minute.unsigned_abs()).await;
    }
    materialise_all(&pair.running.store, now + 10 * DAY).await;
    pair.ask_all().await;
}

#[tokio::test]
async fn ticks_at_both_sides_of_what_is_stored_are_in_their_candles() {
    for hour in [HOUR, 0] {
        let pair = Pair::new();
        let edge = BASE + DAY + hour;
        pair.append(edge - MINUTE, &[sent("kraken", edge - 5, "5")]).await;
        materialise_all(&pair.running.store, edge).await;
        for at in [edge + 1, edge, edge - 1] {
            for source in ["kraken", "binance"] {
                pair.append(edge, &[sent(source, at, "6.5")]).await;
                pair.ask_all().await;
                pair.look(0).await;
            }
        }
        materialise_all(&pair.running.store, edge + MINUTE).await;
        pair.ask_all().await;
    }
}

#[tokio::test]
async fn a_crash_after_any_step_of_a_cycle_changes_no_answer() {
    let mut pair = Pair::new();
    let mut steps = 0;
    for round in 0..3 {
        // New ticks, late ones, and some in the middle of pages that are full.
        let at = |nth: i64| BASE + nth * 7 * HOUR + nth % 3 + round;
        let ticks: Vec<Sent> = (0..12).map(|nth| sent(SOURCES[0], at(nth), "2.5")).collect();
        pair.append(BASE, &ticks).await;
        pair.append(BASE, &[sent(SOURCES[2], at(round), "3"), sent(SOURCES[2], at(9), "4")]).await;
        while pair.running.store.materialise(time(BASE)).await.unwrap() != Progress::Idle {
            steps += 1;
            // Whatever the step left, another process goes on from it.
            let (_dir, path) = crashed_copy(&pair.path);
            let held = std::mem::replace(&mut pair.running, Running::tiny(&path));
            pair.ask_all().await;
            pair.look(round.unsigned_abs()).await;
            materialise_all(&pair.running.store, BASE).await;
            pair.ask_all().await;
            pair.look(round.unsigned_abs()).await;
            pair.running = held;
            pair.ask_all().await;
        }
        assert_eq!(recount_all(&pair.running.store, 40).await.mismatches, 0);
    }
    assert!(steps > 40, "{steps}");
    // Nothing is left of what was superseded, nor of the log.
    let shell = rusqlite::Connection::open(&pair.path).unwrap();
    let count = |sql: &str| shell.query_one(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM log"), 0);
    let keys =
        "SELECT count(DISTINCT printf('%d %d %d %d', family, symbol_id, start, tie)) FROM pages";
    assert_eq!(count("SELECT count(*) FROM pages"), count(keys));
}

#[tokio::test]
async fn what_waited_before_a_crash_is_materialised_after_it() {
    let pair = Pair::new();
    pair.append(BASE, &[sent("kraken", BASE + 1, "2.5")]).await;
    let pair = pair.crash();
    materialise_all(&pair.running.store, BASE + DAY).await;
    // Three levels of the source, and of all together.
    assert_eq!(recount_all(&pair.running.store, 1).await, Recount { checked: 6, mismatches: 0 });
}

#[tokio::test]
async fn ticks_at_both_ends_of_time_are_in_their_buckets() {
    let pair = Pair::new();
    let last = Timestamp::MAX.micros();
    let ticks = [0, 1, last - 1, last].map(|at| sent("kraken", at, "3"));
    pair.append(BASE, &ticks).await;
    for up_to in [0, BASE, last] {
        materialise_all(&pair.running.store, up_to).await;
        for interval in Interval::ALL {
            for order in [Order::OldestFirst, Order::NewestFirst] {
                let (symbol, source, limit) = (SYMBOLS[0], None, 1);
                pair.ask(&Asked { symbol, source, interval, ends: (0, last), order, limit }).await;
            }
        }
    }
}

/// Puts the first page of a kind into the place of another, with the checksum that is right there.
fn forge(shell: &rusqlite::Connection, from: &str, to: &str) {
    let page = |wanted: &str| {
        let sql = format!(
            "SELECT id, body, family, symbol_id, start, tie, cycle FROM pages WHERE {wanted} LIMIT 1"
        );
        let found = shell.query_one(&sql, [], |row| {
            let key: Vec<i64> = (2..7).map(|nth| row.get(nth)).collect::<Result<_, _>>()?;
            let key: Vec<u8> = key.into_iter().flat_map(i64::to_le_bytes).collect();
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, crc32fast::hash(&key)))
        });
        found.unwrap()
    };
    let ((_, mut body, from), (id, _, to)) = (page(from), page(to));
    let checksum = body.last_chunk_mut::<4>().unwrap();
    *checksum = (u32::from_le_bytes(*checksum) ^ from ^ to).to_le_bytes();
    let put = "UPDATE pages SET body = ?1 WHERE id = ?2";
    assert_eq!(shell.execute(put, rusqlite::params![body, id]).unwrap(), 1);
}

#[tokio::test]
async fn a_recount_sees_changed_invented_and_lost_candles() {
    let pair = Pair::new();
    let source = |nth| if nth % 2 == 0 { "kraken" } else { "binance" };
    let ticks: Vec<Sent> =
        (0..50).map(|nth| sent(source(nth), BASE + nth * 7 * MINUTE, "3.00")).collect();
    pair.append(BASE, &ticks).await;
    materialise_all(&pair.running.store, BASE + DAY).await;
    let clean = recount_all(&pair.running.store, 40).await;
    assert!(clean.checked > 100 && clean.mismatches == 0, "{clean:?}");
    let shell = rusqlite::Connection::open(&pair.path).unwrap();
    shell.execute_batch("CREATE TABLE kept AS SELECT * FROM pages").unwrap();
    // The minutes of another hour; minutes for days, among them days that never were; no hours.
    let damages: [&dyn Fn(); 3] = [
        &|| forge(&shell, "family = 3 ORDER BY start", "family = 3 ORDER BY start DESC"),
        &|| forge(&shell, "family = 3", "family = 5"),
        &|| {
            let sql =
                "DELETE FROM pages WHERE id = (SELECT id FROM pages WHERE family = 4 LIMIT 1)";
            assert_eq!(shell.execute(sql, []).unwrap(), 1);
        },
    ];
    for (nth, damage) in damages.into_iter().enumerate() {
        damage();
        assert!(recount_all(&pair.running.store, 40).await.mismatches > 0, "{nth}");
        shell.execute_batch("DELETE FROM pages; INSERT INTO pages SELECT * FROM kept").unwrap();
        assert_eq!(recount_all(&pair.running.store, 40).await.mismatches, 0, "{nth}");
    }
}

#[tokio::test]
async fn a_reader_sees_whole_batches_while_they_are_written() {
    let pair = Pair::new();
    let store = &pair.running.store;
    let range = TickRange::of(Symbol::try_new(SYMBOLS[0]).unwrap());
    let minutes = CandleRange::of(range.symbol, Interval::D1);
    let write = async {
        for nth in 0..60 {
            let ticks: Vec<Sent> =
                (0..10).map(|at| sent("kraken", BASE + nth * MINUTE + at, "3")).collect();
            store.append(batch(BASE + nth * MINUTE, &ticks)).await.unwrap();
            store.materialise(time(BASE + nth * MINUTE)).await.unwrap();
        }
    };
    let read = async {
        let mut last = 0;
        while last < 600 {
            let ticks = store.ticks(&range).await.unwrap().len();
            let buckets = store.candles(&minutes).await.unwrap();
            let counted: u64 = buckets.iter().map(|bucket| bucket.candle.count).sum();
            assert!(
                ticks % 10 == 0
                    && counted.is_multiple_of(10)
                    && counted >= ticks as u64
                    && ticks >= last
            );
            last = ticks;
        }
    };
    let both = async { tokio::join!(write, read) };
    let ((), ()) = both.await;
}
