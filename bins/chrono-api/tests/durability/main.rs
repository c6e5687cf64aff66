//! Nothing acknowledged is lost: the gateway is killed again and again, and an independent ledger judges what is left.
#![cfg(test)]

mod campaign;
#[cfg(feature = "failpoints")]
mod failpoints;
mod feeds;
mod kills;
mod load;
mod random;
mod syncs;
#[cfg(target_os = "linux")]
mod trace;
