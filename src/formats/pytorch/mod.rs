//! The PyTorch format: which layout, then its catalogue.
//!
//! ```text
//! zip_layout, (old_)script_layout, package_layout, export_layout | legacy_layout | tar_layout | a plain pickle
//!        └─▶ View (pickle graph + known names) ─▶ state_dict, module_tree (names, roles, metadata)
//!                         StorageMap ─▶ rebuild, numpy ─▶ catalogue (ties, faults), reader
//! ```
//!
//! Nothing that a pickle names is ever called; see [`super::containers::pickle`].

mod catalogue;
mod chunked;
mod distributed;
mod export_layout;
mod export_program;
mod gathered;
mod joblib;
mod joined;
mod legacy_layout;
mod metadata;
mod module_tree;
mod names;
mod nested;
mod numpy;
mod old_script_layout;
mod package_layout;
mod python_type;
mod reader;
mod rebuild;
mod script_code;
mod script_layout;
mod sections;
mod sharded;
mod state_dict;
mod storage;
mod storage_data;
mod tar_layout;
mod view;
mod zip_layout;

use super::containers::pickle;
use super::containers::zip::ZipArchive;
use super::{Format, Probe};
use crate::model::{CheckpointParts, Problem, Progress, ReadError, Value};
use crate::raw::ByteSource;
use gathered::Gathered;
pub use joblib::follows as joblib_follows;
pub use legacy_layout::detect as begins_like_legacy;
use storage::{Members, NoStorages, StorageMap};
use view::View;

/// PyTorch checkpoints, and pickles of tensors and arrays.
pub struct PyTorch;

impl Format for PyTorch {
    fn name(&self) -> &'static str {
        "PyTorch"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["pt", "pth", "pt2", "ptl", "bin", "ckpt", "pkl", "pickle", "tar"]
    }

    fn detect(&self, probe: &Probe) -> bool {
        if is_set(probe) {
            return true;
        }
        match probe.zip() {
            Some(Ok(archive)) => zip_layout::detect(archive),
            Some(Err(_)) => begins_like_an_archive(probe.head()),
            None => probe.source().is_some_and(|source| {
                tar_layout::detect(probe.head()) || is_pickle(probe.head(), source.len())
            }),
        }
    }

    fn open(&self, probe: &Probe, progress: &Progress) -> Result<CheckpointParts, ReadError> {
        if sharded::detect(probe) {
            return sharded::open(probe, progress);
        }
        if distributed::detect(probe) {
            return distributed::open(probe, progress);
        }
        let source = probe.source().ok_or_else(|| ReadError::unsupported("not a file"))?;
        match probe.zip() {
            Some(Ok(archive)) => open_archive(archive, source, progress),
            // The directory was read when the file was probed; reading it again gives the error itself.
            Some(Err(_)) => match super::containers::zip::ZipArchive::open(source) {
                Err(error) => Err(error),
                Ok(_) => Err(ReadError::FileChanged),
            },
            None if legacy_layout::detect(probe.head()) => {
                let legacy = legacy_layout::open(source, progress)?;
                Ok(catalogue_of(&legacy.view, &legacy.storages, "pytorch-legacy", legacy.problems, source))
            }
            None if tar_layout::detect(probe.head()) => {
                let tar = tar_layout::open(source, progress)?;
                Ok(catalogue_of(&tar.view, &tar.storages, "pytorch-tar", tar.problems, source))
            }
            None => {
                let parsed = pickle::parse_interleaved(source, 0, progress, &joblib::follows)?;
                let mut problems = Vec::new();
                if parsed.end < source.len() {
                    let text =
                        format!("{} bytes follow the pickle; they are not shown", source.len() - parsed.end);
                    problems.push(Problem::warning("trailing-bytes", text).at(parsed.end));
                }
                let view = View::new(parsed, source.clone());
                let format = if view.mentions("joblib") { "joblib" } else { "pytorch-pickle" };
                Ok(catalogue_of(&view, &NoStorages, format, problems, source))
            }
        }
    }
}

