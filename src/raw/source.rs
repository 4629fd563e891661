//! Positioned reads from a file, a region of a file, or memory.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::limits;
use crate::model::{Progress, ReadError};

/// A read-only range of bytes. Cheap to clone; all clones share one open file.
///
/// Reads are positional (`pread`), not mapped: a file that shrinks while mapped kills the process.
#[derive(Clone)]
pub struct ByteSource {
    backing: Arc<Backing>,
    start: u64,
    len: u64,
}

enum Backing {
    File { file: File, len: u64, modified: Option<SystemTime> },
    Memory(Vec<u8>),
}

impl ByteSource {
    /// Opens a regular file. Folders, pipes and devices are refused, for a read of them may never end.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        // Ask before opening: opening a FIFO for reading blocks until someone writes to it.
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(ReadError::unsupported("not a regular file"));
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let len = metadata.len();
        let modified = metadata.modified().ok();
        Ok(Self { backing: Arc::new(Backing::File { file, len, modified }), start: 0, len })
    }

    /// Bytes in memory.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self { backing: Arc::new(Backing::Memory(bytes)), start: 0, len }
    }

    /// Everything that `from` gives, at most `limit` bytes, copied to a temporary file. The file has no name: it goes
    /// with the last clone, and with the program however that ends.
    pub fn unpacked(
        what: &'static str,
        from: &mut dyn Read,
        limit: u64,
        progress: &Progress,
    ) -> Result<Self, ReadError> {
        let mut file = tempfile::tempfile()?;
        let mut buffer = vec![0; limits::CHUNK_BYTES];
        let mut len = 0u64;
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(ReadError::malformed(what, len, format!("{error}; it may be cut off")));
                }
            };
            len += count as u64;
            if len > limit {
                return Err(ReadError::OverLimit { what: what.into(), value: len, limit });
            }
            file.write_all(buffer.get(..count).unwrap_or_default())?;
            progress.advance(count as u64)?;
        }
        let modified = file.metadata()?.modified().ok();
        Ok(Self { backing: Arc::new(Backing::File { file, len, modified }), start: 0, len })
    }

    /// Bytes in this range.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the range has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where this range begins in the file it is part of (0 for memory).
    pub fn file_offset(&self) -> u64 {
        self.start
    }

    /// A part of this range.
    pub fn slice(
        &self,
        what: impl Into<Cow<'static, str>>,
        offset: u64,
        len: u64,
    ) -> Result<Self, ReadError> {
        self.check(what, offset, len)?;
        Ok(Self { backing: Arc::clone(&self.backing), start: self.start + offset, len })
    }

    /// Fails unless `len` bytes are there at `offset`.
    pub fn check(&self, what: impl Into<Cow<'static, str>>, offset: u64, len: u64) -> Result<(), ReadError> {
        if offset.checked_add(len).is_some_and(|end| end <= self.len) {
            return Ok(());
        }
        let available = self.len.saturating_sub(offset);
        Err(ReadError::Truncated { what: what.into(), offset, needed: len, available })
    }

    /// Fills `buffer` from `offset`.
    pub fn read_at(&self, what: &'static str, offset: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.check(what, offset, buffer.len() as u64)?;
        let position = self.start + offset;
        match &*self.backing {
            Backing::File { file, .. } => read_exact_at(file, buffer, position).map_err(|error| {
                // The length was checked at opening; running into the end now means it shrank.
                if error.kind() == std::io::ErrorKind::UnexpectedEof {
                    ReadError::FileChanged
                } else {
                    error.into()
                }
            }),
            Backing::Memory(bytes) => {
                let start = position as usize;
                let from = bytes.get(start..start + buffer.len()).ok_or(ReadError::FileChanged)?;
                buffer.copy_from_slice(from);
                Ok(())
            }
        }
    }

    /// Reads `len` bytes at `offset`, after checking them against `limit` and the bytes that are there.
    pub fn read_vec(
        &self,
        what: &'static str,
        offset: u64,
        len: u64,
        limit: u64,
    ) -> Result<Vec<u8>, ReadError> {
        if len > limit {
            return Err(ReadError::OverLimit { what: what.into(), value: len, limit });
        }
        self.check(what, offset, len)?;
        let mut buffer = vec![0; len as usize];
        self.read_at(what, offset, &mut buffer)?;
        Ok(buffer)
    }

    /// All bytes of the range, if there are at most `limit`.
    pub fn read_all(&self, what: &'static str, limit: u64) -> Result<Vec<u8>, ReadError> {
        self.read_vec(what, 0, self.len, limit)
    }

    /// Up to `len` bytes at `offset`; fewer when the range ends before.
    pub fn read_up_to(&self, what: &'static str, offset: u64, len: u64) -> Result<Vec<u8>, ReadError> {
        let len = len.min(self.len.saturating_sub(offset));
        self.read_vec(what, offset, len, len)
    }

    /// Fails when the open file no longer has the size and time it had when it was opened.
    pub fn check_unchanged(&self) -> Result<(), ReadError> {
        if let Backing::File { file, len, modified } = &*self.backing {
            let now = file.metadata()?;
            if now.len() != *len || now.modified().ok() != *modified {
                return Err(ReadError::FileChanged);
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for ByteSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ByteSource({}..{})", self.start, self.start + self.len)
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !buffer.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, buffer, offset)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
        offset += read as u64;
    }
    Ok(())
}

