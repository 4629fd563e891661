//! Fixtures with their expectations, and reading a checkpoint whole.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ckptscope::model::{Checkpoint, Progress, ReadError, TensorId, Value};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

/// A checkpoint that a framework wrote, and what the framework says is in it.
pub struct Fixture {
    /// Folder and case, such as `pytorch/views`.
    pub name: String,
    /// What to open.
    pub path: PathBuf,
    /// The content of `<case>.json`; `generate/expectations.py` describes it.
    pub expected: Json,
}

impl Fixture {
    /// Opens it; a fixture that does not open fails the test.
    pub fn open(&self) -> Checkpoint {
        open(&self.path).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// The expected tensors.
    pub fn tensors(&self) -> &[Json] {
        self.expected["tensors"].as_array().expect("expectations list tensors")
    }
}

/// The folder of all fixtures.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Every fixture of one format's folder.
pub fn fixtures_of(format: &str) -> Vec<Fixture> {
    let folder = folder().join(format);
    let mut fixtures: Vec<Fixture> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let expected: Json = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let case = path.file_stem().unwrap().to_string_lossy();
            let file = expected["file"].as_str().expect("expectations name their file");
            Fixture { name: format!("{format}/{case}"), path: folder.join(file), expected }
        })
        .collect();
    fixtures.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!fixtures.is_empty(), "no fixtures in {}", folder.display());
    fixtures
}

/// The folders of fixtures, one a format.
pub fn formats() -> Vec<String> {
    let folders = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<String> = folders
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| {
            ![
                "analysis",
                "compare",
                "generate",
                "hostile",
                "keras_layers",
                "large",
                "logs",
                "not_checkpoints",
                "parity",
            ]
            .contains(&name.as_str())
        })
        .collect();
    names.sort();
    names
}

/// Every fixture.
pub fn fixtures() -> Vec<Fixture> {
    formats().iter().flat_map(|format| fixtures_of(format)).collect()
}

/// The fixture of that name, such as `pytorch/views`.
pub fn fixture(name: &str) -> Fixture {
    fixtures().into_iter().find(|fixture| fixture.name == name).unwrap_or_else(|| panic!("no fixture {name}"))
}

/// Opens a path with nobody watching.
pub fn open(path: &Path) -> Result<Checkpoint, ckptscope::formats::OpenError> {
    ckptscope::formats::open(path, &Progress::new())
}

/// Passes a tensor's pieces to `each`.
pub fn read(checkpoint: &Checkpoint, id: TensorId, mut each: impl FnMut(&[u8])) -> Result<(), ReadError> {
    checkpoint.read_chunks(id, &Progress::new(), &mut |piece| {
        each(piece);
        ControlFlow::Continue(())
    })
}

/// A tensor's values, whole.
pub fn bytes_of(checkpoint: &Checkpoint, id: TensorId) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    read(checkpoint, id, |piece| bytes.extend_from_slice(piece))?;
    Ok(bytes)
}

/// The SHA-256 of a tensor's values, in hexadecimal; the error's text where they cannot be read.
pub fn hash_of(checkpoint: &Checkpoint, id: TensorId) -> String {
    let mut hasher = Sha256::new();
    match read(checkpoint, id, |piece| hasher.update(piece)) {
        Ok(()) => hasher.finalize().iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        }),
        Err(error) => format!("unreadable: {error}"),
    }
}

/// The metadata value at keys and indices joined by dots. Keys may hold dots themselves.
pub fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(value);
    }
    let rest_after = |key: &str| -> Option<String> {
        let rest = path.strip_prefix(key)?;
        if rest.is_empty() { Some(String::new()) } else { rest.strip_prefix('.').map(str::to_owned) }
    };
    match value {
        Value::Map(entries) | Value::Object { fields: entries, .. } => {
            entries.iter().find_map(|(key, item)| at(item, &rest_after(key)?))
        }
        Value::List(items) => {
            items.iter().enumerate().find_map(|(index, item)| at(item, &rest_after(&index.to_string())?))
        }
        _ => None,
    }
}

/// Collects complaints over many cases, so that one run shows all of them.
#[derive(Default)]
pub struct Complaints(Vec<String>);

impl Complaints {
    /// Adds one.
    pub fn add(&mut self, complaint: String) {
        self.0.push(complaint);
    }

    /// Adds one unless the two are equal.
    pub fn unless_equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, seen: &T, expected: &T) {
        if seen != expected {
            self.add(format!("{what} is {seen:?}, should be {expected:?}"));
        }
    }

    /// Fails the test when there are any.
    pub fn check(self) {
        assert!(self.0.is_empty(), "{} complaints:\n  {}", self.0.len(), self.0.join("\n  "));
    }
}
