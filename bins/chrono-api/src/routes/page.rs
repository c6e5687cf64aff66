//! `/` and its assets: the live page, embedded, loading nothing from elsewhere.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};

use crate::app::App;
use crate::edge::{ApiError, Call, Reply, with_type};

/// Nothing but this gateway is loaded or connected to.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; form-action 'none'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// Answers the page.
pub(crate) fn page(_app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    asset(call, "text/html; charset=utf-8", include_str!("../../assets/index.html"))
}

/// Answers its style sheet.
pub(crate) fn style(_app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    asset(call, "text/css; charset=utf-8", include_str!("../../assets/live.css"))
}

/// Answers its script.
pub(crate) fn script(_app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    asset(call, "text/javascript; charset=utf-8", include_str!("../../assets/live.js"))
}

fn asset(
    call: Call,
    content_type: &'static str,
    text: &'static str,
) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        call.query(&[])?;
        Ok(dressed(content_type, text))
    })
}

fn dressed(content_type: &'static str, text: &'static str) -> Reply {
    let mut reply = with_type(content_type, text);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}
