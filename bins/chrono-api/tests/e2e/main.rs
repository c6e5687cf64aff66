//! The binary as a whole: recordings go in over HTTP as workers post them, and every answer is checked from outside.
#![cfg(test)]

mod ask;
mod recordings;
mod service;

mod real_candles;
mod real_consensus;
mod real_input;
