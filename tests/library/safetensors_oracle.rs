//! The strict `safetensors` crate reads every fixture as this program does.

use std::collections::BTreeSet;
use std::path::PathBuf;

use safetensors::SafeTensors;

use crate::support::{Complaints, bytes_of, folder, open};

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

/// A file of this header and so many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), &vec![1; data]].concat()
}

#[test]
fn what_the_crate_refuses_has_a_finding_here_and_what_it_takes_has_none() {
    let tensor = |name: &str, dtype: &str, shape: &str, begin: usize, end: usize| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{begin},{end}]}}"#)
    };
    let a = tensor("a", "F32", "2", 0, 8);
    let cases: Vec<(&str, String, usize)> = vec![
        ("one tensor", format!("{{{a}}}"), 8),
        ("padded with spaces", format!("{{{a}}}     "), 8),
        ("nothing", "{}".into(), 0),
        ("a scalar", format!("{{{}}}", tensor("a", "F64", "", 0, 8)), 8),
        ("no elements", format!("{{{},{a}}}", tensor("e", "F32", "0,4", 0, 0)), 8),
        ("four bits", format!("{{{}}}", tensor("a", "F4", "2,3", 0, 3)), 3),
        ("six bits", format!("{{{}}}", tensor("a", "F6_E2M3", "4", 0, 3)), 3),
        ("complex", format!("{{{}}}", tensor("a", "C64", "1", 0, 8)), 8),
        ("metadata", format!(r#"{{"__metadata__":{{"k":"v"}},{a}}}"#), 8),
        ("empty metadata", format!(r#"{{"__metadata__":{{}},{a}}}"#), 8),
        ("metadata that is a number", format!(r#"{{"__metadata__":{{"k":1}},{a}}}"#), 8),
        ("metadata that is a list", format!(r#"{{"__metadata__":[],{a}}}"#), 8),
        ("an odd number of four bits", format!("{{{}}}", tensor("a", "F4", "3", 0, 2)), 2),
        ("an unknown type", format!("{{{}}}", tensor("a", "F7", "2", 0, 8)), 8),
        ("a gap", format!("{{{a},{}}}", tensor("b", "U8", "2", 9, 11)), 11),
        ("an overlap", format!("{{{a},{}}}", tensor("b", "U8", "2", 7, 9)), 9),
        ("bytes at the end", format!("{{{a}}}"), 9),
        ("too few bytes", format!("{{{a}}}"), 7),
        ("another size", format!("{{{}}}", tensor("a", "F32", "3", 0, 8)), 8),
        ("an end before the beginning", format!("{{{}}}", tensor("a", "U8", "2", 2, 0)), 2),
        ("a size that overflows", format!("{{{}}}", tensor("a", "F32", "4611686018427387904,4", 0, 0)), 0),
        ("a header that is no object", "[]".into(), 0),
        ("a header that is cut", format!("{{{a},"), 0),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut complaints = Complaints::default();
    for (case, header, data) in cases {
        let bytes = file(&header, data);
        let path = folder.path().join("case.safetensors");
        std::fs::write(&path, &bytes).unwrap();
        let refused = SafeTensors::deserialize(&bytes).err();
        let found = match open(&path) {
            Ok(checkpoint) => checkpoint.problems().iter().map(|problem| problem.message.clone()).collect(),
            Err(error) => vec![error.to_string()],
        };
        if refused.is_some() == found.is_empty() {
            complaints.add(format!("{case}: the crate says {refused:?}, here it is {found:?}"));
        }
    }
    complaints.check();
}
