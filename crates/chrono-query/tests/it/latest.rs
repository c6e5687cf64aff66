//! Latest prices: out of the book, out of the store, and neither.

use std::time::Duration;

use chrono_query::{Origin, QueryError, Scope};
use chrono_storage::model::ReadFault;

use crate::house::{House, at, json, source, symbol, tick, tick_of};

const NOW: &str = "2025-10-09T12:34:56.789Z";

async fn house() -> House {
    let house = House::new(NOW);
    house.post(tick("kraken", at("2025-10-09T12:34:55.000Z"), "67230.00")).await;
    let newest = at("2025-10-09T12:34:56.555Z");
    house.post(tick_of("BTC/USD", "binance", newest, "67234.56", Some("1234.567890"))).await;
    house.post(tick_of("ETH/USD", "binance", newest, "2678.90", None)).await;
    house
}

#[tokio::test]
async fn writes_the_spec_s_answer() {
    let symbols = ["BTC/USD", "XRP/USD", "ETH/USD", "BTC/USD"].map(symbol);
    let body = house().await.kept.latest_json(&symbols, None).await.unwrap();
    assert_eq!(
        str::from_utf8(&body).unwrap(),
        concat!(
            r#"{"data":[{"symbol":"BTC/USD","price":"67234.56","volume":"1234.567890","source":"aggregated","#,
            r#""last_source":"binance","timestamp":"2025-10-09T12:34:56.555Z","staleness_ms":234},"#,
            r#"{"symbol":"ETH/USD","price":"2678.90","volume":null,"source":"binance","#,
            r#""timestamp":"2025-10-09T12:34:56.555Z","staleness_ms":234}],"#,
            r#""missing":["XRP/USD"],"cached":false,"latency_ms":0}"#
        )
    );
}

#[tokio::test]
async fn a_known_symbol_costs_no_store_and_ages_with_the_clock() {
    let house = house().await;
    house.store.next_read(ReadFault::Unavailable);
    let body = house.kept.latest_json(&[symbol("ETH/USD")], None).await.unwrap();
    assert_eq!(json(&body)["cached"], true);
    house.advance_ms(1_000);
    let body = house.kept.latest_json(&[symbol("ETH/USD")], None).await.unwrap();
    assert_eq!(json(&body)["data"][0]["staleness_ms"], 1_234);
}

#[tokio::test]
async fn a_tick_ahead_of_the_clock_is_not_stale() {
    let house = house().await;
    house.post(tick("kraken", at("2025-10-09T12:35:01.000Z"), "1")).await;
    let latest = house.kept.latest(&[symbol("BTC/USD")], None).await.unwrap();
    assert_eq!(latest.prices[0].staleness, Duration::ZERO);
}

#[tokio::test]
async fn one_source_speaks_for_itself() {
    let house = house().await;
    let symbols = ["BTC/USD", "ETH/USD"].map(symbol);
    let latest = house.kept.latest(&symbols, Some(source("kraken"))).await.unwrap();
    assert_eq!(latest.prices[0].tick.tick.price.to_string(), "67230.00");
    assert_eq!((latest.prices[0].scope, latest.origin), (Scope::OneSource, Origin::Book));
    assert_eq!(latest.missing, [symbol("ETH/USD")]);
    let body = house.kept.latest_json(&symbols, Some(source("kraken"))).await.unwrap();
    let found = &json(&body)["data"][0];
    assert_eq!((&found["source"], found.get("last_source")), (&"kraken".into(), None));
    assert_eq!(found["staleness_ms"], 1_789);
}

#[tokio::test]
async fn what_the_book_does_not_know_yet_comes_from_the_store() {
    let house = house().await;
    for source in ["kraken", "bitstamp"] {
        let tick = tick_of("FLR/USD", source, at("2025-10-09T12:34:50Z"), "0.02", None);
        house.store_only(tick, |_, _| {}).await;
    }
    let symbols = ["FLR/USD", "BTC/USD"].map(symbol);
    let body = house.kept.latest_json(&symbols, None).await.unwrap();
    let answer = json(&body);
    assert_eq!(answer["cached"], false);
    assert_eq!(answer["data"][0]["symbol"], "FLR/USD");
    assert_eq!(answer["data"][0]["last_source"], "bitstamp");
    assert_eq!(answer["data"][1]["symbol"], "BTC/USD");
    house.kept.refresh().await.unwrap();
    let body = house.kept.latest_json(&symbols, None).await.unwrap();
    assert_eq!(json(&body)["cached"], true);
}

#[tokio::test]
async fn all_unknown_is_not_found() {
    let symbols = ["A/B", "C/D"].map(symbol);
    let Err(QueryError::NotFound { symbols: unknown }) =
        house().await.kept.latest(&symbols, None).await
    else {
        panic!("found")
    };
    assert_eq!(unknown, symbols);
}

#[tokio::test]
async fn memory_answers_while_the_store_is_away() {
    let house = house().await;
    house.store.next_read(ReadFault::Unavailable);
    let symbols = ["BTC/USD", "XRP/USD"].map(symbol);
    let latest = house.kept.latest(&symbols, None).await.unwrap();
    assert_eq!((latest.prices.len(), latest.missing), (1, vec![symbol("XRP/USD")]));
    house.store.next_read(ReadFault::Unavailable);
    let answer = house.kept.latest(&[symbol("XRP/USD")], None).await;
    assert!(matches!(answer, Err(QueryError::Store(_))));
}

#[tokio::test(start_paused = true)]
async fn memory_answers_while_the_store_hangs() {
    let house = house().await;
    house.store.next_read(ReadFault::Hang);
    let symbols = ["BTC/USD", "XRP/USD"].map(symbol);
    let latest = house.kept.latest(&symbols, None).await.unwrap();
    assert_eq!((latest.prices.len(), latest.missing), (1, vec![symbol("XRP/USD")]));
}

#[tokio::test]
async fn takes_1_to_100_symbols() {
    let house = house().await;
    for symbols in [vec![], vec![symbol("BTC/USD"); 101]] {
        let answer = house.kept.latest(&symbols, None).await;
        assert!(matches!(answer, Err(QueryError::Invalid { field: "symbols", .. })));
    }
    assert!(house.kept.latest(&[symbol("BTC/USD"); 100], None).await.is_ok());
}
