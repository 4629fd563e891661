//! Layers of a SavedModel or of a checkpoint: class and configuration as Keras wrote them, output shapes.

use std::collections::{HashMap, HashSet};

use super::naming::Names;
use super::object_graph::{Dimensions, Graph, Kind, NodeId};
use super::saved_model::{KerasObject, SavedModel};
use crate::model::layer_tree::natural_cmp;
use crate::model::{LayerInfo, Value};

/// Layers whose output has the shape of their input. Source: `compute_output_shape` in `keras/src/layers` (Keras 2).
const SHAPE_KEPT: [&str; 19] = [
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "BatchNormalization",
    "Dropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNormalization",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "PReLU",
    "ReLU",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "UnitNormalization",
];

/// The name that Keras gives a layer object.
pub fn keras_name(keras: &HashMap<NodeId, KerasObject>, id: NodeId) -> Option<String> {
    let object = keras.get(&id).filter(|object| object.identifier != "_tf_keras_metric")?;
    let name = object.json.get("name").and_then(serde_json::Value::as_str)?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// All layers with a name, in the model's order.
pub fn describe(
    names: &Names<'_>,
    optimizers: &HashSet<NodeId>,
    saved: Option<&SavedModel>,
) -> Vec<LayerInfo> {
    let follows = saved.map(inputs_of_followers).unwrap_or_default();
    let describe = |id: NodeId| {
        let json = saved.and_then(|saved| saved.keras.get(&id)).map(|object| &object.json);
        let class = json.and_then(|json| json.get("class_name")).and_then(serde_json::Value::as_str);
        let config = json.and_then(|json| json.get("config")).cloned().map(Value::from_json);
        let traced = saved.and_then(|saved| saved.graph.as_ref()).and_then(|graph| traced_shape(graph, id));
        let configured = json.zip(class).and_then(|(json, class)| configured_shape(json, class));
        LayerInfo {
            path: names.layer_path(id),
            segments: names.path(id).unwrap_or_default(),
            class: class.map(str::to_owned),
            config: config.unwrap_or_default(),
            output_shape: more_definite(traced, configured).or_else(|| follows.get(&id).cloned()),
            ..LayerInfo::default()
        }
    };
    names.layers(optimizers).into_iter().map(describe).collect()
}

/// The shape of what a layer returns, from its traced call.
fn traced_shape(graph: &Graph, id: NodeId) -> Option<Dimensions> {
    let call =
        graph.child(id, "__call__").or_else(|| graph.child(id, "call_and_return_conditional_losses"))?;
    let Kind::Function(Some(name)) = &graph.node(call)?.kind else { return None };
    // A call that was traced without any fixed dimension tells nothing.
    graph
        .function_outputs
        .get(name)
        .filter(|dims| dims.is_empty() || dims.iter().any(Option::is_some))
        .cloned()
}

/// In a Sequential model, what a layer gives is what the next one was built for: input shapes, by the layer before.
fn inputs_of_followers(saved: &SavedModel) -> HashMap<NodeId, Dimensions> {
    let Some(graph) = &saved.graph else { return HashMap::new() };
    let mut shapes = HashMap::new();
    for (&model, object) in &saved.keras {
        if object.identifier != "_tf_keras_sequential" {
            continue;
        }
        let mut layers: Vec<(&str, NodeId)> = graph
            .node(model)
            .map(|node| node.children.as_slice())
            .unwrap_or_default()
            .iter()
            .filter(|(name, _)| name.starts_with("layer-"))
            .map(|(name, id)| (name.as_str(), *id))
            .collect();
        layers.sort_by(|(a, _), (b, _)| natural_cmp(a, b));
        for (&(_, layer), &(_, next)) in layers.iter().zip(layers.iter().skip(1)) {
            let built =
                saved.keras.get(&next).and_then(|next| dimensions(next.json.get("build_input_shape")?));
            shapes.extend(built.map(|shape| (layer, shape)));
        }
    }
    shapes
}

/// The shape that Keras's description gives: that of an input, or of what a layer that keeps shapes was built for.
fn configured_shape(json: &serde_json::Value, class: &str) -> Option<Dimensions> {
    let shape = if class == "InputLayer" {
        let config = json.get("config").unwrap_or(json);
        config.get("batch_input_shape").or_else(|| config.get("batch_shape"))?
    } else if SHAPE_KEPT.contains(&class) {
        json.get("build_input_shape")?
    } else {
        return None;
    };
    dimensions(shape)
}

/// A shape in Keras's JSON.
fn dimensions(shape: &serde_json::Value) -> Option<Dimensions> {
    // `[null, 7]`, or `{"class_name": "TensorShape", "items": [null, 7]}`.
    let items = shape.get("items").unwrap_or(shape).as_array()?;
    let dimension = |item: &serde_json::Value| match item {
        serde_json::Value::Null => Some(None),
        item => item.as_u64().map(Some),
    };
    items.iter().map(dimension).collect()
}

/// Of two shapes of one output, the one that fixes more; the first where they contradict each other.
fn more_definite(first: Option<Dimensions>, second: Option<Dimensions>) -> Option<Dimensions> {
    let (Some(a), Some(b)) = (&first, &second) else { return first.or(second) };
    let agree = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_none() || b.is_none() || a == b);
    if !agree {
        return first;
    }
    Some(a.iter().zip(b).map(|(a, b)| a.or(*b)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_filled_in_by_the_configuration() {
        let json =
            serde_json::json!({"build_input_shape": {"class_name": "TensorShape", "items": [null, 7, 16]}});
        let configured = configured_shape(&json, "BatchNormalization");
        assert_eq!(configured, Some(vec![None, Some(7), Some(16)]));
        assert_eq!(configured_shape(&json, "Dense"), None);
        let traced = Some(vec![None, None, Some(16)]);
        assert_eq!(more_definite(traced, configured.clone()), configured);
        assert_eq!(more_definite(Some(vec![Some(3)]), configured), Some(vec![Some(3)]));
    }
}
