//! Sharded checkpoints of Hugging Face: `pytorch_model.bin.index.json` and the PyTorch files that it names.
//!
//! Each shard is opened as any PyTorch file is, whatever its layout; the set shows the tensors that the index names.
//! A shard that is missing or broken costs its own tensors: they stay listed, without values.

use std::collections::HashSet;
use std::path::Path;

use super::PyTorch;
use super::joined::Joined;
use crate::formats::shard_index::{Shard, ShardIndex, index_in_folder, is_index};
use crate::formats::{Format as _, Probe};
use crate::model::{CheckpointParts, Problem, Progress, ReadError, TensorRole, role};
use crate::raw::ByteSource;

/// How the indices of sets end.
const INDEX_ENDING: &str = ".bin.index.json";

/// Endings of the files that such an index names.
const SHARD_ENDINGS: &[&str] = &[".bin", ".pt", ".pth"];

/// Whether it is an index, or a folder that is known by its one.
pub fn detect(probe: &Probe) -> bool {
    is_index(probe, INDEX_ENDING, SHARD_ENDINGS)
        && !is_index(probe, ".safetensors.index.json", &[".safetensors"])
        || in_folder(probe).is_some()
}

/// The same weights are often there as safetensors too, which are the better copy.
fn in_folder(probe: &Probe) -> Option<&str> {
    let entries = probe.folder()?;
    let has_safetensors = entries.iter().any(|name| name.ends_with(".safetensors.index.json"));
    index_in_folder(probe, INDEX_ENDING).filter(|_| !has_safetensors)
}

/// Opens the set that an index or a folder stands for.
pub fn open(probe: &Probe, progress: &Progress) -> Result<CheckpointParts, ReadError> {
    let path = match in_folder(probe) {
        Some(name) => probe.path().join(name),
        None => probe.path().to_owned(),
    };
    let source = ByteSource::open(&path)?;
    let index = ShardIndex::read(&source)?;
    let mut set = Joined::new(source.len());
    for shard in &index.shards {
        progress.advance(0)?;
        let found = match open_shard(&path, shard, progress) {
            Ok(parts) => add(&mut set, shard, parts),
            Err(ReadError::Cancelled) => return Err(ReadError::Cancelled),
            Err(error) => {
                set.problems.push(shard.unreadable(&error));
                HashSet::new()
            }
        };
        for name in shard.names.iter().filter(|name| !found.contains(name.as_str())) {
            let fault = shard.add_missing(name, &mut set.tensors, &mut set.problems);
            set.refuse(fault);
        }
    }
    let complete = set.tensors.iter().all(|tensor| tensor.role != TensorRole::Unknown);
    Ok(set.finish("pytorch-sharded", index.metadata, complete))
}

fn open_shard(index: &Path, shard: &Shard, progress: &Progress) -> Result<CheckpointParts, ReadError> {
    let probe = Probe::new(&shard.beside(index)?)?;
    if super::is_set(&probe) || !PyTorch.detect(&probe) {
        return Err(ReadError::unsupported("it is not a PyTorch file"));
    }
    PyTorch.open(&probe, progress)
}

/// Adds the tensors of a shard that the index names; gives their names.
fn add<'a>(set: &mut Joined, shard: &'a Shard, parts: CheckpointParts) -> HashSet<&'a str> {
    let wanted: HashSet<&str> = shard.names.iter().map(String::as_str).collect();
    let mut found = HashSet::new();
    let mut unlisted = 0u64;
    set.file_bytes = set.file_bytes.saturating_add(parts.file_bytes);
    set.add(&format!("shard {:?}", shard.file), parts, |tensor| {
        let Some(&name) = wanted.get(tensor.name.as_str()) else {
            unlisted += 1;
            return false;
        };
        // A shard alone may not show what its tensors are for; the whole set is a model's state_dict.
        if tensor.role == TensorRole::Unknown && tensor.shape.checked_elements().is_some() {
            let (role, evidence) = role::of_state_dict(&tensor.name, &tensor.dtype, &tensor.shape);
            (tensor.role, tensor.role_evidence) = (role, Some(evidence));
        }
        found.insert(name)
    });
    if unlisted > 0 {
        let text = format!("{unlisted} tensors of shard {:?} are not in the index and not shown", shard.file);
        set.problems.push(Problem::info("unlisted-tensors", text));
    }
    found
}
