//! Reading a real store, beside a writer that runs.
#![cfg(test)]

mod exports;
mod statements;
mod store;