/// One of the archives that torch writes.
fn open_archive(
    archive: &ZipArchive,
    source: &ByteSource,
    progress: &Progress,
) -> Result<CheckpointParts, ReadError> {
    let mut gathered = Gathered::default();
    let torch = Some("torch".to_owned());
    if export_layout::detect(archive) {
        gathered.problems = archive.problems().to_vec();
        let (metadata, version) = export_layout::read(archive, &mut gathered, progress)?;
        let framework = version.map_or(torch, |version| Some(format!("torch {version}")));
        return Ok(gathered.finish("torch-export", framework, metadata, source.len()));
    }
    if package_layout::detect(archive) {
        gathered.problems = archive.problems().to_vec();
        let metadata = package_layout::read(archive, &mut gathered, progress)?;
        return Ok(gathered.finish("torch-package", torch, metadata, source.len()));
    }
    if old_script_layout::detect(archive) {
        gathered.problems = archive.problems().to_vec();
        let (metadata, version) = old_script_layout::read(archive, &mut gathered)?;
        let framework = version.map_or(torch, |version| Some(format!("torch {version}")));
        return Ok(gathered.finish("torchscript", framework, metadata, source.len()));
    }
    let mut zip = zip_layout::open(archive, progress)?;
    gathered.problems = std::mem::take(&mut zip.problems);
    if script_layout::detect(archive, &zip.root) {
        let metadata = script_layout::read(&zip, archive, &mut gathered, progress);
        return Ok(gathered.finish("torchscript", torch, metadata, source.len()));
    }
    let metadata = gathered.object(&zip.view, &zip.storages, &[]);
    gathered.problems.extend(unused(archive, &zip.storages, &gathered));
    Ok(finished(gathered, &zip.view, "pytorch-zip", metadata, source))
}

/// Says which storages of an archive belong to nothing.
fn unused(archive: &ZipArchive, storages: &Members, gathered: &Gathered) -> Option<Problem> {
    let (mut count, mut bytes, mut example) = (0u64, 0u64, None);
    for entry in archive.entries() {
        if let Some(key) = entry.name.strip_prefix(&storages.before)
            && !gathered.has_key(key)
        {
            count += 1;
            bytes = bytes.saturating_add(entry.size);
            example.get_or_insert(&entry.name);
        }
    }
    let text =
        format!("{count} storages of together {bytes} bytes belong to no tensor, such as {:?}", example?);
    Some(Problem::info("unused-storages", text))
}

/// Whether it stands for a checkpoint of several files.
fn is_set(probe: &Probe) -> bool {
    sharded::detect(probe) || distributed::detect(probe)
}

/// A file of one object.
fn catalogue_of(
    view: &View,
    map: &dyn StorageMap,
    format: &'static str,
    problems: Vec<Problem>,
    source: &ByteSource,
) -> CheckpointParts {
    let mut gathered = Gathered::default();
    gathered.problems = problems;
    let metadata = gathered.object(view, map, &[]);
    finished(gathered, view, format, metadata, source)
}

fn finished(
    gathered: Gathered,
    view: &View,
    format: &'static str,
    metadata: Value,
    source: &ByteSource,
) -> CheckpointParts {
    let lightning = metadata.get("pytorch-lightning_version").and_then(Value::as_text);
    let framework = match lightning {
        Some(version) => Some(format!("torch, lightning {version}")),
        None if view.mentions("torch") => Some("torch".to_owned()),
        None if view.mentions("sklearn") => Some(match sklearn_version(&metadata) {
            Some(version) => format!("scikit-learn {version}"),
            None => "scikit-learn".to_owned(),
        }),
        None => (!matches!(format, "pytorch-pickle" | "joblib")).then(|| "torch".to_owned()),
    };
    gathered.finish(format, framework, metadata, source.len())
}

