//! Output shapes of layers that move a window over the spatial dimensions, or pad, crop and stretch these.
//!
//! Pure. Source: `compute_conv_output_shape`, `compute_conv_transpose_output_shape` and `compute_pooling_output_shape`
//! in `keras/src/ops/operation_utils.py` and `keras/src/backend/common/backend_utils.py`.

use serde_json::Value as Json;

use super::config::FlowShape;
use super::settings::{channels_last, flag, number, sizes, sizes_or, text};

/// The output of a layer of these families; `None` when it is of another or its settings are not known.
pub(super) fn output(class: &str, config: &Json, input: &FlowShape) -> Option<FlowShape> {
    let (family, spatial) = split(class)?;
    if input.len() != spatial + 2 {
        return None;
    }
    let last = channels_last(config);
    match family {
        "Conv" | "SeparableConv" => convolution(config, input, spatial, number(config, "filters")?),
        "DepthwiseConv" => {
            let channels = (*channel(input, last)?)?;
            let filters = channels.checked_mul(number(config, "depth_multiplier").unwrap_or(1))?;
            convolution(config, input, spatial, filters)
        }
        "LocallyConnected" => {
            let kernel = sizes(config.get("kernel_size")?, spatial)?;
            let strides = sizes_or(config, "strides", spatial, &vec![1; spatial])?;
            let padding = text(config, "padding")?;
            let output = each(input, last, |axis, size| {
                slide(size, *kernel.get(axis)?, *strides.get(axis)?, 1, padding)
            })?;
            with_channels(output, last, number(config, "filters")?)
        }
        "Transpose" => transposed(config, input, spatial),
        "MaxPooling" | "AveragePooling" => {
            let pool = sizes(config.get("pool_size")?, spatial)?;
            let strides = sizes_or(config, "strides", spatial, &pool)?;
            let padding = text(config, "padding")?;
            each(input, last, |axis, size| slide(size, *pool.get(axis)?, *strides.get(axis)?, 1, padding))
        }
        "AdaptiveMaxPooling" | "AdaptiveAveragePooling" => {
            let sizes = sizes(config.get("output_size")?, spatial)?;
            let mut output = input.clone();
            for (axis, size) in sizes.into_iter().enumerate() {
                *output.get_mut(first_axis(last) + axis)? = Some(size);
            }
            Some(output)
        }
        "GlobalMaxPooling" | "GlobalAveragePooling" => {
            let channels = *channel(input, last)?;
            if !flag(config, "keepdims", false) {
                return Some(vec![*input.first()?, channels]);
            }
            let mut output = vec![Some(1); input.len()];
            *output.first_mut()? = *input.first()?;
            *(if last { output.last_mut() } else { output.get_mut(1) })? = channels;
            Some(output)
        }
        "UpSampling" => {
            let factors = sizes(config.get("size")?, spatial)?;
            each(input, last, |axis, size| size.checked_mul(*factors.get(axis)?))
        }
        "ZeroPadding" => {
            let amounts = pairs(config.get("padding")?, spatial)?;
            each(input, last, |axis, size| size.checked_add(*amounts.get(axis)?))
        }
        "Cropping" => {
            let amounts = pairs(config.get("cropping")?, spatial)?;
            each(input, last, |axis, size| size.checked_sub(*amounts.get(axis)?))
        }
        _ => None,
    }
}

/// The family and the number of spatial dimensions: `Conv2D` is (`Conv`, 2), `Conv2DTranspose` (`Transpose`, 2).
pub(super) fn split(class: &str) -> Option<(&str, usize)> {
    let (name, transposed) = match class.strip_suffix("Transpose") {
        Some(name) => (name, true),
        None => (class, false),
    };
    let name = name.strip_suffix('D')?;
    let spatial = match name.as_bytes().last()? {
        b'1' => 1,
        b'2' => 2,
        b'3' => 3,
        _ => return None,
    };
    let family = name.get(..name.len().checked_sub(1)?)?;
    Some((if transposed { "Transpose" } else { family }, spatial))
}

/// The channels of an input.
pub(super) fn channel(input: &FlowShape, last: bool) -> Option<&Option<u64>> {
    if last { input.last() } else { input.get(1) }
}

fn first_axis(last: bool) -> usize {
    if last { 1 } else { 2 }
}

