//! The PyTorch format: which layout, then its catalogue.
//!
//! ```text
//! zip_layout | legacy_layout | a plain pickle
//!        └─▶ View (pickle graph + known names) ─▶ state_dict, module_tree (names, roles, metadata)
//!                         StorageMap ─▶ rebuild, numpy ─▶ catalogue (ties, faults, reader)
//! ```
//!
//! Nothing that a pickle names is ever called; see [`super::containers::pickle`].

mod catalogue;
mod legacy_layout;
mod metadata;
mod module_tree;
mod names;
mod numpy;
mod rebuild;
mod state_dict;
mod storage;
mod view;
mod zip_layout;

use super::containers::pickle;
use super::{Format, Probe};
use crate::model::{CheckpointParts, Problem, Progress, ReadError, Value};
use crate::raw::ByteSource;
use rebuild::Rebuilder;
use state_dict::Walk;
use storage::{NoStorages, StorageMap};
use view::View;

/// PyTorch checkpoints, and pickles of tensors and arrays.
pub struct PyTorch;

impl Format for PyTorch {
    fn name(&self) -> &'static str {
        "PyTorch"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["pt", "pth", "bin", "ckpt", "pkl", "pickle", "tar"]
    }

    fn detect(&self, probe: &Probe) -> bool {
        match probe.zip() {
            Some(Ok(archive)) => zip_layout::detect(archive),
            Some(Err(_)) => begins_like_an_archive(probe.head()),
            None => probe.source().is_some_and(|source| is_pickle(probe.head(), source.len())),
        }
    }

    fn open(&self, probe: &Probe, progress: &Progress) -> Result<CheckpointParts, ReadError> {
        let source = probe.source().ok_or_else(|| ReadError::unsupported("not a file"))?;
        match probe.zip() {
            Some(Ok(archive)) => {
                let zip = zip_layout::open(archive, progress)?;
                let format = match (zip.is_script, zip.is_package) {
                    (_, true) => "torch-package",
                    (true, _) => "torchscript",
                    _ => "pytorch-zip",
                };
                Ok(catalogue_of(&zip.view, &zip.storages(archive), format, zip.problems, source))
            }
            // The directory was read when the file was probed; reading it again gives the error itself.
            Some(Err(_)) => match super::containers::zip::ZipArchive::open(source) {
                Err(error) => Err(error),
                Ok(_) => Err(ReadError::FileChanged),
            },
            None if legacy_layout::detect(probe.head()) => {
                let legacy = legacy_layout::open(source, progress)?;
                Ok(catalogue_of(&legacy.view, &legacy.storages, "pytorch-legacy", legacy.problems, source))
            }
            None => {
                let parsed = pickle::parse(source, 0, progress)?;
                let mut problems = Vec::new();
                if parsed.end < source.len() {
                    let text =
                        format!("{} bytes follow the pickle; they are not shown", source.len() - parsed.end);
                    problems.push(Problem::warning("trailing-bytes", text).at(parsed.end));
                }
                let view = View::new(parsed, source.clone());
                Ok(catalogue_of(&view, &NoStorages, "pytorch-pickle", problems, source))
            }
        }
    }
}

fn catalogue_of(
    view: &View,
    map: &dyn StorageMap,
    format: &'static str,
    mut problems: Vec<Problem>,
    source: &ByteSource,
) -> CheckpointParts {
    let mut walk = Walk::new(Rebuilder::new(view, map));
    let metadata = walk.run();
    let Walk { rebuilder, catalogue, layers, found_model, .. } = walk;
    let (tensors, found, reader) = catalogue.finish(rebuilder.storages);
    problems.extend(found);
    let lightning = metadata.get("pytorch-lightning_version").and_then(Value::as_text);
    let framework = match lightning {
        Some(version) => Some(format!("torch, lightning {version}")),
        None => (format != "pytorch-pickle" || view.mentions_torch()).then(|| "torch".to_owned()),
    };
    CheckpointParts {
        format,
        framework,
        counts_known: found_model && !tensors.is_empty(),
        tensors,
        layers,
        metadata,
        problems,
        file_bytes: source.len(),
        reader: Box::new(reader),
    }
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
