//! The library against fixtures that the frameworks wrote; no window, no display.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure here is a failed test")]

mod bounded;
mod fixtures;
mod keras_layers;
mod not_checkpoints;
mod parity;
mod robustness;
mod safetensors_oracle;
mod support;
