//! A file as the program of schema 1 left it, a row for each tick, with something in every table that must survive.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use chrono_domain::{Metadata, Symbol, Timestamp, Volume};
use chrono_storage::{
    AccountId, Delegation, DelegationRange, DelegationStore, KeyStore, Snapshot, SnapshotStore,
    StoredKey,
};
use chrono_testkit::ledger::{SentBatch, SentFeed};
use tokio::runtime::Builder;

use crate::images::with_store;

/// The library that makes the file must not be the one under test, and the schema alone comes from it. A check
/// that no metadata is valid JSON fails in older ones.
const MAKE: &str = "import sqlite3, sys; made = sqlite3.connect(sys.argv[1], isolation_level=None); \
    made.execute('PRAGMA ignore_check_constraints = on'); made.execute('PRAGMA journal_mode = wal'); \
    made.executescript(sys.stdin.read()); made.close()";
const APPLIED: &str = "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, \
    checksum TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT;";
/// When everything but the ticks was written: 2025-10-09T12:34:56Z.
const THEN: i64 = 1_760_013_296_000_000;

/// Makes the file, with the feeds of batches as ticks, in their order.
pub(super) fn make(path: &Path, batches: &[SentBatch]) -> anyhow::Result<()> {
    std::fs::create_dir(path.parent().context("a directory")?)?;
    let mut python = Command::new("python3")
        .args(["-c", MAKE])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .context("python3 is needed to make a file of the row layout")?;
    python.stdin.take().context("no standard input")?.write_all(sql(batches)?.as_bytes())?;
    ensure!(python.wait()?.success(), "the file of the row layout is not made");
    Ok(())
}

/// Compares what lies beside the ticks.
pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    with_store(path, |store| {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let found = store.keys().await?;
            ensure!(found == keys()?, "other keys: {found:?}");
            let found = store.delegations(&all()).await?;
            let found: Vec<_> = found.into_iter().rev().map(|stored| stored.delegation).collect();
            ensure!(found == delegations()?, "other delegations: {found:?}");
            for snapshot in snapshots()? {
                let found = store.snapshot(snapshot.symbol, snapshot.at).await?;
                ensure!(found.as_ref() == Some(&snapshot), "another consensus: {found:?}");
            }
            Ok(())
        })
    })
}

fn sql(batches: &[SentBatch]) -> anyhow::Result<String> {
    let first = chrono_migrations::SQLITE.first().context("a first migration")?;
    let (name, checksum) = (first.name, first.checksum);
    let mut sql = format!("BEGIN; {} {APPLIED}\n", first.sql);
    writeln!(
        sql,
        "INSERT INTO schema_migrations VALUES (1, '{name}', '{checksum:016x}', 'then');"
    )?;
    let mut arrival = 1;
    for batch in batches {
        let worker = id(&mut sql, "workers", &batch.worker)?;
        for feed in &batch.feeds {
            write_tick(&mut sql, feed, &worker, arrival)?;
            arrival += 1;
        }
        let key = quoted(batch.key.as_deref());
        // A key that is forgotten tells nothing: it is as young as the batch.
        let at = batch.feeds.iter().map(|feed| feed.at).max().context("a feed")?;
        let print = "01".repeat(32);
        writeln!(
            sql,
            "INSERT INTO idempotency VALUES ({worker}, {key}, x'{print}', x'72', {at});"
        )?;
    }
    writeln!(sql, "UPDATE counters SET next = {arrival} WHERE name = 'arrival';")?;
    write_beside(&mut sql)?;
    Ok(sql + "COMMIT;")
}

fn write_tick(sql: &mut String, feed: &SentFeed, worker: &str, arrival: u64) -> anyhow::Result<()> {
    let (symbol, source) = (id(sql, "symbols", &feed.symbol)?, id(sql, "sources", &feed.source)?);
    let (price, volume) = (quoted(Some(&feed.price)), quoted(feed.volume.as_deref()));
    let (at, metadata) = (feed.at, quoted(feed.metadata.as_deref()));
    let row = format!(
        "{symbol}, {at}, {arrival}, {source}, {worker}, {price}, {volume}, {metadata}, {at}"
    );
    Ok(writeln!(sql, "INSERT INTO price_ticks VALUES ({row});")?)
}

