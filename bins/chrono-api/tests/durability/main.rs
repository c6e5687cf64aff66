//! Nothing acknowledged is lost: the gateway is killed again and again, and an independent ledger judges what is left.
#![cfg(test)]

mod campaign;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(feature = "failpoints")]
mod failpoints;
mod feeds;
#[cfg(target_os = "linux")]
mod images;
mod kills;
mod load;
mod power;
mod random;
mod syncs;
#[cfg(target_os = "linux")]
mod trace;
