//! What is said about files that are no checkpoint: one sentence that names what the file is.

use ckptscope::formats::OpenError;

use crate::support::{Complaints, folder, open};

/// File, and what its message must contain (in any case of letters).
const EXPECTED: &[(&str, &[&str])] = &[
    ("git_lfs_pointer.safetensors", &["git lfs", "git lfs pull"]),
    ("login_page.pt", &["html"]),
    ("empty.h5", &["empty"]),
    ("notebook.ipynb", &["notebook"]),
    ("config.json", &["json"]),
    ("weights.pt.gz", &["gzip"]),
    ("documents.zip", &["zip"]),
    ("picture.png", &["png"]),
    ("notes.txt", &["text"]),
    ("random.bin", &["not of a known kind"]),
];

#[test]
fn each_is_named_for_what_it_is() {
    let mut complaints = Complaints::default();
    for (file, words) in EXPECTED {
        let path = folder().join("not_checkpoints").join(file);
        match open(&path) {
            Ok(checkpoint) => complaints.add(format!("{file} opened as {}", checkpoint.format())),
            Err(OpenError::Unrecognised { looks_like, .. }) => {
                for word in words.iter().filter(|word| !looks_like.to_lowercase().contains(*word)) {
                    complaints.add(format!("{file}: no {word:?} in {looks_like:?}"));
                }
            }
            Err(error) => complaints.add(format!("{file} was claimed: {error}")),
        }
    }
    complaints.check();
}

#[test]
fn the_table_covers_the_folder() {
    let mut files: Vec<String> = std::fs::read_dir(folder().join("not_checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let mut expected: Vec<&str> = EXPECTED.iter().map(|(file, _)| *file).collect();
    expected.sort_unstable();
    assert_eq!(files, expected);
}

#[test]
fn a_message_is_one_line_that_ends_with_the_path() {
    for (file, _) in EXPECTED {
        let path = folder().join("not_checkpoints").join(file);
        let message = open(&path).expect_err(file).to_string();
        assert!(!message.contains('\n'), "{message:?}");
        assert!(message.ends_with(&path.display().to_string()), "{message:?}");
    }
}

#[test]
fn a_missing_path_says_so() {
    let path = folder().join("no such file.pt");
    let message = open(&path).expect_err("it does not exist").to_string();
    assert!(message.contains("No such file") || message.contains("cannot find"), "{message}");
}

#[test]
fn an_empty_folder_is_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::Unrecognised { .. })));
}

#[test]
fn a_folder_of_a_model_opens_its_weights_and_one_of_several_asks_which() {
    let model = tempfile::tempdir().unwrap();
    let put = |from: &str, to: &str| {
        std::fs::copy(folder().join(from), model.path().join(to)).unwrap();
    };
    put("safetensors/batch_norm.safetensors", "model.safetensors");
    let alone = open(model.path()).unwrap();
    assert_eq!(alone.path(), model.path().join("model.safetensors"));
    put("pytorch/state_dict.pt", "optimizer.pt");
    let error = open(model.path()).err().unwrap().to_string();
    assert!(error.contains("2 files that may be checkpoints"), "{error}");
    std::fs::write(model.path().join("config.json"), "{}").unwrap();
    assert_eq!(open(model.path()).unwrap().path(), alone.path());
}
