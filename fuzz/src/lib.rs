//! What the fuzz targets hold the gateway's parsers against: the grammars, said once more and by other means.
//!
//! Nothing here uses the code under test but to name its error kinds. Decimals are regular expressions and big
//! integers, times the `time` crate, JSON `serde_json`. Where gateway and oracle differ on purpose the oracle's
//! comment says so; every other difference is a finding.

pub mod batch;
pub mod blob;
pub mod command;
pub mod grammar;
pub mod json;
pub mod query;
