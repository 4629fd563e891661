//! Output shapes of layers, as far as the configuration determines them.
//!
//! Pure. Follows the graph of a functional model or the order of a sequential one. A layer whose rule is not
//! here, or whose input is not known, has no shape: a wrong claim is worse than none.

use serde_json::Value as Json;

use super::config::{FlowShape, Layer};

/// Sets `output_shape` of every layer inside `model`, and of `model` itself.
pub(super) fn infer(model: &mut Layer) {
    // Keras 3 gives a sequential model that was built without an input layer its input shape.
    let mut previous = model.input_shape.clone();
    let sequential = model.class == "Sequential" || model.config.is_array();
    for index in 0..model.children.len() {
        let (done, rest) = model.children.split_at_mut(index);
        let Some(layer) = rest.first_mut() else { return };
        let inputs: Option<Vec<FlowShape>> = if sequential {
            previous.take().map(|shape| vec![shape])
        } else if layer.inputs.is_empty() {
            None
        } else {
            layer
                .inputs
                .iter()
                .map(|name| done.iter().find(|other| other.name == *name)?.output_shape.clone())
                .collect()
        };
        let inputs = inputs.or_else(|| layer.input_shape.clone().map(|shape| vec![shape]));
        if layer.is_model {
            if layer.class == "Sequential" && layer.input_shape.is_none() {
                layer.input_shape = inputs.as_ref().and_then(|inputs| inputs.first().cloned());
            }
            infer(layer);
        } else {
            layer.output_shape = declared(&layer.config)
                .filter(|_| is_input(layer) || inputs.is_none() && sequential && index == 0);
            if !is_input(layer) {
                let inputs = layer.output_shape.take().map(|shape| vec![shape]).or(inputs);
                layer.output_shape = inputs.and_then(|inputs| rule(layer, &inputs));
            }
        }
        previous.clone_from(&layer.output_shape);
    }
    model.output_shape = if sequential {
        previous
    } else {
        single_output(&model.config)
            .and_then(|name| model.child(&name))
            .and_then(|layer| layer.output_shape.clone())
    };
}

fn is_input(layer: &Layer) -> bool {
    layer.class == "InputLayer"
}

/// The one layer that gives a functional model's output.
/// Keras 2: `[["out", 0, 0]]`; Keras 3 also `["out", 0, 0]`.
fn single_output(config: &Json) -> Option<String> {
    let outputs = config.get("output_layers")?.as_array()?;
    match outputs.as_slice() {
        [Json::Array(entry)] => Some(entry.first()?.as_str()?.to_owned()),
        [Json::String(name), ..] => Some(name.clone()),
        _ => None,
    }
}

/// The shape that a configuration states: of its input, batch included.
fn declared(config: &Json) -> Option<FlowShape> {
    ["batch_shape", "batch_input_shape"].iter().find_map(|key| from_json(config.get(*key)?))
}

/// A shape in JSON: numbers, and null for a dimension that is not fixed.
pub(super) fn from_json(json: &Json) -> Option<FlowShape> {
    let items = json.as_array()?;
    if items.len() > crate::raw::limits::RANK {
        return None;
    }
    items
        .iter()
        .map(|item| match item {
            Json::Null => Some(None),
            number => number.as_u64().map(Some),
        })
        .collect()
}

