//! Checkpoints of PyTorch that are several files: what opens them, and what a part that is missing or strange costs.

use std::path::{Path, PathBuf};

use ckptscope::model::{Checkpoint, TensorRole};
use tempfile::TempDir;

use crate::support::{bytes_of, folder, hash_of, open};

/// A copy of a fixture's folder, to be damaged.
fn copy(case: &str) -> (TempDir, PathBuf) {
    let copied = TempDir::new().unwrap();
    for entry in std::fs::read_dir(folder().join("pytorch").join(case)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copied.path().join(entry.file_name())).unwrap();
    }
    let path = copied.path().to_owned();
    (copied, path)
}

/// Names of tensors, split by whether their values can be read.
fn readable(checkpoint: &Checkpoint) -> (Vec<String>, Vec<String>) {
    let names =
        checkpoint.tensors().map(|(id, tensor)| (bytes_of(checkpoint, id).is_ok(), tensor.name.clone()));
    let (good, bad): (Vec<_>, Vec<_>) = names.partition(|(is_readable, _)| *is_readable);
    let names = |list: Vec<(bool, String)>| list.into_iter().map(|(_, name)| name).collect();
    (names(good), names(bad))
}

/// Every tensor without values has a finding of its own, and no other tensor has an error.
fn blames(checkpoint: &Checkpoint) -> Vec<String> {
    let problems = checkpoint.problems().iter().filter(|problem| problem.code.starts_with("missing-tensor"));
    let mut names: Vec<String> =
        problems.filter_map(|problem| Some(checkpoint.tensor(problem.tensor?).name.clone())).collect();
    names.sort();
    names
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn same(first: &Path, second: &Path) {
    let (first, second) = (open(first).unwrap(), open(second).unwrap());
    let all = |checkpoint: &Checkpoint| -> Vec<_> {
        checkpoint.tensors().map(|(id, tensor)| (tensor.name.clone(), hash_of(checkpoint, id))).collect()
    };
    assert_eq!(first.format(), second.format());
    assert_eq!(all(&first), all(&second));
}

#[test]
fn a_folder_and_the_files_that_stand_for_it_open_the_same_set() {
    let pytorch = folder().join("pytorch");
    same(&pytorch.join("sharded"), &pytorch.join("sharded/pytorch_model.bin.index.json"));
    for file in [".metadata", "__0_0.distcp", "__3_0.distcp"] {
        same(&pytorch.join("distributed_ranks"), &pytorch.join("distributed_ranks").join(file));
    }
}

#[test]
fn a_tensor_that_the_index_does_not_name_is_mentioned_and_not_shown() {
    let checkpoint = open(&folder().join("pytorch/sharded")).unwrap();
    assert!(checkpoint.find("not.in.the.index").is_none());
    assert!(checkpoint.problems().iter().any(|problem| problem.code == "unlisted-tensors"));
}

#[test]
fn a_missing_shard_costs_its_own_tensors() {
    let (_kept, path) = copy("sharded");
    std::fs::remove_file(path.join("pytorch_model-00002-of-00003.bin")).unwrap();
    let checkpoint = open(&path).unwrap();
    let (good, bad) = readable(&checkpoint);
    assert!(!good.is_empty() && !bad.is_empty());
    assert_eq!(blames(&checkpoint), sorted(bad));
    assert_eq!(checkpoint.totals().parameters, None, "nothing is claimed of a model that is not all there");
}

#[test]
fn a_shard_cut_short_costs_its_own_tensors() {
    let (_kept, path) = copy("sharded");
    std::fs::write(path.join("pytorch_model-00001-of-00003.bin"), b"PK\x03\x04 and no more").unwrap();
    let checkpoint = open(&path).unwrap();
    let (good, bad) = readable(&checkpoint);
    assert!(!good.is_empty() && !bad.is_empty());
    assert_eq!(blames(&checkpoint), sorted(bad));
}

#[test]
fn an_index_opens_nothing_outside_its_folder() {
    let outside = TempDir::new().unwrap();
    let shard = folder().join("pytorch/state_dict.pt");
    std::fs::copy(&shard, outside.path().join("shard.bin")).unwrap();
    let inside = outside.path().join("model");
    std::fs::create_dir(&inside).unwrap();
    let absolute = outside.path().join("shard.bin");
    for file in [
        "../shard.bin",
        absolute.to_str().unwrap(),
        "..\\shard.bin",
        "..",
        "",
        "pytorch_model.bin.index.json",
    ] {
        let index = serde_json::json!({"weight_map": {"classifier.weight": file, "other.bin": "x.bin"}});
        std::fs::write(inside.join("pytorch_model.bin.index.json"), index.to_string()).unwrap();
        let checkpoint = open(&inside).unwrap();
        assert_eq!(checkpoint.tensors().len(), 2);
        assert_eq!(readable(&checkpoint).0, Vec::<String>::new(), "{file:?} was opened");
    }
}

#[test]
fn a_missing_data_file_costs_the_tensors_with_a_chunk_in_it() {
    let (_kept, path) = copy("distributed_ranks");
    std::fs::remove_file(path.join("__3_0.distcp")).unwrap();
    let checkpoint = open(&path).unwrap();
    let (good, bad) = readable(&checkpoint);
    assert!(good.contains(&"model.whole.bias".to_owned()) && bad.contains(&"model.blocks.weight".to_owned()));
    assert_eq!(blames(&checkpoint), sorted(bad));
    let lost = checkpoint.tensor(checkpoint.find("model.blocks.weight").unwrap());
    assert_eq!((lost.shape.dims(), lost.role), (&[5, 6, 3][..], TensorRole::Parameter));
}

#[test]
fn a_data_file_cut_short_costs_the_tensors_at_its_end() {
    let (_kept, path) = copy("distributed");
    let file = path.join("__0_0.distcp");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let checkpoint = open(&path).unwrap();
    let (good, bad) = readable(&checkpoint);
    assert!(!good.is_empty() && !bad.is_empty());
    assert_eq!(blames(&checkpoint), sorted(bad));
}

#[test]
fn damaged_parts_end_in_a_value_or_an_error() {
    for (case, file) in [
        ("distributed_ranks", ".metadata"),
        ("distributed_ranks", "__1_0.distcp"),
        ("sharded", "pytorch_model.bin.index.json"),
    ] {
        let (_kept, path) = copy(case);
        let bytes = std::fs::read(path.join(file)).unwrap();
        for at in (0..bytes.len()).step_by(37) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            std::fs::write(path.join(file), &damaged).unwrap();
            if let Ok(checkpoint) = open(&path) {
                readable(&checkpoint);
            }
            std::fs::write(path.join(file), &bytes[..at]).unwrap();
            if let Ok(checkpoint) = open(&path) {
                readable(&checkpoint);
            }
        }
    }
}

#[test]
fn a_part_without_its_metadata_says_what_is_missing() {
    let (_kept, path) = copy("distributed");
    std::fs::remove_file(path.join(".metadata")).unwrap();
    let error = open(&path.join("__0_0.distcp")).unwrap_err().to_string();
    assert!(error.contains(".metadata file is not beside it"), "{error}");
}
