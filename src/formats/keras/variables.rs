//! What a layer's variables are called and which of them are trained, by the class of the layer.
//!
//! Pure. Keras 3 files number a layer's variables: first those it trains, then the others, each in the order in which
//! the class adds them. Source: `build` of each class in `keras/src/layers`, `save_own_variables` in `keras/src/layers/layer.py`.

use serde_json::Value as Json;

use super::settings;

/// Names of the `count` variables of a layer of the class `snake` (in snake case); `None` where they are not known.
/// `quantized` says that the first one holds integers, for files without a configuration.
pub(super) fn names(
    snake: &str,
    config: Option<&Json>,
    count: usize,
    keras2: bool,
    quantized: bool,
) -> Option<Vec<&'static str>> {
    let flag = |key: &str| config.and_then(|config| config.get(key)).and_then(Json::as_bool).unwrap_or(true);
    let mode = config.and_then(settings::quantization).or(quantized.then_some("int8"));
    if let Some(mode) = mode {
        return quantized_names(snake, mode, count);
    }
    let depthwise = if keras2 { "depthwise_kernel" } else { "kernel" };
    let all: Vec<&'static str> = match snake {
        "dense"
        | "einsum_dense"
        | "conv1d"
        | "conv2d"
        | "conv3d"
        | "conv1d_transpose"
        | "conv2d_transpose"
        | "conv3d_transpose"
        | "locally_connected1d"
        | "locally_connected2d" => vec!["kernel", "bias"],
        "depthwise_conv1d" | "depthwise_conv2d" => vec![depthwise, "bias"],
        "separable_conv1d" | "separable_conv2d" => vec!["depthwise_kernel", "pointwise_kernel", "bias"],
        "reversible_embedding" if count == 2 => vec!["embeddings", "reverse_embeddings"],
        "embedding" | "reversible_embedding" => vec!["embeddings"],
        "p_re_lu" => vec!["alpha"],
        "gru_cell" | "lstm_cell" | "simple_rnn_cell" | "conv_lstm_cell" | "cell" => {
            vec!["kernel", "recurrent_kernel", "bias"]
        }
        "normalization" => vec!["mean", "variance", "count"],
        "rms_normalization" | "attention" | "additive_attention" => vec!["scale"],
        // Keras 3 lists the kernel of the layer inside among the wrapper's own, too.
        "spectral_normalization" if count == 2 => vec!["kernel", "vector_u"],
        "spectral_normalization" => vec!["vector_u"],
        "seed_generator" => vec!["seed_generator_state"],
        "mean" | "mean_metric_wrapper" => vec!["total", "count"],
        // Without a configuration the count tells: the last two are the statistics. Which of the factors a single one is stays open.
        "batch_normalization" if config.is_none() && count == 2 => vec!["moving_mean", "moving_variance"],
        "batch_normalization" if config.is_none() && count == 3 => {
            vec!["0", "moving_mean", "moving_variance"]
        }
        "batch_normalization" | "layer_normalization" | "group_normalization" => {
            let mut names = Vec::new();
            if flag("scale") {
                names.push("gamma");
            }
            if flag("center") {
                names.push("beta");
            }
            if snake == "batch_normalization" {
                names.extend(["moving_mean", "moving_variance"]);
            }
            names
        }
        _ => return None,
    };
    let has_bias = all.last() == Some(&"bias");
    match all.len().checked_sub(count) {
        Some(0) => Some(all),
        // Without a bias the last one is missing.
        Some(1) if has_bias => Some(all.into_iter().take(count).collect()),
        _ => None,
    }
}

