//! Output shapes and numbers of weights of Keras layers, from the configuration alone, against the live models.

use ckptscope::analysis::summary::LayerTable;
use serde_json::Value as Json;

use crate::support::{Complaints, folder, open};

/// `generate/keras_layers.py` describes the files.
fn models(version: &str) -> Vec<Json> {
    let path = folder().join("keras_layers").join(format!("{version}.json"));
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str::<Json>(&text).unwrap().as_array().unwrap().clone()
}

/// Opens a configuration by itself.
fn table(config: &str) -> LayerTable {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("architecture.json");
    std::fs::write(&path, config).unwrap();
    let checkpoint = open(&path).unwrap();
    assert_eq!(checkpoint.format(), "keras-config");
    assert_eq!(checkpoint.tensors().len(), 0);
    LayerTable::of(&checkpoint)
}

/// Whether a shape is the framework's. Keras 3 does not say the time of an `EinsumDense` that keeps it; knowing more is right.
fn agrees(class: &str, seen: &[Vec<Option<u64>>], expected: &[Vec<Option<u64>>]) -> bool {
    let looser = |(seen, expected): (&Option<u64>, &Option<u64>)| seen == expected || expected.is_none();
    if class != "EinsumDense" {
        return seen == expected;
    }
    let ([seen], [expected]) = (seen, expected) else { return false };
    seen.len() == expected.len() && seen.iter().zip(expected).all(looser)
        || expected.iter().filter(|dim| dim.is_none()).count() == 2
}

fn check(version: &str) {
    let mut complaints = Complaints::default();
    for model in models(version) {
        let name = model["name"].as_str().unwrap();
        let rows = table(model["config"].as_str().unwrap()).rows;
        for layer in model["layers"].as_array().unwrap() {
            let (path, class) = (layer["path"].as_str().unwrap(), layer["class"].as_str().unwrap());
            let label = format!("{version} {name} {path} ({class})");
            let Some(row) = rows.iter().find(|row| row.path == path) else {
                complaints.add(format!("{label} is missing"));
                continue;
            };
            let seen: Vec<_> = row.output_shape.iter().chain(&row.further_outputs).cloned().collect();
            let expected: Option<Vec<Vec<Option<u64>>>> =
                serde_json::from_value(layer["outputs"].clone()).unwrap();
            // Code decides what a Lambda makes of its input.
            let is_code = class == "Lambda" && seen.is_empty();
            if !is_code && !agrees(class, &seen, &expected.clone().unwrap_or_default()) {
                complaints.add(format!("{label}: shapes {seen:?}, should be {expected:?}"));
            }
            if layer["parameters"].is_number() {
                let expected = (layer["parameters"].as_u64(), layer["trainable"].as_u64());
                complaints.unless_equal(&label, &(row.parameters, row.trainable), &expected);
            }
        }
    }
    complaints.check();
}

#[test]
fn keras_2_configurations_tell_shapes_and_weights() {
    check("keras2");
}

#[test]
fn keras_3_configurations_tell_shapes_and_weights() {
    check("keras3");
}

#[test]
fn keras_1_settings_are_understood() {
    let rows = table(
        r#"{"class_name": "Sequential", "keras_version": "1.2.2", "config": [
            {"class_name": "Convolution2D", "config": {"name": "convolution2d_1", "batch_input_shape": [null, 3, 32, 32],
             "nb_filter": 8, "nb_row": 3, "nb_col": 3, "border_mode": "valid", "subsample": [1, 1], "dim_ordering": "th", "bias": true}},
            {"class_name": "MaxPooling2D", "config": {"name": "maxpooling2d_1", "pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": "th"}},
            {"class_name": "Flatten", "config": {"name": "flatten_1", "trainable": true}},
            {"class_name": "Dense", "config": {"name": "dense_1", "output_dim": 10, "input_dim": null, "bias": false}}]}"#,
    )
    .rows;
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row.path.as_str(), row.parameters, row.output_shape.clone().unwrap()))
        .collect();
    assert_eq!(seen[0], ("convolution2d_1", Some(224), vec![None, Some(8), Some(30), Some(30)]));
    assert_eq!(seen[1].2, [None, Some(8), Some(15), Some(15)]);
    assert_eq!(seen[3], ("dense_1", Some(18_000), vec![None, Some(10)]));
}

#[test]
fn an_unknown_layer_has_no_shape_and_makes_the_counts_unknown() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("model.json");
    let config = r#"{"class_name": "Sequential", "config": {"name": "m", "layers": [
        {"class_name": "Dense", "config": {"name": "a", "units": 3, "batch_input_shape": [null, 2]}},
        {"class_name": "Mystery", "config": {"name": "b"}},
        {"class_name": "Dense", "config": {"name": "c", "units": 4}}]}}"#;
    // Saved as JSON of a JSON text, as `json.dump(model.to_json(), file)` does.
    std::fs::write(&path, serde_json::to_string(config).unwrap()).unwrap();
    let checkpoint = open(&path).unwrap();
    let rows = LayerTable::of(&checkpoint).rows;
    let seen: Vec<_> = rows.iter().map(|row| (row.output_shape.clone(), row.parameters)).collect();
    assert_eq!(seen, [(Some(vec![None, Some(3)]), Some(9)), (None, None), (None, None)]);
    assert_eq!(checkpoint.totals().parameters, None);
    assert_eq!(checkpoint.layer_tree().len(), 4);
}

#[test]
fn models_nested_in_models_cost_no_power_of_their_depth() {
    let mut inner = r#"{"class_name": "Dense", "config": {"name": "d", "units": 3}}"#.to_owned();
    for depth in 0..20 {
        inner = format!(
            r#"{{"class_name": "Functional", "name": "m{depth}", "config": {{"name": "m{depth}", "layers": [
                {{"class_name": "InputLayer", "name": "i", "config": {{"name": "i", "batch_shape": [null, {depth}, 4]}}}},
                {inner}], "input_layers": [["i", 0, 0]], "output_layers": [["x", 0, 0]]}},
                "inbound_nodes": [[["i", 0, 0, {{}}]], [["i", 0, 0, {{}}]], [["i", 0, 0, {{}}]]]}}"#
        );
    }
    let started = std::time::Instant::now();
    assert_eq!(table(&inner).rows.len(), 40);
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
}
