//! The output shapes of one layer from its inputs, as far as its configuration determines them.
//!
//! Pure. A layer whose rule is not here has no shape: a wrong claim is worse than none. Source: `compute_output_shape`
//! of each class in `keras/src/layers`.

use serde_json::Value as Json;

use super::config::{FlowShape, Layer};
use super::graph::Inputs;
use super::settings::{axes, channels_last, flag, number, text};
use super::{recurrent, sliding};

/// The outputs of a layer that is neither a model nor a wrapper.
pub(super) fn rule(layer: &Layer, inputs: &Inputs) -> Option<Vec<FlowShape>> {
    let (class, config) = (layer.class.as_str(), layer.rule_config());
    match class {
        "MultiHeadAttention" | "GroupedQueryAttention" | "GroupQueryAttention" => {
            return heads(config, inputs);
        }
        "Attention" | "AdditiveAttention" => return attention(inputs),
        "Add" | "Subtract" | "Multiply" | "Average" | "Maximum" | "Minimum" => {
            return Some(vec![broadcast(&inputs.all()?)?]);
        }
        "Concatenate" => {
            let axis = config.get("axis").and_then(Json::as_i64).unwrap_or(-1);
            return Some(vec![concatenate(&inputs.all()?, axis)?]);
        }
        "Merge" => {
            return Some(vec![match text(config, "merge_mode")? {
                "concat" => concatenate(&inputs.all()?, config.get("axis").and_then(Json::as_i64)?)?,
                "sum" | "mul" | "ave" | "max" => broadcast(&inputs.all()?)?,
                _ => return None,
            }]);
        }
        "Dot" => return Some(vec![dot(config, &inputs.all()?)?]),
        _ => {}
    }
    let input = inputs.first()?;
    if let Some(outputs) = recurrent::outputs(class, config, input) {
        return Some(outputs);
    }
    single(class, config, input).or_else(|| sliding::output(class, config, input)).map(|shape| vec![shape])
}

/// The output of a layer with one input and one output.
fn single(class: &str, config: &Json, input: &FlowShape) -> Option<FlowShape> {
    let (batch, rest) = input.split_first()?;
    let with_last = |size: u64| {
        let mut shape = input.clone();
        *shape.last_mut()? = Some(size);
        Some(shape)
    };
    match class {
        "Activation"
        | "ActivityRegularization"
        | "AlphaDropout"
        | "BatchNormalization"
        | "Dropout"
        | "ELU"
        | "GaussianDropout"
        | "GaussianNoise"
        | "GroupNormalization"
        | "Identity"
        | "LayerNormalization"
        | "LeakyReLU"
        | "Masking"
        | "Normalization"
        | "PReLU"
        | "RMSNormalization"
        | "ReLU"
        | "Rescaling"
        | "Softmax"
        | "SpatialDropout1D"
        | "SpatialDropout2D"
        | "SpatialDropout3D"
        | "ThresholdedReLU"
        | "UnitNormalization"
        // Augmentation keeps the size of the images.
        | "AutoContrast"
        | "ColorDegeneration"
        | "Equalization"
        | "GaussianBlur"
        | "RandomBrightness"
        | "RandomColorDegeneration"
        | "RandomColorJitter"
        | "RandomContrast"
        | "RandomErasing"
        | "RandomFlip"
        | "RandomGaussianBlur"
        | "RandomGrayscale"
        | "RandomHue"
        | "RandomInvert"
        | "RandomPerspective"
        | "RandomPosterization"
        | "RandomRotation"
        | "RandomSaturation"
        | "RandomSharpness"
        | "RandomShear"
        | "RandomTranslation"
        | "RandomZoom"
        | "Solarization" => Some(input.clone()),
        "Dense" | "TimeDistributedDense" => with_last(number(config, "units")?),
        "EinsumDense" => einsum_output(config, input),
        "Embedding" | "ReversibleEmbedding" => {
            let mut shape = input.clone();
            shape.push(Some(number(config, "output_dim")?));
            Some(shape)
        }
        "Flatten" => {
            let size = rest.iter().try_fold(1u64, |product, dim| product.checked_mul((*dim)?));
            Some(vec![*batch, size])
        }
        "Permute" => {
            let dims = config.get("dims")?.as_array()?;
            let mut shape = vec![*batch];
            for dim in dims {
                shape.push(*input.get(usize::try_from(dim.as_u64()?).ok()?)?);
            }
            (shape.len() == input.len()).then_some(shape)
        }
        "RepeatVector" => Some(vec![*batch, Some(number(config, "n")?), *rest.first()?]),
        "Reshape" => reshape(*batch, rest, config.get("target_shape")?),
        "CenterCrop" | "RandomCrop" | "Resizing" => {
            let (height, width) = (number(config, "height")?, number(config, "width")?);
            let first = input.len().checked_sub(if channels_last(config) { 3 } else { 2 })?;
            let mut shape = input.clone();
            *shape.get_mut(first)? = Some(height);
            *shape.get_mut(first + 1)? = Some(width);
            Some(shape)
        }
        "CategoryEncoding" if input.len() > 1 => match text(config, "output_mode")? {
            "multi_hot" | "count" => with_last(number(config, "num_tokens")?),
            _ => None,
        },
        "Discretization" | "Hashing" if text(config, "output_mode") == Some("int") => Some(input.clone()),
        _ => None,
    }
}

