//! The records of a `TFRecord` file, with their checksums. Knows nothing of what is in them.

use std::io::{BufReader, Read, Seek, SeekFrom};

use crate::formats::containers::sstable::masked;
use crate::model::Problem;
use crate::raw::source::SourceReader;
use crate::raw::{ByteSource, limits};

/// What stands next in the file.
pub enum Next<'a> {
    /// A record whose checksums hold, and where it begins.
    Record(&'a [u8], u64),
    /// A record whose checksum does not hold; the next one can still be found.
    Damaged(String),
    /// A record too large to be a scalar.
    Skipped,
    /// The rest cannot be read.
    Stop(Box<Problem>),
    /// The file ends here.
    End,
}

/// Reads one record after the other.
pub struct Records {
    reader: BufReader<SourceReader>,
    buffer: Vec<u8>,
    position: u64,
    len: u64,
    /// Records that could be read.
    pub read: u64,
}

/// Length and its checksum.
const HEADER: u64 = 12;

/// The checksum behind the data.
const FOOTER: u64 = 4;

impl Records {
    pub fn new(source: &ByteSource) -> Self {
        let reader = BufReader::with_capacity(256 << 10, SourceReader::new(source.clone()));
        Self { reader, buffer: Vec::new(), position: 0, len: source.len(), read: 0 }
    }

    pub fn next(&mut self) -> Next<'_> {
        let left = self.len.saturating_sub(self.position);
        if left == 0 {
            return Next::End;
        }
        if left < HEADER {
            return self
                .stop("cut-off", "the log ends within a record; it may still be written, or was cut off");
        }
        let mut header = [0u8; HEADER as usize];
        if let Err(error) = self.reader.read_exact(&mut header) {
            return self.stop("unreadable", &error.to_string());
        }
        let (length, crc) = header.split_at(8);
        let Ok(length_bytes) = <[u8; 8]>::try_from(length) else { return Next::End };
        let length = u64::from_le_bytes(length_bytes);
        if Some(checksum(&length_bytes)) != little(crc) {
            return self.stop(
                "bad-checksum",
                "the length of a record does not have its checksum; the rest was not read",
            );
        }
        let start = self.position + HEADER;
        if length.checked_add(FOOTER).is_none_or(|needed| needed > left - HEADER) {
            return self
                .stop("cut-off", "the log ends within a record; it may still be written, or was cut off");
        }
        self.position = start + length + FOOTER;
        if length > limits::LOG_RECORD_BYTES {
            return match self.reader.seek(SeekFrom::Start(self.position)) {
                Ok(_) => Next::Skipped,
                Err(error) => self.stop("unreadable", &error.to_string()),
            };
        }
        self.buffer.resize((length + FOOTER) as usize, 0);
        if let Err(error) = self.reader.read_exact(&mut self.buffer) {
            return self.stop("unreadable", &error.to_string());
        }
        let (data, crc) = self.buffer.split_at(length as usize);
        if Some(checksum(data)) != little(crc) {
            return Next::Damaged(format!(
                "the checksum of the one at offset {} does not hold",
                start - HEADER
            ));
        }
        self.read += 1;
        Next::Record(data, start)
    }

    fn stop(&mut self, code: &'static str, message: &str) -> Next<'_> {
        let at = self.position;
        self.position = self.len;
        Next::Stop(Box::new(
            Problem::warning(code, format!("{message} (offset {at} of {})", self.len)).at(at),
        ))
    }
}

/// Whether bytes begin with the length of a record and its checksum.
pub fn starts_like_one(head: &[u8]) -> bool {
    let Some((length, rest)) = head.split_first_chunk::<8>() else { return false };
    rest.get(..4).and_then(little) == Some(checksum(length))
}

pub fn little(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(<[u8; 4]>::try_from(bytes).ok()?))
}

/// The checksum of bytes as it is written.
pub fn checksum(bytes: &[u8]) -> u32 {
    masked(crc32c::crc32c(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_without_its_checksum_is_no_record() {
        let mut head = 24u64.to_le_bytes().to_vec();
        head.extend(checksum(&24u64.to_le_bytes()).to_le_bytes());
        assert!(starts_like_one(&head));
        head[8] ^= 1;
        assert!(!starts_like_one(&head) && !starts_like_one(&[0; 20]) && !starts_like_one(b""));
    }
}
