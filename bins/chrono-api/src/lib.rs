//! Chrono's gateway: the hyper service, its routes, its configuration and its command line.
//!
//! `http` is the transport, `edge` what stands between it and the use cases, `routes` one small handler for each
//! path, `compose` the one place that names backends and puts everything together.

pub mod cli;
pub mod config;
pub mod edge;
pub mod http;
pub mod observe;
pub mod run;
pub mod supervisor;
