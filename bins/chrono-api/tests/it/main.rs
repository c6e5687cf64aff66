//! The service from outside: real sockets on a free port.
#![cfg(test)]

#[path = "../e2e/tls/authority.rs"]
#[expect(dead_code, reason = "the tests of the whole binary use the rest of it")]
mod authority;
mod client;
mod edge;
mod tls;
mod toy;
mod transport;