fn write_beside(sql: &mut String) -> anyhow::Result<()> {
    for key in keys()? {
        let hash = key.hash.map(|byte| format!("{byte:02x}")).concat();
        let time = |at: Option<Timestamp>| {
            at.map_or_else(|| "NULL".to_owned(), |at| at.micros().to_string())
        };
        let texts =
            [Some(&*key.role), key.tier.as_deref(), Some(&*key.client)].map(quoted).join(", ");
        let (id, made) = (&key.id, key.created_at.micros());
        let times = [time(key.not_after), time(key.revoked_at)].join(", ");
        writeln!(
            sql,
            "INSERT INTO api_keys VALUES ('{id}', x'{hash}', {texts}, {made}, {times});"
        )?;
    }
    for Delegation { delegator, provider, amount, percentage, timestamp, metadata } in
        delegations()?
    {
        let (at, metadata) = (timestamp.micros(), quoted(metadata.as_ref().map(Metadata::as_str)));
        let row =
            format!("'{delegator}', '{provider}', '{amount}', '{percentage}', {at}, {metadata}");
        writeln!(sql, "INSERT INTO delegations VALUES (NULL, {row});")?;
    }
    for snapshot in snapshots()? {
        for revision in 0..=snapshot.revision {
            // What was revised said something else.
            let feeds = snapshot.num_feeds - u64::from(snapshot.revision - revision);
            let Snapshot { symbol, at, status, median, mean, computed_at, .. } = &snapshot;
            let (price, deviation) =
                (quoted(snapshot.price.as_deref()), quoted(snapshot.std_dev.as_deref()));
            let (at, computed) = (at.micros(), computed_at.micros());
            let row = format!(
                "'{symbol}', {at}, {revision}, {price}, '{status}', '{median}', '{mean}', {deviation}, \
                 '[\"binance\",\"kraken\"]', {feeds}, {computed}"
            );
            writeln!(sql, "INSERT INTO aggregated_prices VALUES ({row});")?;
        }
    }
    Ok(())
}

/// Gives what finds a name's id, and has the name in its table.
fn id(sql: &mut String, table: &str, name: &str) -> anyhow::Result<String> {
    writeln!(sql, "INSERT OR IGNORE INTO {table} (name) VALUES ('{name}');")?;
    Ok(format!("(SELECT id FROM {table} WHERE name = '{name}')"))
}

/// Writes a text, in which there is no quotation mark.
fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), |text| format!("'{text}'"))
}

fn at(seconds: i64) -> anyhow::Result<Timestamp> {
    Ok(Timestamp::from_micros(THEN + seconds * 1_000_000)?)
}

fn keys() -> anyhow::Result<Vec<StoredKey>> {
    let key = |number: u8, role: &str, tier: Option<&str>| {
        anyhow::Ok(StoredKey {
            id: format!("key{number}"),
            hash: [number; 32],
            role: role.to_owned(),
            tier: tier.map(str::to_owned),
            client: "somebody".to_owned(),
            created_at: at(number.into())?,
            not_after: None,
            revoked_at: None,
        })
    };
    let revoked = StoredKey {
        not_after: Some(at(7_200)?),
        revoked_at: Some(at(3_600)?),
        ..key(2, "internal", None)?
    };
    Ok(vec![key(1, "public", Some("paid"))?, revoked])
}

fn delegations() -> anyhow::Result<Vec<Delegation>> {
    let delegation = |seconds: i64, amount: &str, metadata: Option<&str>| {
        Ok(Delegation {
            delegator: AccountId::try_new("alice")?,
            provider: AccountId::try_new("bob")?,
            amount: Volume::try_new(amount)?,
            percentage: Volume::try_new("12.50")?,
            timestamp: at(seconds)?,
            metadata: metadata.map(|json| Metadata::from_canonical(json.to_owned())),
        })
    };
    let note = r#"{"note":"first"}"#;
    [delegation(0, "1000.00", Some(note)), delegation(60, "0.000000000000000001", None)]
        .into_iter()
        .collect()
}

/// Gives the newest revisions.
fn snapshots() -> anyhow::Result<Vec<Snapshot>> {
    let snapshot = |seconds: i64, revision: u32, price: Option<&str>| {
        Ok(Snapshot {
            symbol: Symbol::try_new("BTC/USD")?,
            at: at(seconds)?,
            revision,
            price: price.map(str::to_owned),
            status: if price.is_some() { "ok" } else { "no_quorum" }.to_owned(),
            median: "67230.00".to_owned(),
            mean: "67230.125".to_owned(),
            std_dev: Some("0.5".to_owned()),
            sources: vec!["binance".parse()?, "kraken".parse()?],
            num_feeds: 7,
            computed_at: at(seconds + 1)?,
        })
    };
    [snapshot(0, 2, Some("67230.00")), snapshot(60, 0, None)].into_iter().collect()
}

fn all() -> DelegationRange {
    DelegationRange {
        delegator: None,
        provider: None,
        from: Timestamp::MIN,
        to: Timestamp::MAX,
        after: None,
        limit: 100,
    }
}
