//! Answers over the in-memory model of the store, whose every answer is folded from raw ticks.
#![cfg(test)]

mod computing;
mod consensus;
mod house;
mod kept_answers;
mod latest;
mod lists;
mod range_pages;
mod range_rows;
mod recorder;
