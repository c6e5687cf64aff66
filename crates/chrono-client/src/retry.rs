//! Posting until it is known to be stored.

use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use crate::ingest::encode;
use crate::{Client, ClientError, IngestBatch, IngestReply};

/// Says how often and how fast to retry: exponential steps, half of each random.
#[derive(Debug, Clone)]
pub struct Backoff {
    /// The first step. Too short hammers a gateway that restarts, too long wastes time on a lost packet. 100 ms.
    pub first: Duration,
    /// The longest step. Too short hammers, too long comes back late after an outage. 5 s.
    pub longest: Duration,
    /// Longest wait that a `Retry-After` may ask for. Too short meets the limit again, too long lets a false gateway
    /// park the caller. 120 s, which is the longest that a gateway asks for.
    pub retry_after_max: Duration,
    /// Retries after the first try. Too few gives up in a short outage, too many hides a long one. 20, about a minute.
    pub retries_max: u32,
    /// Seed of the random half; workers with different seeds spread out.
    pub seed: u64,
}

impl Backoff {
    /// Takes the usual steps with a seed.
    pub const fn new(seed: u64) -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(5),
            retry_after_max: Duration::from_mins(2),
            retries_max: 20,
            seed,
        }
    }

    /// Gives the wait before retry number `retry` (from 0) of what `key` names.
    ///
    /// At least `retry_after`, plus up to half a step, so that those who were told the same do not come at once.
    pub fn wait(&self, key: &str, retry: u32, retry_after: Option<Duration>) -> Duration {
        let factor = 1_u32.checked_shl(retry).unwrap_or(u32::MAX);
        let half = self.first.saturating_mul(factor).min(self.longest) / 2;
        let asked = retry_after.unwrap_or_default().min(self.retry_after_max);
        half.max(asked).saturating_add(part(half, random(self.seed, key, retry)))
    }
}

/// A batch that was delivered, perhaps after some tries.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The gateway's answer.
    pub reply: IngestReply,
    /// Tries that failed before.
    pub retries: u32,
}

impl Client {
    /// Posts a batch, and posts it again under the same key until the gateway answers for good.
    ///
    /// Transport faults, 408, 429 and 5xx are retried, honouring `Retry-After`; a refusal is not.
    ///
    /// # Errors
    /// The refusal, or the last fault once `backoff.retries_max` retries are used up.
    ///
    /// # Cancel safety
    /// Dropped before it ends, the batch may have been stored: post again with the same key.
    pub async fn ingest_with_retry(
        &self,
        batch: &IngestBatch,
        idempotency_key: &str,
        backoff: &Backoff,
    ) -> Result<Delivery, ClientError> {
        let body = encode(batch)?;
        let mut retries = 0;
        loop {
            let fault = match self.post_batch(body.clone(), Some(idempotency_key)).await {
                Ok(reply) => {
                    self.note_outage(None);
                    return Ok(Delivery { reply, retries });
                }
                Err(fault) => fault,
            };
            if !fault.is_retryable() || retries >= backoff.retries_max {
                return Err(fault);
            }
            self.note_outage(Some(&fault));
            let wait = backoff.wait(idempotency_key, retries, fault.retry_after());
            tracing::debug!(
                idempotency_key,
                retry = retries + 1,
                wait_ms = wait.as_millis(),
                ?fault,
                "posting again"
            );
            sleep(wait).await;
            retries += 1;
        }
    }
}

impl Client {
    /// Says once that the gateway is out of reach or stores nothing, and once that it is well again, however many clones
    /// post to it.
    fn note_outage(&self, fault: Option<&ClientError>) {
        // A limit that is met is no outage: it says when to come again, and the batch is stored then.
        let fault = fault.filter(|fault| !matches!(fault, ClientError::Limited { .. }));
        if self.in_outage.swap(fault.is_some(), Ordering::Relaxed) == fault.is_some() {
            return;
        }
        let Ok(url) = self.address.http("") else { return };
        match fault {
            None => tracing::info!("{url} is well again"),
            Some(ClientError::Transport(error)) => {
                tracing::warn!(
                    error = error.as_ref() as &dyn Error,
                    "cannot reach {url}, retrying"
                );
            }
            Some(fault) => tracing::warn!(%fault, "{url} does not store what is sent, retrying"),
        }
    }
}

fn random(seed: u64, key: &str, retry: u32) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, key, retry).hash(&mut hasher);
    hasher.finish()
}

/// Takes the share of `whole` that `random` is of all 64-bit numbers.
fn part(whole: Duration, random: u64) -> Duration {
    let nanos = (whole.as_nanos() * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_seed_and_key_wait_the_same() {
        let backoff = Backoff::new(7);
        assert_eq!(backoff.wait("k", 3, None), backoff.wait("k", 3, None));
        assert_ne!(backoff.wait("k", 3, None), backoff.wait("l", 3, None));
        assert_ne!(backoff.wait("k", 3, None), Backoff::new(8).wait("k", 3, None));
    }

    proptest! {
        #[test]
        fn waits_between_half_a_step_and_a_step(seed: u64, retry in 0_u32..1_000) {
            let backoff = Backoff::new(seed);
            let step = 100_u64.saturating_mul(1 << retry.min(20)).min(5_000);
            let wait = backoff.wait("key", retry, None);
            prop_assert!(wait >= Duration::from_millis(step / 2), "{wait:?} of {step}");
            prop_assert!(wait <= Duration::from_millis(step), "{wait:?} of {step}");
        }

        #[test]
        fn waits_as_long_as_asked_but_not_for_ever(seed: u64, asked in 0_u64..1_000_000) {
            let wait = Backoff::new(seed).wait("key", 2, Some(Duration::from_secs(asked)));
            prop_assert!(wait >= Duration::from_secs(asked.min(120)));
            prop_assert!(wait <= Duration::from_secs(121));
        }
    }
}
