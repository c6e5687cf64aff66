//! What tests and fuzz targets hold the gateway's parsers against: the grammars, said once more and by other means.
//!
//! Nothing here uses the code under test but to name its error kinds and to print what it read. Decimals are regular
//! expressions and big integers, times are read digit by digit, JSON by `serde_json`. Where gateway and oracle differ on
//! purpose the oracle's comment says so; every other difference is a finding.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "an oracle that is wrong shall end the test"
)]

pub mod batch;
pub mod grammar;
pub mod json;
pub mod time;
