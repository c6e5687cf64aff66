//! The chrono-api binary.

fn main() {}
