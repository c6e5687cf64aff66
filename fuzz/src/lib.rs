//! What only fuzz targets hold the gateway's parsers against; the rest is `chrono_testkit::oracle`, and so are its rules.

pub mod blob;
pub mod command;
pub mod query;
