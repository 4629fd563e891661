//! Which weights a layer has, from its configuration and the shape of its input.
//!
//! Pure. For files that hold a configuration and no weights. A layer whose rule is not here has unknown weights, and
//! so has the model around it. Source: `build` of each class in `keras/src/layers`.

use serde_json::Value as Json;

use super::config::{FlowShape, Layer};
use super::graph::{self, Flow, Inputs};
use super::settings::{axes, channels_last, flag, number, sizes, text};
use super::{output_shape, recurrent, settings, sliding};
use crate::model::ConfiguredCount;

/// One weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weight {
    /// Its name within the layer.
    pub name: &'static str,
    /// Its dimensions.
    pub shape: Vec<u64>,
    /// Whether training changes it when the layer is trained.
    pub is_trained: bool,
}

impl Weight {
    /// A weight that training changes.
    pub fn trained(name: &'static str, shape: Vec<u64>) -> Self {
        Self { name, shape, is_trained: true }
    }

    /// Statistics and counters.
    fn fixed(name: &'static str, shape: Vec<u64>) -> Self {
        Self { name, shape, is_trained: false }
    }

    fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim))
    }
}

/// Elements of all weights of a layer, of those inside it too; `None` where one is not known.
pub(super) fn count(layer: &Layer, flow: &Flow) -> Option<ConfiguredCount> {
    if layer.is_operation {
        return Some(ConfiguredCount::default());
    }
    let mut total = ConfiguredCount::default();
    let mut add = |count: ConfiguredCount| {
        total.parameters = total.parameters.checked_add(count.parameters)?;
        total.trainable = total.trainable.checked_add(count.trainable)?;
        Some(())
    };
    if layer.is_model || !layer.children.is_empty() {
        for (index, child) in layer.children.iter().enumerate() {
            add(count(child, flow.children.get(index).unwrap_or(graph::UNKNOWN))?)?;
        }
        if layer.class == "Bidirectional" && layer.children.len() == 1 {
            // The second direction is a copy of the first.
            add(count(layer.children.first()?, flow.children.first()?)?)?;
        }
        if layer.class == "SpectralNormalization" {
            let inner = weights(layer.children.first()?, &flow.children.first()?.inputs)?;
            add(ConfiguredCount { parameters: *inner.first()?.shape.last()?, trainable: 0 })?;
        }
        return known_wrapper(layer).then_some(total);
    }
    for weight in weights(layer, &flow.inputs)? {
        let elements = weight.elements()?;
        add(ConfiguredCount {
            parameters: elements,
            trainable: if layer.trainable && weight.is_trained { elements } else { 0 },
        })?;
    }
    Some(total)
}

fn known_wrapper(layer: &Layer) -> bool {
    layer.is_model
        || matches!(layer.class.as_str(), "TimeDistributed" | "Bidirectional" | "SpectralNormalization")
}

/// The weights of a layer that is neither a model nor a wrapper, in the order in which the class makes them.
pub(super) fn weights(layer: &Layer, inputs: &Inputs) -> Option<Vec<Weight>> {
    let (class, config) = (layer.class.as_str(), layer.rule_config());
    // Quantised weights have scales and more beside them.
    if settings::quantization(config).is_some() {
        return None;
    }
    if has_no_weights(class) {
        return Some(Vec::new());
    }
    let plain = match class {
        "Embedding" => vec![Weight::trained(
            "embeddings",
            vec![number(config, "input_dim")?, number(config, "output_dim")?],
        )],
        "MultiHeadAttention" => return heads(config, inputs),
        "GroupedQueryAttention" | "GroupQueryAttention" => return grouped_heads(config, inputs),
        "Attention" => {
            let mut weights = Vec::new();
            if flag(config, "use_scale", false) {
                weights.push(Weight::trained("scale", Vec::new()));
            }
            if text(config, "score_mode") == Some("concat") {
                weights.push(Weight::trained("concat_score_weight", Vec::new()));
            }
            return Some(weights);
        }
        "AdditiveAttention" if !flag(config, "use_scale", true) => return Some(Vec::new()),
        "AdditiveAttention" => {
            return Some(vec![Weight::trained("scale", vec![(*inputs.argument("query", 0)?.last()?)?])]);
        }
        _ => one_input(class, config, inputs.first()?)?,
    };
    Some(with_lora(config, plain))
}

