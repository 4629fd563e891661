//! The strict `safetensors` crate reads every fixture as this program does.

use std::collections::BTreeSet;
use std::path::PathBuf;

use safetensors::SafeTensors;

use crate::support::{bytes_of, folder, open};

fn files() -> Vec<PathBuf> {
    let root = folder().join("safetensors");
    let mut files = Vec::new();
    for folder in [root.clone(), root.join("sharded")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "safetensors") {
                files.push(path);
            }
        }
    }
    assert!(files.len() >= 8, "{files:?}");
    files
}

#[test]
fn names_shapes_and_bytes_are_equal() {
    for path in files() {
        let file = std::fs::read(&path).unwrap();
        let oracle = SafeTensors::deserialize(&file).unwrap();
        let checkpoint = open(&path).unwrap();
        let names: BTreeSet<&str> = checkpoint.tensors().map(|(_, tensor)| tensor.name.as_str()).collect();
        assert_eq!(names, oracle.names().into_iter().collect(), "{}", path.display());
        for (id, tensor) in checkpoint.tensors() {
            let view = oracle.tensor(&tensor.name).unwrap();
            let shape: Vec<usize> = tensor.shape.dims().iter().map(|&dim| dim as usize).collect();
            assert_eq!(shape, view.shape(), "{} {}", path.display(), tensor.name);
            assert_eq!(bytes_of(&checkpoint, id).unwrap(), view.data(), "{} {}", path.display(), tensor.name);
        }
    }
}

#[test]
fn what_the_crate_writes_is_read_back() {
    let values: Vec<u8> = (0..24).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, 3], &values).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.safetensors");
    safetensors::serialize_to_file([("a", &view), ("b.c", &view)], None, &path).unwrap();
    let checkpoint = open(&path).unwrap();
    for name in ["a", "b.c"] {
        assert_eq!(bytes_of(&checkpoint, checkpoint.find(name).unwrap()).unwrap(), values);
    }
}
