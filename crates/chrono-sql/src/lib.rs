//! Reading the embedded store as people do: by SQL, and as files for other programs.
//!
//! Ticks lie packed in the store's file, so SQLite alone cannot read them. Here a virtual table unpacks them page by
//! page, beside a running gateway or without one. Nothing is ever written. It knows one backend, and neither HTTP nor
//! the command line.
//!
//! Three to read first: [`Archive`] (the file), [`Export`] (which ticks go out) and [`Format`] (in what form).
//!
//! ```
//! # use chrono_domain::SystemClock;
//! use chrono_sql::{Archive, Format};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("chrono.db");
//! # chrono_storage::sqlite::Visit::open(&path, &SystemClock::new())?;
//! let archive = Archive::open(&path, &SystemClock::new())?;
//! let mut out = Vec::new();
//! archive.query("SELECT count(*) AS ticks FROM price_feeds", Format::Csv, &mut out)?;
//! assert_eq!(out, b"ticks\r\n0\r\n");
//! # Ok(())
//! # }
//! ```

mod archive;
mod error;
mod export;
mod feeds;
mod form;
mod instant;
mod plan;
mod walk;

pub use archive::Archive;
pub use error::{ReadError, UsageError};
pub use export::Export;
pub use form::Format;
