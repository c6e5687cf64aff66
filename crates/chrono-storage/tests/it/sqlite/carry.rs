//! A database of the row layout becomes one of pages, whatever ends the process on the way.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chrono_domain::{Interval, ManualClock, Metadata, StoredTick, Symbol, Timestamp, WorkerId};
use chrono_storage::model::ModelStore;
use chrono_storage::sqlite::{Access, CycleSettings, OpenError, Settings, SqliteStore, check};
use chrono_storage::{
    Appended, CandleRange, CandleStore, Detail, NewBatch, Order, Store, TickRange, TickStore,
    failpoint,
};
use rusqlite::{Connection, params};

use super::append::{NOW, batch, tick};
use super::running::{Running, fresh_file, run_to_its_end};

const SYMBOLS: [&str; 2] = ["BTC/USD", "ETH/USD"];
const SOURCES: [&str; 3] = ["binance", "coinbase", "kraken"];
const TICKS: i64 = 60;
const HOUR: i64 = 3_600_000_000;

/// Settings that carry a few ticks over at a time.
fn settings(path: &Path) -> Settings {
    let default = Settings::new(path);
    let cycle = CycleSettings { ticks: 13, page_rows: 4, slice: 5, cleared: 3, ..default.cycle };
    Settings { cycle, ..default }
}

/// The nth tick: out of order, with ties, some with metadata, volumes and prices of many digits.
fn nth_tick(nth: i64) -> chrono_domain::Tick {
    let at = NOW + (nth * 37 % 23) * HOUR / 2 + nth % 2;
    let volume = [None, Some("0.00"), Some("1.5"), Some("0.000000000000000001")];
    let pick = |count: i64| usize::try_from(nth % count).unwrap();
    let made = tick(
        SYMBOLS[pick(2)],
        SOURCES[pick(3)],
        at,
        ["1", "1.0", "67230.00", "999999999999999999.0000000000", "2.5"][pick(5)],
        volume[pick(4)],
    );
    let metadata = (nth % 3 == 0).then(|| Metadata::from_canonical(format!("{{\"n\":{nth}}}")));
    made.with_metadata(metadata)
}

fn nth_batch(nth: i64) -> Arc<NewBatch> {
    Arc::new(NewBatch {
        worker: WorkerId::try_new("w").unwrap(),
        idempotency: None,
        ticks: vec![nth_tick(nth)],
        receipt: Bytes::new(),
        received_at: Timestamp::from_micros(NOW + nth).unwrap(),
    })
}

/// Makes a file as the program of schema 1 left it.
fn rows(path: &Path) {
    let shell = Connection::open(path).unwrap();
    let first = chrono_migrations::SQLITE.first().unwrap();
    shell.pragma_update(None, "journal_mode", "wal").unwrap();
    shell.execute_batch("BEGIN").unwrap();
    shell.execute_batch(first.sql).unwrap();
    shell
        .execute_batch(
            "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, \
             checksum TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT; INSERT INTO workers VALUES (1, 'w');",
        )
        .unwrap();
    let applied = params![1, first.name, format!("{:016x}", first.checksum), "then"];
    shell.execute("INSERT INTO schema_migrations VALUES (?1, ?2, ?3, ?4)", applied).unwrap();
    for (table, names) in [("symbols", &SYMBOLS[..]), ("sources", &SOURCES[..])] {
        for name in names {
            shell.execute(&format!("INSERT INTO {table} (name) VALUES (?1)"), [name]).unwrap();
        }
    }
    for nth in 0..TICKS {
        let tick = nth_tick(nth);
        let id = |table, name: &str| {
            let sql = format!("SELECT id FROM {table} WHERE name = ?1");
            shell.query_one(&sql, [name], |row| row.get::<_, i64>(0)).unwrap()
        };
        let row = params![
            id("symbols", tick.symbol.as_str()),
            tick.timestamp.micros(),
            nth + 1,
            id("sources", tick.source.as_str()),
            1,
            tick.price.to_string(),
            tick.volume.map(|volume| volume.to_string()),
            tick.metadata.as_ref().map(Metadata::as_str),
            NOW + nth,
        ];
        let add = "INSERT INTO price_ticks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        shell.execute(add, row).unwrap();
    }
    let key = params![1, "key", [1_u8; 32], b"receipt", NOW];
    shell.execute("INSERT INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5)", key).unwrap();
    shell.execute("UPDATE counters SET next = ?1", [TICKS + 1]).unwrap();
    shell.execute_batch("COMMIT").unwrap();
}

