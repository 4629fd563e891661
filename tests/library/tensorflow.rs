//! What TensorFlow's files say beyond names and values: whose slot a variable is, what stands beside a checkpoint, and
//! whether its bytes are the ones that were saved.

use std::path::Path;

use ckptscope::model::{Checkpoint, TensorInfo};

use crate::support::{bytes_of, fixture, folder, open};

fn named<'a>(checkpoint: &'a Checkpoint, name: &str) -> &'a TensorInfo {
    checkpoint.tensor(checkpoint.find(name).unwrap_or_else(|| panic!("no {name}")))
}

#[test]
fn layers_are_called_by_their_own_names_not_by_their_numbers() {
    for case in ["parity_saved_model", "averages", "keras24_saved_model", "keras2_nested_saved_model"] {
        let checkpoint = fixture(&format!("tensorflow/{case}")).open();
        for (_, tensor) in checkpoint.tensors() {
            assert!(!tensor.name.contains("layer_with_weights"), "{case}: {}", tensor.name);
        }
    }
}

#[test]
fn a_slot_knows_its_variable_and_stands_apart_from_it() {
    for (case, slot, variable, group) in [
        ("averages", "optimizer/m/model/first/kernel", "model/first/kernel", "optimizer"),
        ("meta_beside", "dense/kernel/Adam_1", "dense/kernel", "Adam_1"),
        ("meta_beside", "dense/kernel/ExponentialMovingAverage", "dense/kernel", "ExponentialMovingAverage"),
    ] {
        let checkpoint = fixture(&format!("tensorflow/{case}")).open();
        let slot = named(&checkpoint, slot);
        let of = slot.slot_of.map(|of| checkpoint.tensor(of).name.as_str());
        assert_eq!((of, slot.path[0].as_str()), (Some(variable), group));
    }
}

#[test]
fn the_copies_of_an_exported_model_are_tied_to_the_weights_that_count() {
    let checkpoint = fixture("tensorflow/keras3_export").open();
    let copies: Vec<_> = checkpoint
        .tensors()
        .filter_map(|(_, tensor)| Some((tensor, checkpoint.tensor(tensor.tied_to?))))
        .collect();
    assert_eq!(copies.len(), 6);
    for (copy, first) in copies {
        assert!(copy.stored_name().starts_with("_all_variables/"), "{}", copy.stored_name());
        assert!(first.stored_name().starts_with("variables/"), "{}", first.stored_name());
    }
}

#[test]
fn a_folder_offers_its_other_checkpoints() {
    let checkpoint = open(&folder().join("tensorflow/series")).unwrap();
    let names: Vec<_> = checkpoint.siblings().iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names, ["ckpt-1", "ckpt-2", "ckpt-10"]);
    let codes: Vec<_> = checkpoint.problems().iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["checkpoint-elsewhere", "series"]);
    for sibling in checkpoint.siblings() {
        assert!(open(sibling).unwrap().siblings().is_empty());
    }
}

#[test]
fn output_shapes_are_told_by_traces_and_by_what_the_next_layer_was_built_for() {
    let checkpoint = fixture("tensorflow/parity_saved_model").open();
    let shape = |path: &str| {
        let layer = checkpoint.layers().iter().find(|layer| layer.path == path);
        layer.and_then(|layer| layer.output_shape.clone()).unwrap_or_else(|| panic!("no shape of {path}"))
    };
    assert_eq!(shape("input_1"), [None, Some(8), Some(8), Some(3)]);
    assert_eq!(shape("bn_1"), [None, Some(6), Some(6), Some(4)]);
    assert_eq!(shape("pool_1"), [None, Some(3), Some(3), Some(4)]);
}

/// A copy of a folder of fixtures with the last byte of its data changed.
fn damaged(case: &str, data: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder().join("tensorflow").join(case)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let path = copy.path().join(data);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    copy
}

fn unreadable(path: &Path) -> usize {
    let checkpoint = open(path).unwrap();
    checkpoint.tensors().filter(|(id, _)| bytes_of(&checkpoint, *id).is_err()).count()
}

#[test]
fn a_changed_byte_fails_the_checksum_of_its_variable_in_pieces_too() {
    for (case, data, prefix) in [
        ("partitioned", "model.ckpt.data-00000-of-00001", "model.ckpt"),
        ("series", "ckpt-10.data-00000-of-00001", "ckpt-10"),
    ] {
        let copy = damaged(case, data);
        assert_eq!(unreadable(&copy.path().join(prefix)), 1, "{case}");
    }
}
