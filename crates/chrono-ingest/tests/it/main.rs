//! The batch parser against another one: `serde_json`, and the grammar stated a second time.
#![cfg(test)]

mod differential;
