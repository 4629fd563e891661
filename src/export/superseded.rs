//! What an earlier export to the same name leaves that the new one does not replace.
//!
//! A set of five shards under one of three would leave two beside an index that does not know them. They go once the new
//! index has its name, and only where it is certain whose they are: the old index must say that this program wrote it, and
//! list them under names that this program gives. Anything else stays, and the plan says so.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::{ExportFormat, ExportPlan};
use crate::text;

/// What an index of this program has as `written_by` in its metadata, which other readers ignore.
pub(super) const WRITER: &str = "Ckptscope";

/// An index of 100,000 tensors has some 10 MB.
const INDEX_BYTES: u64 = 256 << 20;

/// Files of earlier exports.
#[derive(Debug, Default)]
pub(super) struct Superseded {
    /// Shards of this program that the new index will not list.
    pub ours: Vec<PathBuf>,
    /// What stays and could be taken for a part of the new files, as sentences.
    pub warnings: Vec<String>,
}

/// Looks for them, where the plan may replace files.
pub(super) fn find(plan: &ExportPlan) -> Superseded {
    let mut found = Superseded::default();
    if plan.request.format != ExportFormat::Safetensors {
        return found;
    }
    let target = &plan.request.target;
    let index = index_of(target);
    if plan.index_path().is_none() {
        if index.is_file() {
            found
                .warnings
                .push(format!("the index of an earlier set stays beside the new file: {}", name(&index)));
        }
        return found;
    }
    if target.is_file() {
        found.warnings.push(format!("{} stays beside the shards, and loaders may prefer it", name(target)));
    }
    let Some(old) = plan.request.replace.then(|| read(&index)).flatten() else { return found };
    let stem = target.file_stem().unwrap_or_default().to_string_lossy();
    let is_ours = old["metadata"]["written_by"] == WRITER;
    let listed =
        old["weight_map"].as_object().into_iter().flat_map(|map| map.values()).filter_map(Json::as_str);
    let listed: BTreeSet<&str> = listed.filter(|file| is_shard(file, &stem)).collect();
    let left = listed.into_iter().map(|file| target.with_file_name(file)).filter(|path| {
        fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
            && !plan.files.iter().any(|new| new.path == *path)
    });
    let left: Vec<PathBuf> = left.collect();
    if let Some(first) = left.first() {
        let what = if is_ours {
            "shards of an earlier export under this name are removed"
        } else {
            "shards of another program stay, whose index is replaced"
        };
        found.warnings.push(format!("{} {what}, such as {}", text::count(left.len() as u64), name(first)));
    }
    if is_ours {
        found.ours = left;
    }
    found
}

/// The index of a set of this name.
pub(super) fn index_of(target: &Path) -> PathBuf {
    let mut index = target.as_os_str().to_owned();
    index.push(".index.json");
    index.into()
}

/// The name of a shard: `stem-00001-of-00005.safetensors`.
pub(super) fn shard_name(stem: &str, number: usize, count: usize) -> String {
    format!("{stem}-{number:05}-of-{count:05}.safetensors")
}

/// Whether it is a name that [`shard_name`] gives.
fn is_shard(file: &str, stem: &str) -> bool {
    let numbers = file
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".safetensors")?.split_once("-of-"));
    let Some((Ok(number), Ok(count))) = numbers.map(|(number, count)| (number.parse(), count.parse())) else {
        return false;
    };
    number <= count && shard_name(stem, number, count) == file
}

fn read(index: &Path) -> Option<Json> {
    let mut bytes = Vec::new();
    File::open(index).ok()?.take(INDEX_BYTES).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_shards_are_taken_for_shards() {
        assert!(is_shard("model-00004-of-00005.safetensors", "model"));
        for other in [
            "model-00006-of-00005.safetensors",
            "model-4-of-5.safetensors",
            "other-00004-of-00005.safetensors",
            "../model-00004-of-00005.safetensors",
            "model-00004-of-00005.bin",
            "model.safetensors",
        ] {
            assert!(!is_shard(other, "model"), "{other}");
        }
    }
}
