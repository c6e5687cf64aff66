//! The contract for consensus snapshots: what was answered at a time, with every later revision.

use chrono_domain::{Source, Symbol, Timestamp};

use crate::StoreError;

/// One consensus of one symbol at one time; figures are exact decimal texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The symbol.
    pub symbol: Symbol,
    /// The end of its window.
    pub at: Timestamp,
    /// 0 for what was first stored; each late tick that changes the answer adds one.
    pub revision: u32,
    /// The consensus price; none without quorum or agreement.
    pub price: Option<String>,
    /// `ok`, `thin`, `disputed` or `no_quorum`.
    pub status: String,
    /// Median over all feeds of the window.
    pub median: String,
    /// Mean over all feeds of the window.
    pub mean: String,
    /// Sample standard deviation; none for one feed.
    pub std_dev: Option<String>,
    /// Sources with a feed in the window, in order.
    pub sources: Vec<Source>,
    /// Feeds in the window.
    pub num_feeds: u64,
    /// When it was computed.
    pub computed_at: Timestamp,
}

/// Keeps consensus snapshots, each with its revisions.
///
/// Each sentence is a case of the conformance suite:
/// - A snapshot of a (symbol, at) that is not stored yet becomes revision 0, whatever revision it carries.
/// - One that says the same as the newest revision (all but `revision` and `computed_at`) is not stored again.
/// - One that says something else becomes the next revision; earlier revisions stay.
/// - `snapshot` answers the newest revision of exactly that time.
/// - `snapshot_times` answers the stored times within both ends, inclusive, oldest first, each once.
#[async_trait::async_trait]
pub trait SnapshotStore: Send + Sync {
    /// Stores snapshots durably in one commit; answers how many were new or revised.
    ///
    /// # Errors
    /// Any [`StoreError`]; storing the same again is safe.
    async fn put_snapshots(&self, snapshots: Vec<Snapshot>) -> Result<u64, StoreError>;

    /// Reads the newest revision of a time.
    ///
    /// # Errors
    /// Any [`StoreError`] but `OutcomeUnknown`.
    async fn snapshot(&self, symbol: Symbol, at: Timestamp)
    -> Result<Option<Snapshot>, StoreError>;

    /// Reads which times are stored, at most `limit`.
    ///
    /// # Errors
    /// Any [`StoreError`] but `OutcomeUnknown`.
    async fn snapshot_times(
        &self,
        symbol: Symbol,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> Result<Vec<Timestamp>, StoreError>;
}
