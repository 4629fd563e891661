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

use std::collections::{HashMap, HashSet};

use super::catalogue::{Catalogue, Entry};
use super::config::{Layer, snake_case};
use super::{optimizer_slots, variables};
use crate::formats::containers::hdf5::Tree;
use crate::model::{LayerInfo, TensorId, TensorRole};

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
    let mut listed: HashSet<String> = HashSet::new();
    // Keras orders a layer's trained variables by its sublayers, whose order the file does not keep.
    let mut order_is_known = model.is_some();
    // The optimizer comes last: its variables are named after the others.
    owners.sort_by_key(|owner| owner.role == TensorRole::Optimizer);
    for owner in owners {
        let Some(mut variables) = by_group.remove(owner.group) else { continue };
        variables.sort_unstable();
        if owner.role == TensorRole::Optimizer {
            let model = model.filter(|_| order_is_known);
            add_optimizer(catalogue, &owner, &variables, model, keras2);
            continue;
        }
        let quantized = variables.first().is_some_and(|&(_, index)| catalogue.is_integer(index));
        let named = |class: &str| variables::names(class, owner.config, variables.len(), keras2, quantized);
        let names = named(&owner.class).or_else(|| named(&owner.hint));
        if owner.role == TensorRole::Parameter {
            order_is_known &= listed.insert(owner.layer_path.clone());
        }
        if owner.role == TensorRole::Parameter
            && !owner.layer_path.is_empty()
            && layers.last().is_none_or(|layer| layer.path != owner.layer_path)
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
            match name {
                Some(name) => path.push(name.to_owned()),
                None if owner.role == TensorRole::Parameter => path.push(number.to_string()),
                None => path.extend(["vars".to_owned(), number.to_string()]),
            }
            let statistic = name.is_some_and(|name| {
                variables::is_statistic(name, siblings) || variables::is_adapted(name, owner.config)
            });
            let trainable = (owner.role == TensorRole::Parameter)
                .then_some(owner.trainable && !statistic && !catalogue.is_integer(index));
            let wrapped = name.filter(|name| *name == "kernel" && siblings.contains(&"vector_u"));
            catalogue
                .add(index, Entry { path, layer: owner.layer_path.clone(), role: owner.role, trainable });
            if wrapped.is_some() {
                tie_to_wrapped(catalogue, &owner.keys);
            }
        }
    }
    layers
}

/// Ties the tensor added last, the kernel that a wrapper lists, to that of the layer inside, which is the same variable.
/// Source: `build` in `keras/src/layers/normalization/spectral_normalization.py`.
fn tie_to_wrapped(catalogue: &mut Catalogue, wrapper: &[String]) {
    let Some((copy, others)) = catalogue.tensors.split_last_mut() else { return };
    let inside = others.iter().rposition(|tensor| {
        tensor.path.len() == wrapper.len() + 2
            && tensor.path.starts_with(wrapper)
            && tensor.path.last().is_some_and(|name| name == "kernel" || name == "embeddings")
            && (&tensor.shape, &tensor.dtype) == (&copy.shape, &copy.dtype)
    });
    copy.tied_to = inside.map(|index| TensorId(index as u32));
}

/// `model` is given where the order of its trained weights is known.
fn add_optimizer(
    catalogue: &mut Catalogue,
    owner: &Owner,
    variables: &[(u64, usize)],
    model: Option<&Layer>,
    keras2: bool,
) {
    let tree = catalogue.tree;
    let dims = |index: usize| tree.datasets.get(index).map(|dataset| dataset.shape.dims());
    let shapes: Vec<&[u64]> = variables.iter().filter_map(|&(_, index)| dims(index)).collect();
    let counted = variables.iter().enumerate().all(|(place, &(number, _))| place as u64 == number);
    let names = if let Some(model) = model.filter(|_| counted) {
        let trained: Vec<_> = catalogue
            .tensors
            .iter()
            .filter(|tensor| tensor.role == TensorRole::Parameter && tensor.trainable == Some(true))
            .map(|tensor| (&*tensor.path, tensor.shape.dims()))
            .collect();
        let recorded = tree.group(&format!("{}/vars", owner.group)).and_then(|group| group.text("name"));
        optimizer_slots::names(recorded, model.optimizer.as_ref(), &shapes, &trained)
    } else {
        None
    };
    for (place, &(number, index)) in variables.iter().enumerate() {
        let mut path = owner.keys.clone();
        match names.as_ref().and_then(|names| names.get(place)) {
            Some(keys) => path.extend(keys.iter().cloned()),
            None if number == 0 && dims(index) == Some(&[]) && catalogue.is_integer(index) => {
                path.push("iteration".to_owned());
            }
            None if number == 1 && dims(index) == Some(&[]) && !keras2 => {
                path.push("learning_rate".to_owned());
            }
            None => path.extend(["vars".to_owned(), number.to_string()]),
        }
        let layer = path.split_last().map(|(_, groups)| groups.join(".")).unwrap_or_default();
        let role =
            if path.last().is_some_and(|slot| slot == "average") { TensorRole::Ema } else { owner.role };
        catalogue.add(index, Entry { path, layer, role, trainable: None });
    }
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
    /// Class that the name speaks of which Keras gave the object: `dense_5` is a `dense`.
    hint: String,
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
            hint: String::new(),
            config: None,
            role,
            trainable: true,
        };
        if role == TensorRole::Optimizer || is_metric(&parts) {
            owner.keys = parts.iter().map(|&part| part.to_owned()).collect();
            owner.layer_path = owner.keys.join(".");
            owner.class = parts.last().map(|key| class_of_key(key)).unwrap_or_default();
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
                owner.hint.clear();
                owner.config = Some(&layer.config);
            } else {
                owner.class = class_of_key(key);
                owner.hint = recorded.map(class_of_key).unwrap_or_default();
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
    if matches!(parts.first(), Some(&("optimizer" | "_optimizer"))) {
        return TensorRole::Optimizer;
    }
    let generator =
        |part: &&str| matches!(*part, "seed_generator" | "_random_generator" | "random_generator");
    if is_metric(parts) || parts.iter().any(generator) { TensorRole::Other } else { TensorRole::Parameter }
}

fn is_metric(parts: &[&str]) -> bool {
    let holders = ["metrics", "_metrics", "compile_metrics", "_loss_tracker", "_compile_metrics"];
    parts.first().is_some_and(|part| holders.contains(part))
}

/// The class that a key speaks of: `conv2d_1` is a `conv2d`; attributes that attention layers keep sublayers in
/// are of a known class.
fn class_of_key(key: &str) -> String {
    let key = key.trim_start_matches('_');
    if matches!(key, "query_dense" | "key_dense" | "value_dense" | "output_dense" | "gate_dense") {
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
        assert_eq!(class_of_key("batch_normalization_12"), "batch_normalization");
        assert_eq!(class_of_key("conv2d"), "conv2d");
        assert_eq!(class_of_key("_key_dense"), "einsum_dense");
    }
}
