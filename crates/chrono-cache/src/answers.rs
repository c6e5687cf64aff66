//! The contract for ready answers.

use std::time::Duration;

use bytes::Bytes;

/// Holds encoded answers for a while; losing one costs time, never truth.
///
/// Each sentence is a case of the conformance suite:
/// - What was put is got until its time to live is over, and not after.
/// - Putting again replaces value and time to live.
/// - The number of bytes held is bounded.
#[async_trait::async_trait]
pub trait AnswerCache: Send + Sync {
    /// Reads an answer; a fault of the backend reads as none.
    async fn get(&self, key: &str) -> Option<Bytes>;

    /// Keeps an answer; a fault of the backend is not the caller's.
    async fn put(&self, key: &str, answer: Bytes, time_to_live: Duration);
}
