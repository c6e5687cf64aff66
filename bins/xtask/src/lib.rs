//! The project's chores, run as `cargo xtask <chore>`.
//!
//! What it is: the gate that every change passes ([`ci`]), and the tools that the gate and people
//! use: the test command of README ([`suite`]), the house rules that no other tool checks
//! ([`tidy`]), the demo's smoke run ([`smoke`]), the benchmark report ([`mod@bench`]), and what asks
//! whether the tests are any good ([`fuzz`], [`coverage`], [`mutants`]).
//!
//! What it is not: a part of the gateway. It depends on no crate of ours, knows no async runtime,
//! and drives everything through `cargo` and the public surface.
//!
//! Read first: [`cli::Chore`], [`tidy::run`], [`ci::run`].

#![expect(clippy::print_stdout, reason = "a chore talks to the person who typed it")]

pub mod bench;
pub mod ci;
pub mod cli;
pub mod command;
pub mod coverage;
pub mod durability;
pub mod fuzz;
pub mod install;
pub mod mutants;
pub mod setup;
pub mod smoke;
pub mod suite;
pub mod tidy;
pub mod workspace;
