//! Backends against the contract.
#![cfg(test)]

mod model;
mod sqlite;
