//! What the benchmarks share: the load generator, the contenders, and the line that reports a figure.
//!
//! Each bench prints one JSON object a line, a [`Figure`]; `cargo xtask bench` runs them and writes docs/BENCHMARKS.md.
//! The limits that figures are held against are programs of this crate (`src/bin/limits`), measured in the same run.
//!
//! Read first: [`Figure`], [`load::run`], [`Server`].
//!
//! ```
//! let mut figures = [3.0, 1.0, 2.0];
//! assert_eq!(chrono_benches::median(&mut figures), 2.0);
//! ```

mod feeds;
mod figure;
mod get;
mod history;
pub mod load;
mod process;
mod rounds;
mod sealed;
mod server;
mod statistics;
mod websocket;

pub use feeds::{Feeds, Times};
pub use figure::{Budget, Figure};
pub use get::{Get, ask, metric};
pub use history::{History, Question, settle};
pub use process::{Usage, bytes_on_disk, pin};
pub use rounds::Rounds;
pub use sealed::{Sealed, seal};
pub use server::{Server, binary, gateway, scratch_gateway};
pub use statistics::{Spread, count, median, time_of};
pub use websocket::Audience;
