//! The worker as a whole: over recorded data, and against an HTTP server that keeps what it gets.
#![cfg(test)]

mod gateway;
mod process;
mod recordings;
mod replay;
mod sim;
