//! The HDF5 layout of Keras 1 and 2, which Keras 3 still writes for `.h5`: layer groups and `weight_names`.
//!
//! ```text
//! /                      model_config, training_config, keras_version, backend   (a whole model; otherwise the next line is /)
//! /model_weights         layer_names = [conv_1, …]          split as layer_names0, layer_names1, … when long
//!   /conv_1              weight_names = [conv_1/kernel:0, …]
//!     /conv_1/kernel:0   the values
//!   /top_level_model_weights                                variables of the model itself; not in layer_names
//! /optimizer_weights     weight_names
//! ```
//! Source: `keras/src/legacy/saving/legacy_h5_format.py`. Order comes from the two lists, never from the groups.

use super::catalogue::{Catalogue, Entry};
use super::config::Layer;
use super::variables;
use crate::formats::containers::hdf5::{Group, Tree};
use crate::model::{LayerInfo, Problem, TensorRole};

/// The group of the variables that hang in no layer.
const TOP_LEVEL: &str = "top_level_model_weights";

/// Whether a file has this layout.
pub(super) fn matches(tree: &Tree) -> bool {
    weights_root(tree).is_some()
}

/// The group whose `layer_names` list the layers.
fn weights_root(tree: &Tree) -> Option<&Group> {
    let is_root = |group: &&Group| group.texts("layer_names").is_some();
    tree.group("/model_weights").or_else(|| Some(tree.root()).filter(is_root))
}

/// Attributes that belong to the layout; the rest is metadata.
pub(super) fn is_structural(name: &str) -> bool {
    name.starts_with("layer_names") || name.starts_with("weight_names")
}

/// Adds layers in the model's order, then optimizer weights. Returns the layers where no configuration tells them.
pub(super) fn read(catalogue: &mut Catalogue, model: Option<&Layer>) -> Vec<LayerInfo> {
    let tree = catalogue.tree;
    let Some(root) = weights_root(tree) else { return Vec::new() };
    let names = root.texts("layer_names").unwrap_or_else(|| {
        catalogue.problems.push(Problem::warning(
            "keras-layer-names",
            "the list of layer names is missing; layers are shown in the order of their groups",
        ));
        root.groups.iter().map(String::as_str).collect()
    });
    let mut layers = Vec::with_capacity(names.len());
    for name in &names {
        let Some(group) = tree.group(&format!("{}/{name}", root.path)) else {
            catalogue.problems.push(Problem::warning(
                "keras-missing-layer",
                format!("layer_names lists {name:?}, but the file has no such group"),
            ));
            continue;
        };
        layers.push(LayerInfo {
            path: (*name).to_owned(),
            segments: vec![(*name).to_owned()],
            ..LayerInfo::default()
        });
        add_layer(catalogue, group, name, model);
    }
    if let Some(group) = tree.group(&format!("{}/{TOP_LEVEL}", root.path))
        && !names.contains(&TOP_LEVEL)
    {
        add_layer(catalogue, group, TOP_LEVEL, model);
    }
    add_optimizer(catalogue);
    layers
}

fn add_layer(catalogue: &mut Catalogue, group: &Group, name: &str, model: Option<&Layer>) {
    let tree = catalogue.tree;
    let Some(weights) = group.texts("weight_names") else { return };
    let leaves: Vec<&str> = weights.iter().map(|weight| leaf(weight)).collect();
    let layer = model.and_then(|model| model.child(name));
    for weight in &weights {
        let path = format!("{}/{}", group.path, weight.trim_start_matches('/'));
        let Some(index) = tree.dataset(&path) else {
            catalogue.problems.push(Problem::error(
                "keras-missing-weight",
                format!(
                    "weight_names of layer {name:?} lists {weight:?}, but the file has no dataset {path:?}"
                ),
            ));
            continue;
        };
        let inner = inside_layer(name, weight);
        let (holder, layer_path) = holder(layer, name, &inner);
        let statistic = variables::is_statistic(leaf(weight), &leaves);
        let mut keys = vec![name.to_owned()];
        keys.extend(inner);
        catalogue.add(
            index,
            Entry {
                path: keys,
                layer: layer_path,
                role: TensorRole::Parameter,
                trainable: Some(
                    !statistic && !catalogue.is_integer(index) && holder.is_none_or(|layer| layer.trainable),
                ),
            },
        );
    }
}

/// The variable's own name: the last part, without TensorFlow's output number.
fn leaf(weight: &str) -> &str {
    let last = weight.rsplit('/').next().unwrap_or(weight);
    without_output(last)
}

fn without_output(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((name, output)) if !name.is_empty() && output.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => name,
    }
}

