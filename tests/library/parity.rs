//! One model saved in several formats is the same model in each.

use std::collections::BTreeMap;

use ckptscope::analysis::StatisticsBuilder;
use ckptscope::model::{Checkpoint, TensorRole};
use serde_json::Value as Json;

use crate::support::{Complaints, fixture, folder, hash_of, open, read};

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

/// Whether a layout tells parameters and buffers apart, by marks in the file or by the names of a `state_dict`.
#[derive(Clone, Copy, PartialEq)]
enum Roles {
    Told,
    NotTold,
}

/// What one model of torch was saved as; `generate/parity.py` writes them all.
const LAYOUTS: [(&str, Roles); 11] = [
    ("zip.pt", Roles::Told),
    ("legacy.pth", Roles::Told),
    ("pickled.pkl", Roles::Told),
    ("torchscript.pt", Roles::Told),
    ("single.safetensors", Roles::Told),
    ("sharded_safetensors", Roles::Told),
    ("exported.pt2", Roles::Told),
    ("sharded_bin", Roles::Told),
    ("distributed", Roles::Told),
    ("arrays.npz", Roles::NotTold),
    ("plain.h5", Roles::NotTold),
];

#[test]
fn one_model_of_torch_is_the_same_in_every_layout() {
    let folder = folder().join("parity");
    let expected: Json =
        serde_json::from_str(&std::fs::read_to_string(folder.join("model.json")).unwrap()).unwrap();
    let mut complaints = Complaints::default();
    for (layout, roles) in LAYOUTS {
        let checkpoint = match open(&folder.join(layout)) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                complaints.add(format!("{layout}: {error}"));
                continue;
            }
        };
        let tensors = expected["tensors"].as_array().unwrap();
        complaints.unless_equal(
            &format!("{layout}: number of tensors"),
            // An exported program holds sample inputs too.
            &checkpoint.tensors().filter(|(_, tensor)| tensor.role != TensorRole::Other).count(),
            &tensors.len(),
        );
        for wanted in tensors {
            compare(&checkpoint, layout, wanted, roles, &mut complaints);
        }
        if roles == Roles::Told {
            let count = |key: &str| expected["totals"][key].as_u64();
            let totals = checkpoint.totals();
            let label = |what: &str| format!("{layout}: {what}");
            complaints.unless_equal(&label("parameters"), &totals.parameters, &count("parameters"));
            complaints.unless_equal(&label("buffers"), &Some(totals.buffers), &count("buffers"));
        }
    }
    complaints.check();
}

fn compare(checkpoint: &Checkpoint, layout: &str, wanted: &Json, roles: Roles, complaints: &mut Complaints) {
    let name = wanted["name"].as_str().unwrap();
    let found = checkpoint.tensors().find(|(_, tensor)| tensor.name.replace('/', ".") == name);
    let Some((id, tensor)) = found else {
        return complaints.add(format!("{layout}: {name} is missing"));
    };
    let label = |what: &str| format!("{layout}: {what} of {name}");
    complaints.unless_equal(
        &label("hash"),
        &hash_of(checkpoint, id).as_str(),
        &wanted["sha256"].as_str().unwrap(),
    );
    if roles == Roles::Told {
        complaints.unless_equal(&label("role"), &tensor.role.name(), &wanted["role"].as_str().unwrap());
    }
    let mut builder = StatisticsBuilder::new(&tensor.dtype);
    read(checkpoint, id, |piece| builder.push(piece)).unwrap();
    let (statistics, _) = builder.finish();
    for (what, seen) in
        [("min", statistics.min), ("max", statistics.max), ("mean", statistics.mean), ("std", statistics.std)]
    {
        let wanted = wanted[what].as_f64().unwrap();
        if !seen.is_some_and(|seen| (seen - wanted).abs() <= 1e-12 * wanted.abs().max(1.0)) {
            complaints.add(format!("{} is {seen:?}, should be {wanted}", label(what)));
        }
    }
}
