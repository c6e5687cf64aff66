//! Every route with every kind of key, against the table in docs/API.md: what is documented is what is answered.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono_api::routes;
use chrono_auth::{CreatedKey, Role, Tier};
use chrono_testkit::{ADMIN_KEY, INTERNAL_KEY, PUBLIC_KEY};
use serde_json::json;

use crate::ask::{self, Answer};
use crate::office::{Office, id_of, text_of, wait_for};
use crate::scene::{PAST, feed, past, post};
use crate::service::Service;

const API: &str = include_str!("../../../../docs/API.md");
const DAY: Duration = Duration::from_hours(24);
/// The same in every request, so that it is no difference between answers.
const NAME: (&str, &str) = ("X-Request-ID", "req_1");
/// Key of the free tier.
const FREE_KEY: &str = "chrono_public_free_0123456789";

/// A row of the table.
#[derive(Debug)]
struct Row {
    method: &'static str,
    pattern: &'static str,
    cells: [Cell; 5],
    key_in: &'static str,
}

/// What a route answers to a kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Open,
    Unauthorized,
    Forbidden,
}

/// A column of the table.
#[derive(Debug, Clone, Copy)]
enum Column {
    NoKey,
    Bad,
    Public,
    Internal,
    Admin,
}

fn documented() -> Vec<Row> {
    let rows = API.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect());
    let routes = rows.filter(|row: &Vec<&str>| row.len() == 7);
    routes.map(|row| row_of(&row)).collect()
}

