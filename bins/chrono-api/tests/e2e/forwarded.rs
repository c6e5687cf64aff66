//! What a request says of where it comes from changes nothing: the socket's address counts.

use chrono_testkit::PUBLIC_KEY;

use crate::ask;
use crate::service::Service;

/// Failed authentications a minute of one address before it must wait.
const FAILURES: usize = 600;
const LATEST: &str = "/prices/latest?symbols=BTC/USD";

/// Gives the headers of a proxy that was never there, of so many hops, different for each number.
fn spoofed(number: usize, hops: usize) -> Vec<(&'static str, String)> {
    let address = |hop: usize| format!("10.{}.{}.{}", number / 250, number % 250, hop);
    let chain: Vec<String> = (0..hops).map(address).collect();
    let elements: Vec<String> = chain.iter().map(|hop| format!("for={hop}")).collect();
    vec![
        ("X-Forwarded-For", chain.join(", ")),
        ("Forwarded", elements.join(", ")),
        ("X-Real-IP", address(0)),
    ]
}

fn ask(service: &Service, path: &str, key: &str, number: usize, hops: usize) -> ask::Answer {
    let spoofed = spoofed(number, hops);
    let mut headers: Vec<(&str, &str)> =
        spoofed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("X-API-Key", key));
    service.ask("GET", path, &headers, "")
}

#[test]
fn a_spoofed_address_escapes_neither_the_failures_nor_the_limit_of_its_key() {
    let service = Service::start_with(&[("RATE_LIMIT_PUBLIC_PAID", "20")]);
    let statuses: Vec<u16> = (0..FAILURES + 20)
        .map(|number| ask(&service, LATEST, "nonsense", number, 1 + number % 50).status)
        .collect();
    let refused = statuses.iter().filter(|status| **status == 401).count();
    let limited = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((refused, limited), (FAILURES, 20));
    // Failures of others behind the address do not shut out who has a key.
    for left in (0..20).rev() {
        let answer = ask(&service, "/metadata/intervals", PUBLIC_KEY, left, 50);
        let remaining = answer.header("x-ratelimit-remaining").map(str::to_owned);
        assert_eq!((answer.status, remaining), (200, Some(left.to_string())));
    }
    ask(&service, "/metadata/intervals", PUBLIC_KEY, 99, 1).error(429, "RATE_LIMIT_EXCEEDED");
}

#[test]
fn a_spoofed_address_opens_no_further_stream() {
    let service = Service::start_with(&[("WS_MAX_CONNECTIONS_PER_IP", "1")]);
    let path = "/stream/sse?symbols=*";
    let (first, _stream) = ask::open(service.url(), path, &[("X-API-Key", PUBLIC_KEY)]);
    assert_eq!(first.status, 200);
    ask(&service, path, PUBLIC_KEY, 1, 1).error(429, "RATE_LIMIT_EXCEEDED");
}
