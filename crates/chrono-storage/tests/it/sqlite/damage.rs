//! Damaged files: what has a checksum is right or an error, and nothing ever panics.
//!
//! Bytes of the database or its log file are changed at random, or the end is cut off, as bad disks and bad copies do.
//!
//! What is covered: damage within blobs (ticks, metadata, candles, newest ticks, the log of commits) is always noticed.
//! Damage to the log file ends it there, as if the power had gone: what is left is whole up to some commit. What is
//! not: SQLite's own pages have no checksum, so that damage to an index or a name can hide rows or rename them. A page
//! of candles or ticks under a damaged key is an error to whoever reads it, but may be missed where it belongs.
//! Where everything but the blobs still reads as before, no row may be other than it was, and none may be missing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use chrono_domain::{Interval, Metadata, StoredTick, Symbol, SystemClock, Timestamp};
use chrono_storage::sqlite::{CycleSettings, Settings, SqliteStore};
use chrono_storage::{
    Bucket, CandleRange, CandleStore, Detail, Progress, TickRange, TickStore, failpoint,
};
use chrono_testkit::number_from_environment;
use rusqlite::Connection;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::append::{NOW, batch, tick};
use super::running::{Running, fresh_file, run_to_its_end};

/// How many damaged copies there are of each file, unless the environment says otherwise.
const ROUNDS: &str = "CHRONO_DURABILITY_ROUNDS";
const ROUNDS_DEFAULT: u64 = 100;
/// Which damage is done: the seed that a failure has printed does it again; otherwise it is another each time.
const SEED: &str = "CHRONO_DAMAGE_SEED";
/// Symbols, each with a tick in each commit.
const SYMBOLS: [&str; 3] = ["A/USD", "B/USD", "C/USD"];
/// Commits that are in the database when it is damaged, and those that are in the log file.
const IN_DATABASE: Range<i64> = 0..300;
const IN_LOG: Range<i64> = 300..360;
/// Commits between two cycles; the last ones stay in the log.
const CYCLE: i64 = 90;
/// Most bytes that are changed in a row.
const CHANGED_MAX: u64 = 64;
/// What the test of checksums fails with, and the file in the working directory that makes it.
const NOT_NOTICED: &str = "damage within a blob is not noticed";
const SKIP_CHECKSUMS: &str = "skip-checksums";
/// How long reading everything may take.
const READING: Duration = Duration::from_mins(1);

/// Every column but the blobs, and how long those are, of every table and of every index.
const COLUMNS: &str = "SELECT t.name, i.name, group_concat(CASE c.type WHEN 'BLOB' \
    THEN 'length(' || c.name || ')' ELSE 'quote(' || c.name || ')' END, '||'',''||') \
    FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
    LEFT JOIN sqlite_schema i ON i.tbl_name = t.name AND i.type = 'index' AND i.name LIKE 'idx%' \
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' GROUP BY t.name, i.name";

/// The generator `SplitMix64`, after Steele, Lea and Flood.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// Changes a bit or some bytes, or cuts the end off.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = usize::try_from(self.below(bytes.len() as u64)).unwrap();
        match self.below(5) {
            0 => bytes.truncate(at),
            1 | 2 => bytes[at] ^= 1_u8 << self.below(8),
            _ => {
                let changed = usize::try_from(1 + self.below(CHANGED_MAX)).unwrap();
                bytes.iter_mut().skip(at).take(changed).for_each(|byte| *byte = self.byte());
            }
        }
    }
}

/// The files of a store at one moment.
#[derive(Clone)]
struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Files {
    fn write(&self) -> (tempfile::TempDir, PathBuf) {
        let (directory, path) = fresh_file();
        std::fs::write(&path, &self.database).unwrap();
        std::fs::write(beside(&path), &self.log).unwrap();
        (directory, path)
    }
}

/// All that a store gives.
#[derive(Debug, PartialEq)]
struct Content {
    ticks: Vec<Vec<StoredTick>>,
    candles: Vec<Vec<Bucket>>,
    newest: Vec<StoredTick>,
}

#[test]
fn damage_to_the_database_is_noticed_wherever_there_are_checksums() {
    let ([files, _], mut random) = (filled(), random());
    assert!(files.log.is_empty(), "what is in the log file would hide damage to the database");
    if Path::new(SKIP_CHECKSUMS).exists() {
        failpoint::skip_checksums();
    }
    let (_directory, path) = files.write();
    let (skeleton, right) = (skeleton(&path).unwrap(), read_all(&path).unwrap());
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for _ in 0..rounds() {
        let mut damaged = files.clone();
        random.damage(&mut damaged.database);
        let (_directory, path) = damaged.write();
        let outcome = match read_all(&path) {
            Err(_error) => "noticed",
            Ok(content) if content == right => "harmless",
            Ok(_) => {
                let (_directory, path) = damaged.write();
                let found = self::skeleton(&path).ok();
                assert_ne!(found.as_ref(), Some(&skeleton), "{NOT_NOTICED}");
                "outside of blobs, and not noticed"
            }
        };
        *counts.entry(outcome).or_default() += 1;
    }
    println!("damaged databases: {counts:?}");
    assert!(counts.contains_key("noticed"), "{counts:?}");
}

/// The control: a store that does not look at checksums must fail the test above.
#[test]
fn a_store_that_skips_checksums_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(SKIP_CHECKSUMS), "").unwrap();
    let ended = run_to_its_end(
        directory.path(),
        "sqlite::damage::damage_to_the_database_is_noticed_wherever_there_are_checksums",
    );
    let said = String::from_utf8_lossy(&ended.stderr) + String::from_utf8_lossy(&ended.stdout);
    assert!(!ended.status.success(), "the test passes: {said}");
    assert!(said.contains(NOT_NOTICED), "it fails otherwise: {said}");
}

