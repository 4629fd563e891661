//! Which tensors of a file make up one state dictionary, and what their keys in it are.

use std::collections::HashMap;

use super::super::pairing::keras_place;
use crate::model::{Checkpoint, RoleEvidence, TensorId, TensorInfo, TensorRole};

/// The tensors of one model within a file: those whose names begin alike (`model_state_dict.`).
#[derive(Debug, Clone, Default)]
pub(super) struct StateDict {
    /// What comes before the keys.
    pub prefix: String,
    /// In file order.
    pub ids: Vec<TensorId>,
}

/// Dictionaries that are tried; a file of more is a zoo.
const CANDIDATES: usize = 8;

impl StateDict {
    /// The dictionaries in a file, the one with the most tensors first.
    ///
    /// The layer of a tensor is without the keys that wrap the dictionary, so what is left of the name is the wrapper.
    pub fn candidates(checkpoint: &Checkpoint) -> Vec<Self> {
        let mut by_prefix: HashMap<&str, usize> = HashMap::new();
        for (_, tensor) in checkpoint.tensors().filter(|(_, tensor)| is_of_model(tensor)) {
            *by_prefix.entry(wrapper(tensor)).or_default() += 1;
        }
        let mut prefixes: Vec<(&str, usize)> = by_prefix.into_iter().collect();
        prefixes.sort_by_key(|&(prefix, count)| (std::cmp::Reverse(count), prefix.to_owned()));
        prefixes.truncate(CANDIDATES);
        let mut found: Vec<Self> = prefixes
            .iter()
            .map(|(prefix, _)| Self { prefix: (*prefix).to_owned(), ids: Vec::new() })
            .collect();
        for (id, tensor) in checkpoint.tensors().filter(|(_, tensor)| is_of_model(tensor)) {
            // The longest prefix that fits: a wrapper may stand inside another.
            let place = found
                .iter_mut()
                .filter(|state| tensor.name.starts_with(&state.prefix))
                .max_by_key(|state| state.prefix.len());
            if let Some(state) = place {
                state.ids.push(id);
            }
        }
        found.retain(|state| !state.ids.is_empty());
        found
    }

    /// Whether Keras would find all its tensors by their places in the file.
    pub fn has_places(&self, checkpoint: &Checkpoint) -> bool {
        self.ids.iter().all(|&id| keras_place(checkpoint.tensor(id)).is_some())
    }

    /// The key of one of its tensors.
    pub fn key<'a>(&self, checkpoint: &'a Checkpoint, id: TensorId) -> &'a str {
        let name = &checkpoint.tensor(id).name;
        name.strip_prefix(&self.prefix).unwrap_or(name)
    }
}

fn is_of_model(tensor: &TensorInfo) -> bool {
    let is_saved = tensor.role_evidence != Some(RoleEvidence::NotSaved);
    is_saved
        && matches!(
            tensor.role,
            TensorRole::Parameter | TensorRole::Buffer | TensorRole::Unknown | TensorRole::Ema
        )
}

/// What stands before the layer in a tensor's name.
fn wrapper(tensor: &TensorInfo) -> &str {
    let own = match tensor.path.as_ref() {
        // A tensor in no layer: the last key is its own.
        [.., last] if tensor.layer.is_empty() => last.as_str(),
        _ => tensor.layer.as_str(),
    };
    match tensor.name.rfind(own) {
        Some(at) if at > 0 && tensor.name[..at].ends_with('.') => &tensor.name[..at],
        _ => "",
    }
}

/// Keras loads by the order of layers: the first of those without a partner into the first, where both hold as many weights.
/// Source: `load_weights_from_hdf5_group`,
/// <https://github.com/keras-team/keras/blob/v3.11.0/keras/src/legacy/saving/legacy_h5_format.py#L340-L418>.
pub(super) fn by_position(
    checkpoint: &Checkpoint,
    unexpected: &mut Vec<TensorId>,
    model: &Checkpoint,
    missing: &mut Vec<TensorId>,
    mut pair: impl FnMut(TensorId, TensorId),
) {
    let (from, into) = (layers(checkpoint, unexpected), layers(model, missing));
    if from.len() != into.len() || from.iter().zip(&into).any(|(a, b)| a.len() != b.len()) {
        return;
    }
    for (found, wanted) in from.iter().flatten().zip(into.iter().flatten()) {
        pair(*found, *wanted);
    }
    unexpected.clear();
    missing.clear();
}

/// The tensors of each layer, layers in file order.
fn layers(checkpoint: &Checkpoint, ids: &[TensorId]) -> Vec<Vec<TensorId>> {
    let mut layers: Vec<(&str, Vec<TensorId>)> = Vec::new();
    for &id in ids {
        let layer = checkpoint.tensor(id).layer.as_str();
        match layers.last_mut() {
            Some((last, members)) if *last == layer => members.push(id),
            _ => layers.push((layer, vec![id])),
        }
    }
    layers.into_iter().map(|(_, members)| members).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dtype, Shape};

    fn tensor(path: &[&str], layer: &str) -> TensorInfo {
        let mut tensor = TensorInfo::new(path.join("."), Dtype::Float32, Shape::default(), 4);
        tensor.path = path.iter().map(|key| (*key).to_owned()).collect();
        tensor.layer = layer.to_owned();
        tensor
    }

    #[test]
    fn the_wrapper_is_what_stands_before_the_layer() {
        assert_eq!(wrapper(&tensor(&["model_state_dict", "fc.weight"], "fc")), "model_state_dict.");
        assert_eq!(wrapper(&tensor(&["fc", "weight"], "fc")), "");
        assert_eq!(wrapper(&tensor(&["state", "scale"], "")), "state.");
        assert_eq!(wrapper(&tensor(&["xfc.weight"], "fc")), "");
    }
}
