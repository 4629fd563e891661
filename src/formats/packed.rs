//! Checkpoints inside an archive that is no format of its own: gzip files, and zip archives with one checkpoint in them.
//!
//! Runs when no format claims a file. What is inside is unpacked into a temporary file without a name (a stored zip
//! member is read where it stands), and then recognised like any file. Says that it did so.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::containers::zip::{ZipArchive, ZipEntry};
use super::{Format, Probe, claimant};
use crate::model::{Problem, Progress, ReadError};
use crate::raw::source::SourceReader;
use crate::raw::{ByteSource, limits};
use crate::text;

/// Bytes looked at before the rest of a gzip file is unpacked.
const HEAD_BYTES: u64 = 4096;

/// A checkpoint found in an archive.
pub struct Inside {
    /// What is inside.
    pub probe: Probe,
    /// The format that claims it.
    pub format: &'static dyn Format,
    /// Says where it was found.
    pub notice: Problem,
}

/// The checkpoint inside an archive; `None` where the file is none, or holds none or several.
pub fn inside(probe: &Probe, progress: &Progress) -> Result<Option<Inside>, ReadError> {
    let Some(source) = probe.source() else { return Ok(None) };
    if probe.head().starts_with(b"\x1f\x8b") {
        return in_gzip(probe, source, progress);
    }
    match probe.zip() {
        Some(Ok(archive)) => in_zip(probe, archive, progress),
        _ => Ok(None),
    }
}

/// The first bytes of what a gzip file holds; none where it is damaged.
pub fn gzip_head(source: &ByteSource) -> Vec<u8> {
    let mut head = Vec::new();
    let unpacked = MultiGzDecoder::new(SourceReader::new(source.clone()));
    // What comes before an error is still worth a look.
    unpacked.take(HEAD_BYTES).read_to_end(&mut head).ok();
    head
}

fn in_gzip(probe: &Probe, source: &ByteSource, progress: &Progress) -> Result<Option<Inside>, ReadError> {
    let path = probe.path().with_extension("");
    // Only what may be a checkpoint is worth unpacking; a zip's directory stands at its end.
    let head = gzip_head(source);
    let is_zip = head.starts_with(b"PK\x03\x04");
    let beginning = Probe::of_source(path.clone(), ByteSource::from_vec(head))?;
    if !is_zip && claimant(&beginning).is_none() {
        return Ok(None);
    }
    let mut stream = MultiGzDecoder::new(SourceReader::new(source.clone()));
    let unpacked = ByteSource::unpacked("the gzip archive", &mut stream, limits::UNPACKED_BYTES, progress)?;
    let message = format!(
        "this is a gzip archive; its {} were unpacked into a temporary file to be read",
        text::bytes(unpacked.len())
    );
    Ok(found(Probe::of_source(path, unpacked)?, message))
}

fn in_zip(probe: &Probe, archive: &ZipArchive, progress: &Progress) -> Result<Option<Inside>, ReadError> {
    let [entry] = candidates(archive)[..] else { return Ok(None) };
    let member = archive.unpacked(entry, limits::UNPACKED_BYTES, progress)?;
    let how = if entry.stored {
        "is read where it stands"
    } else {
        "was unpacked into a temporary file to be read"
    };
    let message = format!("this is a zip archive; {:?} in it {how}", entry.name);
    let name = entry.name.rsplit(['/', '\\']).next().unwrap_or_default();
    Ok(found(Probe::of_source(probe.path().with_file_name(name), member)?, message))
}

/// The members of an archive that may be checkpoints by their names; its only file, whatever its name.
pub fn candidates(archive: &ZipArchive) -> Vec<&ZipEntry> {
    let is_file = |entry: &&ZipEntry| {
        let name = entry.name.rsplit('/').next().unwrap_or_default();
        !name.is_empty() && !name.starts_with('.') && !entry.name.starts_with("__MACOSX/")
    };
    let files: Vec<&ZipEntry> = archive.entries().iter().filter(is_file).collect();
    if files.len() == 1 {
        return files;
    }
    let endings: Vec<String> = super::FORMATS
        .iter()
        .flat_map(|format| format.extensions())
        .map(|extension| format!(".{extension}"))
        .collect();
    let is_candidate =
        |entry: &&ZipEntry| endings.iter().any(|ending| entry.name.to_ascii_lowercase().ends_with(ending));
    files.into_iter().filter(is_candidate).collect()
}

fn found(probe: Probe, message: String) -> Option<Inside> {
    let format = claimant(&probe)?;
    Some(Inside { probe, format, notice: Problem::info("unpacked", message) })
}
