//! The contract for API keys: ids and hashes, never secrets.

use chrono_domain::Timestamp;

use crate::StoreError;

/// A key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The public part, unique; what logs and limits use.
    pub id: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// `public`, `internal` or `admin`.
    pub role: String,
    /// `free` or `paid` for public keys.
    pub tier: Option<String>,
    /// Whose key it is; two live keys of one client are a rotation.
    pub client: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The first moment it no longer works.
    pub not_after: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Keeps API keys.
///
/// Each sentence is a case of the conformance suite:
/// - A key that was put is among `keys`, also after a restart; an id that exists is `StoreError::Refused`.
/// - Keys that are put together are there together or not at all.
/// - Revoking answers whether the id was live; the first time of revocation stays.
#[async_trait::async_trait]
pub trait KeyStore: Send + Sync {
    /// Stores keys durably, all of them in one commit.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for an id that exists or comes twice; any other [`StoreError`].
    async fn put_keys(&self, keys: Vec<StoredKey>) -> Result<(), StoreError>;

    /// Reads every key, revoked ones too, oldest first.
    ///
    /// # Errors
    /// Any [`StoreError`] but `OutcomeUnknown`.
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError>;

    /// Revokes a key from a time on; answers whether it was live before.
    ///
    /// # Errors
    /// Any [`StoreError`]; revoking again is safe.
    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<bool, StoreError>;
}
