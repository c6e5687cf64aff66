//! Asking: paths, answers, bounds.

use chrono_client::{Client, ClientError, Options, RangeData, RangeQuery, Topic};

use crate::gateway::{Gateway, Step};

fn ok(body: &str) -> Step {
    Step::Answer(200, &[], body.to_owned())
}

#[tokio::test]
async fn reads_the_specs_latest_prices() {
    let body = r#"{"data":[{"symbol":"BTC/USD","price":"67234.50","volume":"1234.567890",
        "source":"aggregated","timestamp":"2025-10-09T12:34:56.123Z","staleness_ms":234}],
        "cached":true,"latency_ms":8}"#;
    let gateway = Gateway::start([ok(body), ok(body)]).await;
    let client = gateway.client();
    let latest = client.latest(&["BTC/USD", "ETH/USD"]).await.unwrap();
    assert_eq!(latest.data.first().map(|price| price.price.as_str()), Some("67234.50"));
    client.latest_of(&["BTC/USD"], "binance").await.unwrap();
    let paths: Vec<String> = gateway.got().into_iter().map(|got| got.path).collect();
    assert_eq!(
        paths,
        [
            "/gateway/prices/latest?symbols=BTC%2FUSD%2CETH%2FUSD",
            "/gateway/prices/latest?symbols=BTC%2FUSD&source=binance"
        ]
    );
}

#[tokio::test]
async fn reads_a_range_and_a_topic() {
    let gateway = Gateway::start([
        ok(r#"{"data":[],"interval":"raw","count":0,"next_cursor":null,"latency_ms":1}"#),
        ok(r#"{"data":["BTC/USD"]}"#),
    ])
    .await;
    let client = gateway.client();
    let page = client.range(&RangeQuery::default()).await.unwrap();
    assert!(matches!(page.data, RangeData::Ticks(ticks) if ticks.is_empty()));
    client.metadata(Topic::Symbols).await.unwrap();
    assert_eq!(gateway.got().last().unwrap().path, "/gateway/metadata/symbols");
}

#[tokio::test]
async fn an_unhealthy_gateway_that_answers_is_an_answer() {
    let body = r#"{"status":"unhealthy","timestamp":"2025-10-09T12:34:56.789Z",
        "services":{"database":"unhealthy","redis":"embedded","websocket":"healthy"},
        "uptime_seconds":3600}"#;
    let gateway = Gateway::start([
        Step::Answer(503, &[], body.to_owned()),
        Step::Answer(503, &[], "no gateway behind this proxy".to_owned()),
    ])
    .await;
    let client = gateway.client();
    let health = client.health().await.unwrap();
    assert_eq!(health.services.get("database").map(String::as_str), Some("unhealthy"));
    assert!(matches!(client.health().await, Err(ClientError::Unavailable { .. })));
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let gateway = Gateway::start([ok(&" ".repeat(2_000))]).await;
    let options = Options { answer_bytes_max: 1_000, ..Options::default() };
    let client = Client::with_options(&gateway.url(), "key".into(), options).unwrap();
    let fault = client.metadata(Topic::System).await.unwrap_err();
    assert!(matches!(fault, ClientError::Protocol(_)), "{fault}");
}
