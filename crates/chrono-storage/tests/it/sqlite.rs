//! The embedded store: the contract's cases, and what only a file can show.

mod running;

mod append;
mod candles;
mod carry;
mod contract;
mod damage;
mod files;
mod kill;
mod memory;
mod recount;
mod stops;
