//! The stream as its clients meet it: programs in other languages, plain sockets, and a gateway in a process of
//! its own.
#![cfg(test)]

mod endings;
mod every_tick;
mod foreign;
mod never_reads;
mod resume;
mod server_sent;
mod socket;
mod ticker;
