//! The file: who may open it, what is refused, what a person finds in it.

use chrono_domain::{ManualClock, Timestamp};
use chrono_storage::sqlite::{Access, OpenError, Settings, SqliteStore, check};
use chrono_storage::{KeyStore, StoreError, StoredKey, TickStore};

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
