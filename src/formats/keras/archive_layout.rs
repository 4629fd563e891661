//! The `.keras` archive: a zip of `metadata.json`, `config.json` and `model.weights.h5`, or a folder of the same.
//!
//! ```text
//! config.json          the model's configuration
//! metadata.json        keras_version, date_saved
//! model.weights.h5     the weights, or, in pieces:
//! model.weights.json   {"metadata": {"total_size"}, "weight_map": {"/layers/dense/vars": "model_00000.weights.h5", …}}
//! ```
//! Pieces of weights also stand by themselves, without a configuration. Stored weights are read in place; deflated ones
//! are inflated up to a limit. Source: `save_model` and `ShardedH5IOStore` in `keras/src/saving/saving_lib.py`.

use std::path::{Path, PathBuf};

use super::{Described, config, parse_document, parts_of_tree};
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
/// The index of weights in pieces, inside a model's archive or folder.
const INDEX: &str = "model.weights.json";
/// The end of such an index's name, and of its pieces' names.
const INDEX_ENDING: &str = ".weights.json";
const PIECE_ENDING: &str = ".weights.h5";

/// Pieces of one model. The largest models of the field have some hundred.
const PIECES: usize = 10_000;

/// Where the parts come from.
enum Files<'a> {
    Archive(&'a ZipArchive),
    Folder(PathBuf),
}

/// Where the parts are, and the name of the index for weights in pieces.
struct Found<'a> {
    files: Files<'a>,
    index: Option<String>,
    has_config: bool,
}

/// The archive, the folder, or the folder around one of its JSON files; `None` when the path is none of these.
fn find(probe: &Probe) -> Option<Found<'_>> {
    if let Some(names) = probe.folder() {
        let has = |name: &str| names.iter().any(|known| known == name);
        let mut indices = names.iter().filter(|name| name.ends_with(INDEX_ENDING));
        let index = indices.next().filter(|_| indices.next().is_none() && !has(WEIGHTS)).cloned();
        let has_config = has(CONFIG) && (has(WEIGHTS) || index.as_deref() == Some(INDEX));
        return (has_config || index.is_some()).then(|| Found {
            files: Files::Folder(probe.path().to_owned()),
            index,
            has_config,
        });
    }
    if let Some(Ok(archive)) = probe.zip() {
        let has = |name: &str| archive.entry(name).is_some();
        let index = (has(INDEX) && !has(WEIGHTS)).then(|| INDEX.to_owned());
        let found = has(CONFIG) && (has(WEIGHTS) || index.is_some() || has(WEIGHTS_NPZ) && has(METADATA));
        return found.then_some(Found { files: Files::Archive(archive), index, has_config: true });
    }
    probe.source()?;
    let folder = match probe.path().parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let beside = |name: &str| folder.join(name).is_file();
    if is_index(probe.head()) {
        let has_config = probe.file_name() == INDEX && beside(CONFIG);
        return Some(Found {
            files: Files::Folder(folder.to_owned()),
            index: Some(probe.file_name()),
            has_config,
        });
    }
    if probe.file_name() == CONFIG && config::looks_like_model(probe.head()) {
        let index = (!beside(WEIGHTS) && beside(INDEX)).then(|| INDEX.to_owned());
        return (beside(WEIGHTS) || index.is_some()).then(|| Found {
            files: Files::Folder(folder.to_owned()),
            index,
            has_config: true,
        });
    }
    None
}

/// Whether a JSON document's beginning is that of an index of weights in pieces.
fn is_index(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    text.trim_start().starts_with('{') && text.contains("\"weight_map\"") && text.contains(PIECE_ENDING)
}

/// Whether the path is such an archive, folder or index.
pub(super) fn detect(probe: &Probe) -> bool {
    find(probe).is_some()
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
    let Some(Found { files, index, has_config }) = find(probe) else {
        return Err(ReadError::unsupported("neither a Keras archive nor a folder of one"));
    };
    let mut described = if has_config { describe(&files) } else { Described::default() };
    described.framework.get_or_insert_with(|| "keras".to_owned());
    let mut file_bytes = match (&files, probe.source()) {
        (Files::Archive(archive), source) => {
            described.problems.extend(archive.problems().iter().cloned());
            source.map_or(0, ByteSource::len)
        }
        (Files::Folder(_), _) => {
            let names = [CONFIG, METADATA].into_iter().filter(|_| has_config).chain(index.as_deref());
            names.filter_map(|name| Some(files.part(name)?.ok()?.0.len())).sum()
        }
    };
    if let Some(index) = index {
        let (tree, bytes) = pieces(&files, &index, &mut described, progress)?;
        if matches!(files, Files::Folder(_)) {
            file_bytes += bytes;
        }
        return Ok(parts_of_tree(tree, Some((described, "keras-sharded")), file_bytes));
    }
    let (source, in_file) = match files.part(WEIGHTS) {
        Some(part) => part?,
        None => return Err(ReadError::unsupported("weights stored as model.weights.npz are not read yet")),
    };
    if matches!(files, Files::Folder(_)) {
        file_bytes += source.len();
    }
    let tree = hdf5::walk(&source, in_file, progress)?;
    Ok(parts_of_tree(tree, Some((described, "keras-archive")), file_bytes))
}

/// Everything in the pieces that an index names, and the bytes of their files.
fn pieces(
    files: &Files,
    index: &str,
    described: &mut Described,
    progress: &Progress,
) -> Result<(hdf5::Tree, u64), ReadError> {
    let text = files.text(index).unwrap_or_else(|| Err(ReadError::unsupported("the index is missing")))?;
    let malformed = |reason: String| ReadError::malformed("the index of the weights", 0, reason);
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    let map = json.get("weight_map").and_then(serde_json::Value::as_object);
    let map = map.ok_or_else(|| malformed("it has no weight_map".to_owned()))?;
    // Files in the order in which the index first names them, each with what it holds.
    let mut names: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut position = std::collections::HashMap::new();
    for (group, value) in map {
        let listed = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        for name in listed.iter().filter_map(serde_json::Value::as_str) {
            let place = *position.entry(name).or_insert(names.len());
            if place == names.len() {
                names.push((name, Vec::new()));
            }
            if let Some((_, groups)) = names.get_mut(place) {
                groups.push(group);
            }
        }
    }
    if names.len() > PIECES {
        let (value, limit) = (names.len() as u64, PIECES as u64);
        return Err(ReadError::OverLimit { what: "the number of pieces".into(), value, limit });
    }
    let mut whole = hdf5::Tree::default();
    let mut bytes = 0u64;
    for (name, groups) in names {
        // The index may name files beside it and no others.
        let is_plain = !name.contains(['/', '\\']) && name != "..";
        let tree = match files.part(name).filter(|_| is_plain) {
            None => Err("it is not there".to_owned()),
            Some(part) => part.map_err(|error| error.to_string()).and_then(|(source, _)| {
                bytes = bytes.saturating_add(source.len());
                // Offsets would not say of which file they are.
                hdf5::walk(&source, false, progress).map_err(|error| error.to_string())
            }),
        };
        progress.advance(0)?;
        match tree {
            Ok(tree) => whole.append(tree),
            Err(reason) => described.problems.push(Problem::error(
                "missing-shard",
                format!(
                    "the weights of {} are in {name:?}, which cannot be read: {reason}",
                    some_of(&groups)
                ),
            )),
        }
    }
    described.metadata.push(("weights_index".to_owned(), Value::from_json(json)));
    Ok((whole, bytes))
}

/// The first few of a list, and how many more.
fn some_of(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

fn describe(files: &Files) -> Described {
    let mut described = Described::default();
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