/// The keys of a weight inside its layer: `conv_1/kernel:0` and `cifar_cnn/conv_1/kernel` in `conv_1` are `kernel`,
/// Keras 1's `conv_1_W:0` is `W`.
fn inside_layer(layer: &str, weight: &str) -> Vec<String> {
    let weight = without_output(weight);
    let weight = weight.strip_prefix(layer).and_then(|rest| rest.strip_prefix('/')).unwrap_or(weight);
    let parts: Vec<&str> = weight.split('/').filter(|part| !part.is_empty()).collect();
    let Some((last, scopes)) = parts.split_last() else { return vec![weight.to_owned()] };
    let start = scopes.iter().rposition(|part| *part == layer).map_or(0, |position| position + 1);
    let last = last
        .strip_prefix(layer)
        .and_then(|rest| rest.strip_prefix('_'))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(last);
    scopes.iter().skip(start).copied().chain([last]).map(str::to_owned).collect()
}

/// The layers that lead to the one of a name: a model's own, or else the only one in the models nested in it, whose names
/// Keras 2 leaves out of the weight's.
fn way_to<'l>(model: &'l Layer, name: &str) -> Vec<&'l Layer> {
    if let Some(child) = model.child(name) {
        return vec![child];
    }
    let mut found = Vec::new();
    let mut open: Vec<Vec<&Layer>> = vec![vec![model]];
    while let Some(way) = open.pop() {
        for child in way.last().map(|last| last.children.as_slice()).unwrap_or_default() {
            let longer: Vec<&Layer> = way.iter().copied().chain([child]).collect();
            if child.name == name {
                found.push(longer);
            } else if child.is_model {
                open.push(longer);
            }
        }
    }
    match found.as_slice() {
        [only] => only.iter().skip(1).copied().collect(),
        _ => Vec::new(),
    }
}

/// The innermost layer of a nested model that holds the weight with these keys, and its path.
fn holder<'l>(layer: Option<&'l Layer>, name: &str, inner: &[String]) -> (Option<&'l Layer>, String) {
    let mut path = name.to_owned();
    let Some(mut holder) = layer else { return (None, path) };
    let scopes = inner.split_last().map(|(_, scopes)| scopes).unwrap_or_default();
    for scope in scopes {
        if !holder.is_model {
            break;
        }
        for layer in way_to(holder, scope) {
            holder = layer;
            path = format!("{path}.{}", layer.name);
        }
    }
    (Some(holder), path)
}

fn add_optimizer(catalogue: &mut Catalogue) {
    const ROOT: &str = "/optimizer_weights";
    let tree = catalogue.tree;
    let Some(group) = tree.group(ROOT) else { return };
    let listed = group.texts("weight_names").unwrap_or_default();
    let listed = listed.iter().filter_map(|weight| tree.dataset(&format!("{ROOT}/{weight}")));
    let prefix = format!("{ROOT}/");
    let all = tree
        .datasets
        .iter()
        .enumerate()
        .filter(|(_, dataset)| dataset.path.starts_with(&prefix))
        .map(|(index, _)| index);
    for index in listed.chain(all) {
        let Some(dataset) = tree.datasets.get(index) else { continue };
        let path = super::catalogue::segments(without_output(&dataset.path));
        let layer = path.split_last().map(|(_, groups)| groups.join(".")).unwrap_or_default();
        catalogue.add(index, Entry { path, layer, role: TensorRole::Optimizer, trainable: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_of_a_model_two_levels_down_is_its_layers() {
        let dense = |name: &str| serde_json::json!({"class_name": "Dense", "config": {"name": name}});
        let model = |name: &str, trainable: bool, layers: Vec<serde_json::Value>| {
            serde_json::json!({
                "class_name": "Functional",
                "config": {"name": name, "trainable": trainable, "layers": layers},
            })
        };
        let inner = model("inner", false, vec![dense("i")]);
        let outer = model("outer", true, vec![model("mid", true, vec![inner, dense("m")])]);
        let outer = Layer::model(&outer).expect("a model");
        let keys = |keys: [&str; 2]| keys.map(str::to_owned);
        let (found, path) = holder(outer.child("mid"), "mid", &keys(["i", "kernel"]));
        assert_eq!((found.map(|layer| layer.trainable), path.as_str()), (Some(false), "mid.inner.i"));
        let (found, path) = holder(outer.child("mid"), "mid", &keys(["m", "kernel"]));
        assert_eq!((found.map(|layer| layer.trainable), path.as_str()), (Some(true), "mid.m"));
    }

    #[test]
    fn weights_are_named_inside_their_layer() {
        for (layer, weight, keys) in [
            ("conv_1", "conv_1/kernel:0", vec!["kernel"]),
            ("conv_1", "cifar_cnn/conv_1/kernel", vec!["kernel"]),
            ("inner", "inner_bn/gamma:0", vec!["inner_bn", "gamma"]),
            ("bi", "bi/forward_gru/gru_cell/kernel:0", vec!["forward_gru", "gru_cell", "kernel"]),
            ("dense_1", "dense_1_W:0", vec!["W"]),
            ("a/b", "a/b/kernel:0", vec!["kernel"]),
            ("kernel", "kernel", vec!["kernel"]),
        ] {
            assert_eq!(inside_layer(layer, weight), keys, "{weight} in {layer}");
        }
    }
}
