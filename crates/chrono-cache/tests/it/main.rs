//! Backends against the contracts.
#![cfg(test)]

mod memory_answers;
mod memory_bus;
