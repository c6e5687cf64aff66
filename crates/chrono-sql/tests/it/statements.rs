//! Statements: what they answer, and which are refused.

use chrono_domain::Tick;
use chrono_sql::{ReadError, UsageError};
use chrono_storage::TickStore;
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

use crate::store::{NOW, Server, batch, open, tick};

const ALL: &str =
    "json_array(id, symbol, price, volume, timestamp, source, ingested_at, worker_id, metadata)";

/// Runs a statement on a plain table of the same rows: what SQLite makes of it by itself.
fn by_scan(ticks: &[Tick], sql: &str) -> Vec<String> {
    let plain = Connection::open_in_memory().unwrap();
    let columns = "id INTEGER, symbol TEXT, price TEXT, volume TEXT, timestamp TEXT, source TEXT, \
        ingested_at TEXT, worker_id TEXT, metadata TEXT";
    plain.execute_batch(&format!("CREATE TABLE price_feeds ({columns})")).unwrap();
    let mut insert = plain
        .prepare(
            "INSERT INTO price_feeds VALUES (?1, ?2, ?3, ?4, ?5, ?6, '2025-10-09T12:34:56.789000Z', 'w-1', ?7)",
        )
        .unwrap();
    for (id, tick) in (1_i64..).zip(ticks) {
        let micros = tick.timestamp.micros();
        let seconds: String = plain
            .query_row(
                "SELECT strftime('%Y-%m-%dT%H:%M:%S', ?1, 'unixepoch')",
                [micros / 1_000_000],
                |row| row.get(0),
            )
            .unwrap();
        let timestamp = format!("{seconds}.{:06}Z", micros % 1_000_000);
        let metadata = tick.metadata.as_ref().map(chrono_domain::Metadata::as_str);
        let (price, volume) =
            (tick.price.to_string(), tick.volume.map(|volume| volume.to_string()));
        let (symbol, source) = (tick.symbol.as_str(), tick.source.as_str());
        insert.execute((id, symbol, price, volume, timestamp, source, metadata)).unwrap();
    }
    let mut statement = plain.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|row| format!("\"{}\"", row.unwrap().replace('"', "\"\""))).collect()
}

fn ticks() -> impl Strategy<Value = Vec<Tick>> {
    let names = (select(vec!["A/USD", "B/USD", "-1/2"]), select(vec!["x", "y"]));
    let made = (names, 0_i64..40, select(vec!["9", "10", "10.0", "0.5"]));
    let made =
        made.prop_map(|((symbol, source), at, price)| tick(symbol, source, NOW + at * 500, price));
    prop::collection::vec(made, 0..40)
}

