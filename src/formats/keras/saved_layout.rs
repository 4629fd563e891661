//! The HDF5 layout of Keras 3 (`.weights.h5`, and inside `.keras`) and of Keras 2.12 to 2.15: paths made of classes.
//!
//! ```text
//! /layers/conv2d/vars            name = "conv_1"      (Keras 3; older files lack the attribute)
//! /layers/conv2d/vars/0          first variable: the trained ones, then the others
//! /layers/functional/layers/…    a nested model
//! /layers/bidirectional/forward_layer/cell/vars/0
//! /optimizer/vars/0   /metrics/mean/vars/0   /vars/0 (the model's own)
//! ```
//! Keras 2.12 and 2.13 write `_layer_checkpoint_dependencies` in place of `layers`.
//! Source: `keras/src/saving/saving_lib.py`.

use std::collections::HashMap;

use super::catalogue::{Catalogue, Entry};
use super::config::{Layer, snake_case};
use super::variables;
use crate::formats::containers::hdf5::Tree;
use crate::model::{LayerInfo, TensorRole};

/// Whether a file has this layout.
pub(super) fn matches(tree: &Tree) -> bool {
    tree.groups.iter().any(|group| {
        group.path == "/_layer_checkpoint_dependencies" || group.path.rsplit('/').next() == Some("vars")
    })
}

/// Attributes that belong to the layout; the rest is metadata.
pub(super) fn is_structural(name: &str) -> bool {
    name == "name" || name == "dtype"
}

fn is_container(key: &str) -> bool {
    matches!(key, "layers" | "_layer_checkpoint_dependencies")
}

/// Adds the model's variables in the model's order, then the rest. Returns the layers where no configuration tells them.
pub(super) fn read(catalogue: &mut Catalogue, model: Option<&Layer>, keras2: bool) -> Vec<LayerInfo> {
    let tree = catalogue.tree;
    let mut by_group: HashMap<&str, Vec<(u64, usize)>> = HashMap::new();
    let mut groups: Vec<&str> = Vec::new();
    for (index, dataset) in tree.datasets.iter().enumerate() {
        let Some((group, number)) = dataset.path.rsplit_once('/') else { continue };
        let Some(owner) = group.strip_suffix("/vars") else { continue };
        let Ok(number) = number.parse() else { continue };
        let variables = by_group.entry(owner).or_default();
        if variables.is_empty() {
            groups.push(owner);
        }
        variables.push((number, index));
    }
    let mut owners: Vec<Owner> = groups.iter().map(|group| Owner::resolve(tree, group, model)).collect();
    let position: HashMap<String, usize> = model
        .map(|model| {
            model.layer_infos(false).into_iter().enumerate().map(|(i, layer)| (layer.path, i)).collect()
        })
        .unwrap_or_default();
    // Stable: within a layer, and for what is not a layer, the order of the file remains.
    owners.sort_by_key(|owner| position.get(&owner.layer_path).copied().unwrap_or(usize::MAX));
    let mut layers: Vec<LayerInfo> = Vec::new();
    for owner in owners {
        let Some(mut variables) = by_group.remove(owner.group) else { continue };
        variables.sort_unstable();
        let names = match owner.role {
            TensorRole::Parameter => variables::names(&owner.class, owner.config, variables.len(), keras2),
            _ => None,
        };
        if owner.role == TensorRole::Parameter
            && !owner.layer_path.is_empty()
            && layers.iter().all(|layer| layer.path != owner.layer_path)
        {
            layers.push(LayerInfo {
                path: owner.layer_path.clone(),
                segments: owner.keys.iter().take(owner.layer_keys).cloned().collect(),
                ..LayerInfo::default()
            });
        }
        for (number, index) in variables {
            let name = names.as_ref().and_then(|names| names.get(number as usize).copied());
            let siblings = names.as_deref().unwrap_or_default();
            let mut path = owner.keys.clone();
            path.push(name.map_or_else(|| number.to_string(), str::to_owned));
            let statistic = name.is_some_and(|name| variables::is_statistic(name, siblings));
            let trainable = (owner.role == TensorRole::Parameter)
                .then_some(owner.trainable && !statistic && !catalogue.is_integer(index));
            catalogue
                .add(index, Entry { path, layer: owner.layer_path.clone(), role: owner.role, trainable });
        }
    }
    layers
}

