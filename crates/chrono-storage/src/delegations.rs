//! The contract for the Flare protocol's vote delegations.

use std::fmt;

use arrayvec::ArrayString;
use chrono_domain::{Metadata, Timestamp, Volume};

use crate::StoreError;

/// Longest account id, in characters.
const ACCOUNT_CHARS_MAX: usize = 64;

/// Says that a text is no account id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an account id")]
pub struct AccountIdError;

impl AccountIdError {
    /// Says what would have been accepted, in words fit for an error body.
    pub const fn expected(self) -> &'static str {
        "1 to 64 of A-Z a-z 0-9 . _ : -, starting with a letter or digit"
    }
}

/// A delegator or provider: an address or a name, `[A-Za-z0-9][A-Za-z0-9._:-]{0,63}`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(ArrayString<ACCOUNT_CHARS_MAX>);

impl AccountId {
    /// Checks an account id.
    ///
    /// # Errors
    /// [`AccountIdError`].
    pub fn try_new(text: &str) -> Result<Self, AccountIdError> {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
        let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !starts || !text.bytes().all(allowed) {
            return Err(AccountIdError);
        }
        ArrayString::from(text).map(Self).map_err(|_fault| AccountIdError)
    }

    /// Gives the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({})", self.0)
    }
}

/// A delegation of vote power, seen at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Who delegates.
    pub delegator: AccountId,
    /// To whom.
    pub provider: AccountId,
    /// How much, in tokens.
    pub amount: Volume,
    /// Share of the delegator's vote power, 0 to 100.
    pub percentage: Volume,
    /// When.
    pub timestamp: Timestamp,
    /// What else was sent along.
    pub metadata: Option<Metadata>,
}

/// A delegation with the store's number, which breaks ties of a timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDelegation {
    /// What was sent.
    pub delegation: Delegation,
    /// Unique and growing.
    pub id: u64,
}

/// What became of one delegation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelegationOutcome {
    /// Stored durably.
    Stored,
    /// The same was stored before; nothing changed.
    Repeated,
    /// Something else is stored for this delegator, provider and timestamp; nothing changed.
    Conflicting,
}

/// Which delegations to read, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationRange {
    /// One delegator, or all.
    pub delegator: Option<AccountId>,
    /// One provider, or all.
    pub provider: Option<AccountId>,
    /// First moment, inclusive.
    pub from: Timestamp,
    /// Last moment, inclusive.
    pub to: Timestamp,
    /// Read only what comes after this (timestamp, id) in the answer's order.
    pub after: Option<(Timestamp, u64)>,
    /// Most delegations in the answer.
    pub limit: usize,
}

/// Keeps delegations.
///
/// Each sentence is a case of the conformance suite:
/// - Delegations are stored durably in one commit; each gets its outcome, in their order.
/// - The (delegator, provider, timestamp) is unique: the same again is `Repeated`, other values are `Conflicting`.
/// - A range holds both its ends and answers newest first, ties by falling id; its pages join to the whole.
#[async_trait::async_trait]
pub trait DelegationStore: Send + Sync {
    /// Stores delegations.
    ///
    /// # Errors
    /// Any [`StoreError`]; storing the same again is safe.
    async fn append_delegations(
        &self,
        delegations: Vec<Delegation>,
    ) -> Result<Vec<DelegationOutcome>, StoreError>;

    /// Reads a page.
    ///
    /// # Errors
    /// Any [`StoreError`] but `OutcomeUnknown`.
    async fn delegations(
        &self,
        range: &DelegationRange,
    ) -> Result<Vec<StoredDelegation>, StoreError>;
}
