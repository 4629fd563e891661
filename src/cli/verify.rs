//! `inspect --verify`: every checksum that the file carries, and every value, against what is there.
//!
//! Values are read with the tensors (a `TensorBundle` and a filtered chunk of HDF5 are checked as they are read); the
//! checksums of archives, over members that nothing else reads whole, are checked here. What this program cannot read,
//! though nothing is wrong with it, is no damage.

use std::collections::HashSet;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::measure::{Measured, hex};
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
    /// Over the names, shapes, dtypes and values of all tensors, in lower-case hexadecimal: the same for two files that
    /// hold the same, whatever their formats. `None` where not everything could be read.
    pub contents_sha256: Option<String>,
}

/// The hashes of tensors, as they become known.
#[derive(Default)]
pub struct Contents(Vec<(TensorId, String)>);

impl Contents {
    /// Takes what was measured of a tensor.
    pub fn add(&mut self, id: TensorId, measured: &Measured) {
        self.0.extend(measured.sha256.clone().map(|hash| (id, hash)));
    }

    /// One hash over all. Tensors are taken by name, since formats differ in their order.
    fn sha256(mut self, checkpoint: &Checkpoint) -> String {
        let name = |id: TensorId| &checkpoint.tensor(id).name;
        self.0.sort_by(|(a, of_a), (b, of_b)| name(*a).cmp(name(*b)).then_with(|| of_a.cmp(of_b)));
        let mut hasher = Sha256::new();
        for (id, hash) in &self.0 {
            let tensor = checkpoint.tensor(*id);
            // A length before each text: no two lists of texts are the same bytes.
            for text in [tensor.name.as_str(), &tensor.shape.to_string(), tensor.dtype.name(), hash] {
                hasher.update((text.len() as u64).to_le_bytes());
                hasher.update(text);
            }
        }
        hex(&hasher.finalize())
    }
}

impl Verified {
    /// `contents` and `unreadable`: what reading the tensors in `ids` found.
    pub fn of(checkpoint: &Checkpoint, ids: &[TensorId], contents: Contents, unreadable: &[Problem]) -> Self {
        let wanted: HashSet<TensorId> = ids.iter().copied().collect();
        let mut damage = Vec::new();
        let mut checksums = 0;
        // A file of which nothing is known but its values has no checksums beside them.
        if let Ok(evidence) = formats::examine(checkpoint.path(), true, &Progress::new()) {
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
        let contents_sha256 = failed.is_empty().then(|| contents.sha256(checkpoint));
        Self { checksums, readable, not_read, damage, contents_sha256 }
    }
}
