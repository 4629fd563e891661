//! Files that change while they are open: an error on what was asked, never values that are not the file's own.

use std::path::Path;

use ckptscope::model::{ReadError, TensorId};

use crate::support::{bytes_of, fixture, open};

/// A copy of a fixture, opened, and where it lies.
fn opened(name: &str, scratch: &Path) -> (ckptscope::model::Checkpoint, std::path::PathBuf) {
    let fixture = fixture(name);
    let path = scratch.join(fixture.path.file_name().unwrap());
    std::fs::copy(&fixture.path, &path).unwrap();
    (open(&path).unwrap(), path)
}

const FILES: [&str; 4] =
    ["pytorch/state_dict", "safetensors/batch_norm", "keras/keras2_model", "gguf/tensor_types"];

#[test]
fn a_file_that_shrinks_while_it_is_open_gives_errors() {
    for name in FILES {
        let scratch = tempfile::tempdir().unwrap();
        let (checkpoint, path) = opened(name, scratch.path());
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(16).unwrap();
        let ids: Vec<TensorId> = checkpoint.tensors().map(|(id, _)| id).collect();
        let of_values = ids.iter().filter(|&&id| checkpoint.tensor(id).bytes() > 64);
        let mut seen = 0;
        for &id in of_values {
            let read = bytes_of(&checkpoint, id);
            assert!(read.is_err(), "{name}: {} was read from a file of 16 bytes", checkpoint.tensor(id).name);
            seen += 1;
        }
        assert!(seen > 0, "{name} has no tensor of some size");
    }
}

#[test]
fn a_file_that_is_written_anew_in_place_is_not_read_on() {
    let scratch = tempfile::tempdir().unwrap();
    let (checkpoint, path) = opened("safetensors/batch_norm", scratch.path());
    let len = std::fs::metadata(&path).unwrap().len();
    std::fs::write(&path, vec![7; len as usize / 2]).unwrap();
    let (id, _) = checkpoint.tensors().last().unwrap();
    let error = bytes_of(&checkpoint, id).unwrap_err();
    assert!(matches!(error, ReadError::FileChanged | ReadError::Truncated { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_that_is_replaced_or_deleted_stays_what_was_opened() {
    for name in FILES {
        let scratch = tempfile::tempdir().unwrap();
        let (checkpoint, path) = opened(name, scratch.path());
        let (id, _) = checkpoint.tensors().next().unwrap();
        let before = bytes_of(&checkpoint, id).unwrap();
        std::fs::write(scratch.path().join("new"), b"something else").unwrap();
        std::fs::rename(scratch.path().join("new"), &path).unwrap();
        assert_eq!(bytes_of(&checkpoint, id).unwrap(), before, "{name}, replaced");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(bytes_of(&checkpoint, id).unwrap(), before, "{name}, deleted");
    }
}
