//! The consensus from outside: against an independent computation, under attack, and over recorded prices.
#![cfg(test)]

mod incidents;
mod oracle;
mod random_windows;
mod real_data;
mod resistance;
mod scene;
mod vote_rules;