/// The output of one layer from its inputs.
fn rule(layer: &Layer, inputs: &[FlowShape]) -> Option<FlowShape> {
    let config = &layer.config;
    let input = inputs.first()?;
    let (batch, rest) = input.split_first()?;
    let channels_last = config.get("data_format").and_then(Json::as_str) != Some("channels_first");
    let with_last = |size: u64| {
        let mut shape = input.clone();
        *shape.last_mut()? = Some(size);
        Some(shape)
    };
    match layer.class.as_str() {
        "Dense" => with_last(number(config, "units").or_else(|| number(config, "output_dim"))?),
        "Activation"
        | "Dropout"
        | "SpatialDropout1D"
        | "SpatialDropout2D"
        | "SpatialDropout3D"
        | "GaussianNoise"
        | "GaussianDropout"
        | "AlphaDropout"
        | "BatchNormalization"
        | "LayerNormalization"
        | "GroupNormalization"
        | "UnitNormalization"
        | "ReLU"
        | "LeakyReLU"
        | "PReLU"
        | "ELU"
        | "ThresholdedReLU"
        | "Softmax"
        | "Masking"
        | "ActivityRegularization"
        | "Rescaling"
        | "Identity" => Some(input.clone()),
        "Flatten" => {
            let size = rest.iter().try_fold(1u64, |product, dim| product.checked_mul((*dim)?));
            Some(vec![*batch, size])
        }
        "Embedding" => {
            let mut shape = input.clone();
            shape.push(Some(number(config, "output_dim")?));
            Some(shape)
        }
        "RepeatVector" => Some(vec![*batch, number(config, "n"), *rest.first()?]),
        "Reshape" => reshape(*batch, rest, config.get("target_shape")?),
        "Add" | "Subtract" | "Multiply" | "Average" | "Maximum" | "Minimum" => {
            // Broadcasting is left out: it is only claimed when all inputs agree.
            inputs.iter().all(|other| other == input).then(|| input.clone())
        }
        "Concatenate" => concatenate(inputs, config.get("axis").and_then(Json::as_i64).unwrap_or(-1)),
        "Conv1D" | "Conv2D" | "Conv3D" | "SeparableConv1D" | "SeparableConv2D" | "DepthwiseConv1D"
        | "DepthwiseConv2D" => {
            let filters = if layer.class.starts_with("Depthwise") {
                let channels = if channels_last { *rest.last()? } else { *rest.first()? };
                channels?.checked_mul(number(config, "depth_multiplier").unwrap_or(1))?
            } else {
                number(config, "filters")?
            };
            let kernel = sizes(config.get("kernel_size")?, rest.len().checked_sub(1)?)?;
            slide(input, &kernel, None, config, channels_last, Some(filters))
        }
        "MaxPooling1D" | "MaxPooling2D" | "MaxPooling3D" | "AveragePooling1D" | "AveragePooling2D"
        | "AveragePooling3D" => {
            let pool = sizes(config.get("pool_size")?, rest.len().checked_sub(1)?)?;
            slide(input, &pool, Some(&pool), config, channels_last, None)
        }
        "GlobalAveragePooling1D"
        | "GlobalAveragePooling2D"
        | "GlobalAveragePooling3D"
        | "GlobalMaxPooling1D"
        | "GlobalMaxPooling2D"
        | "GlobalMaxPooling3D"
            if config.get("keepdims").and_then(Json::as_bool) != Some(true) =>
        {
            Some(vec![*batch, if channels_last { *rest.last()? } else { *rest.first()? }])
        }
        "LSTM" | "GRU" | "SimpleRNN" => recurrent(config, input, 1),
        "Bidirectional" => {
            let inner = layer.children.first()?;
            let factor = match config.get("merge_mode").and_then(Json::as_str) {
                Some("concat") => 2,
                Some(_) => 1,
                None => return None,
            };
            matches!(inner.class.as_str(), "LSTM" | "GRU" | "SimpleRNN")
                .then(|| recurrent(&inner.config, input, factor))?
        }
        "TimeDistributed" => {
            let inner = layer.children.first()?;
            let mut step = input.clone();
            if step.len() < 3 {
                return None;
            }
            let time = step.remove(1);
            let mut shape = if inner.is_model { None } else { rule(inner, &[step]) }?;
            if shape.is_empty() {
                return None;
            }
            shape.insert(1, time);
            Some(shape)
        }
        _ => None,
    }
}

fn number(config: &Json, key: &str) -> Option<u64> {
    config.get(key)?.as_u64()
}

/// One size per spatial dimension: a list, or one number for all.
fn sizes(json: &Json, count: usize) -> Option<Vec<u64>> {
    match json {
        Json::Array(items) if items.len() == count => items.iter().map(Json::as_u64).collect(),
        Json::Number(number) => Some(vec![number.as_u64()?; count]),
        _ => None,
    }
}

/// Convolution and pooling: a window that slides over the spatial dimensions.
fn slide(
    input: &FlowShape,
    window: &[u64],
    default_strides: Option<&[u64]>,
    config: &Json,
    channels_last: bool,
    filters: Option<u64>,
) -> Option<FlowShape> {
    let strides = match config.get("strides") {
        None | Some(Json::Null) => default_strides.map_or_else(|| vec![1; window.len()], <[u64]>::to_vec),
        Some(json) => sizes(json, window.len())?,
    };
    let dilation = match config.get("dilation_rate") {
        None | Some(Json::Null) => vec![1; window.len()],
        Some(json) => sizes(json, window.len())?,
    };
    let padding = config.get("padding").or_else(|| config.get("border_mode"))?.as_str()?;
    let first = if channels_last { 1 } else { 2 };
    let mut output = input.clone();
    for (axis, ((&window, &stride), &dilation)) in window.iter().zip(&strides).zip(&dilation).enumerate() {
        let dim = output.get_mut(first + axis)?;
        let Some(size) = *dim else { continue };
        let span = window.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
        *dim = Some(match padding {
            "same" | "causal" => size.checked_add(stride.checked_sub(1)?)?.checked_div(stride)?,
            "valid" => size.checked_sub(span)?.checked_div(stride)?.checked_add(1)?,
            _ => return None,
        });
    }
    if let Some(filters) = filters {
        let channel = if channels_last { output.last_mut() } else { output.get_mut(1) };
        *channel? = Some(filters);
    }
    Some(output)
}

