//! The file: who may open it, what is refused, what a person finds in it.

use chrono_domain::{Arrival, Interval, ManualClock, Symbol, Timestamp};
use chrono_storage::sqlite::{Access, OpenError, Settings, SqliteStore, check};
use chrono_storage::{
    Appended, CandleRange, CandleStore, KeyStore, StoreError, StoredKey, TickRange, TickStore,
};

use super::append::{NOW, batch, tick};
use super::running::{Running, fresh_file};

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_micros(1_760_013_296_789_000).unwrap())
}

fn open(settings: Settings) -> Result<(), OpenError> {
    SqliteStore::open(settings, &clock()).map(|_opened| ())
}

fn key(id: &str) -> StoredKey {
    StoredKey {
        id: id.to_owned(),
        hash: [9; 32],
        role: "public".to_owned(),
        tier: Some("free".to_owned()),
        client: "c".to_owned(),
        created_at: Timestamp::MIN,
        not_after: None,
        revoked_at: None,
    }
}

#[tokio::test]
async fn a_second_server_is_refused_and_a_tool_is_not() {
    let (_dir, path) = fresh_file();
    let server = Running::open(&path);
    assert!(matches!(open(Settings::new(&path)), Err(OpenError::InUse(_))));
    let tool = Running::visit(&path);
    tool.store.put_key(key("a")).await.unwrap();
    assert_eq!(server.store.keys().await.unwrap(), [key("a")]);
    server.store.put_key(key("b")).await.unwrap();
    assert!(matches!(tool.store.put_key(key("b")).await, Err(StoreError::Refused(_))));
    assert_eq!(tool.store.keys().await.unwrap().len(), 2);
    drop((server, tool));
    assert!(open(Settings::new(&path)).is_ok());
}

#[tokio::test]
async fn a_closed_store_refuses_and_its_file_opens_again() {
    let (_dir, path) = fresh_file();
    let running = Running::open(&path);
    running.store.put_key(key("a")).await.unwrap();
    running.store.close();
    assert!(matches!(running.store.keys().await, Err(StoreError::Unavailable(_))));
    drop(running);
    assert_eq!(Running::open(&path).store.keys().await.unwrap(), [key("a")]);
}

#[test]
fn a_tool_makes_the_schema_when_no_server_runs() {
    let (_dir, path) = fresh_file();
    assert_eq!(check(&path).unwrap().version, 0);
    assert!(!path.exists());
    open(Settings { access: Access::Tool, ..Settings::new(&path) }).unwrap();
    let schema = check(&path).unwrap();
    assert_eq!((schema.version, schema.pending.len()), (1, 0));
}

#[test]
fn a_foreign_a_newer_and_a_changed_schema_are_refused() {
    let (_dir, path) = fresh_file();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (id)").unwrap();
    assert!(matches!(open(Settings::new(&path)), Err(OpenError::Foreign(_))));

    let (_dir, path) = fresh_file();
    open(Settings::new(&path)).unwrap();
    let shell = rusqlite::Connection::open(&path).unwrap();
    shell.execute_batch("INSERT INTO schema_migrations VALUES (7, 'later', '00', 'now')").unwrap();
    assert!(matches!(open(Settings::new(&path)), Err(OpenError::Newer { found: 7, known: 1 })));
    assert!(matches!(check(&path), Err(OpenError::Newer { .. })));
    shell
        .execute_batch("DELETE FROM schema_migrations WHERE version = 7; UPDATE schema_migrations SET checksum = '00'")
        .unwrap();
    assert!(matches!(open(Settings::new(&path)), Err(OpenError::Changed { version: 1, .. })));
}

#[test]
fn what_is_no_database_is_refused() {
    let (_dir, path) = fresh_file();
    std::fs::write(&path, "a file of some length that is surely not a database at all").unwrap();
    assert!(matches!(open(Settings::new(&path)), Err(OpenError::Sqlite(_))));
    let nowhere = path.join("below-a-file");
    assert!(matches!(open(Settings::new(nowhere)), Err(OpenError::File { .. })));
}

#[tokio::test]
async fn the_files_are_measured() {
    let (_dir, path) = fresh_file();
    let running = Running::open(&path);
    let before = running.store.stats().await.unwrap().bytes.unwrap();
    assert!(before > 0);
    let mut large = key("a");
    large.client = "c".repeat(100_000);
    running.store.put_key(large).await.unwrap();
    assert!(running.store.stats().await.unwrap().bytes.unwrap() >= before + 100_000);
}

#[tokio::test]
async fn a_server_and_a_tool_that_write_in_turns_agree_on_names_numbers_and_candles() {
    let (_dir, path) = fresh_file();
    let (server, tool) = (Running::open(&path), Running::visit(&path));
    let symbols = ["A/B", "C/D", "E/F"];
    for round in 0..12 {
        let writer = if round % 2 == 0 { &server } else { &tool };
        let symbol = symbols[usize::try_from(round).unwrap() / 4];
        // Every other tick comes late, once the server has moved the watermark.
        let at = NOW + (round - 6 * (round % 2)) * 60_000_000;
        let ticks = vec![tick(symbol, if round < 6 { "s" } else { "r" }, at, "1", Some("1"))];
        let outcomes = writer.store.append(vec![batch("w", None, ticks)]).await.unwrap();
        let first = Arrival(round.unsigned_abs() + 1);
        assert!(matches!(&outcomes[..], [Ok(Appended::Stored(arrival))] if *arrival == first));
        let up_to = Timestamp::from_micros(NOW + round * 60_000_000).unwrap();
        server.store.materialise(up_to).await.unwrap();
    }
    let names = tool.store.names().await.unwrap();
    assert_eq!((names.symbols.len(), names.sources.len(), names.workers.len()), (3, 2, 1));
    for symbol in symbols {
        let range = CandleRange::of(Symbol::try_new(symbol).unwrap(), Interval::W1);
        for store in [&server.store, &tool.store] {
            assert_eq!(store.candles(&range).await.unwrap()[0].candle.count, 4);
        }
    }
}

#[tokio::test]
async fn a_value_that_was_never_written_is_damage() {
    let (_dir, path) = fresh_file();
    let running = Running::open(&path);
    let ticks = vec![tick("A/B", "s", NOW, "1", None)];
    running.store.append(vec![batch("w", None, ticks)]).await.unwrap();
    let shell = rusqlite::Connection::open(&path).unwrap();
    shell.execute_batch("UPDATE price_ticks SET price = '1e5'").unwrap();
    let symbol = Symbol::try_new("A/B").unwrap();
    let read = running.store.ticks(&TickRange::of(symbol)).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))));
    let read = running.store.candles(&CandleRange::of(symbol, Interval::M1)).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))));
    shell.execute_batch("UPDATE price_ticks SET price = '1'").unwrap();
    assert!(running.store.ticks(&TickRange::of(symbol)).await.is_ok());
}
