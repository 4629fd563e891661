//! Pure: values in, numbers out. No files, no logging.
//!
//! Passes over whole tensors read through [`crate::model::Checkpoint`] and stop through [`crate::model::Progress`]:
//! the command line and the window run the same ones.

mod abandonable;
mod builder;
pub mod codes;
pub mod compatibility;
mod complex;
pub mod curves;
mod dead;
pub mod diff;
pub mod difference;
pub mod drift;
pub mod element;
mod gathered;
pub mod health;
mod health_rules;
pub mod histogram;
mod kernels;
mod key_table;
mod moments;
pub mod name_pattern;
pub mod norms;
pub mod pairing;
mod power_law;
pub mod pyramid;
pub mod ridges;
pub mod safety;
pub mod scan;
pub mod series;
pub mod slice;
pub mod spectrum;
pub mod statistics;
pub mod summary;
mod value_table;
mod walk;

pub use builder::StatisticsBuilder;
pub use dead::DeadSlices;
pub use histogram::{Histogram, Scale};
pub use power_law::PowerLaw;
pub use statistics::{Distinct, PartStatistics, Quantiles, Statistics};
pub use value_table::ValueTable;
