//! Keras models that are more than one file: unpacked archives and weights in pieces.

use std::path::{Path, PathBuf};

use ckptscope::model::Severity;

use crate::support::{fixture, folder, open};

/// A copy of a fixture's folder that a test may change.
fn copy(name: &str) -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let target = scratch.path().join(name);
    std::fs::create_dir(&target).unwrap();
    for entry in std::fs::read_dir(folder().join("keras").join(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, target.join(path.file_name().unwrap())).unwrap();
    }
    (scratch, target)
}

fn names(path: &Path) -> Vec<String> {
    open(path).unwrap().tensors().map(|(_, tensor)| tensor.name.clone()).collect()
}

#[test]
fn an_unpacked_archive_opens_by_its_folder_and_by_its_configuration() {
    let by_folder = fixture("keras/keras3_folder");
    let by_config = open(&by_folder.path.join("config.json")).unwrap();
    assert_eq!(by_config.format(), "keras-archive");
    assert_eq!(by_config.totals(), by_folder.open().totals());
    assert_eq!(by_config.framework(), by_folder.open().framework());
}

#[test]
fn a_configuration_without_its_weights_is_only_a_configuration() {
    let (_scratch, path) = copy("keras3_folder");
    std::fs::remove_file(path.join("model.weights.h5")).unwrap();
    let checkpoint = open(&path.join("config.json")).unwrap();
    assert_eq!(checkpoint.format(), "keras-config");
    assert_eq!(checkpoint.totals().parameters, fixture("keras/keras3_folder").open().totals().parameters);
}

#[test]
fn a_folder_with_an_index_opens_as_its_index_does() {
    let by_index = fixture("keras/keras3_sharded");
    assert_eq!(names(by_index.path.parent().unwrap()), names(&by_index.path));
}

#[test]
fn a_missing_piece_costs_its_tensors_and_no_others() {
    let (_scratch, path) = copy("keras3_sharded");
    let all = names(&path);
    std::fs::remove_file(path.join("model_00001.weights.h5")).unwrap();
    let checkpoint = open(&path).unwrap();
    let missing: Vec<_> =
        checkpoint.problems().iter().filter(|problem| problem.code == "missing-shard").collect();
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].severity, Severity::Error);
    assert!(
        missing[0].message.contains("/layers/dense_1/vars")
            && missing[0].message.contains("model_00001.weights.h5")
    );
    assert!((1..all.len()).contains(&checkpoint.tensors().len()));
}

#[test]
fn an_index_that_names_files_elsewhere_is_not_followed() {
    let (_scratch, path) = copy("keras3_sharded");
    let inner = path.join("inner");
    std::fs::create_dir(&inner).unwrap();
    let index = r#"{"metadata": {"total_size": 1}, "weight_map": {"/layers/dense/vars": "../model_00000.weights.h5"}}"#;
    std::fs::write(inner.join("model.weights.json"), index).unwrap();
    let checkpoint = open(&inner).unwrap();
    assert_eq!(checkpoint.tensors().len(), 0);
    assert_eq!(checkpoint.problems()[0].code, "missing-shard");
}
