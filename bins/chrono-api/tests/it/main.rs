//! The service from outside: real sockets on a free port.
#![cfg(test)]

mod client;
mod edge;
mod toy;
mod transport;
