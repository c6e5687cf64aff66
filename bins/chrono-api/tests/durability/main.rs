//! Nothing acknowledged is lost: the gateway is killed again and again, and an independent ledger judges what is left.
#![cfg(test)]

#[cfg(feature = "failpoints")]
#[path = "../e2e/ask.rs"]
#[expect(dead_code, reason = "the tests of answers use the rest of it")]
mod ask;
mod bad_disk;
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
#[cfg(feature = "failpoints")]
#[path = "../e2e/service.rs"]
#[expect(dead_code, reason = "the tests of answers use the rest of it")]
mod service;
#[cfg(feature = "failpoints")]
#[path = "../stream_clients/socket.rs"]
#[expect(dead_code, reason = "the tests of streams use the rest of it")]
mod socket;
mod stops;
mod syncs;
#[cfg(target_os = "linux")]
mod trace;
