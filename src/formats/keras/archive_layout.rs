//! The `.keras` archive: a zip of `metadata.json`, `config.json` and `model.weights.h5`, or a folder of the same.
//!
//! Stored weights are read in place; deflated ones are inflated up to a limit. Source: `save_model` in
//! `keras/src/saving/saving_lib.py`.

use std::path::Path;

use super::{Described, parse_document, parts_of_tree};
use crate::formats::Probe;
use crate::formats::containers::hdf5;
use crate::formats::containers::zip::ZipArchive;
use crate::model::{CheckpointParts, Problem, Progress, ReadError, Value};
use crate::raw::{ByteSource, limits};

const CONFIG: &str = "config.json";
const METADATA: &str = "metadata.json";
const WEIGHTS: &str = "model.weights.h5";
/// Written where h5py is not installed.
const WEIGHTS_NPZ: &str = "model.weights.npz";

/// Whether the path is such an archive or folder.
pub(super) fn detect(probe: &Probe) -> bool {
    if let Some(names) = probe.folder() {
        let has = |name: &str| names.iter().any(|known| known == name);
        return has(CONFIG) && has(METADATA) && has(WEIGHTS);
    }
    let Some(Ok(archive)) = probe.zip() else { return false };
    archive.entry(CONFIG).is_some()
        && (archive.entry(WEIGHTS).is_some()
            || archive.entry(WEIGHTS_NPZ).is_some() && archive.entry(METADATA).is_some())
}

/// Where the parts come from.
enum Files<'a> {
    Archive(&'a ZipArchive),
    Folder(&'a Path),
}

impl Files<'_> {
    /// A part's bytes and whether they are a range of a file; `None` when there is no such part.
    fn part(&self, name: &str) -> Option<Result<(ByteSource, bool), ReadError>> {
        match self {
            Self::Archive(archive) => {
                let entry = archive.entry(name)?;
                Some(archive.member(entry, limits::INFLATED_BYTES).map(|source| (source, entry.stored)))
            }
            Self::Folder(folder) => {
                let path = folder.join(name);
                path.is_file().then(|| ByteSource::open(&path).map(|source| (source, true)))
            }
        }
    }

    fn text(&self, name: &str) -> Option<Result<String, ReadError>> {
        Some(self.part(name)?.and_then(|(source, _)| {
            let bytes = source.read_all("a JSON document", limits::TEXT_BYTES)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }))
    }
}

/// Reads the catalogue.
pub(super) fn open(probe: &Probe, progress: &Progress) -> Result<CheckpointParts, ReadError> {
    let files = match (probe.zip(), probe.folder()) {
        (Some(Ok(archive)), _) => Files::Archive(archive),
        (_, Some(_)) => Files::Folder(probe.path()),
        _ => return Err(ReadError::unsupported("neither a zip archive nor a folder")),
    };
    let mut described = describe(&files);
    let (source, in_file) = match files.part(WEIGHTS) {
        Some(part) => part?,
        None => return Err(ReadError::unsupported("weights stored as model.weights.npz are not read yet")),
    };
    let file_bytes = match &files {
        Files::Archive(archive) => {
            described.problems.extend(archive.problems().iter().cloned());
            probe.source().map_or(0, ByteSource::len)
        }
        Files::Folder(_) => {
            [CONFIG, METADATA, WEIGHTS].iter().filter_map(|name| Some(files.part(name)?.ok()?.0.len())).sum()
        }
    };
    let tree = hdf5::walk(&source, in_file, progress)?;
    Ok(parts_of_tree(tree, Some(described), file_bytes))
}

fn describe(files: &Files) -> Described {
    let mut described =
        Described { model: None, metadata: Vec::new(), problems: Vec::new(), framework: None };
    for (name, key) in [(METADATA, "metadata"), (CONFIG, "model_config")] {
        let text = match files.text(name) {
            Some(Ok(text)) => text,
            Some(Err(error)) => {
                described.problems.push(Problem::error("keras-config", format!("{name}: {error}")));
                continue;
            }
            None => {
                described.problems.push(Problem::info("keras-config", format!("the archive has no {name}")));
                continue;
            }
        };
        match parse_document(key, &text, &mut described) {
            Value::Map(entries) if key == "metadata" => described.metadata.extend(entries),
            value => described.metadata.push((key.to_owned(), value)),
        }
    }
    let version = described.metadata.iter().find(|(key, _)| key == "keras_version");
    described.framework = Some(match version.and_then(|(_, value)| value.as_text()) {
        Some(version) => format!("keras {version}"),
        None => "keras".to_owned(),
    });
    described
}
