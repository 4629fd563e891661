//! Shared containers: they know structure, not meaning, and no framework.

pub mod hdf5;
pub mod npy;
pub mod pickle;
pub mod protobuf;
pub mod prototext;
pub mod sstable;
pub mod tar;
pub mod zip;
pub mod zip_records;
