//! The layout of torch since 1.6, of TorchScript and of `torch.package`: a zip archive of a pickle and its storages.
//!
//! ```text
//! <root>/data.pkl        the object            (torch.package: <root>/<any>/<name>.pkl)
//! <root>/data/<key>      one storage each      (torch.package: <root>/.data/<key>.storage)
//! <root>/byteorder       "little" or "big"; absent before torch 2.1: little
//! <root>/version         version of the archive's layout
//! <root>/constants.pkl, <root>/code/…          TorchScript only
//! ```
//!
//! Source: `caffe2/serialize/inline_container.h`, `_load` in `torch/serialization.py`.

use super::storage::Members;
use super::view::View;
use crate::formats::containers::pickle;
use crate::formats::containers::zip::{ZipArchive, ZipEntry};
use crate::model::{Problem, Progress, ReadError};
use crate::raw::limits;

/// The latest `version` that was seen written (torch 2.9).
const LATEST_VERSION: u64 = 10;

/// Bytes of the small text members.
const NOTE_BYTES: u64 = 4096;

/// An archive's pickle, and what the members around it say.
pub struct Zip {
    /// The object.
    pub view: View,
    /// What stands before the names of all its members, slash included.
    root: String,
    big_endian: bool,
    /// Whether it is a TorchScript archive.
    pub is_script: bool,
    /// Whether it is a package.
    pub is_package: bool,
    /// What is odd about it.
    pub problems: Vec<Problem>,
}

impl Zip {
    /// Its storages.
    pub fn storages<'a>(&self, archive: &'a ZipArchive) -> Members<'a> {
        let (folder, after) = if self.is_package { (".data/", ".storage") } else { ("data/", "") };
        Members { archive, before: format!("{}{folder}", self.root), after, big_endian: self.big_endian }
    }
}

/// Whether the archive is PyTorch's.
pub fn detect(archive: &ZipArchive) -> bool {
    let has = |ending: &str| archive.entries().iter().any(|entry| is_named(entry, ending));
    if has("config.json") && has("model.weights.h5") {
        return false;
    }
    has("data.pkl") || has(".data/serialization_id") || has(".data/extern_modules")
}

/// Reads the pickle.
pub fn open(archive: &ZipArchive, progress: &Progress) -> Result<Zip, ReadError> {
    let mut pickles = archive.entries().iter().filter(|entry| is_named(entry, "data.pkl"));
    let mut problems = archive.problems().to_vec();
    let mut is_package = false;
    let entry = if let Some(entry) = pickles.next() {
        if let Some(other) = pickles.next() {
            let text =
                format!("the archive has two roots: {:?} is shown, {:?} is not", entry.name, other.name);
            problems.push(Problem::warning("two-roots", text));
        }
        entry
    } else {
        is_package = true;
        let package = |entry: &&ZipEntry| {
            entry.name.strip_suffix(".pkl").is_some_and(|_| !entry.name.contains("/.data/"))
        };
        let mut objects = archive.entries().iter().filter(package);
        let Some(entry) = objects.next() else {
            return Err(ReadError::unsupported(
                "the archive has no data.pkl: it was not written to its end, or it is an exported program",
            ));
        };
        let others = objects.count();
        if others > 0 {
            let text = format!("the package has {} objects; {:?} is shown", others + 1, entry.name);
            problems.push(Problem::warning("package-objects", text));
        }
        entry
    };
    let root = if is_package {
        entry.name.split_once('/').map_or(String::new(), |(root, _)| format!("{root}/"))
    } else {
        entry.name.strip_suffix("data.pkl").unwrap_or_default().to_owned()
    };
    let note = |name: &str| {
        let entry = archive.entry(&format!("{root}{name}"))?;
        let bytes = archive.read(entry, NOTE_BYTES).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    let big_endian = note("byteorder").as_deref() == Some("big");
    let version = note("version").or_else(|| note(".data/version")).and_then(|text| text.parse::<u64>().ok());
    if let Some(version) = version.filter(|&version| version > LATEST_VERSION) {
        let text = format!("the archive says version {version}, newer than any known ({LATEST_VERSION})");
        problems.push(Problem::warning("archive-version", text));
    }
    let source = archive.member(entry, limits::INFLATED_BYTES)?;
    let view = View::new(pickle::parse(&source, 0, progress)?, source);
    let is_script = archive.entry(&format!("{root}constants.pkl")).is_some();
    Ok(Zip { view, root, big_endian, is_script, is_package, problems })
}

fn is_named(entry: &ZipEntry, name: &str) -> bool {
    entry.name.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}
