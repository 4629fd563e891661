//! What a layer's variables are called and which of them are trained, by the class of the layer.
//!
//! Pure. Keras 3 files number a layer's variables: first those it trains, then the others, each in the order in which
//! the class adds them. Source: `build` of each class in `keras/src/layers`, `save_own_variables` in `keras/src/layers/layer.py`.

use serde_json::Value as Json;

/// Names of the `count` variables of a layer of the class `snake` (in snake case); `None` where they are not known.
pub(super) fn names(
    snake: &str,
    config: Option<&Json>,
    count: usize,
    keras2: bool,
) -> Option<Vec<&'static str>> {
    let flag = |key: &str| config.and_then(|config| config.get(key)).and_then(Json::as_bool).unwrap_or(true);
    let depthwise = if keras2 { "depthwise_kernel" } else { "kernel" };
    let all: Vec<&'static str> = match snake {
        "dense" | "einsum_dense" | "conv1d" | "conv2d" | "conv3d" | "conv1d_transpose"
        | "conv2d_transpose" | "conv3d_transpose" => vec!["kernel", "bias"],
        "depthwise_conv1d" | "depthwise_conv2d" => vec![depthwise, "bias"],
        "separable_conv1d" | "separable_conv2d" => vec!["depthwise_kernel", "pointwise_kernel", "bias"],
        "embedding" => vec!["embeddings"],
        "p_re_lu" => vec!["alpha"],
        "gru_cell" | "lstm_cell" | "simple_rnn_cell" | "cell" => vec!["kernel", "recurrent_kernel", "bias"],
        "normalization" => vec!["mean", "variance", "count"],
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
        // Factors of weights quantised to 8-bit integers.
        "kernel_scale"
        | "embeddings_scale"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_normalization_without_scale_has_no_gamma() {
        let config = serde_json::json!({"scale": false, "center": true});
        assert_eq!(
            names("batch_normalization", Some(&config), 3, false),
            Some(vec!["beta", "moving_mean", "moving_variance"])
        );
        assert_eq!(names("batch_normalization", None, 3, false), None);
    }

    #[test]
    fn statistics_are_told_from_trained_values() {
        assert!(is_statistic("batchnormalization_1_running_mean", &[]));
        assert!(is_statistic("mean", &["mean", "variance", "count"]));
        assert!(!is_statistic("mean", &["mean", "scale"]));
        assert!(!is_statistic("kernel", &[]));
    }
}
