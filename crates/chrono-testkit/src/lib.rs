//! What Chrono's tests share: recorded market data, read where it lies, gateways as processes of their own, the ledger
//! that durability is judged by, and the oracle that parsers are held against.
//!
//! For tests only, and never a dependency of what ships. The recordings are not part of this repository; where they
//! are absent, [`data_dir`] says so and the tests that need them have nothing to check.
//!
//! Three to read first: [`data_dir`], [`tick_files`] and [`read_rows`].
//!
//! ```
//! use chrono_testkit::{TickRow, data_dir, read_rows, tick_files};
//!
//! if let Some(dir) = data_dir() {
//!     for file in tick_files(&dir)? {
//!         let rows: Vec<TickRow> = read_rows(&file)?;
//!         assert!(!rows.is_empty());
//!     }
//! }
//! # Ok::<(), anyhow::Error>(())
//! ```

mod environment;
mod gateway;
pub mod ledger;
pub mod oracle;
mod recording;
mod resident;

pub use environment::number_from_environment;
pub use gateway::{
    ADMIN_KEY, Gateway, GatewayCommand, INTERNAL_KEY, PUBLIC_KEY, fill, has_program, scratch,
};
pub use recording::{CandleRow, TickRow, data_dir, read_rows, tick_files};
pub use resident::resident_kib;
