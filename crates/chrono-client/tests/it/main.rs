//! The client against real sockets, with gateways that misbehave on purpose.
#![cfg(test)]

mod gateway;
mod ingest;
mod query;
mod stream;
