//! Peers that mean harm or are broken, against the binary: what they are told, when they are cut off, what they cost, and
//! that nobody beside them notices.
#![cfg(test)]

#[path = "../e2e/ask.rs"]
#[expect(dead_code, reason = "the tests of answers use the rest of it")]
mod ask;
#[path = "../it/client.rs"]
#[expect(dead_code, reason = "the transport's own tests use the rest of it")]
mod client;
mod feeds;
mod honest;
#[path = "../e2e/service.rs"]
#[expect(dead_code, reason = "the tests of answers use the rest of it")]
mod service;

mod bodies;
mod descriptors;
mod framing;
mod overload;
mod pipelines;
mod readers;
mod slow;
#[cfg(target_os = "linux")]
mod unsent;
mod values;
#[cfg(target_os = "linux")]
mod waiting;
