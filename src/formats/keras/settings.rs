//! Reads single settings out of a layer's configuration.
//!
//! Pure. Every function answers `None` for what is missing or of another type. Keras 1 had other names for
//! most settings; [`modern`] translates them, so that the rules know one set.

use serde_json::{Map, Value as Json, json};

/// A non-negative number.
pub(super) fn number(config: &Json, key: &str) -> Option<u64> {
    config.get(key)?.as_u64()
}

/// A word.
pub(super) fn text<'a>(config: &'a Json, key: &str) -> Option<&'a str> {
    config.get(key)?.as_str()
}

/// A truth value, or what holds where it is not stated.
pub(super) fn flag(config: &Json, key: &str, default: bool) -> bool {
    config.get(key).and_then(Json::as_bool).unwrap_or(default)
}

/// How the weights of a layer are quantised, such as `int8`, where its dtype says so.
pub(super) fn quantization(config: &Json) -> Option<&str> {
    let mode = config.get("dtype")?.get("config")?.get("mode")?.as_str()?;
    // `int4/128` gives the size of the blocks too.
    mode.split('/').next()
}

/// One size per spatial dimension: a list, or one number for all.
pub(super) fn sizes(json: &Json, count: usize) -> Option<Vec<u64>> {
    match json {
        Json::Array(items) if items.len() == count => items.iter().map(Json::as_u64).collect(),
        Json::Number(number) => Some(vec![number.as_u64()?; count]),
        _ => None,
    }
}

/// The same, where the setting may be missing or null.
pub(super) fn sizes_or(config: &Json, key: &str, count: usize, default: &[u64]) -> Option<Vec<u64>> {
    match config.get(key) {
        None | Some(Json::Null) => Some(default.to_vec()),
        Some(json) => sizes(json, count),
    }
}

/// Whether the channels are the last dimension, as they are where nothing is said.
pub(super) fn channels_last(config: &Json) -> bool {
    text(config, "data_format") != Some("channels_first")
}

/// Dimensions that are counted from the end when negative.
pub(super) fn axes(json: &Json, rank: usize) -> Option<Vec<usize>> {
    let one = |json: &Json| {
        let axis = json.as_i64()?;
        let axis = usize::try_from(if axis < 0 { axis.checked_add(rank as i64)? } else { axis }).ok()?;
        (axis < rank).then_some(axis)
    };
    match json {
        Json::Array(items) => items.iter().map(one).collect(),
        json => Some(vec![one(json)?]),
    }
}

/// Keras 1 settings and what Keras 2 calls them.
const RENAMED: [(&str, &str); 15] = [
    ("bias", "use_bias"),
    ("border_mode", "padding"),
    ("filter_length", "kernel_size"),
    ("length", "size"),
    ("mode", "merge_mode"),
    ("nb_filter", "filters"),
    ("output_dim", "units"),
    ("p", "rate"),
    ("pool_length", "pool_size"),
    ("stride", "strides"),
    ("subsample", "strides"),
    ("subsample_length", "strides"),
    ("atrous_rate", "dilation_rate"),
    ("concat_axis", "axis"),
    ("return_sequences", "return_sequences"),
];

/// The class and the configuration under the names of Keras 2; `None` where they are so already.
/// Source: the `convert_legacy` decorators in `keras/legacy/interfaces.py` of Keras 2.0.
pub(super) fn modern(class: &str, config: &Json) -> Option<(String, Json)> {
    let old = config.as_object()?;
    let marks = [
        "border_mode",
        "nb_filter",
        "output_dim",
        "dim_ordering",
        "pool_length",
        "inner_activation",
        "concat_axis",
    ];
    let is_embedding = class == "Embedding";
    if is_embedding || !marks.iter().any(|mark| old.contains_key(*mark)) {
        return None;
    }
    let mut new: Map<String, Json> = old.clone();
    for (before, after) in RENAMED {
        if let Some(value) = old.get(before).filter(|_| !old.contains_key(after)) {
            new.insert(after.to_owned(), value.clone());
        }
    }
    match old.get("dim_ordering").and_then(Json::as_str) {
        Some("th") => drop(new.insert("data_format".to_owned(), json!("channels_first"))),
        Some("tf") => drop(new.insert("data_format".to_owned(), json!("channels_last"))),
        _ => {}
    }
    let kernel: Vec<&Json> = ["kernel_dim1", "kernel_dim2", "kernel_dim3", "nb_row", "nb_col"]
        .iter()
        .filter_map(|key| old.get(*key))
        .collect();
    if !kernel.is_empty() {
        new.insert("kernel_size".to_owned(), json!(kernel));
    }
    if let (Some(words), Some(width)) = (number(config, "input_dim"), number(config, "input_length")) {
        let shape = json!([null, width, words]);
        new.entry("batch_input_shape").or_insert(shape);
    }
    let class = match class.strip_prefix("Convolution") {
        Some(dimensions) => format!("Conv{dimensions}"),
        None => match class {
            "AtrousConvolution1D" => "Conv1D".to_owned(),
            "AtrousConvolution2D" => "Conv2D".to_owned(),
            "SeparableConvolution2D" => "SeparableConv2D".to_owned(),
            "Deconvolution2D" => "Conv2DTranspose".to_owned(),
            other => other.to_owned(),
        },
    };
    // Gates were not reset after the product then.
    if class == "GRU" {
        new.entry("reset_after").or_insert(json!(false));
    }
    Some((class, Json::Object(new)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keras_1_names_are_translated() {
        let config = json!({"nb_filter": 8, "nb_row": 3, "nb_col": 2, "border_mode": "same", "dim_ordering": "th", "subsample": [1, 1], "bias": true});
        let (class, config) = modern("Convolution2D", &config).expect("old");
        assert_eq!(class, "Conv2D");
        assert_eq!(config["kernel_size"], json!([3, 2]));
        assert_eq!((&config["filters"], &config["padding"]), (&json!(8), &json!("same")));
        assert!(!channels_last(&config));
        assert!(modern("Dense", &json!({"units": 3})).is_none());
    }

    #[test]
    fn axes_are_counted_from_both_ends() {
        assert_eq!(axes(&json!([-1, 1]), 3), Some(vec![2, 1]));
        assert_eq!(axes(&json!(3), 3), None);
    }
}
