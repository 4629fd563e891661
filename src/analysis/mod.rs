//! Pure: values in, numbers out. No files, no progress, no logging.

pub mod compatibility;
pub mod diff;
pub mod histogram;
mod kernels;
pub mod pairing;
pub mod statistics;
pub mod summary;

pub use histogram::{Histogram, ValueTable};
pub use statistics::{Statistics, StatisticsBuilder};