/// What a bidirectional layer makes of the outputs of one direction.
pub(super) fn both_directions(config: &Json, one: &[FlowShape]) -> Option<Vec<FlowShape>> {
    let (first, states) = one.split_first()?;
    let mut outputs = match config.get("merge_mode").map(Json::as_str) {
        Some(Some("concat")) => {
            let mut both = first.clone();
            let last = both.last_mut()?;
            *last = Some((*last)?.checked_mul(2)?);
            vec![both]
        }
        Some(Some("sum" | "mul" | "ave")) => vec![first.clone()],
        // Not merged: the outputs stand side by side.
        Some(None) => vec![first.clone(), first.clone()],
        _ => return None,
    };
    outputs.extend(states.iter().chain(states).cloned());
    Some(outputs)
}

fn heads(config: &Json, inputs: &Inputs) -> Option<Vec<FlowShape>> {
    let query = inputs.argument("query", 0)?;
    let mut output = query.clone();
    match config.get("output_shape") {
        None | Some(Json::Null) => {}
        Some(shape) => {
            output.pop();
            match shape.as_array() {
                Some(dims) => {
                    for dim in dims {
                        output.push(Some(dim.as_u64()?));
                    }
                }
                None => output.push(Some(shape.as_u64()?)),
            }
        }
    }
    let mut outputs = vec![output];
    if inputs.scores {
        let value = inputs.argument("value", 1)?;
        let (&[batch, asked, _], &[_, offered, _]) = (query.as_slice(), value.as_slice()) else {
            return None;
        };
        let heads = number(config, "num_heads").or_else(|| number(config, "num_query_heads"))?;
        outputs.push(vec![batch, Some(heads), asked, offered]);
    }
    Some(outputs)
}

fn attention(inputs: &Inputs) -> Option<Vec<FlowShape>> {
    let inputs_known = inputs.all()?;
    let (query, value) = (inputs_known.first()?, inputs_known.get(1)?);
    let mut output = (*query).clone();
    *output.last_mut()? = *value.last()?;
    let mut outputs = vec![output];
    if inputs.scores {
        let &[batch, asked, _] = query.as_slice() else { return None };
        outputs.push(vec![batch, asked, *value.get(1)?]);
    }
    Some(outputs)
}

/// The shape that all inputs are stretched to, aligned at their last dimensions.
fn broadcast(inputs: &[&FlowShape]) -> Option<FlowShape> {
    let (first, rest) = inputs.split_first()?;
    let mut output = (*first).clone();
    for input in rest {
        while output.len() < input.len() {
            output.insert(0, Some(1));
        }
        let offset = output.len() - input.len();
        for (dim, other) in output.iter_mut().skip(offset).zip(*input) {
            *dim = match (*dim, *other) {
                (None, _) | (_, None) => None,
                (Some(1), size) | (size, Some(1)) => size,
                (size, other) if size == other => size,
                _ => return None,
            };
        }
    }
    Some(output)
}

