//! Symbols, sources, intervals, the system, and delegations.

use chrono_query::{DelegationsQuery, QueryError, SymbolsQuery};
use chrono_storage::{AccountId, Delegation, DelegationStore};

use chrono_domain::{Metadata, Volume};

use crate::house::{House, at, json, source, tick_of};

const NOW: &str = "2025-10-09T12:34:56.789Z";

async fn house() -> House {
    let house = House::new(NOW);
    for (symbol, source, time) in [
        ("BTC/USD", "kraken", "2025-10-09T12:34:50Z"),
        ("BTC/USD", "binance", "2025-10-09T12:34:51Z"),
        ("ETH/USD", "kraken", "2025-10-09T12:34:52Z"),
        ("BTC/EUR", "bitstamp", "2025-10-09T12:34:53Z"),
    ] {
        house.post(tick_of(symbol, source, at(time), "1", None)).await;
    }
    house
}

#[tokio::test]
async fn lists_symbols_in_order() {
    let body = house().await.kept.symbols_json(&SymbolsQuery::default()).unwrap();
    let answer = json(&body);
    assert_eq!((&answer["count"], &answer["next_cursor"]), (&3.into(), &serde_json::Value::Null));
    assert_eq!(answer["data"][0]["symbol"], "BTC/EUR");
    assert_eq!(
        answer["data"][1],
        serde_json::json!({
            "symbol": "BTC/USD",
            "base": "BTC",
            "quote": "USD",
            "sources": ["binance", "kraken"],
            "last_timestamp": "2025-10-09T12:34:51.000Z",
        })
    );
}

#[tokio::test]
async fn filters_symbols_by_quote_and_source() {
    let house = house().await;
    let names = |query: SymbolsQuery| {
        let page = house.kept.symbols(&query).unwrap();
        page.rows.iter().map(|row| row.symbol.to_string()).collect::<Vec<_>>()
    };
    let of_usd = SymbolsQuery { quote: Some("USD".into()), ..SymbolsQuery::default() };
    assert_eq!(names(of_usd.clone()), ["BTC/USD", "ETH/USD"]);
    let of_both = SymbolsQuery { source: Some(source("binance")), ..of_usd };
    assert_eq!(names(of_both), ["BTC/USD"]);
    let of_none = SymbolsQuery { quote: Some("usd".into()), ..SymbolsQuery::default() };
    assert_eq!(names(of_none), [""; 0]);
}

#[tokio::test]
async fn pages_of_symbols_join_to_the_whole() {
    let house = house().await;
    let mut query = SymbolsQuery { limit: Some(1), ..SymbolsQuery::default() };
    let mut names = Vec::new();
    loop {
        let page = house.kept.symbols(&query).unwrap();
        names.extend(page.rows.iter().map(|row| row.symbol.to_string()));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
        let other = SymbolsQuery { quote: Some("USD".into()), ..query.clone() };
        let refused = house.kept.symbols(&other);
        assert!(matches!(refused, Err(QueryError::Invalid { field: "cursor", .. })));
    }
    assert_eq!(names, ["BTC/EUR", "BTC/USD", "ETH/USD"]);
}

#[tokio::test]
async fn lists_sources_with_what_they_post() {
    let answer = json(&house().await.kept.sources_json());
    assert_eq!(answer["count"], 3);
    assert_eq!(
        answer["data"][2],
        serde_json::json!({
            "source": "kraken",
            "num_symbols": 2,
            "last_timestamp": "2025-10-09T12:34:52.000Z",
        })
    );
}

#[tokio::test]
async fn lists_intervals() {
    let answer = json(&house().await.kept.intervals_json());
    assert_eq!(answer["count"], 7);
    assert_eq!(answer["data"][3], serde_json::json!({ "interval": "1h", "seconds": 3600 }));
}

#[tokio::test]
async fn tells_about_the_system() {
    let house = house().await;
    house.advance_ms(61_000);
    let answer = json(&house.kept.system_json().await.unwrap());
    assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(answer["uptime_seconds"], 61);
    assert_eq!(answer["store"]["ticks"], 4);
    assert_eq!((&answer["num_symbols"], &answer["num_sources"]), (&3.into(), &3.into()));
    let limits = serde_json::json!({
        "symbols_max": 100, "rows_max": 10_000, "raw_days_max": 90, "candle_days_max": 731,
    });
    assert_eq!(answer["limits"], limits);
    assert_eq!(answer["consensus_interval_ms"], 5_000);
}

fn delegation(delegator: &str, time: &str) -> Delegation {
    Delegation {
        delegator: AccountId::try_new(delegator).unwrap(),
        provider: AccountId::try_new("ftso").unwrap(),
        amount: Volume::try_new("1000.50").unwrap(),
        percentage: Volume::try_new("50").unwrap(),
        timestamp: at(time),
        metadata: (delegator == "alice").then(|| Metadata::from_canonical(r#"{"epoch":7}"#)),
    }
}

#[tokio::test]
async fn lists_delegations_newest_first() {
    let house = house().await;
    let some = vec![
        delegation("alice", "2025-10-09T10:00:00Z"),
        delegation("bob", "2025-10-09T11:00:00Z"),
        delegation("carol", "2025-10-09T11:00:00Z"),
    ];
    house.store.append_delegations(some).await.unwrap();
    let mut query = DelegationsQuery { limit: Some(1), ..DelegationsQuery::default() };
    let mut names = Vec::new();
    loop {
        let answer = json(&house.kept.delegations_json(&query).await.unwrap());
        names.push(answer["data"][0]["delegator_id"].as_str().unwrap().to_owned());
        query.cursor = answer["next_cursor"].as_str().map(str::to_owned);
        if query.cursor.is_none() {
            break;
        }
        let other = DelegationsQuery { to: Some(at(NOW)), ..query.clone() };
        let refused = house.kept.delegations(&other).await;
        assert!(matches!(refused, Err(QueryError::Invalid { field: "cursor", .. })));
    }
    assert_eq!(names, ["carol", "bob", "alice"]);
    let of_alice = DelegationsQuery {
        delegator: Some(AccountId::try_new("alice").unwrap()),
        ..DelegationsQuery::default()
    };
    let answer = json(&house.kept.delegations_json(&of_alice).await.unwrap());
    assert_eq!(
        answer["data"],
        serde_json::json!([{
            "delegator_id": "alice",
            "provider_id": "ftso",
            "amount": "1000.50",
            "percentage": "50",
            "timestamp": "2025-10-09T10:00:00.000Z",
            "metadata": { "epoch": 7 },
        }])
    );
}

#[tokio::test]
async fn refuses_ends_that_are_the_wrong_way_round() {
    let query = DelegationsQuery {
        from: Some(at("2025-10-09T10:00:01Z")),
        to: Some(at("2025-10-09T10:00:00Z")),
        ..DelegationsQuery::default()
    };
    let answer = house().await.kept.delegations(&query).await;
    assert!(matches!(answer, Err(QueryError::Invalid { field: "from", .. })));
}
