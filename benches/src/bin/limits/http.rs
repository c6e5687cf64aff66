//! A bare hyper server on tokio's default runtime, the one the gateway runs on.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Serves every request of every connection with `answer`, for ever.
pub(crate) fn serve<F>(
    answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Response<Full<Bytes>>>> + Send + 'static,
{
    let answer = Arc::new(answer);
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        crate::announce(listener.local_addr()?)?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(request));
                // A connection ends with an error when its client leaves.
                drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await);
            });
        }
    })
}
