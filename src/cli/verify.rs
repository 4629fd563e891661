//! `inspect --verify`: every checksum that the file carries, and every value, against what is there.
//!
//! Values are read with the tensors (a `TensorBundle` and a filtered chunk of HDF5 are checked as they are read); the
//! checksums of archives, over members that nothing else reads whole, are checked here. What this program cannot read,
//! though nothing is wrong with it, is no damage.

use std::collections::HashSet;
use std::path::Path;

use serde::Serialize;

use crate::formats;
use crate::model::{Checkpoint, Oddity, Problem, Progress, Severity, TensorId};

/// What was found out.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// Checksums of archives that were compared; those inside of tensors' values are not counted.
    pub checksums: u64,
    /// Tensors whose values were read to their end.
    pub readable: u64,
    /// Tensors whose values this program does not read, undamaged as far as can be told.
    pub not_read: u64,
    /// What is wrong, as sentences.
    pub damage: Vec<String>,
}

impl Verified {
    /// `unreadable`: what reading the tensors in `ids` found.
    pub fn of(path: &Path, checkpoint: &Checkpoint, ids: &[TensorId], unreadable: &[Problem]) -> Self {
        let wanted: HashSet<TensorId> = ids.iter().copied().collect();
        let mut damage = Vec::new();
        let mut checksums = 0;
        // A file of which nothing is known but its values has no checksums beside them.
        if let Ok(evidence) = formats::examine(path, true, &Progress::new()) {
            checksums = evidence.checksums;
            let is_damage = |kind: Oddity| {
                matches!(
                    kind,
                    Oddity::ChecksumMismatch
                        | Oddity::BrokenArchive
                        | Oddity::ContradictoryHeaders
                        | Oddity::BrokenPickle
                )
            };
            for seen in evidence.observations.iter().filter(|seen| is_damage(seen.kind)) {
                let place = if seen.place.is_empty() { String::new() } else { format!("{}: ", seen.place) };
                damage.push(format!("{place}{}", seen.detail));
            }
        }
        let mut broken: HashSet<TensorId> = HashSet::new();
        for problem in checkpoint.problems().iter().chain(unreadable) {
            let is_wanted = problem.tensor.is_none_or(|id| wanted.contains(&id));
            if problem.severity < Severity::Error || !is_wanted {
                continue;
            }
            // Opening already told of most of what reading finds.
            if problem.tensor.is_some_and(|id| !broken.insert(id)) {
                continue;
            }
            let name =
                problem.tensor.map(|id| format!("{}: ", checkpoint.tensor(id).name)).unwrap_or_default();
            damage.push(format!("{name}{}", problem.message));
        }
        let failed: HashSet<TensorId> = unreadable.iter().filter_map(|problem| problem.tensor).collect();
        let not_read = failed.difference(&broken).count() as u64;
        let readable = (ids.len() - failed.len()) as u64;
        Self { checksums, readable, not_read, damage }
    }
}
