//! Zip archives: a checked directory, and members as file ranges or inflated within a limit.
//!
//! Uses the `zip` crate for the directory; positions, overlaps, duplicate names and sizes are checked here,
//! because the files are hostile and the crate is lenient. Source: PKWARE APPNOTE.TXT 6.3.10.

use std::collections::HashMap;
use std::io::Read;
use std::ops::ControlFlow;

use crate::model::{Problem, Progress, ReadError};
use crate::raw::source::SourceReader;
use crate::raw::{ByteSource, limits};

/// One member.
#[derive(Debug, Clone)]
pub struct ZipEntry {
    /// Name as stored.
    pub name: String,
    /// Bytes once inflated, as the directory says.
    pub size: u64,
    /// Bytes in the archive.
    pub compressed_size: u64,
    /// Where its data begins in the file.
    pub data_start: u64,
    /// Whether the data is the member's bytes themselves.
    pub stored: bool,
    /// CRC-32 that the directory claims.
    pub crc32: u32,
    index: usize,
}

/// A zip archive's directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ZipArchive {
    source: ByteSource,
    archive: zip::ZipArchive<SourceReader>,
    entries: std::sync::Arc<Vec<ZipEntry>>,
    by_name: std::sync::Arc<HashMap<String, usize>>,
    problems: std::sync::Arc<Vec<Problem>>,
}

impl ZipArchive {
    /// Reads the directory.
    pub fn open(source: &ByteSource) -> Result<Self, ReadError> {
        let archive = read_directory(source).map_err(|error| match error {
            zip::result::ZipError::Io(error) => ReadError::Io(error),
            other => ReadError::malformed(
                "the zip directory",
                source.len(),
                format!("{other}; the file may be cut off or an incomplete download"),
            ),
        })?;
        if archive.len() > limits::ZIP_ENTRIES {
            return Err(ReadError::OverLimit {
                what: "the number of zip members".into(),
                value: archive.len() as u64,
                limit: limits::ZIP_ENTRIES as u64,
            });
        }
        let mut directory = archive.clone();
        let mut entries = Vec::with_capacity(archive.len());
        let mut by_name = HashMap::with_capacity(archive.len());
        let mut problems = Vec::new();
        for index in 0..archive.len() {
            let Ok(file) = directory.by_index_raw(index) else {
                problems
                    .push(Problem::error("zip-member", format!("zip member {index} has a broken header")));
                continue;
            };
            let entry = ZipEntry {
                name: file
                    .name()
                    .map_or_else(|_| String::from_utf8_lossy(file.name_raw()).into_owned(), Into::into),
                size: file.size(),
                compressed_size: file.compressed_size(),
                data_start: file.data_start().unwrap_or(u64::MAX),
                stored: file.compression() == zip::CompressionMethod::Stored && !file.encrypted(),
                crc32: file.crc32(),
                index,
            };
            by_name.insert(entry.name.clone(), entries.len());
            entries.push(entry);
        }
        check_overlaps(&entries, &mut problems);
        Ok(Self {
            source: source.clone(),
            archive,
            entries: entries.into(),
            by_name: by_name.into(),
            problems: problems.into(),
        })
    }

    /// All members, in directory order.
    pub fn entries(&self) -> &[ZipEntry] {
        &self.entries
    }

    /// The member of that exact name.
    pub fn entry(&self, name: &str) -> Option<&ZipEntry> {
        self.by_name.get(name).and_then(|&index| self.entries.get(index))
    }

    /// What is odd about the archive.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The member's bytes as a range of the file when stored; otherwise inflated into memory, at most `limit` bytes.
    pub fn member(&self, entry: &ZipEntry, limit: u64) -> Result<ByteSource, ReadError> {
        if entry.stored {
            if entry.size != entry.compressed_size {
                let reason = format!("member {:?} is stored, but its two sizes differ", entry.name);
                return Err(ReadError::malformed("a zip member", entry.data_start, reason));
            }
            return self.source.slice(format!("zip member {:?}", entry.name), entry.data_start, entry.size);
        }
        Ok(ByteSource::from_vec(self.read(entry, limit)?))
    }

    /// The first bytes of a member, at most `len` of them.
    pub fn head(&self, entry: &ZipEntry, len: u64) -> Result<Vec<u8>, ReadError> {
        if entry.stored {
            return self.member(entry, 0)?.read_up_to("a zip member", 0, len);
        }
        let mut bytes = Vec::new();
        self.inflate(entry, |file| file.take(len.min(entry.size)).read_to_end(&mut bytes).map(drop))?;
        Ok(bytes)
    }

