//! The chrono-worker binary.

fn main() {}
