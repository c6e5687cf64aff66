//! `/stream` and `/stream/sse`.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::app::App;
use crate::edge::{ApiError, Call, Reply};

/// Opens a WebSocket.
pub(crate) fn websocket(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        let _awake = app.stream.rouse().await;
        app.stream.websocket(call)
    })
}

/// Opens a body of server-sent events.
pub(crate) fn events(app: Arc<App>, call: Call) -> BoxFuture<'static, Result<Reply, ApiError>> {
    Box::pin(async move {
        let _awake = app.stream.rouse().await;
        app.stream.events(&call)
    })
}