fn condition() -> impl Strategy<Value = String> {
    let name = select(vec!["'A/USD'", "'B/USD'", "'-1/2'", "'a/usd'", "'?'", "NULL", "5", "x'41'"]);
    let source = select(vec!["'x'", "'y'", "'z'", "'aggregated'", "NULL"]);
    let time = prop_oneof![
        (0_i64..40).prop_map(|at| {
            let text =
                chrono_domain::Timestamp::from_micros(NOW + at * 500).unwrap().sortable_text();
            format!("'{text}'")
        }),
        select(vec![
            "'2025-10-09'",
            "'2025-10-09T12:34:56.79'",
            "'2025-10-09T12:34:56.799Z'",
            "'z'",
            "''",
            "NULL",
            "7",
            "'2025-10-09T12:34:56.799000Z '",
        ])
        .prop_map(str::to_owned),
    ];
    let comparison = select(vec!["=", "<", "<=", ">", ">=", "<>", "IS"]);
    prop_oneof![
        name.clone().prop_map(|name| format!("symbol = {name}")),
        name.clone().prop_map(|name| format!("symbol IN ('B/USD', {name})")),
        name.prop_map(|name| format!("symbol = {name} COLLATE NOCASE")),
        source.prop_map(|source| format!("source = {source}")),
        (comparison, time.clone()).prop_map(|(sign, time)| format!("timestamp {sign} {time}")),
        (time.clone(), time).prop_map(|(from, to)| format!("timestamp BETWEEN {from} AND {to}")),
        Just("CAST(price AS REAL) > 9.5".to_owned()),
        Just("id % 3 = 0".to_owned()),
        Just("(symbol = 'A/USD' OR source = 'y')".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_statement_answers_as_a_plain_table_would(
        ticks in ticks(),
        sealed in 0_usize..40,
        asked in prop::collection::vec((
            prop::collection::vec(condition(), 0..4),
            select(vec![
                "id", "timestamp, id", "timestamp DESC, id DESC", "timestamp DESC, id", "symbol, timestamp, id",
                "symbol, timestamp DESC, id DESC", "symbol DESC, timestamp, id", "price, id",
            ]),
            select(vec![ALL, "json_array(id)", "json_array(price, metadata)"]),
            select(vec!["", " LIMIT 3", " LIMIT 5 OFFSET 2"]),
        ), 12),
    ) {
        let server = Server::start();
        let (early, late) = ticks.split_at(sealed.min(ticks.len()));
        for part in early.chunks(7) {
            server.append(part.to_vec());
        }
        server.seal();
        if !late.is_empty() {
            server.append(late.to_vec());
        }
        for (conditions, order, columns, limit) in asked {
            let conditions = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
            let sql = format!("SELECT {columns} AS r FROM price_feeds WHERE {conditions} ORDER BY {order}{limit}");
            prop_assert_eq!(quoted(server.column(&sql)), by_scan(&ticks, &sql), "{}", sql);
        }
    }
}

/// Quotes as texts with quotes are, whether or not a row needed it.
fn quoted(rows: Vec<String>) -> Vec<String> {
    rows.into_iter()
        .map(|row| if row.starts_with('"') { row } else { format!("\"{row}\"") })
        .collect()
}

#[test]
fn an_order_by_time_of_one_symbol_sorts_nothing() {
    let server = Server::start();
    let plan = |sql: &str| server.query(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    for free in [
        "SELECT * FROM price_feeds WHERE symbol = 'A/USD' ORDER BY timestamp DESC",
        "SELECT * FROM price_feeds WHERE symbol = 'A/USD' ORDER BY symbol, timestamp, id",
        "SELECT * FROM price_feeds ORDER BY symbol, timestamp DESC",
    ] {
        assert!(!plan(free).contains("TEMP B-TREE"), "{free}: {}", plan(free));
    }
    let sorted = "SELECT * FROM price_feeds ORDER BY timestamp";
    assert!(plan(sorted).contains("TEMP B-TREE"), "{}", plan(sorted));
}

#[test]
fn an_empty_store_and_an_unknown_symbol_have_no_rows() {
    let server = Server::start();
    let header = "id,symbol,price,volume,timestamp,source,ingested_at,worker_id,metadata\r\n";
    assert_eq!(server.query("SELECT * FROM price_feeds").unwrap(), header);
    server.append(vec![tick("A/USD", "x", NOW, "1.00")]);
    assert_eq!(server.query("SELECT * FROM price_feeds WHERE symbol = 'B/USD'").unwrap(), header);
    assert_eq!(server.column("SELECT typeof(price) || price FROM price_feeds"), ["text1.00"]);
}

#[test]
fn plain_tables_are_read_and_joined_but_never_keys() {
    let server = Server::start();
    server.append(vec![tick("A/USD", "x", NOW, "1"), tick("B/USD", "x", NOW, "2")]);
    let joined = "SELECT p.price FROM symbols s JOIN price_feeds p ON p.symbol = s.name ORDER BY s.name DESC";
    assert_eq!(server.column(joined), ["2", "1"]);
    assert_eq!(server.column("SELECT count(*) FROM delegations"), ["0"]);
    assert_eq!(server.column("SELECT count(*) FROM aggregated_prices"), ["0"]);
    for hidden in [
        "SELECT hash FROM api_keys",
        "SELECT count(*) FROM store.API_KEYS",
        "SELECT 1 FROM price_feeds WHERE EXISTS (SELECT * FROM api_keys)",
    ] {
        let refused = server.query(hidden).unwrap_err();
        assert!(
            matches!(refused, ReadError::Usage(UsageError::Forbidden(_))),
            "{hidden}: {refused:?}"
        );
    }
}

#[test]
fn only_one_reading_statement_is_taken() {
    let server = Server::start();
    let before = std::fs::read(server.path()).unwrap();
    for sql in [
        "DELETE FROM symbols",
        "INSERT INTO price_feeds (price) VALUES ('1')",
        "UPDATE counters SET next = 0",
        "DROP TABLE log",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t AS SELECT 1",
        "ATTACH 'other.db' AS other",
        "DETACH store",
        "PRAGMA store.journal_mode = delete",
        "VACUUM INTO 'copy.db'",
        "VACUUM",
        "BEGIN",
        "SELECT 1; SELECT 2",
        "SELECT 1; DELETE FROM symbols",
        "",
        "-- nothing",
        "SELEC 1",
        "SELECT nothing FROM price_feeds",
        "SELECT load_extension('x')",
        "SELECT * FROM nowhere",
    ] {
        let refused = server.query(sql).unwrap_err();
        assert!(matches!(refused, ReadError::Usage(_)), "{sql}: {refused:?}");
    }
    assert_eq!(server.query("SELECT 1 AS a;  -- and no more\n").unwrap(), "a\r\n1\r\n");
    assert_eq!(std::fs::read(server.path()).unwrap(), before);
}

#[test]
fn a_reader_beside_a_writer_sees_each_acknowledged_tick_once() {
    let server = Server::start();
    std::thread::scope(|scope| {
        let store = &server.store;
        let writer = scope.spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            for at in 0..400 {
                let ticks = vec![tick("A/USD", "x", NOW + at, "1")];
                runtime.block_on(store.append(vec![batch(ticks)])).unwrap();
            }
        });
        let mut seen = 0;
        while !writer.is_finished() {
            let ids = server
                .column("SELECT id FROM price_feeds WHERE symbol = 'A/USD' ORDER BY timestamp");
            let expected: Vec<String> = (1..=ids.len()).map(|id| id.to_string()).collect();
            assert_eq!(ids, expected);
            assert!(ids.len() >= seen);
            seen = ids.len();
            server.seal();
        }
        writer.join().unwrap();
    });
    assert_eq!(server.column("SELECT count(*) FROM price_feeds"), ["400"]);
}

#[test]
fn damage_is_an_error_that_names_the_row() {
    let server = Server::start();
    server.append((0..8).map(|at| tick("A/USD", "x", NOW + at, "1")).collect());
    server.seal();
    let file = Connection::open(server.path()).unwrap();
    let row: i64 =
        file.query_row("SELECT max(id) FROM pages WHERE family = 1", [], |row| row.get(0)).unwrap();
    file.execute("UPDATE pages SET body = zeroblob(length(body)) WHERE id = ?1", [row]).unwrap();
    let broken = server.query("SELECT * FROM price_feeds").unwrap_err();
    let text = broken.to_string();
    assert!(matches!(broken, ReadError::Broken(_)), "{text}");
    assert!(text.contains(&format!("row {row} of table pages")), "{text}");
}

#[test]
fn a_file_that_is_not_there_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chrono.db");
    assert!(matches!(open(&path), Err(ReadError::Missing(_))));
    assert!(!path.exists());
}