fn one_input(class: &str, config: &Json, input: &FlowShape) -> Option<Vec<Weight>> {
    let spatial = sliding::split(class);
    match class {
        "Dense" | "TimeDistributedDense" => {
            let units = number(config, "units")?;
            kernel_and_bias(config, vec![(*input.last()?)?, units], vec![units])
        }
        "EinsumDense" => einsum_dense(config, input),
        "BatchNormalization" => {
            let axis = axes(config.get("axis").unwrap_or(&Json::from(-1)), input.len())?;
            let dims = sizes_of(input, &axis)?;
            let mut weights = scale_and_center(config, &dims);
            weights
                .extend([Weight::fixed("moving_mean", dims.clone()), Weight::fixed("moving_variance", dims)]);
            Some(weights)
        }
        "LayerNormalization" => {
            let axis = axes(config.get("axis").unwrap_or(&Json::from(-1)), input.len())?;
            if flag(config, "rms_scaling", false) {
                return None;
            }
            Some(scale_and_center(config, &sizes_of(input, &axis)?))
        }
        "GroupNormalization" => {
            let axis = axes(config.get("axis").unwrap_or(&Json::from(-1)), input.len())?;
            Some(scale_and_center(config, &sizes_of(input, &axis)?))
        }
        "RMSNormalization" => {
            let axis = axes(config.get("axis").unwrap_or(&Json::from(-1)), input.len())?;
            Some(vec![Weight::trained("scale", sizes_of(input, &axis)?)])
        }
        "Normalization" => {
            if config.get("mean").is_some_and(|mean| !mean.is_null()) {
                return Some(Vec::new());
            }
            let axis = match config.get("axis") {
                None | Some(Json::Null) => Vec::new(),
                Some(axis) => axes(axis, input.len())?,
            };
            let dims = sizes_of(input, &axis)?;
            Some(vec![
                Weight::fixed("mean", dims.clone()),
                Weight::fixed("variance", dims),
                Weight::fixed("count", Vec::new()),
            ])
        }
        "PReLU" => {
            let shared = match config.get("shared_axes") {
                None | Some(Json::Null) => Vec::new(),
                Some(axes_json) => axes(axes_json, input.len())?,
            };
            let dims: Option<Vec<u64>> = input
                .iter()
                .enumerate()
                .skip(1)
                .map(|(axis, dim)| if shared.contains(&axis) { Some(1) } else { *dim })
                .collect();
            Some(vec![Weight::trained("alpha", dims?)])
        }
        _ if spatial.is_some_and(|(family, _)| {
            matches!(family, "Conv" | "DepthwiseConv" | "LocallyConnected" | "SeparableConv" | "Transpose")
        }) =>
        {
            let (family, spatial) = spatial?;
            convolution(class, family, spatial, config, input)
        }
        _ => recurrent::weights(class, config, input),
    }
}

fn convolution(
    class: &str,
    family: &str,
    spatial: usize,
    config: &Json,
    input: &FlowShape,
) -> Option<Vec<Weight>> {
    if input.len() != spatial + 2 {
        return None;
    }
    let channels = (*sliding::channel(input, channels_last(config))?)?;
    let kernel = sizes(config.get("kernel_size")?, spatial)?;
    let shape = |last: [u64; 2]| kernel.iter().copied().chain(last).collect::<Vec<u64>>();
    let depth = number(config, "depth_multiplier").unwrap_or(1);
    match family {
        "Conv" => {
            let filters = number(config, "filters")?;
            let each = channels.checked_div(number(config, "groups").unwrap_or(1))?;
            kernel_and_bias(config, shape([each, filters]), vec![filters])
        }
        "Transpose" => {
            let filters = number(config, "filters")?;
            kernel_and_bias(config, shape([filters, channels]), vec![filters])
        }
        "LocallyConnected" if number(config, "implementation").unwrap_or(1) == 1 => {
            // A kernel for every place.
            let filters = number(config, "filters")?;
            let output = sliding::output(class, config, input)?;
            let places = if channels_last(config) { output.get(1..=spatial)? } else { output.get(2..)? };
            let places: Vec<u64> = places.iter().copied().collect::<Option<_>>()?;
            let wide = kernel.iter().try_fold(channels, |product, &size| product.checked_mul(size))?;
            let with = |last: &[u64]| places.iter().chain(last).copied().collect::<Vec<u64>>();
            kernel_and_bias(config, with(&[wide, filters]), with(&[filters]))
        }
        "DepthwiseConv" => {
            kernel_and_bias(config, shape([channels, depth]), vec![channels.checked_mul(depth)?])
        }
        "SeparableConv" => {
            let filters = number(config, "filters")?;
            let pointwise: Vec<u64> =
                std::iter::repeat_n(1, spatial).chain([channels.checked_mul(depth)?, filters]).collect();
            let mut weights = vec![
                Weight::trained("depthwise_kernel", shape([channels, depth])),
                Weight::trained("pointwise_kernel", pointwise),
            ];
            if output_shape::has(config, "use_bias") {
                weights.push(Weight::trained("bias", vec![filters]));
            }
            Some(weights)
        }
        _ => None,
    }
}

fn kernel_and_bias(config: &Json, kernel: Vec<u64>, bias: Vec<u64>) -> Option<Vec<Weight>> {
    let mut weights = vec![Weight::trained("kernel", kernel)];
    if output_shape::has(config, "use_bias") {
        weights.push(Weight::trained("bias", bias));
    }
    Some(weights)
}

fn einsum_dense(config: &Json, input: &FlowShape) -> Option<Vec<Weight>> {
    let einsum = output_shape::einsum(config, input)?;
    let mut weights = vec![Weight::trained("kernel", einsum.kernel.into_iter().collect::<Option<_>>()?)];
    if let Some(letters) = text(config, "bias_axes") {
        let shape: Option<Vec<u64>> = einsum
            .output
            .iter()
            .skip_while(|(letter, _)| !letters.contains(*letter))
            .map(|(letter, size)| if letters.contains(*letter) { *size } else { Some(1) })
            .collect();
        weights.push(Weight::trained("bias", shape?));
    }
    Some(weights)
}

