//! One model saved in several formats is the same model in each.

use std::collections::BTreeMap;

use ckptscope::model::{Checkpoint, TensorRole};

use crate::support::{fixture, hash_of};

/// The model's own tensors by content, and how often each occurs.
fn contents(checkpoint: &Checkpoint) -> BTreeMap<(String, String), usize> {
    let mut contents = BTreeMap::new();
    for (id, tensor) in checkpoint.tensors().filter(|(_, tensor)| tensor.role == TensorRole::Parameter) {
        *contents.entry((tensor.shape.to_string(), hash_of(checkpoint, id))).or_default() += 1;
    }
    contents
}

fn counts(checkpoint: &Checkpoint) -> [Option<u64>; 3] {
    let totals = checkpoint.totals();
    [totals.parameters, totals.trainable, totals.non_trainable]
}

#[test]
fn hdf5_archive_and_saved_model_of_one_model_are_equal() {
    let hdf5 = fixture("keras/parity_h5").open();
    assert_eq!(counts(&hdf5), [Some(451), Some(147), Some(304)]);
    for other in ["keras/parity_archive", "tensorflow/parity_saved_model"] {
        let other_checkpoint = fixture(other).open();
        assert_eq!(counts(&other_checkpoint), counts(&hdf5), "{other}");
        assert_eq!(contents(&other_checkpoint), contents(&hdf5), "{other}");
    }
}

#[test]
fn layers_of_one_model_are_equal_in_hdf5_and_archive() {
    let layers = |name| -> Vec<(String, Option<String>)> {
        fixture(name).open().layers().iter().map(|layer| (layer.path.clone(), layer.class.clone())).collect()
    };
    assert_eq!(layers("keras/parity_h5"), layers("keras/parity_archive"));
}

#[test]
fn torchs_two_layouts_of_one_kind_of_model_have_the_same_names_and_roles() {
    let names = |name| -> Vec<(String, TensorRole)> {
        fixture(name).open().tensors().map(|(_, tensor)| (tensor.name.clone(), tensor.role)).collect()
    };
    assert_eq!(names("pytorch/state_dict"), names("pytorch/legacy_state_dict"));
}