/// The object that a `vars` group belongs to.
struct Owner<'a> {
    group: &'a str,
    /// Keys for people: names of layers where they are known.
    keys: Vec<String>,
    /// How many of the keys are the layer's.
    layer_keys: usize,
    layer_path: String,
    /// Class in snake case, as far as it is known.
    class: String,
    config: Option<&'a serde_json::Value>,
    role: TensorRole,
    trainable: bool,
}

impl<'a> Owner<'a> {
    fn resolve(tree: &Tree, group: &'a str, model: Option<&'a Layer>) -> Self {
        let parts: Vec<&str> = group.split('/').filter(|part| !part.is_empty()).collect();
        let role = role(&parts);
        let mut owner = Self {
            group,
            keys: Vec::new(),
            layer_keys: 0,
            layer_path: String::new(),
            class: String::new(),
            config: None,
            role,
            trainable: true,
        };
        if role != TensorRole::Parameter {
            owner.keys = parts.iter().map(|&part| part.to_owned()).chain(["vars".to_owned()]).collect();
            owner.layer_path = owner.keys.join(".");
            return owner;
        }
        let mut current = model;
        let mut prefix = String::new();
        let mut index = 0;
        while let Some(&part) = parts.get(index) {
            prefix.push('/');
            prefix.push_str(part);
            index += 1;
            let in_container = is_container(part);
            let key = match parts.get(index) {
                Some(&key) if in_container => {
                    prefix.push('/');
                    prefix.push_str(key);
                    index += 1;
                    key
                }
                _ => part,
            };
            let recorded = tree
                .group(&format!("{prefix}/vars"))
                .and_then(|group| group.text("name"))
                .filter(|name| !name.is_empty());
            let layer = current.and_then(|current| {
                let by_name = recorded.and_then(|name| current.child(name));
                if in_container {
                    by_name.or_else(|| current.saved_child(key))
                } else {
                    // An attribute of a layer: the layer inside a wrapper, if it is one.
                    by_name
                        .or_else(|| current.children.first().filter(|_| !current.is_model && key == "layer"))
                }
            });
            let name =
                recorded.or_else(|| layer.map(|layer| layer.name.as_str()).filter(|name| !name.is_empty()));
            owner.keys.push(name.unwrap_or(key).to_owned());
            if let Some(layer) = layer {
                owner.trainable = layer.trainable;
                owner.class = snake_case(&layer.class);
                owner.config = Some(&layer.config);
            } else {
                owner.class = class_of_key(key, &owner.class);
                owner.config = None;
            }
            if in_container {
                owner.layer_keys = owner.keys.len();
            }
            current = layer;
        }
        owner.layer_keys = owner.layer_keys.max(1).min(owner.keys.len());
        owner.layer_path = owner.keys.iter().take(owner.layer_keys).cloned().collect::<Vec<_>>().join(".");
        owner
    }
}

/// What a path holds, from its outermost key and from the trackers that Keras puts into layers.
fn role(parts: &[&str]) -> TensorRole {
    match parts.first() {
        Some(&("optimizer" | "_optimizer")) => return TensorRole::Optimizer,
        Some(&("metrics" | "_metrics" | "compile_metrics" | "_loss_tracker" | "_compile_metrics")) => {
            return TensorRole::Other;
        }
        _ => {}
    }
    let generator =
        |part: &&str| matches!(*part, "seed_generator" | "_random_generator" | "random_generator");
    if parts.iter().any(generator) { TensorRole::Other } else { TensorRole::Parameter }
}

/// The class that a key speaks of: `conv2d_1` is a `conv2d`; attributes that Keras's own layers keep sublayers in
/// are of known classes.
fn class_of_key(key: &str, outer: &str) -> String {
    if outer == "multi_head_attention" && key.ends_with("_dense") {
        return "einsum_dense".to_owned();
    }
    match key.rsplit_once('_') {
        Some((class, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            class.to_owned()
        }
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_key_tells_what_a_variable_is_for() {
        assert_eq!(role(&["optimizer"]), TensorRole::Optimizer);
        assert_eq!(role(&["metrics", "mean"]), TensorRole::Other);
        assert_eq!(role(&["layers", "dropout", "seed_generator"]), TensorRole::Other);
        assert_eq!(role(&["layers", "dense"]), TensorRole::Parameter);
    }

    #[test]
    fn a_key_without_its_number_is_the_class() {
        assert_eq!(class_of_key("batch_normalization_12", ""), "batch_normalization");
        assert_eq!(class_of_key("conv2d", ""), "conv2d");
        assert_eq!(class_of_key("key_dense", "multi_head_attention"), "einsum_dense");
    }
}
