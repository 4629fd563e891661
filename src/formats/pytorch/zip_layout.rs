//! The layout of torch since 1.6 and of TorchScript: a zip archive of a pickle and its storages.
//!
//! ```text
//! <root>/data.pkl        the object
//! <root>/data/<key>      one storage each
//! <root>/byteorder       "little" or "big"; absent before torch 2.1: little
//! <root>/version         version of the archive's layout
//! ```
//!
//! Source: `_load` in `torch/serialization.py`, and
//! <https://github.com/pytorch/pytorch/blob/v2.9.0/caffe2/serialize/inline_container.h>.
//! What else stands in the archive is for [`super::script_layout`], [`super::package_layout`] and
//! [`super::export_layout`].

use super::storage::Members;
use super::view::View;
use crate::formats::containers::pickle;
use crate::formats::containers::zip::{ZipArchive, ZipEntry};
use crate::model::{Problem, Progress, ReadError, Value};
use crate::raw::limits;

/// The latest `version` that was seen written (torch 2.9).
const LATEST_VERSION: u64 = 10;

/// Bytes of the small text members.
const NOTE_BYTES: u64 = 4096;

/// Bytes of one text member that is shown in the metadata, and of all.
const TEXT_BYTES: (u64, u64) = (256 << 10, 4 << 20);

/// An archive's pickle, and what the members around it say.
pub struct Zip {
    /// The object.
    pub view: View,
    /// What stands before the names of all its members, slash included.
    pub root: String,
    /// Its storages.
    pub storages: Members,
    /// What is odd about it.
    pub problems: Vec<Problem>,
}

/// Whether the archive is one of torch's, of whatever kind.
pub fn detect(archive: &ZipArchive) -> bool {
    if has(archive, "config.json") && has(archive, "model.weights.h5") {
        return false;
    }
    ["data.pkl", ".data/serialization_id", ".data/extern_modules", "serialized_exported_program.json"]
        .iter()
        .any(|name| has(archive, name))
        || super::old_script_layout::detect(archive)
}

/// Reads the pickle.
pub fn open(archive: &ZipArchive, progress: &Progress) -> Result<Zip, ReadError> {
    let mut pickles = archive.entries().iter().filter(|entry| is_named(entry, "data.pkl"));
    let mut problems = archive.problems().to_vec();
    let Some(entry) = pickles.next() else {
        return Err(ReadError::unsupported("the archive has no data.pkl: it was not written to its end"));
    };
    if let Some(other) = pickles.next() {
        let text = format!("the archive has two roots: {:?} is shown, {:?} is not", entry.name, other.name);
        problems.push(Problem::warning("two-roots", text));
    }
    let root = entry.name.strip_suffix("data.pkl").unwrap_or_default().to_owned();
    let version = note(archive, &root, "version").and_then(|text| text.parse::<u64>().ok());
    if let Some(version) = version.filter(|&version| version > LATEST_VERSION) {
        let text = format!("the archive says version {version}, newer than any known ({LATEST_VERSION})");
        problems.push(Problem::warning("archive-version", text));
    }
    let view = pickle_of(archive, entry, progress)?;
    let storages = members(archive, &root, "data/", "");
    Ok(Zip { view, root, storages, problems })
}

/// The pickle in a member.
pub fn pickle_of(archive: &ZipArchive, entry: &ZipEntry, progress: &Progress) -> Result<View, ReadError> {
    let source = archive.member(entry, limits::INFLATED_BYTES)?;
    Ok(View::new(pickle::parse(&source, 0, progress)?, source))
}

/// The storages in a folder of the archive.
pub fn members(archive: &ZipArchive, root: &str, folder: &str, after: &'static str) -> Members {
    Members {
        archive: archive.clone(),
        before: format!("{root}{folder}"),
        after,
        big_endian: note(archive, root, "byteorder").as_deref() == Some("big"),
    }
}

/// The text of a small member.
pub fn note(archive: &ZipArchive, root: &str, name: &str) -> Option<String> {
    let entry = archive.entry(&format!("{root}{name}"))?;
    let bytes = archive.read(entry, NOTE_BYTES).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// Members for the metadata, by the rest of their name behind `folder`: text, or how many bytes they have.
pub fn texts(archive: &ZipArchive, folder: &str, wanted: impl Fn(&str) -> bool) -> Vec<(String, Value)> {
    let mut left = TEXT_BYTES.1;
    let mut found = Vec::new();
    for entry in archive.entries() {
        let Some(name) = entry.name.strip_prefix(folder).filter(|name| wanted(name)) else { continue };
        let value = if entry.size > TEXT_BYTES.0.min(left) {
            Value::Bytes { len: entry.size, preview: Vec::new() }
        } else {
            left -= entry.size;
            match archive.read(entry, entry.size).map(String::from_utf8) {
                Ok(Ok(text)) => Value::Text(text),
                Ok(Err(error)) => {
                    let preview = error.as_bytes().iter().copied().take(64).collect();
                    Value::Bytes { len: entry.size, preview }
                }
                Err(_) => Value::Elided("a member that cannot be read"),
            }
        };
        found.push((name.to_owned(), value));
    }
    found
}

/// Whether some member has that name, under whatever root.
pub fn has(archive: &ZipArchive, name: &str) -> bool {
    archive.entries().iter().any(|entry| is_named(entry, name))
}

/// What stands before the name of the first member that has it.
pub fn root_of<'a>(archive: &'a ZipArchive, name: &str) -> Option<&'a str> {
    archive.entries().iter().find(|entry| is_named(entry, name))?.name.strip_suffix(name)
}

fn is_named(entry: &ZipEntry, name: &str) -> bool {
    entry.name.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}
