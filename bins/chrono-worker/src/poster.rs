//! Posting feeds, and counting what became of them.

use std::fmt;
use std::sync::Arc;

use chrono_client::{Backoff, Client, ClientError, Feed, IngestBatch};
use chrono_domain::{Clock, WorkerId};

/// Refusals that are written out in a summary; all are counted.
const REASONS_MAX: usize = 10;

/// Posts batches of one worker until each is stored or refused for good.
#[derive(Debug, Clone)]
pub struct Poster {
    client: Client,
    worker_id: WorkerId,
    clock: Arc<dyn Clock>,
    backoff: Backoff,
}

/// What became of one batch.
#[derive(Debug, Default)]
pub struct Posted {
    /// Feeds posted.
    pub sent: u64,
    /// Feeds stored, by this post or, where it was replayed, by an earlier one.
    pub ingested: u64,
    /// Feeds refused.
    pub refused: u64,
    /// Why: the feed's place in the batch where the gateway names one, and its words.
    pub reasons: Vec<(Option<usize>, String)>,
    /// Tries that failed before.
    pub retries: u64,
    /// Whether an earlier post had stored the batch.
    pub replayed: bool,
}

/// Sums over batches.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Batches answered.
    pub batches: u64,
    /// Of these, batches that an earlier post had stored.
    pub replayed_batches: u64,
    /// Feeds answered.
    pub sent: u64,
    /// Feeds stored.
    pub ingested: u64,
    /// Feeds that an earlier post had stored: one of a run before, or a try of this one whose answer was lost.
    pub repeated: u64,
    /// Feeds refused.
    pub refused: u64,
    /// Tries that failed.
    pub retries: u64,
    /// The first refusals, with their places.
    pub reasons: Vec<String>,
}

impl Poster {
    /// Makes a poster for one worker.
    pub fn new(
        client: Client,
        worker_id: WorkerId,
        clock: Arc<dyn Clock>,
        backoff: Backoff,
    ) -> Self {
        Self { client, worker_id, clock, backoff }
    }

    /// Posts at most 100 feeds under an idempotency key.
    ///
    /// # Errors
    /// When the gateway refuses more than the feeds themselves (the key, the role, the idempotency key), or was gone
    /// for longer than the retries last. A batch whose feeds were all refused is no error.
    ///
    /// # Cancel safety
    /// Dropped before it ends, the batch may have been stored: post again with the same key.
    pub async fn post(&self, key: &str, feeds: Vec<Feed>) -> Result<Posted, ClientError> {
        let sent = feeds.len();
        let batch = IngestBatch {
            worker_id: self.worker_id.to_string(),
            timestamp: self.clock.now().to_string(),
            feeds,
        };
        match self.client.ingest_with_retry(&batch, key, &self.backoff).await {
            Ok(delivery) => {
                let reply = delivery.reply;
                let faults = reply.errors.into_iter();
                Ok(Posted {
                    sent: count(sent),
                    ingested: count(reply.ingested),
                    refused: count(reply.failed),
                    reasons: faults.map(|fault| (Some(fault.index), fault.message)).collect(),
                    retries: delivery.retries.into(),
                    replayed: reply.replayed,
                })
            }
            Err(fault) => refused(sent, fault),
        }
    }
}

/// Tells a batch of bad feeds from a gateway that does not want this worker at all.
fn refused(sent: usize, fault: ClientError) -> Result<Posted, ClientError> {
    let ClientError::Refused(refusal) = fault else { return Err(fault) };
    if !matches!(refusal.code.as_str(), "VALIDATION_ERROR" | "PAYLOAD_TOO_LARGE") {
        return Err(ClientError::Refused(refusal));
    }
    let mut reasons: Vec<_> =
        refusal.errors.iter().map(|fault| (Some(fault.index), fault.message.clone())).collect();
    if reasons.is_empty() {
        reasons.push((None, refusal.message));
    }
    Ok(Posted { sent: count(sent), refused: count(sent), reasons, ..Posted::default() })
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

impl Tally {
    /// Gives how many feeds are stored by now, by whichever post.
    pub fn stored(&self) -> u64 {
        self.ingested + self.repeated
    }

    /// Adds one batch, whose feeds' places `place` tells.
    pub fn add(&mut self, posted: Posted, place: impl Fn(Option<usize>) -> String) {
        self.batches += 1;
        self.replayed_batches += u64::from(posted.replayed);
        self.sent += posted.sent;
        *(if posted.replayed { &mut self.repeated } else { &mut self.ingested }) += posted.ingested;
        self.refused += posted.refused;
        self.retries += posted.retries;
        let room = REASONS_MAX.saturating_sub(self.reasons.len());
        let reasons = posted.reasons.into_iter().take(room);
        self.reasons.extend(reasons.map(|(index, reason)| format!("{}: {reason}", place(index))));
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: Self) {
        self.batches += other.batches;
        self.replayed_batches += other.replayed_batches;
        self.sent += other.sent;
        self.ingested += other.ingested;
        self.repeated += other.repeated;
        self.refused += other.refused;
        self.retries += other.retries;
        let room = REASONS_MAX.saturating_sub(self.reasons.len());
        self.reasons.extend(other.reasons.into_iter().take(room));
    }
}

/// Writes the first reasons, and how many more there are.
pub(crate) fn write_reasons(
    f: &mut fmt::Formatter<'_>,
    reasons: &[String],
    all: u64,
) -> fmt::Result {
    for reason in reasons {
        writeln!(f, "  {reason}")?;
    }
    match all.saturating_sub(count(reasons.len())) {
        0 => Ok(()),
        more => writeln!(f, "  and {more} more"),
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "sent              {}", self.sent)?;
        writeln!(f, "ingested          {}", self.ingested)?;
        writeln!(f, "repeated          {}", self.repeated)?;
        writeln!(f, "refused           {}", self.refused)?;
        write_reasons(f, &self.reasons, self.refused)?;
        writeln!(f, "batches           {}", self.batches)?;
        writeln!(f, "replayed batches  {}", self.replayed_batches)?;
        writeln!(f, "retries           {}", self.retries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_writes_out_the_first_refusals_and_counts_all() {
        let posted = || Posted {
            sent: 100,
            ingested: 92,
            refused: 8,
            reasons: (0..8).map(|index| (Some(index), "bad".to_owned())).collect(),
            ..Posted::default()
        };
        let mut tally = Tally::default();
        tally.add(posted(), |index| format!("a:{index:?}"));
        let mut other = Tally::default();
        other.add(Posted { replayed: true, retries: 3, ..posted() }, |_index| "b".to_owned());
        tally.merge(other);
        assert_eq!((tally.sent, tally.ingested, tally.repeated, tally.refused), (200, 92, 92, 16));
        assert_eq!((tally.batches, tally.replayed_batches, tally.retries), (2, 1, 3));
        assert_eq!(tally.reasons.len(), REASONS_MAX);
        assert_eq!(tally.reasons.last().map(String::as_str), Some("b: bad"));
        let said = tally.to_string();
        assert!(said.contains("  b: bad\n  and 6 more\n"), "{said}");
    }
}
