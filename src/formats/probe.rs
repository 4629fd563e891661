//! What can be known about a path before a format claims it: each thing is looked at once.

use std::path::{Path, PathBuf};

use super::containers::zip::ZipArchive;
use crate::model::ReadError;
use crate::raw::ByteSource;

/// A path with its first bytes or its folder listing.
pub struct Probe {
    path: PathBuf,
    content: Content,
}

enum Content {
    File {
        source: ByteSource,
        head: Vec<u8>,
        zip: Option<Result<ZipArchive, ReadError>>,
    },
    /// Names directly inside, sorted; at most [`FOLDER_ENTRIES`].
    Folder {
        entries: Vec<String>,
    },
    /// Nothing of that name exists, but `<path>.index` does: a TensorFlow prefix.
    Prefix,
}

/// Bytes looked at from the start.
const HEAD_BYTES: u64 = 4096;

/// Names listed of a folder.
const FOLDER_ENTRIES: usize = 100_000;

impl Probe {
    /// Looks at `path`: a file, a folder or a TensorFlow prefix.
    pub fn new(path: &Path) -> Result<Self, ReadError> {
        let content = match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let mut entries = Vec::new();
                for entry in std::fs::read_dir(path)?.take(FOLDER_ENTRIES) {
                    entries.push(entry?.file_name().to_string_lossy().into_owned());
                }
                entries.sort();
                Content::Folder { entries }
            }
            Ok(_) => return Self::of_source(path.to_owned(), ByteSource::open(path)?),
            Err(_) if with_suffix(path, ".index").is_file() => Content::Prefix,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { path: path.to_owned(), content })
    }

    /// Looks at bytes as if they were the file at `path`, which need not exist.
    pub fn of_source(path: PathBuf, source: ByteSource) -> Result<Self, ReadError> {
        let head = source.read_up_to("the start of the file", 0, HEAD_BYTES)?;
        let zip = head.starts_with(b"PK\x03\x04").then(|| ZipArchive::open(&source));
        Ok(Self { path, content: Content::File { source, head, zip } })
    }

    /// What was asked for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file name, lossily.
    pub fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The first bytes of a file; empty for folders and prefixes.
    pub fn head(&self) -> &[u8] {
        if let Content::File { head, .. } = &self.content { head } else { &[] }
    }

    /// The file's bytes; `None` for folders and prefixes.
    pub fn source(&self) -> Option<&ByteSource> {
        if let Content::File { source, .. } = &self.content { Some(source) } else { None }
    }

    /// The archive's directory, for a file that starts like a zip.
    pub fn zip(&self) -> Option<&Result<ZipArchive, ReadError>> {
        if let Content::File { zip, .. } = &self.content { zip.as_ref() } else { None }
    }

    /// Names directly inside a folder, sorted; `None` when it is not one.
    pub fn folder(&self) -> Option<&[String]> {
        if let Content::Folder { entries } = &self.content { Some(entries) } else { None }
    }

    /// Whether the path names no file itself, but a TensorFlow checkpoint's prefix.
    pub fn is_prefix(&self) -> bool {
        matches!(self.content, Content::Prefix)
    }

    /// A name beside the path: the path with text added to its end.
    pub fn with_suffix(&self, suffix: &str) -> PathBuf {
        with_suffix(&self.path, suffix)
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
