//! The library against fixtures that the frameworks wrote; no window, no display.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure here is a failed test")]

mod bounded;
mod cancelling;
mod compare;
mod compatibility;
mod curves;
mod export;
mod export_faults;
mod fixtures;
mod fuzz_corpus;
mod health;
mod keras_folders;
mod keras_layers;
mod moving;
mod not_checkpoints;
mod packed;
mod pair_looks;
mod parity;
mod pytorch_sets;
mod robustness;
mod safetensors_oracle;
mod safety;
mod statistics;
mod support;
mod tensorflow;

#[path = "../support/safetensors_file.rs"]
#[allow(dead_code, reason = "the benchmark uses more of it")]
mod safetensors_file;