/// Applies a rule to every spatial dimension that is fixed.
fn each(input: &FlowShape, last: bool, rule: impl Fn(usize, u64) -> Option<u64>) -> Option<FlowShape> {
    let mut output = input.clone();
    for axis in 0..input.len().checked_sub(2)? {
        let dim = output.get_mut(first_axis(last) + axis)?;
        if let Some(size) = *dim {
            *dim = Some(rule(axis, size)?);
        }
    }
    Some(output)
}

fn with_channels(mut output: FlowShape, last: bool, filters: u64) -> Option<FlowShape> {
    *(if last { output.last_mut() } else { output.get_mut(1) })? = Some(filters);
    Some(output)
}

/// Places of a window of `kernel` elements, `dilation` apart, that moves by `stride`.
fn slide(size: u64, kernel: u64, stride: u64, dilation: u64, padding: &str) -> Option<u64> {
    let span = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
    match padding {
        "same" | "causal" => size.checked_add(stride.checked_sub(1)?)?.checked_div(stride),
        "valid" => size.checked_sub(span)?.checked_div(stride)?.checked_add(1),
        _ => None,
    }
}

/// A convolution, also the one inside a convolutional LSTM.
pub(super) fn convolution(
    config: &Json,
    input: &FlowShape,
    spatial: usize,
    filters: u64,
) -> Option<FlowShape> {
    let ones = vec![1; spatial];
    let kernel = sizes(config.get("kernel_size")?, spatial)?;
    let strides = sizes_or(config, "strides", spatial, &ones)?;
    let dilation = sizes_or(config, "dilation_rate", spatial, &ones)?;
    let padding = text(config, "padding")?;
    let last = channels_last(config);
    let output = each(input, last, |axis, size| {
        slide(size, *kernel.get(axis)?, *strides.get(axis)?, *dilation.get(axis)?, padding)
    })?;
    with_channels(output, last, filters)
}

fn transposed(config: &Json, input: &FlowShape, spatial: usize) -> Option<FlowShape> {
    let ones = vec![1; spatial];
    let kernel = sizes(config.get("kernel_size")?, spatial)?;
    let strides = sizes_or(config, "strides", spatial, &ones)?;
    let dilation = sizes_or(config, "dilation_rate", spatial, &ones)?;
    let extra = match config.get("output_padding") {
        None | Some(Json::Null) => None,
        Some(json) => Some(sizes(json, spatial)?),
    };
    let padding = text(config, "padding")?;
    let last = channels_last(config);
    let output = each(input, last, |axis, size| {
        let (kernel, stride) = (*kernel.get(axis)?, *strides.get(axis)?);
        let span = kernel.checked_sub(1)?.checked_mul(*dilation.get(axis)?)?.checked_add(1)?;
        match (&extra, padding) {
            (None, "valid") => size.checked_mul(stride)?.checked_add(span.saturating_sub(stride)),
            (None, "same") => size.checked_mul(stride),
            (Some(extra), "valid" | "same") => {
                let cut = if padding == "same" { (span / 2).checked_mul(2)? } else { 0 };
                size.checked_sub(1)?
                    .checked_mul(stride)?
                    .checked_add(span)?
                    .checked_add(*extra.get(axis)?)?
                    .checked_sub(cut)
            }
            _ => None,
        }
    })?;
    with_channels(output, last, number(config, "filters")?)
}

/// What is added or removed in all per dimension: `n`, `[n, m]` of one dimension, `[n, m]` of two, or pairs.
fn pairs(json: &Json, spatial: usize) -> Option<Vec<u64>> {
    let items = match json {
        Json::Number(number) => return Some(vec![number.as_u64()?.checked_mul(2)?; spatial]),
        Json::Array(items) => items,
        _ => return None,
    };
    let sum = |pair: &Json| match pair.as_array()?.as_slice() {
        [before, after] => before.as_u64()?.checked_add(after.as_u64()?),
        _ => None,
    };
    match items.as_slice() {
        [Json::Number(before), Json::Number(after)] if spatial == 1 => {
            Some(vec![before.as_u64()?.checked_add(after.as_u64()?)?])
        }
        items if items.len() != spatial => None,
        items if items.iter().all(Json::is_number) => {
            items.iter().map(|both| both.as_u64()?.checked_mul(2)).collect()
        }
        items => items.iter().map(sum).collect(),
    }
}
