//! The gateway's binary as a library: the service, its edge, and what runs it.

pub mod edge;
pub mod http;
pub mod supervisor;
