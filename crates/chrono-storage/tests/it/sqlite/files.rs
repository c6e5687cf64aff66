//! The file: who may open it, what is refused, what a person finds in it.

use std::time::Duration;

use chrono_domain::{Interval, ManualClock, Metadata, StoredTick, Symbol, Timestamp};
use chrono_storage::sqlite::{Access, OpenError, Settings, SqliteStore, Visit, check};
use chrono_storage::{
    CandleRange, CandleStore, Detail, KeyStore, Progress, StoreError, StoredKey, TickRange,
    TickStore,
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
    tool.store.put_keys(vec![key("a")]).await.unwrap();
    assert_eq!(server.store.keys().await.unwrap(), [key("a")]);
    server.store.put_keys(vec![key("b")]).await.unwrap();
    assert!(matches!(tool.store.put_keys(vec![key("b")]).await, Err(StoreError::Refused(_))));
    assert_eq!(tool.store.keys().await.unwrap().len(), 2);
    drop((server, tool));
    assert!(open(Settings::new(&path)).is_ok());
}

#[tokio::test]
async fn a_closed_store_refuses_and_its_file_opens_again() {
    let (_dir, path) = fresh_file();
    let running = Running::open(&path);
    running.store.put_keys(vec![key("a")]).await.unwrap();
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
    assert_eq!((schema.version, schema.pending.len()), (3, 0));
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
    assert!(matches!(open(Settings::new(&path)), Err(OpenError::Newer { found: 7, known: 3 })));
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
    running.store.put_keys(vec![large]).await.unwrap();
    assert!(running.store.stats().await.unwrap().bytes.unwrap() >= before + 100_000);
}

#[tokio::test]
async fn a_tool_sees_what_the_server_acknowledged_at_each_step_and_writes_no_ticks() {
    let (_dir, path) = fresh_file();
    let (server, tool) = (Running::tiny(&path), Running::visit(&path));
    let mut visit = Visit::open(&path, &clock()).unwrap();
    let symbol = Symbol::try_new("A/B").unwrap();
    let candles = CandleRange::of(symbol, Interval::W1);
    for round in 0..4_u64 {
        let ticks = (0..5).map(|nth| tick("A/B", "s", NOW + nth * 60_000_000, "1", Some("1")));
        server.store.append(vec![batch("w", None, ticks.collect())]).await.unwrap();
        loop {
            let found = tool.store.ticks(&TickRange::of(symbol)).await.unwrap();
            assert_eq!(found, server.store.ticks(&TickRange::of(symbol)).await.unwrap());
            assert_eq!(found.len() as u64, 5 * (round + 1));
            assert_eq!(
                tool.store.candles(&candles).await.unwrap()[0].candle.count,
                5 * (round + 1)
            );
            assert_eq!(tool.store.stats().await.unwrap().ticks, 5 * (round + 1));
            assert_eq!(visited(&mut visit, symbol), found);
            assert_eq!(tool.store.newest().await.unwrap(), server.store.newest().await.unwrap());
            if server.store.materialise(Timestamp::MAX).await.unwrap() == Progress::Idle {
                break;
            }
        }
    }
    let more = vec![batch("w", None, vec![tick("A/B", "s", NOW, "1", None)])];
    assert!(matches!(tool.store.append(more).await, Err(StoreError::Refused(_))));
    assert!(matches!(tool.store.materialise(Timestamp::MAX).await, Err(StoreError::Refused(_))));
    assert!(matches!(tool.store.forget_keys(Timestamp::MAX).await, Err(StoreError::Refused(_))));
}

/// Reads page by page, each at a moment of its own.
fn visited(visit: &mut Visit, symbol: Symbol) -> Vec<StoredTick> {
    let mut range = TickRange { limit: 3, ..TickRange::of(symbol) };
    let mut all = Vec::new();
    loop {
        let page = visit.moment().unwrap().ticks(&range).unwrap();
        let Some(last) = page.last() else { return all };
        range.after = Some(last.stored.key());
        assert!(page.iter().all(|visited| visited.worker.as_str() == "w"));
        all.extend(page.into_iter().map(|visited| visited.stored));
    }
}

