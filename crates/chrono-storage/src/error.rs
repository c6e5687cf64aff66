//! What can go wrong in a store, sorted by what the caller can do.

/// The cause inside a [`StoreError`].
type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed call to a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing was stored or read; the same call may work later.
    #[error("the store is unavailable")]
    Unavailable(#[source] Source),
    /// Nothing was stored or read, because too many calls wait already; try again later.
    #[error("the store has too many calls waiting")]
    Overloaded,
    /// The commit may or may not have happened; the same batch with the same idempotency key tells.
    #[error("the outcome of the commit is unknown")]
    OutcomeUnknown(#[source] Source),
    /// The store refused these values; trying again changes nothing.
    #[error("the store refused the values")]
    Refused(#[source] Source),
    /// What is stored cannot be read as what was written; an operator must look.
    #[error("the stored data is damaged")]
    Corrupt(#[source] Source),
}
