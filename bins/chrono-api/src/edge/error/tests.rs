//! The error bodies, letter by letter.

use chrono_domain::Timestamp;
use http_body_util::BodyExt;
use hyper::header::{CONTENT_TYPE, HeaderMap};

use super::*;
use crate::edge::REQUEST_ID;

async fn sent(fault: ApiError) -> (StatusCode, HeaderMap, String) {
    let mut headers = HeaderMap::new();
    headers.insert(REQUEST_ID, HeaderValue::from_static("req_abc123"));
    let id = RequestId::of(&headers, Timestamp::MIN);
    let (parts, body) = fault.into_response(&id).into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn a_wrong_field_has_the_specified_shape() {
    let fault = ApiError::invalid("symbol", Some("BTC-USD"), "BTC/USD");
    let (status, headers, body) = sent(fault).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    assert_eq!(
        body,
        "{\"error\":{\"code\":\"VALIDATION_ERROR\",\
         \"message\":\"Invalid symbol: BTC-USD. Expected: BTC/USD\",\
         \"details\":{\"field\":\"symbol\",\"received\":\"BTC-USD\",\"expected\":\"BTC/USD\"},\
         \"request_id\":\"req_abc123\"},\"status\":400}\n"
    );
}

#[tokio::test]
async fn the_faults_of_a_batch_are_listed_inside_the_error() {
    let item = ItemFault {
        index: 3,
        code: ErrorCode::Validation.as_str(),
        message: "Missing price".to_owned(),
        details: Some(Details::new("price", None, "a decimal in a string")),
    };
    let fault = ApiError::new(ErrorCode::Validation, "No feed is valid").with_items(vec![item]);
    let (.., body) = sent(fault).await;
    assert_eq!(
        body,
        "{\"error\":{\"code\":\"VALIDATION_ERROR\",\"message\":\"No feed is valid\",\
         \"errors\":[{\"index\":3,\"code\":\"VALIDATION_ERROR\",\"message\":\"Missing price\",\
         \"details\":{\"field\":\"price\",\"received\":null,\
         \"expected\":\"a decimal in a string\"}}],\
         \"request_id\":\"req_abc123\"},\"status\":400}\n"
    );
}

#[tokio::test]
async fn the_reason_of_an_internal_error_is_not_told() {
    let (status, _, body) = sent(ApiError::internal("the secret is in the drawer")).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!body.contains("drawer"), "{body}");
}

#[tokio::test]
async fn what_may_be_tried_again_says_when() {
    let (_, headers, _) = sent(ApiError::new(ErrorCode::Overloaded, "Too much is waiting")).await;
    assert_eq!(headers[RETRY_AFTER], "1");
    let fault = ApiError::new(ErrorCode::Database, "The store is down").with_retry_after(5);
    let (_, headers, _) = sent(fault).await;
    assert_eq!(headers[RETRY_AFTER], "5");
    let (_, headers, _) = sent(ApiError::new(ErrorCode::NotFound, "No such path")).await;
    assert!(!headers.contains_key(RETRY_AFTER));
}

#[test]
fn what_was_received_is_cut_between_characters() {
    let long = "\u{e9}".repeat(500);
    let details = Details::new("symbol", Some(&long), "BASE/QUOTE");
    assert_eq!(details.received.unwrap().chars().count(), 128);
}

#[test]
fn a_reason_is_written_with_everything_behind_it() {
    #[derive(Debug, thiserror::Error)]
    #[error("the store failed")]
    struct Outer(#[source] std::fmt::Error);
    let text = chain_of(&Outer(std::fmt::Error));
    assert_eq!(text, format!("the store failed: {}", std::fmt::Error));
}