#[tokio::test]
async fn a_page_that_was_never_written_is_damage() {
    let (_dir, path) = fresh_file();
    let running = Running::tiny(&path);
    let ticks = vec![tick("A/B", "s", NOW, "1", None)];
    running.store.append(vec![batch("w", None, ticks)]).await.unwrap();
    while running.store.materialise(Timestamp::MAX).await.unwrap() != Progress::Idle {}
    let shell = rusqlite::Connection::open(&path).unwrap();
    let flip =
        "UPDATE pages SET body = CAST(substr(body, 1, 5) || x'77' || substr(body, 7) AS BLOB)";
    shell.execute_batch("CREATE TABLE kept AS SELECT * FROM pages").unwrap();
    shell.execute_batch(flip).unwrap();
    let symbol = Symbol::try_new("A/B").unwrap();
    let read = running.store.ticks(&TickRange::of(symbol)).await;
    let Err(StoreError::Corrupt(cause)) = read else { panic!("{read:?}") };
    assert!(cause.to_string().starts_with("row 1 of table pages"), "{cause}");
    let read = running.store.candles(&CandleRange::of(symbol, Interval::M1)).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))));
    assert!(matches!(running.store.newest().await, Err(StoreError::Corrupt(_))));
    shell
        .execute_batch("UPDATE pages SET body = (SELECT body FROM kept WHERE kept.id = pages.id)")
        .unwrap();
    assert!(running.store.ticks(&TickRange::of(symbol)).await.is_ok());
}

#[tokio::test]
async fn metadata_that_is_gone_and_rows_that_were_swapped_are_damage() {
    let (_dir, path) = fresh_file();
    let running = Running::tiny(&path);
    let store = &running.store;
    let metadata = || Some(Metadata::from_canonical(r#"{"n":"1"}"#));
    for (symbol, price) in [("A/B", "1"), ("C/D", "2")] {
        let ticks = vec![tick(symbol, "s", NOW, price, None).with_metadata(metadata())];
        store.append(vec![batch("w", None, ticks)]).await.unwrap();
    }
    while store.materialise(Timestamp::MAX).await.unwrap() != Progress::Idle {}
    let shell = rusqlite::Connection::open(&path).unwrap();
    shell.execute_batch("CREATE TABLE kept AS SELECT * FROM pages").unwrap();
    let symbol = Symbol::try_new("A/B").unwrap();
    let range = TickRange { detail: Detail::WithMetadata, ..TickRange::of(symbol) };
    assert_eq!(store.ticks(&range).await.unwrap()[0].tick.metadata, metadata());
    let swap = |family: u8| {
        format!(
            "UPDATE pages SET body = (SELECT body FROM kept WHERE kept.family = {family} \
            AND kept.symbol_id <> pages.symbol_id) WHERE family = {family}"
        )
    };
    let damages = [
        "DELETE FROM pages WHERE family = 2".to_owned(),
        "UPDATE pages SET start = start + 1 WHERE family = 2".to_owned(),
        "UPDATE pages SET symbol_id = symbol_id + 8 WHERE family = 2".to_owned(),
        swap(1),
        swap(2),
    ];
    for damage in damages {
        assert!(shell.execute(&damage, []).unwrap() > 0);
        let read = store.ticks(&range).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{damage}: {read:?}");
        shell.execute_batch("DELETE FROM pages; INSERT INTO pages SELECT * FROM kept").unwrap();
        assert!(store.ticks(&range).await.is_ok());
    }
    shell.execute(&swap(3), []).unwrap();
    let read = store.candles(&CandleRange::of(symbol, Interval::M1)).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
    shell.execute(&swap(6), []).unwrap();
    assert!(matches!(store.newest().await, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn what_is_an_hour_old_is_sealed_however_little_it_is() {
    let (_dir, path) = fresh_file();
    let running = Running::open(&path);
    let shell = rusqlite::Connection::open(&path).unwrap();
    let pages = || shell.query_one("SELECT count(*) FROM pages", [], |row| row.get::<_, u32>(0));
    let until = async |minutes: u64| {
        let now = Timestamp::from_micros(NOW).unwrap().plus(Duration::from_mins(minutes));
        while running.store.materialise(now).await.unwrap() != Progress::Idle {}
        pages().unwrap()
    };
    // As old as can be by its own time, which does not matter.
    let ticks = vec![tick("A/B", "s", 0, "1", None)];
    running.store.append(vec![batch("w", None, ticks)]).await.unwrap();
    assert_eq!(until(59).await, 0);
    assert!(until(60).await > 0);
    let symbol = Symbol::try_new("A/B").unwrap();
    assert_eq!(running.store.ticks(&TickRange::of(symbol)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_damaged_log_is_not_opened_and_not_touched() {
    let (_dir, path) = fresh_file();
    let running = Running::open(&path);
    let ticks = vec![tick("A/B", "s", NOW, "1", None)];
    running.store.append(vec![batch("w", None, ticks)]).await.unwrap();
    drop(running);
    let shell = rusqlite::Connection::open(&path).unwrap();
    shell
        .execute_batch(
            "UPDATE log SET body = CAST(substr(body, 1, 9) || x'77' || substr(body, 11) AS BLOB)",
        )
        .unwrap();
    let opened = open(Settings::new(&path));
    assert!(matches!(opened, Err(OpenError::Content { .. })), "{opened:?}");
    let rows = shell.query_one("SELECT count(*) FROM log", [], |row| row.get::<_, i64>(0));
    assert_eq!(rows, Ok(1));
}
