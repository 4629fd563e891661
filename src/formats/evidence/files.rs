//! What a path stands for: a file, a folder with everything in it, the files of a TensorFlow prefix; and files of formats
//! that hold values only.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{Examiner, Part};
use crate::formats::{Probe, shard_index};
use crate::model::{Oddity, ReadError};
use crate::raw::{ByteSource, limits};

/// Files of a folder that are looked at, and folders inside one another.
const FILES: usize = 20_000;
const DEPTH: usize = 8;

/// Beginnings of compiled code.
const NATIVE: [(&[u8], &str); 6] = [
    (b"\x7fELF", "a program or library of Linux"),
    (b"MZ", "a program or library of Windows"),
    (b"\xcf\xfa\xed\xfe", "a program or library of macOS"),
    (b"\xca\xfe\xba\xbe", "a program or library of macOS, or Java code"),
    (b"#!", "a script"),
    (b"\x00asm", "a WebAssembly module"),
];

impl Examiner<'_> {
    /// Looks at everything that a path stands for.
    pub(super) fn path(&mut self, probe: &Probe) -> Result<(), ReadError> {
        let path = probe.path();
        if let Some(source) = probe.source() {
            self.file(source, path, "")?;
            for beside in files_beside(probe, source) {
                self.named_file(&beside);
            }
            return Ok(());
        }
        if probe.folder().is_some() {
            return self.folder(path);
        }
        "a TensorFlow checkpoint".clone_into(&mut self.evidence.kind);
        for ending in [".index", ".meta"] {
            let file = probe.with_suffix(ending);
            if file.is_file() {
                self.named_file(&file);
            }
        }
        Ok(())
    }

    fn file(&mut self, source: &ByteSource, path: &Path, place: &str) -> Result<(), ReadError> {
        let kind = self.source(source, place, Part::File)?;
        let kind = kind.or_else(|| is_values(source, path));
        if let (Some(kind), true) = (kind, self.evidence.kind.is_empty()) {
            self.evidence.kind = kind.to_owned();
        }
        Ok(())
    }

    /// Another file of the same model, under its own name. One that cannot be read costs not the rest.
    fn named_file(&mut self, path: &Path) {
        let place = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let looked = ByteSource::open(path).and_then(|source| self.file(&source, path, &place));
        if let Err(error) = looked {
            self.evidence.observe(Oddity::Unreadable, &place, None, error.to_string());
        }
    }

    fn folder(&mut self, root: &Path) -> Result<(), ReadError> {
        let whole = std::fs::canonicalize(root)?;
        let mut open = vec![(root.to_owned(), 0)];
        let mut files = Vec::new();
        let mut seen = HashSet::from([whole.clone()]);
        while let Some((folder, depth)) = open.pop() {
            let listed = match std::fs::read_dir(&folder) {
                Ok(listed) => listed,
                Err(error) if depth == 0 => return Err(error.into()),
                Err(error) => {
                    let shown = shown_in(root, &folder);
                    self.evidence.observe(Oddity::Unreadable, &shown, None, error.to_string());
                    continue;
                }
            };
            let mut entries: Vec<PathBuf> =
                listed.take(FILES).filter_map(|entry| Some(entry.ok()?.path())).collect();
            entries.sort();
            for path in entries {
                self.progress.advance(0)?;
                let shown = shown_in(root, &path);
                let Ok(target) = std::fs::canonicalize(&path) else {
                    self.evidence.observe(Oddity::Unreadable, &shown, None, "it leads nowhere");
                    continue;
                };
                // A hub's cache keeps its files elsewhere, under links; that is worth knowing and nothing more.
                if !target.starts_with(&whole) {
                    let text = format!("it is a link to {}", target.display());
                    self.evidence.observe(Oddity::LinkOutside, &shown, None, text);
                }
                if target.is_dir() {
                    // Folders elsewhere are not this one's to open.
                    if depth < DEPTH && target.starts_with(&whole) && seen.insert(target) {
                        open.push((path, depth + 1));
                    }
                } else if target.is_file() {
                    files.push(path);
                }
                if files.len() >= FILES {
                    let text = format!("only the first {FILES} files were looked at");
                    self.evidence.observe(Oddity::Incomplete, "", None, text);
                    open.clear();
                    break;
                }
            }
        }
        for path in files {
            let shown = shown_in(root, &path);
            let looked = ByteSource::open(&path).and_then(|source| {
                self.source(&source, &shown, Part::File)
                    .map(|kind| kind.or_else(|| is_values(&source, &path)))
            });
            match looked {
                Ok(Some(_)) => "a folder".clone_into(&mut self.evidence.kind),
                Ok(None) => {}
                Err(ReadError::Cancelled) => return Err(ReadError::Cancelled),
                Err(error) => self.evidence.observe(Oddity::Unreadable, &shown, None, error.to_string()),
            }
        }
        Ok(())
    }

    /// A safetensors file, if it is one: values, and metadata that is text.
    pub(super) fn safetensors(
        &mut self,
        source: &ByteSource,
        head: &[u8],
        place: &str,
    ) -> Result<Option<&'static str>, ReadError> {
        let Some((len, rest)) = head.split_first_chunk::<8>() else { return Ok(None) };
        let len = u64::from_le_bytes(*len);
        if rest.first() != Some(&b'{') || len > limits::SAFETENSORS_HEADER_BYTES || len > source.len() - 8 {
            return Ok(None);
        }
        let header = source.read_vec("the header", 8, len, limits::SAFETENSORS_HEADER_BYTES)?;
        let Ok(serde_json::Value::Object(entries)) = serde_json::from_slice(&header) else {
            return Ok(Some("a safetensors file"));
        };
        let end = entries.values().filter_map(|entry| entry.get("data_offsets")?.get(1)?.as_u64()).max();
        let end = end.unwrap_or(0).saturating_add(8 + len);
        self.evidence.data_bytes += source.len() - 8 - len;
        if end < source.len() {
            let text = format!("{} bytes follow the last tensor", source.len() - end);
            self.evidence.observe(Oddity::DataAfter, place, Some(end), text);
            self.stray(source, end, source.len() - end, place)?;
        }
        Ok(Some("a safetensors file"))
    }

    /// Compiled code, by its first bytes.
    pub(super) fn native(&mut self, head: &[u8], place: &str) -> Option<&'static str> {
        let is_pe =
            |head: &[u8]| !head.starts_with(b"MZ") || head.windows(4).any(|window| window == b"PE\0\0");
        let (_, what) = NATIVE.iter().find(|(mark, _)| head.starts_with(mark)).filter(|_| is_pe(head))?;
        // The values of a tensor can begin like a script.
        if head.starts_with(b"#!")
            && !head.get(2..64).is_some_and(|line| line.trim_ascii_start().starts_with(b"/"))
        {
            return None;
        }
        self.evidence.observe(Oddity::NativeCode, place, Some(0), format!("it is {what}"));
        Some("compiled code")
    }
}