fn concatenate(inputs: &[&FlowShape], axis: i64) -> Option<FlowShape> {
    let mut output = (*inputs.first()?).clone();
    let axis = *axes(&Json::from(axis), output.len())?.first()?;
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

fn dot(config: &Json, inputs: &[&FlowShape]) -> Option<FlowShape> {
    let &[left, right] = inputs else { return None };
    let json = config.get("axes")?;
    let (left_axis, right_axis) = match json.as_array().map(Vec::as_slice) {
        Some([one, two]) => (*axes(one, left.len())?.first()?, *axes(two, right.len())?.first()?),
        Some(_) => return None,
        None => (*axes(json, left.len())?.first()?, *axes(json, right.len())?.first()?),
    };
    let without = |shape: &FlowShape, axis: usize| {
        shape.iter().enumerate().filter(|&(index, _)| index != axis).map(|(_, dim)| *dim).collect::<Vec<_>>()
    };
    let mut output = without(left, left_axis);
    output.extend(without(right, right_axis).into_iter().skip(1));
    if output.len() == 1 {
        output.push(Some(1));
    }
    Some(output)
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
        shape.push(if dim >= 0 {
            Some(dim.unsigned_abs())
        } else {
            total.and_then(|total| total.checked_div(known))
        });
    }
    Some(shape)
}

/// The sizes behind the letters of an `EinsumDense` equation.
pub(super) struct Einsum {
    /// Letters of the kernel with their sizes, in order.
    pub kernel: Vec<Option<u64>>,
    /// Letters of the output with their sizes, in order, the ones behind an ellipsis left out.
    pub output: Vec<(char, Option<u64>)>,
    /// Dimensions of the input that an ellipsis stands for, and whether they come first.
    ellipsis: Option<(FlowShape, bool)>,
}

/// Reads `abc,cd->abd`, also with an ellipsis at one end: `...x,xy->...y`.
/// Source: `_analyze_einsum_string` in `keras/src/layers/core/einsum_dense.py`.
pub(super) fn einsum(config: &Json, input: &FlowShape) -> Option<Einsum> {
    let equation: String = text(config, "equation")?.chars().filter(|c| !c.is_whitespace()).collect();
    let (operands, result) = equation.split_once("->")?;
    let (taken, kernel) = operands.split_once(',')?;
    let (letters, ellipsis) = match (taken.strip_prefix("..."), taken.strip_suffix("...")) {
        (Some(letters), _) => (letters, Some(true)),
        (_, Some(letters)) => (letters, Some(false)),
        _ => (taken, None),
    };
    let count = letters.chars().count();
    let elided = input.len().checked_sub(count)?;
    let (own, hidden) = match ellipsis {
        Some(true) => (input.get(elided..)?, Some((input.get(..elided)?.to_vec(), true))),
        Some(false) => (input.get(..count)?, Some((input.get(count..)?.to_vec(), false))),
        None if elided == 0 => (input.as_slice(), None),
        None => return None,
    };
    let mut known: Vec<(char, Option<u64>)> = letters.chars().zip(own.iter().copied()).collect();
    let result: Vec<char> = result.chars().filter(|c| *c != '.').collect();
    let stated: Vec<Option<u64>> = match config.get("output_shape")? {
        Json::Array(items) => items.iter().map(Json::as_u64).collect(),
        single => vec![single.as_u64()],
    };
    // The stated shape leaves out the batch and what an ellipsis hides: it is aligned at the last dimension,
    // or, where the ellipsis is last, at the first one behind the batch.
    let start = match ellipsis {
        Some(false) => 1,
        _ => result.len().checked_sub(stated.len())?,
    };
    for (letter, size) in result.iter().skip(start).zip(stated) {
        if size.is_some() && !known.iter().any(|(other, _)| other == letter) {
            known.push((*letter, size));
        }
    }
    let size_of = |letter: char| known.iter().find(|(other, _)| *other == letter).map(|(_, size)| *size);
    let kernel = kernel.chars().map(size_of).collect::<Option<_>>()?;
    let output = result.iter().map(|&letter| Some((letter, size_of(letter)?))).collect::<Option<_>>()?;
    Some(Einsum { kernel, output, ellipsis: hidden })
}

fn einsum_output(config: &Json, input: &FlowShape) -> Option<FlowShape> {
    let Einsum { output, ellipsis, .. } = einsum(config, input)?;
    let own = output.into_iter().map(|(_, size)| size);
    Some(match ellipsis {
        Some((hidden, true)) => hidden.into_iter().chain(own).collect(),
        Some((hidden, false)) => own.chain(hidden).collect(),
        None => own.collect(),
    })
}

/// Whether a configuration flag is on, as most are by default. For weights that a layer may leave out.
pub(super) fn has(config: &Json, key: &str) -> bool {
    flag(config, key, true)
}