fn heads(config: &Json, inputs: &Inputs) -> Option<Vec<Weight>> {
    if flag(config, "use_gate", false) {
        return None;
    }
    let heads = number(config, "num_heads")?;
    let key_dim = number(config, "key_dim")?;
    let value_dim = number(config, "value_dim").unwrap_or(key_dim);
    let query = inputs.argument("query", 0)?;
    let value = inputs.argument("value", 1)?;
    let key = inputs.argument("key", 2).unwrap_or(value);
    let output: Vec<u64> = match config.get("output_shape") {
        None | Some(Json::Null) => vec![(*query.last()?)?],
        Some(Json::Array(dims)) => dims.iter().map(Json::as_u64).collect::<Option<_>>()?,
        Some(size) => vec![size.as_u64()?],
    };
    let mut weights = Vec::new();
    for (shape, size) in [(query, key_dim), (key, key_dim), (value, value_dim)] {
        weights.extend(kernel_and_bias(config, vec![(*shape.last()?)?, heads, size], vec![heads, size])?);
    }
    let kernel = [heads, value_dim].into_iter().chain(output.iter().copied()).collect();
    weights.extend(kernel_and_bias(config, kernel, output)?);
    Some(weights)
}

fn grouped_heads(config: &Json, inputs: &Inputs) -> Option<Vec<Weight>> {
    if flag(config, "use_gate", false) {
        return None;
    }
    let size = number(config, "head_dim")?;
    let (asking, offered) = (number(config, "num_query_heads")?, number(config, "num_key_value_heads")?);
    let query = inputs.argument("query", 0)?;
    let value = inputs.argument("value", 1)?;
    let key = inputs.argument("key", 2).unwrap_or(value);
    let features = (*query.last()?)?;
    let mut weights = Vec::new();
    for (shape, heads) in [(query, asking), (key, offered), (value, offered)] {
        weights.extend(kernel_and_bias(config, vec![(*shape.last()?)?, heads, size], vec![heads, size])?);
    }
    weights.extend(kernel_and_bias(config, vec![asking, size, features], vec![features])?);
    Some(weights)
}

fn scale_and_center(config: &Json, dims: &[u64]) -> Vec<Weight> {
    [("scale", "gamma"), ("center", "beta")]
        .into_iter()
        .filter(|(key, _)| output_shape::has(config, key))
        .map(|(_, name)| Weight::trained(name, dims.to_vec()))
        .collect()
}

fn sizes_of(input: &FlowShape, axes: &[usize]) -> Option<Vec<u64>> {
    axes.iter().map(|&axis| *input.get(axis)?).collect()
}

/// Low-rank adaptation: the kernel is frozen, two thin matrices beside it are trained.
/// Source: `enable_lora` in `keras/src/layers/core/dense.py`.
fn with_lora(config: &Json, mut weights: Vec<Weight>) -> Vec<Weight> {
    if let (Some(rank), Some(kernel)) = (number(config, "lora_rank"), weights.first_mut())
        && let Some((&last, before)) = kernel.shape.split_last()
    {
        kernel.is_trained = false;
        let wide = before.iter().copied().chain([rank]).collect();
        weights.extend([
            Weight::trained("lora_kernel_a", wide),
            Weight::trained("lora_kernel_b", vec![rank, last]),
        ]);
    }
    weights
}

fn has_no_weights(class: &str) -> bool {
    let families = [
        "MaxPooling",
        "AveragePooling",
        "GlobalMaxPooling",
        "GlobalAveragePooling",
        "AdaptiveMaxPooling",
        "AdaptiveAveragePooling",
        "UpSampling",
        "ZeroPadding",
        "Cropping",
        "SpatialDropout",
    ];
    sliding::split(class).is_some_and(|(family, _)| families.contains(&family))
        || matches!(
            class,
            "Activation"
                | "ActivityRegularization"
                | "Add"
                | "AlphaDropout"
                | "AutoContrast"
                | "Average"
                | "CategoryEncoding"
                | "CenterCrop"
                | "Concatenate"
                | "Discretization"
                | "Dot"
                | "Dropout"
                | "ELU"
                | "Flatten"
                | "GaussianDropout"
                | "GaussianNoise"
                | "Hashing"
                | "Identity"
                | "InputLayer"
                | "Lambda"
                | "LeakyReLU"
                | "Masking"
                | "Maximum"
                | "Merge"
                | "Minimum"
                | "Multiply"
                | "Permute"
                | "ReLU"
                | "RepeatVector"
                | "Rescaling"
                | "Reshape"
                | "Resizing"
                | "Softmax"
                | "StringLookup"
                | "IntegerLookup"
                | "Subtract"
                | "SlicingOpLambda"
                | "TFOpLambda"
                | "TensorFlowOpLayer"
                | "TextVectorization"
                | "ThresholdedReLU"
                | "UnitNormalization"
        )
        || class.starts_with("Random")
}
