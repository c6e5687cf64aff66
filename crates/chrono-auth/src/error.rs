//! What can go wrong with a key.

use chrono_storage::StoreError;

/// Says why a presented key opens nothing. A caller is told no more than that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// Not the text of a key, or its checksum is wrong.
    #[error("not a key")]
    Malformed,
    /// No key of this gateway, or one that was revoked.
    #[error("unknown key")]
    Unknown,
    /// Its time is over.
    #[error("expired key")]
    Expired,
}

/// Says why a configured key is not taken. It never repeats the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyTextError {
    /// Too short, too long, or with characters that do not print.
    #[error("a key has 20 to 128 printable ASCII characters without spaces")]
    Characters,
    /// It does not begin like a key of its role.
    #[error("a key of this role begins with \"{0}\"")]
    Prefix(&'static str),
    /// It has the form of a key that Chrono made, but was changed.
    #[error("the checksum is wrong: the key was mistyped or cut")]
    Checksum,
}

/// Says why a key could not be made, listed, rotated or revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The store did not do it.
    #[error("the key store failed")]
    Store(#[from] StoreError),
    /// No live key has this id.
    #[error("no live key has this id; `keys list` shows those there are")]
    NotFound,
    /// The client holds two live keys of this role already: one must be revoked first.
    #[error("the client already has two live keys of this role")]
    TwoLive,
    /// Not a client's name.
    #[error("a client's name has 1 to 64 letters, digits, spaces and . _ : @ -")]
    Client,
    /// The key would be over before it begins.
    #[error("the key would expire in the past")]
    Expired,
    /// The system gave no random numbers.
    #[error("no random numbers from the system")]
    Random(#[from] getrandom::Error),
}