/// Names of the variables of a layer with quantised weights. A layer may have no bias, and 4-bit weights have zero points
/// only when they are scaled in blocks: the count tells.
/// Source: `variable_serialization_spec` in `keras/src/layers/core/{dense,einsum_dense,embedding}.py`.
fn quantized_names(snake: &str, mode: &str, count: usize) -> Option<Vec<&'static str>> {
    let is_table = matches!(snake, "embedding" | "reversible_embedding");
    if !is_table && !matches!(snake, "dense" | "einsum_dense") {
        return None;
    }
    let all: &[&'static str] = match (is_table, mode, count) {
        (true, "int8" | "int4", 2) => &["embeddings", "embeddings_scale"],
        (true, "int8", 4) => {
            &["embeddings", "embeddings_scale", "reverse_embeddings", "reverse_embeddings_scale"]
        }
        (true, "int4", 4) if snake == "embedding" => {
            &["embeddings", "embeddings_scale", "embeddings_zero", "g_idx"]
        }
        (false, "int8" | "int4", 2) => &["kernel", "kernel_scale"],
        (false, "int8" | "int4", 3) => &["kernel", "bias", "kernel_scale"],
        (false, "int4", 4) => &["kernel", "kernel_scale", "kernel_zero", "g_idx"],
        (false, "int4", 5) => &["kernel", "bias", "kernel_scale", "kernel_zero", "g_idx"],
        (false, "gptq", 4) => &["quantized_kernel", "kernel_scale", "kernel_zero", "g_idx"],
        (false, "gptq", 5) => &["bias", "quantized_kernel", "kernel_scale", "kernel_zero", "g_idx"],
        (false, "float8", 7) => &FLOAT8_WITHOUT_BIAS,
        (false, "float8", 8) => &FLOAT8,
        _ => return None,
    };
    Some(all.to_vec())
}

const FLOAT8: [&str; 8] = [
    "kernel",
    "bias",
    "inputs_scale",
    "inputs_amax_history",
    "kernel_scale",
    "kernel_amax_history",
    "outputs_grad_scale",
    "outputs_grad_amax_history",
];

const FLOAT8_WITHOUT_BIAS: [&str; 7] = [
    "kernel",
    "inputs_scale",
    "inputs_amax_history",
    "kernel_scale",
    "kernel_amax_history",
    "outputs_grad_scale",
    "outputs_grad_amax_history",
];

/// Whether a variable of that name holds statistics or counters rather than values that training changes.
/// `siblings` are the names of all variables of the layer.
pub(super) fn is_statistic(name: &str, siblings: &[&str]) -> bool {
    // Keras 1 has the layer's name in front: batchnormalization_1_running_mean.
    const ENDINGS: [&str; 6] =
        ["moving_mean", "moving_variance", "running_mean", "running_variance", "running_std", "running_var"];
    if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return true;
    }
    match name {
        // Factors of weights quantised to integers; those of 8-bit floats are trained.
        "kernel_scale" | "embeddings_scale" | "reverse_embeddings_scale" => {
            !siblings.contains(&"inputs_amax_history")
        }
        // Low-rank adaptation freezes what it adapts.
        "kernel" => siblings.contains(&"lora_kernel_a"),
        "embeddings" => siblings.contains(&"lora_embeddings_a"),
        "g_idx"
        | "awq_scales"
        | "moving_stddev"
        | "renorm_mean"
        | "renorm_stddev"
        | "seed_generator_state"
        | "sn_u"
        | "vector_u" => true,
        // The Normalization layer; other layers may train something called `mean`.
        "mean" | "variance" | "count" => siblings.contains(&"mean") && siblings.contains(&"variance"),
        _ => false,
    }
}

/// Whether low-rank adaptation freezes the variable. Keras saves the adapted values and leaves out the two thin matrices.
pub(super) fn is_adapted(name: &str, config: Option<&Json>) -> bool {
    matches!(name, "kernel" | "embeddings")
        && config.is_some_and(|config| settings::number(config, "lora_rank").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_normalization_without_scale_has_no_gamma() {
        let config = serde_json::json!({"scale": false, "center": true});
        assert_eq!(
            names("batch_normalization", Some(&config), 3, false, false),
            Some(vec!["beta", "moving_mean", "moving_variance"])
        );
        let unknown = Some(vec!["0", "moving_mean", "moving_variance"]);
        assert_eq!(names("batch_normalization", None, 3, false, false), unknown);
    }

    #[test]
    fn statistics_are_told_from_trained_values() {
        assert!(is_statistic("batchnormalization_1_running_mean", &[]));
        assert!(is_statistic("mean", &["mean", "variance", "count"]));
        assert!(!is_statistic("mean", &["mean", "scale"]));
        assert!(!is_statistic("kernel", &[]));
    }
}
