//! Output shapes and weights of recurrent layers and of the cells inside them.
//!
//! Pure. Source: `build` and `compute_output_shape` in `keras/src/layers/rnn`.

use serde_json::Value as Json;

use super::config::FlowShape;
use super::settings::{channels_last, flag, number};
use super::sliding;
use super::weights::Weight;

/// How many gates a recurrent class computes; `None` for another class.
fn gates(class: &str) -> Option<u64> {
    match class {
        "SimpleRNN" | "SimpleRNNCell" => Some(1),
        "GRU" | "GRUCell" | "CuDNNGRU" => Some(3),
        "LSTM" | "LSTMCell" | "CuDNNLSTM" => Some(4),
        _ => None,
    }
}

/// A class and the configuration of one cell.
type Cell<'a> = (&'a str, &'a Json);

/// The cells of a layer, the input's first; `None` for a class that is not recurrent or has cells of other classes.
fn cells<'a>(class: &'a str, config: &'a Json) -> Option<Vec<Cell<'a>>> {
    let parse = |json: &'a Json| {
        let class = json.get("class_name")?.as_str()?;
        gates(class)?;
        Some((class, json.get("config")?))
    };
    if class != "RNN" {
        gates(class)?;
        return Some(vec![(class, config)]);
    }
    let cell = config.get("cell")?;
    if cell.get("class_name")?.as_str()? != "StackedRNNCells" {
        return Some(vec![parse(cell)?]);
    }
    cell.get("config")?.get("cells")?.as_array()?.iter().map(parse).collect()
}

/// The sequence or its last step, then the states if they are returned; `None` for a layer that is not recurrent.
pub(super) fn outputs(class: &str, config: &Json, input: &FlowShape) -> Option<Vec<FlowShape>> {
    if let Some(spatial) = convolutional(class) {
        return convolutional_outputs(config, input, spatial);
    }
    let cells = cells(class, config)?;
    let &[batch, time, _] = input.as_slice() else { return None };
    let units = number(cells.last()?.1, "units")?;
    let mut outputs = vec![if flag(config, "return_sequences", false) {
        vec![batch, time, Some(units)]
    } else {
        vec![batch, Some(units)]
    }];
    if flag(config, "return_state", false) {
        if cells.len() > 1 {
            return None; // nested lists of states, which differ between versions
        }
        let states = if class.contains("LSTM") || cells.first()?.0 == "LSTMCell" { 2 } else { 1 };
        outputs.extend(std::iter::repeat_n(vec![batch, Some(units)], states));
    }
    Some(outputs)
}

/// The weights for inputs with `features` channels.
pub(super) fn weights(class: &str, config: &Json, input: &FlowShape) -> Option<Vec<Weight>> {
    if let Some(spatial) = convolutional(class) {
        return convolutional_weights(config, input, spatial);
    }
    let mut features = (*input.last()?)?;
    let mut weights = Vec::new();
    for (class, config) in cells(class, config)? {
        let units = number(config, "units")?;
        let wide = units.checked_mul(gates(class)?)?;
        weights.push(Weight::trained("kernel", vec![features, wide]));
        weights.push(Weight::trained("recurrent_kernel", vec![units, wide]));
        if flag(config, "use_bias", true) {
            weights.push(Weight::trained(
                "bias",
                match class {
                    // One bias for the input and one for the state, where a gate is reset after the product.
                    "GRU" | "GRUCell" if flag(config, "reset_after", false) => vec![2, wide],
                    "CuDNNGRU" | "CuDNNLSTM" => vec![wide.checked_mul(2)?],
                    _ => vec![wide],
                },
            ));
        }
        features = units;
    }
    Some(weights)
}

/// Spatial dimensions of a convolutional LSTM.
fn convolutional(class: &str) -> Option<usize> {
    sliding::split(class).filter(|(family, _)| *family == "ConvLSTM").map(|(_, spatial)| spatial)
}

fn convolutional_outputs(config: &Json, input: &FlowShape, spatial: usize) -> Option<Vec<FlowShape>> {
    if input.len() != spatial + 3 {
        return None;
    }
    let mut step = input.clone();
    let time = step.remove(1);
    let state = sliding::convolution(config, &step, spatial, number(config, "filters")?)?;
    let mut first = state.clone();
    if flag(config, "return_sequences", false) {
        first.insert(1, time);
    }
    let states = if flag(config, "return_state", false) { 2 } else { 0 };
    Some(std::iter::once(first).chain(std::iter::repeat_n(state, states)).collect())
}

fn convolutional_weights(config: &Json, input: &FlowShape, spatial: usize) -> Option<Vec<Weight>> {
    if input.len() != spatial + 3 {
        return None;
    }
    let mut step = input.clone();
    step.remove(1);
    let channels = (*sliding::channel(&step, channels_last(config))?)?;
    let filters = number(config, "filters")?;
    let wide = filters.checked_mul(4)?;
    let kernel = super::settings::sizes(config.get("kernel_size")?, spatial)?;
    let shape = |from: u64| kernel.iter().copied().chain([from, wide]).collect::<Vec<u64>>();
    let mut weights =
        vec![Weight::trained("kernel", shape(channels)), Weight::trained("recurrent_kernel", shape(filters))];
    if flag(config, "use_bias", true) {
        weights.push(Weight::trained("bias", vec![wide]));
    }
    Some(weights)
}
