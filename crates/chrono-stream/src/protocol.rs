//! The messages: what clients may say, and what they are told. Pure text in and out.

pub mod command;
pub mod message;