fn row_of(row: &[&'static str]) -> Row {
    let (method, pattern) = row[0].trim_matches('`').split_once(' ').unwrap();
    let cell = |idx: usize| match row[idx] {
        "open" => Cell::Open,
        "401" => Cell::Unauthorized,
        "403" => Cell::Forbidden,
        other => panic!("{pattern}: {other:?}"),
    };
    Row { method, pattern, cells: [1, 2, 3, 4, 5].map(cell), key_in: row[6] }
}

/// Gives a request that a route answers well when it lets it pass: path, body, status.
fn sample(row: &Row) -> (String, String, u16) {
    let path = match row.pattern {
        "/internal/ingest" => {
            let feeds = [feed("s", "1", None, past())];
            let batch = json!({"worker_id": "w", "timestamp": PAST, "feeds": feeds});
            return (row.pattern.to_owned(), batch.to_string(), 200);
        }
        "/internal/delegations" => {
            let delegation = json!({"delegator_id": "d", "provider_id": "p", "amount": "1",
                "percentage": "50", "timestamp": PAST, "metadata": null});
            return (row.pattern.to_owned(), json!({"delegations": [delegation]}).to_string(), 200);
        }
        "/stream" => return (row.pattern.to_owned(), String::new(), 101),
        "/prices/latest" | "/stream/sse" => format!("{}?symbols=BTC/USD", row.pattern),
        "/prices/range" => format!("/prices/range?symbol=BTC/USD&from={PAST}&to={PAST}"),
        "/aggregates/consensus" => {
            format!("/aggregates/consensus?symbols=BTC/USD&timestamp={PAST}")
        }
        "/"
        | "/assets/live.css"
        | "/assets/live.js"
        | "/health"
        | "/health/live"
        | "/health/ready"
        | "/metrics"
        | "/metadata/symbols"
        | "/metadata/sources"
        | "/metadata/intervals"
        | "/metadata/system"
        | "/delegations" => row.pattern.to_owned(),
        other => panic!("{other} has no sample: say what a good request looks like"),
    };
    (path, String::new(), 200)
}

impl Row {
    fn is_guarded(&self) -> bool {
        self.cells.iter().any(|cell| *cell != Cell::Open)
    }

    fn is_stream(&self) -> bool {
        self.pattern.starts_with("/stream")
    }

    /// Asks with the headers of a key, and a query after the sample's own.
    fn ask(&self, service: &Service, method: &str, key: &[(&str, &str)], query: &str) -> Answer {
        let (path, body, _status) = sample(self);
        let path = match query {
            "" => path,
            query if path.contains('?') => format!("{path}&{query}"),
            query => format!("{path}?{query}"),
        };
        let own: &[(&str, &str)] = match self.pattern {
            "/stream" => &[
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ],
            _ if self.method == "POST" => &[("Content-Type", "application/json")],
            _ => &[],
        };
        let headers = [&[NAME], own, key].concat();
        if self.is_stream() && method == "GET" {
            // What is refused is read whole below; what is open does not end.
            let (head, _stream) = ask::open(service.url(), &path, &headers);
            if head.status < 300 {
                return head;
            }
        }
        service.ask(method, &path, &headers, &body)
    }

    fn expect(&self, answer: &Answer, column: Column, what: &str) {
        let cell = self.cells[column as usize];
        let says = format!("{} {} with {what}: {}", self.method, self.pattern, answer.body);
        match cell {
            Cell::Open => {
                assert_eq!(answer.status, sample(self).2, "{says}");
                let limited = matches!(column, Column::Public | Column::Internal);
                let counted = answer.header("x-ratelimit-limit").is_some();
                assert_eq!(counted, limited && self.is_guarded(), "{says}");
            }
            Cell::Unauthorized => {
                answer.error(401, "UNAUTHORIZED");
                assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{says}");
            }
            Cell::Forbidden => {
                answer.error(403, "FORBIDDEN");
            }
        }
    }
}

/// Keys of every kind, each with its name and its column.
fn keys(service: &Service) -> Vec<(&'static str, String, Column)> {
    let long_ago = Office::open(service.data_dir(), 2 * DAY);
    let expired = long_ago.create("late", Tier::Free, DAY);
    let office = Office::open(service.data_dir(), Duration::ZERO);
    let revoked = office.create("gone", Tier::Free, DAY);
    office.revoke(&revoked);
    let free = office.create("free", Tier::Free, DAY);
    let paid = office.create("paid", Tier::Paid, DAY);
    wait_for(service, &paid, 200);
    let unknown = |role| text_of(&CreatedKey::unstored(role).unwrap());
    let stranger = unknown(Role::Public);
    let bad = [
        ("an empty key", String::new()),
        ("no key of ours", "nonsense".to_owned()),
        ("a key too short", "chrono_public_abc".to_owned()),
        ("a key too long", format!("chrono_public_{}", "a".repeat(200))),
        ("a key that is no ASCII", "chrono_public_\u{e9}0123456789".to_owned()),
        ("a wrong checksum", mistyped(&free)),
        ("an unknown public key", stranger.clone()),
        ("an unknown admin key", unknown(Role::Admin)),
        ("an unknown opaque key", "chrono_admin_of_nobody_0123456789".to_owned()),
        ("a known id and another secret", mixed(&free, &stranger)),
        ("an expired key", expired),
        ("a revoked key", revoked),
    ];
    let good = [
        ("a free key", free, Column::Public),
        ("a paid key", paid, Column::Public),
        ("a configured free key", FREE_KEY.to_owned(), Column::Public),
        ("a configured paid key", PUBLIC_KEY.to_owned(), Column::Public),
        ("an internal key", INTERNAL_KEY.to_owned(), Column::Internal),
        ("an admin key", ADMIN_KEY.to_owned(), Column::Admin),
    ];
    let bad = bad.into_iter().map(|(what, key)| (what, key, Column::Bad));
    bad.chain(good).collect()
}

/// Changes the last character of a key.
fn mistyped(key: &str) -> String {
    let (start, last) = key.split_at(key.len() - 1);
    format!("{start}{}", if last == "0" { "1" } else { "0" })
}

/// Puts the secret of one key behind the id of another, with the checksum that belongs to both.
fn mixed(known: &str, other: &str) -> String {
    let secret = &other.split('_').nth(3).unwrap()[..43];
    let body = format!("chrono_public_{}_{secret}", id_of(known));
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut checksum = [0_u8; 6];
    for digit in checksum.iter_mut().rev() {
        *digit = match u8::try_from(rest % 62).unwrap() {
            value @ 0..10 => b'0' + value,
            value @ 10..36 => b'A' + value - 10,
            value => b'a' + value - 36,
        };
        rest /= 62;
    }
    format!("{body}{}", str::from_utf8(&checksum).unwrap())
}

fn start() -> Service {
    let service = Service::start_with(&[("PUBLIC_API_KEYS", FREE_KEY)]);
    post(&service, &[feed("s", "1", None, past())]);
    service
}

#[test]
fn every_route_is_documented_and_nothing_else_is() {
    let rows = documented();
    let documented: BTreeSet<_> = rows.iter().map(|row| (row.method, row.pattern)).collect();
    assert_eq!(documented.len(), rows.len(), "a route stands twice");
    let known = routes::outline().map(|(method, pattern)| (method.as_str(), pattern));
    assert_eq!(documented, known.collect(), "docs/API.md, \"Which key opens what\"");
}

#[test]
fn every_route_answers_every_kind_of_key_as_documented() {
    let service = start();
    let keys = keys(&service);
    for row in documented() {
        let mut refusals = BTreeSet::new();
        let mut check = |method: &str, headers: &[(&str, &str)], column, what: &str| {
            let answer = row.ask(&service, method, headers, "");
            row.expect(&answer, column, what);
            if answer.status == 401 {
                refusals.insert(answer.without_date());
            }
        };
        check(row.method, &[], Column::NoKey, "no key");
        let basic = [("Authorization", "Basic dTpw")];
        check(row.method, &basic, Column::NoKey, "a key of another scheme");
        for (what, key, column) in &keys {
            let bearer = format!("Bearer {key}");
            check(row.method, &[("Authorization", &bearer)], *column, what);
            check(row.method, &[("X-API-Key", key)], *column, what);
        }
        let bearer = format!("Bearer {ADMIN_KEY}");
        let differing: [&[(&str, &str)]; 3] = [
            &[("Authorization", &bearer), ("X-API-Key", PUBLIC_KEY)],
            &[("X-API-Key", ADMIN_KEY), ("X-API-Key", PUBLIC_KEY)],
            &[("Authorization", &bearer), ("X-API-Key", "nonsense")],
        ];
        for headers in differing {
            check(row.method, headers, Column::Bad, "two keys that differ");
        }
        let twice = [("Authorization", bearer.as_str()), ("X-API-Key", ADMIN_KEY)];
        check(row.method, &twice, Column::Admin, "the same key twice");
        assert!(refusals.len() <= 1, "{} tells why: {refusals:#?}", row.pattern);
    }
}

#[test]
fn a_key_in_the_query_counts_only_where_it_may_stand() {
    let service = start();
    let keys = keys(&service);
    for row in documented().iter().filter(|row| row.is_guarded()) {
        let may = row.key_in.split(", ").any(|place| place == "query");
        // A key that is not ASCII cannot stand in a URL as it is.
        for (what, key, column) in keys.iter().filter(|(_, key, _)| key.is_ascii()) {
            let answer = row.ask(&service, row.method, &[], &format!("key={key}"));
            row.expect(&answer, if may { *column } else { Column::NoKey }, what);
        }
        if may {
            let admin = [("X-API-Key", ADMIN_KEY)];
            let answer = row.ask(&service, row.method, &admin, &format!("key={PUBLIC_KEY}"));
            row.expect(&answer, Column::Bad, "another key in a header");
        }
    }
}

#[test]
fn head_is_guarded_as_get_is_and_options_needs_no_key() {
    let service = start();
    for row in documented().iter().filter(|row| row.method == "GET" && !row.is_stream()) {
        for (key, column) in [
            (None, Column::NoKey),
            (Some("nonsense"), Column::Bad),
            (Some(PUBLIC_KEY), Column::Public),
            (Some(INTERNAL_KEY), Column::Internal),
            (Some(ADMIN_KEY), Column::Admin),
        ] {
            let headers: Vec<_> = key.map(|key| ("X-API-Key", key)).into_iter().collect();
            let head = row.ask(&service, "HEAD", &headers, "");
            let get = row.ask(&service, "GET", &headers, "");
            row.expect(&get, column, "GET");
            assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{}", row.pattern);
        }
        let options = row.ask(&service, "OPTIONS", &[], "");
        assert_eq!((options.status, options.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
    }
}
