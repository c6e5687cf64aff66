//! Numbered SQL.
