//! The index of a sharded checkpoint: which file holds which tensor.
//!
//! ```text
//! {"metadata": {"total_size": …}, "weight_map": {"tensor": "file", …}}
//! ```
//!
//! Written by Hugging Face's libraries for safetensors and for PyTorch files; source: `split_torch_state_dict_into_shards` in
//! <https://github.com/huggingface/huggingface_hub/blob/v0.23.0/src/huggingface_hub/serialization/_base.py>.
//! A set is exactly the files that `weight_map` names: folders hold duplicates under other names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Probe;
use crate::model::{Dtype, Problem, ReadError, Shape, TensorId, TensorInfo, Value};
use crate::raw::{ByteSource, limits};

/// What an index says.
pub(super) struct ShardIndex {
    /// Files in the order in which tensors name them, each with its tensors.
    pub shards: Vec<Shard>,
    /// Its `metadata`; sizes in it can be wrong.
    pub metadata: Value,
}

/// One file of the set.
pub(super) struct Shard {
    /// As the index names it.
    pub file: String,
    /// Tensors that it should hold.
    pub names: Vec<String>,
}

impl ShardIndex {
    /// Reads an index.
    pub fn read(source: &ByteSource) -> Result<Self, ReadError> {
        let bytes = source.read_all("the index", limits::TEXT_BYTES)?;
        let malformed = |reason: String| ReadError::malformed("the index", 0, reason);
        let mut index: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        let mut take = |key: &str| index.get_mut(key).map(serde_json::Value::take).unwrap_or_default();
        let serde_json::Value::Object(weight_map) = take("weight_map") else {
            return Err(malformed("its weight_map is not an object".to_owned()));
        };
        if weight_map.len() > limits::TENSORS {
            return Err(ReadError::OverLimit {
                what: "the number of tensors in the index".into(),
                value: weight_map.len() as u64,
                limit: limits::TENSORS as u64,
            });
        }
        let mut shards: Vec<Shard> = Vec::new();
        let mut shard_of: HashMap<String, usize> = HashMap::new();
        for (name, file) in weight_map {
            let serde_json::Value::String(file) = file else {
                return Err(malformed(format!("weight_map gives {name:?} a file that is not text")));
            };
            let index = *shard_of.entry(file.clone()).or_insert_with(|| {
                shards.push(Shard { file, names: Vec::new() });
                shards.len() - 1
            });
            if let Some(shard) = shards.get_mut(index) {
                shard.names.push(name);
            }
        }
        Ok(Self { shards, metadata: Value::from_json(take("metadata")) })
    }
}

impl Shard {
    /// Its path, which must be directly beside the index: an index from the network can name any path.
    pub fn beside(&self, index: &Path) -> Result<PathBuf, ReadError> {
        beside(index, &self.file)
    }

    /// Adds a tensor of this shard that is not to be had; gives the reason that a read of it should give.
    pub fn add_missing(
        &self,
        name: &str,
        tensors: &mut Vec<TensorInfo>,
        problems: &mut Vec<Problem>,
    ) -> String {
        let id = TensorId(tensors.len() as u32);
        let fault =
            format!("{name:?} is not to be had: shard {:?} does not hold it or cannot be read", self.file);
        problems.push(Problem::error("missing-tensor", fault.clone()).on(id));
        tensors.push(TensorInfo::new(name, Dtype::Other("unknown".into(), 0), Shape::from(vec![0]), 0));
        fault
    }

    /// The finding that this shard cannot be read.
    pub fn unreadable(&self, error: &ReadError) -> Problem {
        Problem::error("missing-shard", format!("shard {:?} cannot be read: {error}", self.file))
    }
}

/// The path of a file that another names as its neighbour; refuses every other place.
pub(super) fn beside(path: &Path, file: &str) -> Result<PathBuf, ReadError> {
    let is_plain = !file.contains(['/', '\\', '\0', ':']) && !matches!(file, "" | "." | "..");
    if !is_plain {
        return Err(ReadError::unsupported(format!(
            "{file:?} is a place outside the checkpoint's folder, which is not opened"
        )));
    }
    Ok(path.parent().unwrap_or(Path::new("")).join(file))
}

/// Whether a file begins like an index whose files have one of these endings.
pub(super) fn is_index(probe: &Probe, index_ending: &str, endings: &[&str]) -> bool {
    let head = probe.head();
    let contains = |needle: &str| head.windows(needle.len()).any(|window| window == needle.as_bytes());
    // The first file's name may stand behind a long `metadata` object; the index's own name then decides.
    head.trim_ascii_start().starts_with(b"{")
        && contains("\"weight_map\"")
        && (endings.iter().any(|ending| contains(&format!("{ending}\"")))
            || probe.file_name().ends_with(index_ending))
}

/// The index of a folder that holds exactly one with that ending.
pub(super) fn index_in_folder<'a>(probe: &'a Probe, ending: &str) -> Option<&'a str> {
    let mut found = probe.folder()?.iter().filter(|name| name.ends_with(ending));
    match (found.next(), found.next()) {
        (Some(name), None) => Some(name),
        _ => None,
    }
}
