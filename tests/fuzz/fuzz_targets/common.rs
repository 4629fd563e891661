//! What every format's target does: open the bytes, then read every value.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ckptscope::formats::{Format, Probe};
use ckptscope::model::{Checkpoint, Progress};
use ckptscope::raw::ByteSource;

/// Opens bytes as a file of one format and uses all of it. An error is an answer.
pub fn open(format: &dyn Format, data: &[u8]) {
    let source = ByteSource::from_vec(data.to_vec());
    let Ok(probe) = Probe::of_source(PathBuf::from("fuzzed"), source) else { return };
    if !format.detect(&probe) {
        return;
    }
    let progress = Progress::new();
    let Ok(parts) = format.open(&probe, &progress) else { return };
    let checkpoint = Checkpoint::new(Path::new("fuzzed"), parts);
    let _ = checkpoint.layer_tree();
    for (id, _) in checkpoint.tensors() {
        let mut left = 1usize << 24;
        let _ = checkpoint.read_chunks(id, &progress, &mut |piece| {
            left = left.saturating_sub(piece.len());
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
}
