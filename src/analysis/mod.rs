//! Pure: values in, numbers out. No files, no logging.

mod builder;
pub mod codes;
mod complex;
mod dead;
pub mod element;
mod gathered;
pub mod health;
pub mod histogram;
mod kernels;
mod key_table;
mod moments;
pub mod norms;
pub mod scan;
pub mod slice;
pub mod spectrum;
pub mod statistics;
pub mod summary;
mod value_table;
mod walk;

pub use builder::StatisticsBuilder;
pub use dead::DeadSlices;
pub use histogram::{Histogram, Scale};
pub use statistics::{Distinct, PartStatistics, Quantiles, Statistics};
pub use value_table::ValueTable;
