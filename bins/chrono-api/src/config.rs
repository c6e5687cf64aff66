//! Configuration: one table of settings, read from flags, environment and file, every fault reported at once.
//!
//! Flags win over the environment, the environment over the file, the file over the defaults. This module and its
//! children are the only ones that read the environment.

#[cfg(feature = "failpoints")]
mod failpoints;
mod fault;
mod settings;
mod show;
mod sources;
mod typed;

#[cfg(feature = "failpoints")]
pub use failpoints::Failpoints;
pub use fault::{Faults, SettingFault};
pub use settings::{SETTINGS, Setting};
pub use show::{effective, example};
pub use sources::{Origin, Sources, Value, flag_name};
pub use typed::{Config, HttpConfig, LogConfig, LogFormat, MetricsConfig, StreamConfig};

/// Reads and checks the whole configuration.
///
/// # Errors
/// [`Faults`]: every setting that is wrong, and how.
pub fn load(sources: &Sources) -> Result<Config, Faults> {
    Config::try_from(sources)
}

#[cfg(test)]
mod tests;