/// Files that a program opens together with this one, beside it.
fn files_beside(probe: &Probe, source: &ByteSource) -> Vec<PathBuf> {
    let path = probe.path();
    if probe.head().trim_ascii_start().starts_with(b"{") && source.len() <= limits::TEXT_BYTES {
        let Ok(index) = shard_index::ShardIndex::read(source) else { return Vec::new() };
        let shards = index.shards.iter().filter_map(|shard| shard.beside(path).ok());
        return shards.filter(|shard| shard.is_file()).take(FILES).collect();
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("index") => {
            vec![path.with_extension("meta")].into_iter().filter(|meta| meta.is_file()).collect()
        }
        _ => Vec::new(),
    }
}

fn shown_in(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

/// Files that are values and tables only, told by their structure or, where they have none, by their names.
fn is_values(source: &ByteSource, path: &Path) -> Option<&'static str> {
    let tail = source.read_up_to("the end of the file", source.len().saturating_sub(8), 8).ok()?;
    if crate::formats::containers::sstable::has_magic(&tail) {
        return Some("a TensorFlow checkpoint");
    }
    let name = path.file_name()?.to_string_lossy().into_owned();
    if name.contains(".data-0") {
        return Some("values of a TensorFlow checkpoint");
    }
    if crate::formats::tensorflow::state_file::looks_like(
        &source.read_up_to("the start of the file", 0, 4096).ok()?,
    ) {
        return Some("a TensorFlow checkpoint");
    }
    None
}