/// A [`ByteSource`] as a seekable stream, for libraries that want one.
///
/// Reads ahead while it is read in order, so that a directory of many small fields costs few system calls.
#[derive(Debug)]
pub struct SourceReader {
    source: ByteSource,
    position: u64,
    ahead: Vec<u8>,
    ahead_start: u64,
}

impl SourceReader {
    /// Bytes read ahead at first, and at most.
    const AHEAD: (u64, u64) = (512, 256 << 10);

    /// A stream over `source`, at its start.
    pub fn new(source: ByteSource) -> Self {
        Self { source, position: 0, ahead: Vec::new(), ahead_start: 0 }
    }

    /// Reads the stretch at the position: a longer one each time when it follows the last.
    fn fill(&mut self) -> std::io::Result<()> {
        let (first, most) = Self::AHEAD;
        let held = self.ahead.len() as u64;
        let follows = held > 0 && self.position == self.ahead_start + held;
        let len = if follows { (held * 2).min(most) } else { first };
        self.ahead = self.source.read_up_to("data", self.position, len).map_err(std::io::Error::other)?;
        self.ahead_start = self.position;
        Ok(())
    }

    fn held(&self) -> &[u8] {
        let from = self.position.checked_sub(self.ahead_start).and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.ahead.get(from..)).unwrap_or_default()
    }
}

impl Clone for SourceReader {
    /// At the same position, with nothing read ahead.
    fn clone(&self) -> Self {
        Self { position: self.position, ..Self::new(self.source.clone()) }
    }
}

impl std::io::Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.source.len.saturating_sub(self.position);
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if self.held().is_empty() {
            if buffer.len() as u64 >= Self::AHEAD.1 {
                let wanted = (buffer.len() as u64).min(left) as usize;
                self.source
                    .read_at("data", self.position, &mut buffer[..wanted])
                    .map_err(std::io::Error::other)?;
                self.position += wanted as u64;
                return Ok(wanted);
            }
            self.fill()?;
        }
        let held = self.held();
        let count = held.len().min(buffer.len());
        buffer[..count].copy_from_slice(&held[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl std::io::Seek for SourceReader {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        let target = match to {
            std::io::SeekFrom::Start(offset) => Some(offset),
            std::io::SeekFrom::End(delta) => self.source.len.checked_add_signed(delta),
            std::io::SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = target.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
