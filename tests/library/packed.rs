//! Checkpoints inside gzip files and zip archives.

use std::io::Write as _;
use std::path::PathBuf;

use ckptscope::formats::OpenError;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::{fixture, hash_of, open};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zip(members: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A file of these bytes in a folder that is removed with the first.
fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Opens packed bytes and compares them with the fixture that they hold.
fn same_as(case: &str, name: &str, bytes: &[u8]) {
    let expected = fixture(case).open();
    let (_folder, path) = written(name, bytes);
    let found = open(&path).unwrap();
    assert_eq!(found.format(), expected.format());
    assert_eq!(found.path(), path);
    assert_eq!(found.totals().file_bytes, bytes.len() as u64);
    assert!(found.problems().iter().any(|problem| problem.code == "unpacked"), "{:?}", found.problems());
    for (id, tensor) in expected.tensors() {
        assert_eq!(found.tensor(id).name, tensor.name);
        assert_eq!(hash_of(&found, id), hash_of(&expected, id), "{}", tensor.name);
    }
}

fn refusal(name: &str, bytes: &[u8]) -> String {
    let (_folder, path) = written(name, bytes);
    match open(&path) {
        Err(OpenError::Unrecognised { looks_like, .. }) => looks_like,
        Err(error) => error.to_string(),
        Ok(checkpoint) => panic!("opened as {}", checkpoint.format()),
    }
}

#[test]
fn a_gzipped_checkpoint_opens_and_says_that_it_was_unpacked() {
    for case in [
        "pytorch/checkpoint",
        "pytorch/legacy_views",
        "safetensors/dtypes",
        "keras/keras2_model",
        "gguf/metadata",
    ] {
        let bytes = std::fs::read(fixture(case).path).unwrap();
        same_as(case, "weights.pt.gz", &gzip(&bytes));
    }
}

#[test]
fn a_zip_with_one_checkpoint_opens_it() {
    let bytes = std::fs::read(fixture("keras/keras2_model").path).unwrap();
    let members: &[(&str, &[u8])] = &[("model/readme.md", b"words"), ("model/weights.h5", &bytes)];
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        same_as("keras/keras2_model", "model.zip", &zip(members, method));
    }
}

#[test]
fn a_zip_with_several_checkpoints_names_them() {
    let members: &[(&str, &[u8])] = &[("a.pt", b"one"), ("b.h5", b"two"), ("notes.txt", b"three")];
    let text = refusal("both.zip", &zip(members, zip::CompressionMethod::Stored));
    assert!(text.contains("2 files") && text.contains("\"a.pt\"") && text.contains("\"b.h5\""), "{text}");
}

#[test]
fn a_gzip_file_of_something_else_is_not_unpacked() {
    assert!(refusal("notes.gz", &gzip(b"some words about nothing")).contains("a text file"));
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(refusal("all.tar.gz", &gzip(&tar)).contains(".tar.gz"));
}

#[test]
fn a_gzip_file_that_is_cut_off_says_so() {
    let bytes = std::fs::read(fixture("pytorch/checkpoint").path).unwrap();
    let packed = gzip(&bytes);
    let text = refusal("weights.pt.gz", &packed[..packed.len() / 2]);
    assert!(text.contains("cut off"), "{text}");
}