fn recurrent(config: &Json, input: &FlowShape, factor: u64) -> Option<FlowShape> {
    let units = number(config, "units").or_else(|| number(config, "output_dim"))?.checked_mul(factor)?;
    if config.get("return_state").and_then(Json::as_bool) == Some(true) {
        return None;
    }
    let &[batch, time, _] = input.as_slice() else { return None };
    if config.get("return_sequences").and_then(Json::as_bool) == Some(true) {
        Some(vec![batch, time, Some(units)])
    } else {
        Some(vec![batch, Some(units)])
    }
}

fn reshape(batch: Option<u64>, rest: &[Option<u64>], target: &Json) -> Option<FlowShape> {
    let total = rest.iter().try_fold(1u64, |product, dim| product.checked_mul((*dim)?));
    let dims: Vec<i64> = target.as_array()?.iter().map(Json::as_i64).collect::<Option<_>>()?;
    let known = dims
        .iter()
        .filter(|dim| **dim >= 0)
        .try_fold(1u64, |product, dim| product.checked_mul(dim.unsigned_abs()))?;
    let mut shape = vec![batch];
    for dim in dims {
        shape.push(if dim >= 0 { Some(dim.unsigned_abs()) } else { total?.checked_div(known) });
    }
    Some(shape)
}

fn concatenate(inputs: &[FlowShape], axis: i64) -> Option<FlowShape> {
    let mut output = inputs.first()?.clone();
    let rank = output.len() as i64;
    let axis = usize::try_from(if axis < 0 { axis.checked_add(rank)? } else { axis }).ok()?;
    let mut sum = Some(0u64);
    for input in inputs {
        if input.len() != output.len() {
            return None;
        }
        sum = match (sum, *input.get(axis)?) {
            (Some(sum), Some(size)) => Some(sum.checked_add(size)?),
            _ => None,
        };
    }
    *output.get_mut(axis)? = sum;
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(json: &str) -> Vec<Option<FlowShape>> {
        let json = serde_json::from_str(json).expect("JSON");
        let model = Layer::model(&json).expect("a model");
        model.children.into_iter().map(|layer| layer.output_shape).collect()
    }

    #[test]
    fn a_convolution_and_its_pooling_shrink_the_image() {
        let seen = shapes(
            r#"{"class_name": "Sequential", "config": {"name": "m", "layers": [
            {"class_name": "Conv2D", "config": {"name": "c", "batch_input_shape": [null, 32, 32, 3], "filters": 16,
              "kernel_size": [3, 3], "strides": [1, 1], "padding": "valid", "data_format": "channels_last", "dilation_rate": [1, 1]}},
            {"class_name": "MaxPooling2D", "config": {"name": "p", "pool_size": [4, 4], "strides": [4, 4], "padding": "valid"}},
            {"class_name": "Flatten", "config": {"name": "f"}},
            {"class_name": "Dense", "config": {"name": "d", "units": 10}},
            {"class_name": "Mystery", "config": {"name": "x"}},
            {"class_name": "Dropout", "config": {"name": "y"}}]}}"#,
        );
        assert_eq!(
            seen,
            [
                Some(vec![None, Some(30), Some(30), Some(16)]),
                Some(vec![None, Some(7), Some(7), Some(16)]),
                Some(vec![None, Some(784)]),
                Some(vec![None, Some(10)]),
                None,
                None,
            ]
        );
    }

    #[test]
    fn a_functional_model_follows_its_graph() {
        let seen = shapes(
            r#"{"class_name": "Functional", "config": {"name": "m", "layers": [
            {"class_name": "InputLayer", "name": "a", "config": {"name": "a", "batch_shape": [null, 8]}, "inbound_nodes": []},
            {"class_name": "InputLayer", "name": "b", "config": {"name": "b", "batch_shape": [null, 5]}, "inbound_nodes": []},
            {"class_name": "Concatenate", "name": "c", "config": {"name": "c", "axis": -1}, "inbound_nodes": [
              {"args": [[{"class_name": "__keras_tensor__", "config": {"keras_history": ["a", 0, 0]}},
                         {"class_name": "__keras_tensor__", "config": {"keras_history": ["b", 0, 0]}}]], "kwargs": {}}]}]}}"#,
        );
        assert_eq!(seen[2], Some(vec![None, Some(13)]));
    }
}
