//! Chrono's gateway: the hyper service, its routes, its configuration and its command line.
//!
//! `http` is the transport, `edge` what stands between it and the use cases, `routes` one small handler for each
//! path, `compose` the one place that names backends and puts everything together.

mod app;
pub mod cli;
mod compose;
pub mod config;
mod demo;
mod descriptors;
pub mod edge;
pub mod http;
mod key_file;
mod keys_command;
mod migrate;
pub mod observe;
mod priority;
mod reading;
pub mod routes;
pub mod run;
mod serve;
mod stream;
pub mod supervisor;
mod upkeep;