#[test]
fn damage_to_the_log_file_leaves_whole_commits_up_to_some() {
    let ([_, files], mut random) = (filled(), random());
    let mut lengths = Vec::new();
    for _ in 0..rounds() {
        let mut damaged = files.clone();
        random.damage(&mut damaged.log);
        let (_directory, path) = damaged.write();
        // The head of the log file may say that it is another's: that is an error, and nothing is read.
        let Ok(content) = read_all(&path) else { continue };
        let commits = content.ticks[0].len();
        assert!(commits >= usize::try_from(IN_DATABASE.end).unwrap());
        for ticks in &content.ticks {
            let mut arrivals: Vec<_> = ticks.iter().map(|tick| tick.arrival.0).collect();
            arrivals.sort_unstable();
            assert_eq!(arrivals.len(), commits);
            assert!(arrivals.windows(2).all(|pair| pair[1] - pair[0] == SYMBOLS.len() as u64));
        }
        lengths.push(commits);
    }
    let (least, most) = (lengths.iter().min(), lengths.iter().max());
    println!("commits left by damaged log files: from {least:?} to {most:?}");
    assert!(least < most, "no damage cut the log off");
}

fn random() -> Random {
    let seed = number_from_environment(SEED).unwrap().unwrap_or(std::process::id().into());
    println!("{SEED}={seed}");
    Random(seed)
}

fn rounds() -> u64 {
    number_from_environment(ROUNDS).unwrap().unwrap_or(ROUNDS_DEFAULT)
}

fn beside(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", path.display()))
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn settings(path: &Path) -> Settings {
    let default = Settings::new(path);
    let cycle = CycleSettings { ticks: 1, page_rows: 50, ..default.cycle };
    Settings { cycle, ..default }
}

/// Fills a store, life by life, and gives the files as they are after the first, closed, and before the end of the
/// second.
fn filled() -> [Files; 2] {
    let (_directory, path) = fresh_file();
    let files = || Files {
        database: std::fs::read(&path).unwrap(),
        log: std::fs::read(beside(&path)).unwrap_or_default(),
    };
    let running = Running::with(settings(&path));
    runtime().block_on(fill(&running.store, IN_DATABASE));
    drop(running);
    let closed = files();
    let running = Running::with(settings(&path));
    runtime().block_on(fill(&running.store, IN_LOG));
    [closed, files()]
}

/// Appends commits with ticks in time and late ones.
async fn fill(store: &SqliteStore, commits: Range<i64>) {
    for commit in commits {
        let ticks = SYMBOLS.iter().map(|symbol| {
            let at = NOW + commit * 7_000_000 - commit % 9 * 40_000_000;
            let source = if commit % 3 == 0 { "a" } else { "b" };
            let sent = tick(symbol, source, at, &format!("1.{commit:06}"), Some("0.50"));
            let json = format!(r#"{{"n":"{commit}"}}"#);
            sent.with_metadata(Some(Metadata::from_canonical(json)))
        });
        store.append(vec![batch("w", None, ticks.collect())]).await.unwrap();
        if commit % CYCLE == CYCLE - 1 {
            while store.materialise(Timestamp::MAX).await.unwrap() != Progress::Idle {}
        }
    }
}

/// Opens a store and reads all that it has; a panic anywhere is this test's.
fn read_all(path: &Path) -> anyhow::Result<Content> {
    let (store, lanes) = SqliteStore::open(settings(path), &SystemClock::new())?;
    thread::scope(|scope| {
        scope.spawn(|| lanes.writer.run());
        lanes
            .readers
            .iter()
            .chain([&lanes.upkeep])
            .for_each(|lane| drop(scope.spawn(|| lane.run())));
        let reading = || runtime().block_on(async { timeout(READING, content(&store)).await });
        let read = catch_unwind(AssertUnwindSafe(reading));
        store.close();
        read.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).expect("reading ends")
    })
}

async fn content(store: &SqliteStore) -> anyhow::Result<Content> {
    let (mut ticks, mut candles) = (Vec::new(), Vec::new());
    for symbol in SYMBOLS {
        let symbol = Symbol::try_new(symbol)?;
        let range = TickRange { detail: Detail::WithMetadata, ..TickRange::of(symbol) };
        ticks.push(store.ticks(&range).await?);
        for interval in [Interval::M1, Interval::H1, Interval::D1] {
            candles.push(store.candles(&CandleRange::of(symbol, interval)).await?);
        }
    }
    store.stats().await?;
    store.recount(0).await?;
    let mut newest = store.newest().await?;
    newest.sort_by_key(StoredTick::key);
    Ok(Content { ticks, candles, newest })
}

/// Reads everything but the blobs, from the tables and from their indices.
fn skeleton(path: &Path) -> anyhow::Result<Vec<String>> {
    let connection = Connection::open(path)?;
    let columns = connection
        .prepare(COLUMNS)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<Vec<(String, Option<String>, String)>, _>>()?;
    let mut rows = Vec::new();
    for (table, index, columns) in columns {
        let by = index.map_or("NOT INDEXED".to_owned(), |index| format!("INDEXED BY {index}"));
        let select = format!("SELECT {columns} FROM {table} {by}");
        let mut statement = connection.prepare(&select).with_context(|| select.clone())?;
        let mut found: Vec<String> =
            statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        rows.push(select);
        found.sort_unstable();
        rows.append(&mut found);
    }
    Ok(rows)
}