/// Gives everything that a reader may see, as texts that show digits.
async fn all(store: &dyn Store) -> Vec<String> {
    let mut texts = Vec::new();
    for symbol in SYMBOLS.map(|name| Symbol::try_new(name).unwrap()) {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let detail = Detail::WithMetadata;
            let range = TickRange { order, detail, ..TickRange::of(symbol) };
            let ticks: Vec<StoredTick> = store.ticks(&range).await.unwrap();
            texts.extend(ticks.iter().map(|stored| format!("{stored:?}")));
        }
        for interval in Interval::ALL {
            let buckets = store.candles(&CandleRange::of(symbol, interval)).await.unwrap();
            texts.extend(buckets.iter().map(|bucket| format!("{bucket:?}")));
        }
    }
    let mut newest: Vec<_> = store.newest().await.unwrap();
    newest.sort_by_key(|stored| (stored.tick.symbol, stored.tick.source));
    texts.extend(newest.iter().map(|stored| format!("{stored:?}")));
    texts.push(format!("{:?} {}", store.names().await, store.stats().await.unwrap().ticks));
    texts
}

async fn model() -> ModelStore {
    let model = ModelStore::default();
    model.append((0..TICKS).map(nth_batch).collect()).await.unwrap();
    model
}

#[tokio::test]
async fn every_row_is_in_a_page_afterwards_and_numbers_go_on() {
    let (_dir, path) = fresh_file();
    rows(&path);
    assert_eq!(check(&path).unwrap().pending, ["log_and_pages", "rows_to_pages"]);
    let running = Running::with(settings(&path));
    let store = &running.store;
    assert!(check(&path).unwrap().pending.is_empty());
    assert_eq!(all(store).await, all(&model().await).await);
    for turn in 0..60 {
        assert_eq!(store.recount(turn).await.unwrap().mismatches, 0);
    }
    let more = tick("BTC/USD", "kraken", NOW, "1", None);
    let again = batch("w", Some(("key", 1)), vec![more.clone()]);
    let outcomes = store.append(vec![again, batch("w", None, vec![more])]).await.unwrap();
    let next = chrono_domain::Arrival(TICKS.unsigned_abs() + 1);
    assert!(matches!(
        &outcomes[..],
        [Ok(Appended::Repeated(receipt)), Ok(Appended::Stored(arrival))]
            if receipt == "receipt" && *arrival == next
    ));
}

#[test]
fn a_tool_does_not_carry_over_beside_a_server() {
    let (_dir, path) = fresh_file();
    rows(&path);
    let lock = fs::File::create(path.with_extension("db.lock")).unwrap();
    lock.try_lock().unwrap();
    let tool = Settings { access: Access::Tool, ..settings(&path) };
    let clock = ManualClock::new(Timestamp::MIN);
    assert!(matches!(SqliteStore::open(tool, &clock), Err(OpenError::InUse(_))));
    assert_eq!(check(&path).unwrap().version, 1);
}

/// Carries over until the planned place is reached.
#[test]
fn the_process_that_is_ended() {
    let Ok(plan) = fs::read_to_string("carry-plan") else { return };
    let (place, hits) = plan.split_once(' ').unwrap();
    failpoint::arm(place, hits.parse().unwrap());
    let clock = ManualClock::new(Timestamp::MIN);
    drop(SqliteStore::open(settings(Path::new("chrono.db")), &clock).unwrap());
}

#[tokio::test]
async fn a_carrying_over_that_is_cut_short_anywhere_begins_again() {
    let expected = all(&model().await).await;
    for place in [
        "carry_before_commit",
        "carry_after_commit",
        "migrate_before_commit",
        "migrate_after_commit",
    ] {
        for hits in 1.. {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("chrono.db");
            rows(&path);
            fs::write(dir.path().join("carry-plan"), format!("{place} {hits}")).unwrap();
            let ended = run_to_its_end(dir.path(), "sqlite::carry::the_process_that_is_ended");
            assert_eq!(
                all(&Running::with(settings(&path)).store).await,
                expected,
                "{place} {hits}"
            );
            if ended.status.success() {
                assert!(hits > 2, "{place} was not reached");
                break;
            }
        }
    }
}