    /// Passes a member's bytes to `sink` in pieces, without holding more than one of them. A member that is not
    /// what the directory says (its size, its checksum) fails at its end.
    pub fn stream(
        &self,
        entry: &ZipEntry,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut buffer = vec![0; limits::CHUNK_BYTES];
        let (mut seen, mut cancelled) = (0u64, false);
        let mut stopped = false;
        self.inflate(entry, |mut file| {
            loop {
                let count = file.read(&mut buffer)?;
                let piece = buffer.get(..count).unwrap_or_default();
                seen += count as u64;
                cancelled = progress.advance(count as u64).is_err();
                if count == 0 || cancelled || seen > entry.size {
                    return Ok(());
                }
                if sink(piece).is_break() {
                    stopped = true;
                    return Ok(());
                }
            }
        })?;
        if cancelled {
            return Err(ReadError::Cancelled);
        }
        if seen != entry.size && !stopped {
            return Err(size_lies(entry));
        }
        Ok(())
    }

    /// The member's bytes as a range of the file when stored; otherwise inflated into a temporary file, at most
    /// `limit` bytes.
    pub fn unpacked(
        &self,
        entry: &ZipEntry,
        limit: u64,
        progress: &Progress,
    ) -> Result<ByteSource, ReadError> {
        if entry.stored {
            return self.member(entry, limit);
        }
        let mut unpacked = None;
        self.inflate(entry, |mut file| {
            unpacked = Some(ByteSource::unpacked("a zip member", &mut file, limit.min(entry.size), progress));
            Ok(())
        })?;
        let unpacked = unpacked.ok_or(ReadError::FileChanged)??;
        if unpacked.len() == entry.size { Ok(unpacked) } else { Err(size_lies(entry)) }
    }

    fn inflate(
        &self,
        entry: &ZipEntry,
        read: impl FnOnce(zip::read::ZipFile<'_, SourceReader>) -> std::io::Result<()>,
    ) -> Result<(), ReadError> {
        self.source.check(format!("zip member {:?}", entry.name), entry.data_start, entry.compressed_size)?;
        let mut archive = self.archive.clone();
        let file = archive.by_index(entry.index).map_err(|error| broken(entry, error.to_string()))?;
        read(file).map_err(|error| broken(entry, error.to_string()))
    }

    /// The member's bytes in memory, at most `limit` of them.
    pub fn read(&self, entry: &ZipEntry, limit: u64) -> Result<Vec<u8>, ReadError> {
        if entry.size > limit {
            let what = format!("the size of zip member {:?}", entry.name);
            return Err(ReadError::OverLimit { what: what.into(), value: entry.size, limit });
        }
        if entry.stored {
            return self.member(entry, limit)?.read_all("a zip member", limit);
        }
        let mut bytes = Vec::new();
        // One byte more than the directory says shows a member that lies about its size.
        self.inflate(entry, |file| file.take(entry.size + 1).read_to_end(&mut bytes).map(drop))?;
        if bytes.len() as u64 != entry.size {
            return Err(size_lies(entry));
        }
        Ok(bytes)
    }
}

fn broken(entry: &ZipEntry, reason: String) -> ReadError {
    ReadError::malformed(format!("zip member {:?}", entry.name), entry.data_start, reason)
}

fn size_lies(entry: &ZipEntry) -> ReadError {
    broken(entry, format!("it inflates to another size than {}", entry.size))
}

/// Reads the directory, first where the archive says that it is: left to search, the crate can take the second
/// header for the first, when the first is exactly as long as the zip64 records behind the directory.
fn read_directory(source: &ByteSource) -> zip::result::ZipResult<zip::ZipArchive<SourceReader>> {
    let config = zip::read::Config { archive_offset: zip::read::ArchiveOffset::Known(0) };
    zip::ZipArchive::with_config(config, SourceReader::new(source.clone()))
        .or_else(|_| zip::ZipArchive::new(SourceReader::new(source.clone())))
}

/// Members that share bytes: a sign of a zip bomb or of an archive made to be read in two ways.
fn check_overlaps(entries: &[ZipEntry], problems: &mut Vec<Problem>) {
    let mut ranges: Vec<(u64, u64, &str)> = entries
        .iter()
        .filter(|entry| entry.compressed_size > 0)
        .map(|entry| {
            (entry.data_start, entry.data_start.saturating_add(entry.compressed_size), entry.name.as_str())
        })
        .collect();
    ranges.sort_unstable();
    if let Some(pair) = ranges.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        problems.push(
            Problem::warning(
                "zip-overlap",
                format!("zip members {:?} and {:?} share bytes", pair[0].2, pair[1].2),
            )
            .at(pair[1].0),
        );
    }
}
