//! Reading a request's body whole, within its bounds.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::timeout;

use super::BodyLimits;

/// How much of a body that is too large is still taken and thrown away, in multiples of the limit, so that the peer
/// can read the refusal; closing while it sends would reset the connection and lose it.
const DISCARDED_LIMITS: u64 = 8;

/// Says why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// It is larger than the limit.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// It did not end before the deadline; the connection must be closed.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The peer left, or its framing is broken; the connection must be closed.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
}

/// Reads a body to its end.
///
/// The bytes are the caller's own, to parse in place.
///
/// # Errors
/// [`BodyFault`]; after `TooLarge` the connection may be used on if the body was small enough to be thrown away.
///
/// # Cancel safety
/// Dropping it loses what was read.
pub async fn read_body<B>(body: B, limits: BodyLimits) -> Result<Vec<u8>, BodyFault>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let discard_max = DISCARDED_LIMITS.saturating_mul(size(limits.bytes_max));
    if body.size_hint().lower() > discard_max {
        return Err(BodyFault::TooLarge(limits.bytes_max));
    }
    match timeout(limits.deadline, collect(body, limits.bytes_max, discard_max)).await {
        Ok(read) => read,
        Err(_elapsed) => Err(BodyFault::TooSlow),
    }
}

async fn collect<B>(mut body: B, bytes_max: usize, discard_max: u64) -> Result<Vec<u8>, BodyFault>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let mut joined = Vec::new();
    let mut bytes = 0_u64;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyFault::Broken)?.into_data() else { continue };
        bytes = bytes.saturating_add(size(data.len()));
        if bytes > discard_max {
            break;
        } else if bytes > size(bytes_max) {
            joined = Vec::new();
        } else {
            if joined.is_empty() {
                let hint = usize::try_from(body.size_hint().lower()).unwrap_or(0).min(bytes_max);
                joined.reserve_exact(data.len() + hint);
            }
            joined.extend_from_slice(&data);
        }
    }
    if bytes > size(bytes_max) {
        return Err(BodyFault::TooLarge(bytes_max));
    }
    Ok(joined)
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
