//! Chrono's numbered SQL, embedded so that a binary brings its schema along.
//!
//! A migration that was released is never edited: stores remember its checksum and refuse another text. Changes are
//! new files with the next number. Applying them is each backend's business; this crate only holds the texts.
//!
//! ```
//! let first = chrono_migrations::SQLITE.first().expect("there is a first migration");
//! assert_eq!((first.version, first.name), (1, "ticks_and_candles"));
//! ```

mod migration;

pub use migration::Migration;

/// The embedded store's migrations, in order, numbered from 1.
pub const SQLITE: &[Migration] = &[
    Migration::new(1, "ticks_and_candles", include_str!("sqlite/0001_ticks_and_candles.sql")),
    Migration::new(2, "log_and_pages", include_str!("sqlite/0002_log_and_pages.sql")),
    Migration::new(3, "rows_to_pages", include_str!("sqlite/0003_rows_to_pages.sql")),
];
