//! Results to files.

pub mod report;
