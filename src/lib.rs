//! The engine of Ckptscope: reads machine-learning checkpoints and says what is in them.
//!
//! ```text
//! bytes on disk ──formats──▶ Checkpoint (catalogue now, values later)
//!      │                        │                    │
//!      └─training_logs─▶ Series │                    │
//!                          analysis (pure)        export (writers)
//!                               │                    │
//!                               └──── jobs (threads, progress, cancel) ────┐
//!                                                                          ▼
//!                     cli ◀── same layers, no window        state ──▶ ui ──Command──▶ app ──▶ state, jobs
//! ```
//!
//! Five sentences to remember:
//! 1. Opening a checkpoint reads names, dtypes, shapes and metadata, never all values.
//! 2. Values flow in pieces from a reader into an accumulator; no tensor need fit in memory.
//! 3. The frame code never opens files, never waits, never loops over tensor values.
//! 4. Views read state and send commands; one function changes state.
//! 5. What the file does not say, we do not claim.
//!
//! Who may use whom (checked by `tests/architecture.rs`):
//! - `model` and `text` depend on nothing of ours; `raw` on `model`; `formats` on `model`, `raw` and `text`;
//!   `training_logs` on those and on the containers of `formats`;
//!   `analysis` on `model`, through whose checkpoints it reads values; `export` on `model`, `analysis`, `text`; `jobs` on those; `state` on `model`, `analysis`, `jobs`; `ui` on `state`,
//!   `model`, `analysis`, `text`; `app` on everything; `cli` on everything but `ui`, `app`, `state`.
//! - Only `ui`, `app` and `main.rs` name `egui` or `eframe`.
//! - Formats do not call each other; shared containers live in `formats::containers` and know no framework.
//! - Colours are made only in `ui::theme`; printing happens only in `cli` and `main.rs`.

pub mod analysis;
pub mod cli;
pub mod export;
pub mod formats;
pub mod jobs;
pub mod model;
pub mod raw;
pub mod state;
pub mod text;
pub mod training_logs;

#[cfg(feature = "gui")]
pub mod app;
#[cfg(feature = "gui")]
pub mod ui;