/// Every estimator keeps the version of scikit-learn that saved it; the outermost, or the first inside it.
fn sklearn_version(metadata: &Value) -> Option<&str> {
    let own = |value: &'_ Value| value.get("_sklearn_version").is_some();
    let inner = match metadata {
        Value::Map(fields) | Value::Object { fields, .. } => {
            fields.iter().map(|(_, value)| value).find(|value| own(value))
        }
        _ => None,
    };
    [Some(metadata), inner].into_iter().flatten().find_map(|value| value.get("_sklearn_version")?.as_text())
}

/// Whether the first member of a damaged zip is one that PyTorch writes first.
fn begins_like_an_archive(head: &[u8]) -> bool {
    // Local file header: name length at 26, name at 30 (APPNOTE 4.3.7).
    let Some(&[low, high]) = head.get(26..28) else { return false };
    let len = usize::from(u16::from_le_bytes([low, high]));
    let Some(name) = head.get(30..30 + len) else { return false };
    [&b"/data.pkl"[..], b"/version", b"/byteorder", b"/data/0", b"/.data/serialization_id"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// Whether the bytes begin like a pickle. Protocols 2 and up say so; older ones are tried.
fn is_pickle(head: &[u8], len: u64) -> bool {
    match head {
        [0x80, 2..=5, opcode, ..] => *opcode != 0,
        [b'(' | b'c' | b']' | b'}' | b'L', ..] => {
            /// Opcodes in text that is none come to an error long before this.
            const CONVINCING: u64 = 64;
            let tried = pickle::parse(&ByteSource::from_vec(head.to_vec()), 0, &Progress::new());
            match tried {
                Ok(_) => true,
                Err(ReadError::Truncated { offset, .. } | ReadError::Malformed { offset, .. }) => {
                    // What is wrong must be that the head ends.
                    let ended =
                        matches!(tried, Err(ReadError::Truncated { .. })) || ends_in_a_line(head, offset);
                    ended && offset >= CONVINCING && len > head.len() as u64
                }
                Err(_) => false,
            }
        }
        _ => false,
    }
}

fn ends_in_a_line(head: &[u8], offset: u64) -> bool {
    usize::try_from(offset).ok().and_then(|from| head.get(from..)).is_some_and(|rest| !rest.contains(&b'\n'))
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::model::{TensorId, TensorRole};

    /// `_rebuild_tensor_v2` of a `FloatStorage` with six elements, protocol 2.
    fn tensor(key: &str, offset: u8, shape: [u8; 2], strides: [u8; 2]) -> Vec<u8> {
        let mut bytes = b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\n".to_vec();
        bytes.extend([b'U', key.len() as u8]);
        bytes.extend(key.as_bytes());
        bytes.extend(b"U\x03cpuK\x06tQ");
        bytes.extend([b'K', offset]);
        bytes.extend([b'K', shape[0], b'K', shape[1], 0x86]);
        bytes.extend([b'K', strides[0], b'K', strides[1], 0x86]);
        bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        bytes
    }

    fn dictionary(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = b"\x80\x02}(".to_vec();
        for (key, value) in entries {
            bytes.extend([b'U', key.len() as u8]);
            bytes.extend(key.as_bytes());
            bytes.extend(value);
        }
        bytes.extend(b"u.");
        bytes
    }

    /// Opens a pickle whose storages "0" and "1" hold the floats 0 to 5.
    fn opened(pickle: Vec<u8>) -> CheckpointParts {
        let source = ByteSource::from_vec(pickle);
        let parsed = pickle::parse(&source, 0, &Progress::new()).expect("a pickle");
        let floats: Vec<u8> = (0..6u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
        let mut storages = storage::Listed::default();
        for key in ["0", "1"] {
            let place = storage::Place::Range(ByteSource::from_vec(floats.clone()));
            storages.places.insert(key.to_owned(), place);
        }
        catalogue_of(&View::new(parsed, source.clone()), &storages, "pytorch-zip", Vec::new(), &source)
    }

    fn values(parts: &CheckpointParts, id: u32) -> Result<Vec<f32>, ReadError> {
        let mut values = Vec::new();
        parts.reader.read_chunks(TensorId(id), &Progress::new(), &mut |bytes| {
            values.extend(bytes.as_chunks::<4>().0.iter().map(|&four| f32::from_le_bytes(four)));
            ControlFlow::Continue(())
        })?;
        Ok(values)
    }

    #[test]
    fn a_transposed_view_is_read_in_its_own_order() {
        let parts = opened(dictionary(&[("w", tensor("0", 0, [3, 2], [1, 3]))]));
        assert_eq!(values(&parts, 0).expect("values"), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }

    #[test]
    fn tensors_over_the_same_elements_are_tied_and_their_bytes_counted_once() {
        let whole = || tensor("0", 0, [2, 3], [3, 1]);
        let parts = opened(dictionary(&[
            ("a.weight", whole()),
            ("b.weight", whole()),
            ("c", tensor("0", 1, [1, 2], [2, 1])),
        ]));
        let tied: Vec<_> = parts.tensors.iter().map(|tensor| tensor.tied_to).collect();
        assert_eq!(tied, [None, Some(TensorId(0)), None]);
        assert_eq!(parts.tensors.iter().map(|tensor| tensor.stored_bytes).sum::<u64>(), 24);
    }

    #[test]
    fn a_tensor_past_its_storage_costs_only_itself() {
        let parts = opened(dictionary(&[
            ("bad.weight", tensor("0", 100, [2, 3], [3, 1])),
            ("lost.weight", tensor("7", 0, [2, 3], [3, 1])),
            ("good.weight", tensor("1", 0, [2, 3], [3, 1])),
        ]));
        assert!(values(&parts, 0).is_err() && values(&parts, 1).is_err());
        assert_eq!(values(&parts, 2).expect("values").len(), 6);
        let blamed: Vec<_> = parts.problems.iter().map(|problem| problem.tensor).collect();
        assert_eq!(blamed, [Some(TensorId(0)), Some(TensorId(1))]);
    }

    #[test]
    fn parts_of_a_checkpoint_are_told_apart() {
        let weights = |name: &str| dictionary(&[(name, tensor("0", 0, [2, 3], [3, 1]))]);
        let inner = |bytes: Vec<u8>| bytes[2..bytes.len() - 1].to_vec();
        let parts = opened(dictionary(&[
            ("epoch", b"K\x03".to_vec()),
            ("model_state_dict", inner(weights("fc1.weight"))),
            ("ema", inner(weights("fc1.weight"))),
            ("rng_state", tensor("1", 0, [2, 3], [3, 1])),
        ]));
        let seen: Vec<_> = parts.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.role)).collect();
        assert_eq!(
            seen,
            [
                ("model_state_dict.fc1.weight", TensorRole::Parameter),
                ("ema.fc1.weight", TensorRole::Ema),
                ("rng_state", TensorRole::Other),
            ]
        );
        assert_eq!(parts.tensors[0].layer, "fc1");
        assert_eq!(parts.metadata.get("epoch"), Some(&Value::Int(3)));
        assert!(parts.metadata.get("model_state_dict").is_none() && parts.counts_known);
    }

    #[test]
    fn a_list_that_holds_itself_is_shown_once() {
        let parts = opened(b"\x80\x02]q\x00(h\x00K\x05e.".to_vec());
        assert!(
            matches!(&parts.metadata, Value::List(items) if matches!(items[..], [Value::Elided(_), Value::Int(5)]))
        );
    }

    #[test]
    fn text_that_is_no_pickle_is_not_claimed() {
        for head in [
            &b"<html>"[..],
            b"{\"a\": 1}",
            b"(see the notes below)\nand more\n",
            b"cat\ndog\n",
            b"\x80\x63..",
        ] {
            assert!(!is_pickle(head, head.len() as u64), "{:?}", head.escape_ascii());
        }
        assert!(is_pickle(b"(dp0\nS'a'\nI1\ns.", 15) && is_pickle(b"\x80\x04}.", 4));
    }
}
