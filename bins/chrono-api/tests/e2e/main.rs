//! The binary as a whole: recordings go in over HTTP as workers post them, and every answer is checked from outside.
#![cfg(test)]

mod ask;
mod fold;
mod office;
#[path = "../../../../crates/chrono-domain/tests/it/oracle.rs"]
#[expect(dead_code, reason = "the domain's own tests use the rest of it")]
mod oracle;
mod recordings;
mod scene;
mod service;

mod candle_answers;
mod clean_stops;
mod early_stops;
mod edge_answers;
mod forwarded;
mod hung_readers;
mod ingest_answers;
mod limits;
mod newcomer;
mod operator;
mod price_answers;
mod reading;
mod real_candles;
mod real_consensus;
mod real_input;
mod real_ranges;
mod roles;
mod rotation;
mod start_faults;
mod summary_answers;
mod tls;
