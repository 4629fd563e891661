//! The vocabulary of the program: what a checkpoint is, without any I/O.
//!
//! Formats build a [`Checkpoint`]; analysis, the command line and the window read it. Nothing here
//! opens a file or knows how a format stores bytes.

pub mod blocks;
pub mod checkpoint;
pub mod dtype;
pub mod error;
pub mod evidence;
pub mod filter;
pub mod layer_tree;
pub mod metric;
pub mod problem;
pub mod progress;
pub mod python_types;
pub mod rename;
pub mod role;
pub mod series;
pub mod series_csv;
pub mod shape;
pub mod tensor;
pub mod value;

pub use blocks::BlockType;
pub use checkpoint::{Checkpoint, CheckpointParts, ConfiguredCount, LayerInfo, TensorReader, Totals};
pub use dtype::Dtype;
pub use error::ReadError;
pub use evidence::{Evidence, Import, LoadCall, Observation, Oddity};
pub use filter::NameFilter;
pub use layer_tree::{LayerNode, LayerTree, NodeId};
pub use metric::Direction;
pub use problem::{Problem, Severity};
pub use progress::{Cancelled, Progress};
pub use python_types::{Keys, PythonType, PythonTypes};
pub use rename::RenameRule;
pub use role::RoleEvidence;
pub use series::{Axis, AxisKind, BestRecord, HistogramSeries, LoggedBucket, Origin, Series};
pub use shape::Shape;
pub use tensor::{TensorId, TensorInfo, TensorRole};
pub use value::Value;
