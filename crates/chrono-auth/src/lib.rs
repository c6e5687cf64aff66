//! Who may ask, and how often: API keys, roles, tiers and rate limits.
//!
//! This crate knows how a key is written, made, checked, rotated and revoked, and how requests are counted. It knows
//! nothing of the protocol that carried a key, nor of which paths a role may use: that is the edge's table. Secrets are
//! never kept: the store and the memory hold ids and SHA-256 hashes.
//!
//! Three types to read first: [`Keyring`] (which keys open something now), [`KeyService`] (what changes them) and
//! [`RateLimiter`] (how often a key may ask).
//!
//! ```
//! use chrono_auth::{ConfiguredKey, Keyring, Role, Tier};
//! use chrono_domain::Timestamp;
//!
//! let text = "chrono_internal_dev_key_001";
//! let key = ConfiguredKey::try_new(Role::Internal, Tier::Free, &text.into())?;
//! let keyring = Keyring::new([key]);
//! let principal = keyring.authenticate(text, Timestamp::MIN)?;
//! assert_eq!(principal.role, Role::Internal);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod key;
mod keyring;
mod limit;
mod role;
mod service;

pub use error::{AuthError, KeyError, KeyTextError};
pub use key::KeyId;
pub use keyring::{ConfiguredKey, Keyring, Principal};
pub use limit::{Bucket, Decision, Limit, Limits, RateLimiter, customer_of, window};
pub use role::{Role, Tier};
pub use service::{CreatedKey, KeyOrder, KeyRecord, KeyService};
