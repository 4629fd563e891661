//! What is around a file that was opened: what it is recognised by later, and the series it belongs to.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::request::{FileIdentity, Surroundings};
use crate::model::layer_tree::natural_cmp;

/// Files of a folder that are looked at.
const FILES_LOOKED_AT: usize = 4096;

/// Looks around. What cannot be found out is left empty: both only save time.
pub fn surroundings(path: &Path) -> Surroundings {
    Surroundings { identity: identity(path), series: series(path) }
}

/// What a file or folder is recognised by: changes when a file is written, added or removed.
fn identity(path: &Path) -> FileIdentity {
    let mut hasher = DefaultHasher::new();
    let mut look = |path: &Path| -> Option<()> {
        let metadata = std::fs::metadata(path).ok()?;
        (path, metadata.len(), metadata.modified().ok()?).hash(&mut hasher);
        Some(())
    };
    look(path)?;
    if path.is_dir() {
        files_in(path)?.iter().try_for_each(|file| look(file))?;
    }
    Some(hasher.finish())
}

fn files_in(folder: &Path) -> Option<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).ok()?.take(FILES_LOOKED_AT);
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    Some(files)
}

/// Neighbours whose names differ in their numbers only: `checkpoint_0.pt` … `checkpoint_9.pt`.
fn series(path: &Path) -> Vec<PathBuf> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let (Some(own), Some(folder)) = (name(path), path.parent()) else { return Vec::new() };
    // Shards are parts of one checkpoint, not a series of them.
    if !own.contains(|c: char| c.is_ascii_digit()) || own.contains("-of-") {
        return Vec::new();
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let wanted = pattern(&own);
    let mut found: Vec<(String, PathBuf)> = files_in(folder)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|file| Some((name(&file)?, file)))
        .filter(|(name, _)| *name != own && pattern(name) == wanted)
        .collect();
    found.sort_by(|a, b| natural_cmp(&a.0, &b.0));
    found.into_iter().map(|(_, file)| file).collect()
}

/// A name with every run of digits as one `#`.
fn pattern(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for c in name.chars() {
        if !c.is_ascii_digit() {
            pattern.push(c);
        } else if !pattern.ends_with('#') {
            pattern.push('#');
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_named_alike_but_for_its_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["epoch_10.pt", "epoch_2.pt", "epoch_9.pt", "epoch_9.txt", "model.pt"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let found = series(&folder.path().join("epoch_9.pt"));
        assert_eq!(found, ["epoch_2.pt", "epoch_10.pt"].map(|name| folder.path().join(name)));
        assert!(series(&folder.path().join("model.pt")).is_empty());
    }

    #[test]
    fn a_changed_file_has_another_identity() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let before = identity(file.path());
        assert!(before.is_some() && before == identity(file.path()));
        std::fs::write(file.path(), "more").unwrap();
        assert_ne!(before, identity(file.path()));
    }
}
