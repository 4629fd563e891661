//! Finds tensors that hold the same bytes under different names.
//!
//! Only tensors without a partner are looked at, only where both sides have one of the same dtype and shape, first by their
//! beginnings and then whole.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use sha2::{Digest, Sha256};

use crate::analysis::pairing::Pairing;
use crate::model::{Cancelled, Checkpoint, Dtype, Progress, Shape, TensorId};

/// Bytes of a tensor's beginning that are compared first.
const BEGINNING: usize = 64 << 10;

/// Bytes that are read of both sides together; what has not been read by then finds no partner this way.
const BYTES_READ: u64 = 32 << 30;

type Hash = [u8; 32];

/// Pairs of tensors with the same content, the first of the left with the first of the right.
///
/// A tensor of one repeated byte (all zero) says nothing and is left out. So is what cannot be read.
pub(super) fn same_content(
    left: &Checkpoint,
    right: &Checkpoint,
    pairing: &Pairing,
    progress: &Progress,
) -> Result<Vec<(TensorId, TensorId)>, Cancelled> {
    let kind = |checkpoint: &Checkpoint, id: TensorId| -> (Dtype, Shape) {
        let tensor = checkpoint.tensor(id);
        (tensor.dtype.clone(), tensor.shape.clone())
    };
    let kinds = |checkpoint: &Checkpoint, ids: &[TensorId]| -> HashSet<(Dtype, Shape)> {
        ids.iter().map(|&id| kind(checkpoint, id)).collect()
    };
    let (on_left, on_right) = (kinds(left, &pairing.only_left), kinds(right, &pairing.only_right));
    let candidates =
        |checkpoint: &Checkpoint, ids: &[TensorId], other: &HashSet<(Dtype, Shape)>| -> Vec<TensorId> {
            let is_candidate = |id: &&TensorId| {
                checkpoint.tensor(**id).elements() > 1 && other.contains(&kind(checkpoint, **id))
            };
            ids.iter().filter(is_candidate).copied().collect()
        };
    let mut left_ids = candidates(left, &pairing.only_left, &on_right);
    let mut right_ids = candidates(right, &pairing.only_right, &on_left);
    let mut reader = Reader { progress, left: BYTES_READ };
    let mut partners = Vec::new();
    for limit in [Some(BEGINNING), None] {
        let left_hashes = reader.hashes(left, &left_ids, limit)?;
        let right_hashes = reader.hashes(right, &right_ids, limit)?;
        let keys =
            |checkpoint: &Checkpoint, hashes: &[(TensorId, Hash)]| -> HashSet<((Dtype, Shape), Hash)> {
                hashes.iter().map(|&(id, hash)| (kind(checkpoint, id), hash)).collect()
            };
        let (left_keys, right_keys) = (keys(left, &left_hashes), keys(right, &right_hashes));
        let both = |checkpoint: &Checkpoint, hashes: &[(TensorId, Hash)]| -> Vec<(TensorId, Hash)> {
            let is_on_both = |&(id, hash): &(TensorId, Hash)| {
                let key = (kind(checkpoint, id), hash);
                left_keys.contains(&key) && right_keys.contains(&key)
            };
            hashes.iter().copied().filter(is_on_both).collect()
        };
        let (left_found, right_found) = (both(left, &left_hashes), both(right, &right_hashes));
        left_ids = left_found.iter().map(|(id, _)| *id).collect();
        right_ids = right_found.iter().map(|(id, _)| *id).collect();
        if limit.is_none() {
            partners = first_with_first(&left_found, &right_found, |id| kind(left, id), |id| kind(right, id));
        }
    }
    Ok(partners)
}

fn first_with_first(
    left: &[(TensorId, Hash)],
    right: &[(TensorId, Hash)],
    left_kind: impl Fn(TensorId) -> (Dtype, Shape),
    right_kind: impl Fn(TensorId) -> (Dtype, Shape),
) -> Vec<(TensorId, TensorId)> {
    let mut places: HashMap<((Dtype, Shape), Hash), std::collections::VecDeque<TensorId>> = HashMap::new();
    for &(id, hash) in right {
        places.entry((right_kind(id), hash)).or_default().push_back(id);
    }
    left.iter()
        .filter_map(|&(id, hash)| Some((id, places.get_mut(&(left_kind(id), hash))?.pop_front()?)))
        .collect()
}

struct Reader<'a> {
    progress: &'a Progress,
    /// Bytes that may still be read.
    left: u64,
}

impl Reader<'_> {
    /// The hash of each tensor, or of its beginning.
    fn hashes(
        &mut self,
        checkpoint: &Checkpoint,
        ids: &[TensorId],
        limit: Option<usize>,
    ) -> Result<Vec<(TensorId, Hash)>, Cancelled> {
        let mut hashes = Vec::with_capacity(ids.len());
        for &id in ids {
            let bytes = limit.map_or(checkpoint.tensor(id).bytes(), |limit| {
                checkpoint.tensor(id).bytes().min(limit as u64)
            });
            if bytes > self.left {
                continue;
            }
            self.left -= bytes;
            if let Some(hash) = self.hash(checkpoint, id, limit.unwrap_or(usize::MAX)) {
                hashes.push((id, hash));
            }
            self.progress.advance(0)?;
        }
        Ok(hashes)
    }

    fn hash(&self, checkpoint: &Checkpoint, id: TensorId, limit: usize) -> Option<Hash> {
        let mut hasher = Sha256::new();
        let mut first = None;
        let mut varies = false;
        let mut add = |bytes: &[u8]| {
            let first = *first.get_or_insert(bytes.first().copied().unwrap_or_default());
            varies = varies || bytes.iter().any(|&byte| byte != first);
            hasher.update(bytes);
        };
        let len = checkpoint.tensor(id).bytes().min(limit as u64) as usize;
        if limit <= BEGINNING && checkpoint.is_random_access(id) {
            // Whole groups of elements only.
            let group = checkpoint.tensor(id).dtype.group_bytes();
            let mut beginning = vec![0; len - len % group];
            checkpoint.read_at(id, 0, &mut beginning)?.ok()?;
            add(&beginning);
        } else {
            let mut seen = 0usize;
            let cancelled = || self.progress.is_cancelled();
            checkpoint
                .read_chunks(id, &Progress::new(), &mut |bytes| {
                    let part = &bytes[..bytes.len().min(limit - seen)];
                    add(part);
                    seen += part.len();
                    if seen < limit && !cancelled() {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                })
                .ok()?;
        }
        // A beginning of one value may go on otherwise; a whole tensor of one byte is no evidence.
        (varies || limit != usize::MAX).then(|| hasher.finalize().into())
    }
}
