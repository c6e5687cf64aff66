//! Chrono's gateway: the hyper service, its routes, its configuration and its command line.

pub mod cli;
pub mod config;
pub mod observe;
pub mod run;
