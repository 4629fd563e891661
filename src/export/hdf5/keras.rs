//! Where `load_weights` looks for the weights of a Keras model.
//!
//! ```text
//! [/model_weights]     layer_names, keras_version, backend
//!   /conv_1            weight_names = [conv_1/kernel:0, …]
//!     /conv_1/kernel:0 the values
//! /optimizer_weights   weight_names
//! ```
//! Source: `keras/src/legacy/saving/legacy_h5_format.py`. Files of the newer layout (`.weights.h5`) keep the paths they have.

use crate::export::ExportPlan;
use crate::export::plan::PlannedTensor;
use crate::model::{Checkpoint, TensorInfo};

/// The group of the weights in a file of a whole model.
const MODEL: &str = "model_weights";
const OPTIMIZER: &str = "optimizer_weights";

/// One weight of the layout above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weight {
    /// `model_weights`, `optimizer_weights`, or nothing.
    pub root: Option<&'static str>,
    /// The layer; nothing for the optimizer.
    pub layer: Option<String>,
    /// Its name in the list of the layer, and its path in the layer's group.
    pub name: String,
}

impl Weight {
    /// Groups and dataset.
    pub fn keys(&self) -> Vec<String> {
        let parts = |text: &str| text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let layer: Vec<String> = self.layer.as_deref().map(parts).unwrap_or_default();
        let weight: Vec<String> = parts(&self.name);
        self.root.map(str::to_owned).into_iter().chain(layer).chain(weight).collect()
    }
}

/// Whether a checkpoint's tensors are a Keras model's.
pub(super) fn is_keras(checkpoint: &Checkpoint) -> bool {
    checkpoint.format().starts_with("keras")
}

/// The place of a tensor; `None` for tensors of other layouts, which keep their path.
pub(super) fn weight(checkpoint: &Checkpoint, plan: &ExportPlan, tensor: &PlannedTensor) -> Option<Weight> {
    let source = checkpoint.tensor(tensor.id);
    let mut weight = stored(source)?;
    // Without its configuration the file is one of weights, which has them at the root.
    let is_whole = plan.request.metadata.keeps("model_config")
        && checkpoint.metadata().get("model_config").is_some_and(|config| !config.is_empty());
    if weight.root == Some(MODEL) && !is_whole {
        weight.root = None;
    }
    if tensor.name != source.name
        && let Some(layer) = weight.layer.as_mut()
    {
        let (new_layer, inner) = tensor.name.split_once('.').unwrap_or((&tensor.name, "weight"));
        let output = if weight.name.ends_with(":0") { ":0" } else { "" };
        weight.name = format!("{new_layer}/{}{output}", inner.replace('.', "/"));
        new_layer.clone_into(layer);
    }
    Some(weight)
}

fn stored(source: &TensorInfo) -> Option<Weight> {
    let stored = source.stored_name.as_deref()?.strip_prefix('/')?;
    // `…/vars/0`: the newer layout has no lists.
    let mut parts = stored.rsplit('/');
    if parts.next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
        && parts.next() == Some("vars")
    {
        return None;
    }
    if let Some(weight) = stored.strip_prefix(OPTIMIZER).and_then(|rest| rest.strip_prefix('/')) {
        return Some(Weight { root: Some(OPTIMIZER), layer: None, name: weight.to_owned() });
    }
    let layer = source.path.first()?;
    [Some(MODEL), None].into_iter().find_map(|root| {
        let inside = match root {
            Some(root) => stored.strip_prefix(root)?.strip_prefix('/')?,
            None => stored,
        };
        let weight = inside.strip_prefix(layer.as_str())?.strip_prefix('/')?;
        Some(Weight { root, layer: Some(layer.clone()), name: weight.to_owned() })
    })
}

/// Names in the lists of a group, in order: each group's path, the list's name, and the names.
pub(super) fn lists(
    checkpoint: &Checkpoint,
    plan: &ExportPlan,
) -> Vec<(Vec<String>, &'static str, Vec<String>)> {
    let mut lists: Vec<(Vec<String>, &'static str, Vec<String>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    let mut add = |group: Vec<String>, list: &'static str, name: String| {
        let place = *places.entry((group.clone(), list)).or_insert_with(|| {
            lists.push((group, list, Vec::new()));
            lists.len() - 1
        });
        if let Some((_, _, names)) = lists.get_mut(place)
            && (list == "weight_names" || names.last() != Some(&name))
        {
            names.push(name);
        }
    };
    for tensor in &plan.tensors {
        let Some(weight) = weight(checkpoint, plan, tensor) else { continue };
        let root: Vec<String> = weight.root.map(str::to_owned).into_iter().collect();
        let mut group = root.clone();
        if let Some(layer) = &weight.layer {
            group.extend(layer.split('/').filter(|part| !part.is_empty()).map(str::to_owned));
            // Variables of the model itself have their group without being listed as a layer.
            if layer != "top_level_model_weights" {
                add(root, "layer_names", layer.clone());
            }
        }
        add(group, "weight_names", weight.name);
    }
    for (_, list, names) in &mut lists {
        if *list == "layer_names" {
            let mut seen = std::collections::HashSet::new();
            names.retain(|name| seen.insert(name.clone()));
        }
    }
    lists
}
