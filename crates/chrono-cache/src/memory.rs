//! The in-process backend: a ring of commits and a bounded map of answers.

mod answers;
mod bus;

pub use answers::{ANSWER_BYTES_MAX, MemoryAnswers};
pub use bus::{BusSettings, MemoryBus};
