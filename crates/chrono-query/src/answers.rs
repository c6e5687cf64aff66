//! Encoded answers that are kept for a while, and when they may no longer be given.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use chrono_cache::AnswerCache;
use chrono_domain::{Clock, Timestamp};
use metrics::counter;

/// An answer about a time further back than this changes only by a late tick, which counts as a change of the past.
///
/// Ticks count so when they are older than two minutes at their commit; ten seconds more leave room for a clock that
/// is set back, and for another machine's.
const SETTLED_AFTER: Duration = Duration::from_secs(130);
/// How long an answer about settled times is kept.
const SETTLED_LIFE: Duration = Duration::from_mins(5);
/// How long an answer is kept that the next tick may change.
const UNSETTLED_LIFE: Duration = Duration::from_secs(1);
/// Largest answer that is kept; larger ones would push many others out.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Bytes before the answer: the revision and the time it ends.
const HEAD_BYTES: usize = 16;

/// Gives how long an answer about times up to `to` may be kept.
pub(crate) fn life(to: Timestamp, now: Timestamp) -> Duration {
    if to < now.minus(SETTLED_AFTER) { SETTLED_LIFE } else { UNSETTLED_LIFE }
}

/// Kept answers, each good for one state of its symbol's past and until a time.
///
/// The backend's own time to live only frees memory: the end that counts is kept beside the answer and compared with
/// the gateway's clock.
pub(crate) struct Answers {
    cache: Arc<dyn AnswerCache>,
    clock: Arc<dyn Clock>,
}

impl Answers {
    pub(crate) fn new(cache: Arc<dyn AnswerCache>, clock: Arc<dyn Clock>) -> Self {
        Self { cache, clock }
    }

    /// Finds an answer that was made when the symbol's past stood at `revision`.
    pub(crate) async fn find(
        &self,
        cache: &'static str,
        key: &str,
        revision: u64,
    ) -> Option<Bytes> {
        let found = self.cache.get(key).await.and_then(|kept| self.still_good(&kept, revision));
        let result = if found.is_some() { "hit" } else { "miss" };
        counter!("cache_requests_total", "cache" => cache, "result" => result).increment(1);
        found
    }

    /// Keeps an answer; `revision` was read before the answer was made, `now` is the time it tells of.
    pub(crate) async fn keep(
        &self,
        key: &str,
        revision: u64,
        answer: &[u8],
        (now, life): (Timestamp, Duration),
    ) {
        if answer.len() > ANSWER_BYTES_MAX || life.is_zero() {
            return;
        }
        let mut kept = BytesMut::with_capacity(HEAD_BYTES + answer.len());
        kept.put_u64(revision);
        kept.put_i64(now.plus(life).micros());
        kept.put_slice(answer);
        self.cache.put(key, kept.freeze(), life).await;
    }

    fn still_good(&self, kept: &Bytes, revision: u64) -> Option<Bytes> {
        let (head, _) = kept.split_first_chunk::<HEAD_BYTES>()?;
        let [of_revision, until] = *head.as_chunks::<8>().0 else { return None };
        let good = u64::from_be_bytes(of_revision) == revision
            && self.clock.now().micros() < i64::from_be_bytes(until);
        good.then(|| kept.slice(HEAD_BYTES..))
    }
}
