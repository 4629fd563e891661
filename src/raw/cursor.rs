//! Fields read in order from bytes in memory, with "what was being read" in every error.

use crate::model::ReadError;

/// A checked reading position over a slice. Offsets in errors are `base` + position.
#[derive(Debug, Clone)]
pub struct ByteCursor<'a> {
    bytes: &'a [u8],
    position: usize,
    base: u64,
}

impl<'a> ByteCursor<'a> {
    /// At the start of `bytes`, which stand at `base` in the file.
    pub fn new(bytes: &'a [u8], base: u64) -> Self {
        Self { bytes, position: 0, base }
    }

    /// Position in the file.
    pub fn offset(&self) -> u64 {
        self.base + self.position as u64
    }

    /// Position within the slice.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Whether all bytes were read.
    pub fn is_at_end(&self) -> bool {
        self.remaining() == 0
    }

    /// The next `len` bytes.
    pub fn take(&mut self, what: &'static str, len: u64) -> Result<&'a [u8], ReadError> {
        let end = usize::try_from(len).ok().and_then(|len| self.position.checked_add(len));
        let Some(taken) = end.and_then(|end| self.bytes.get(self.position..end)) else {
            return Err(ReadError::Truncated {
                what: what.into(),
                offset: self.offset(),
                needed: len,
                available: self.remaining() as u64,
            });
        };
        self.position += taken.len();
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ReadError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(what, N as u64)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, ReadError> {
        Ok(self.array::<1>(what)?[0])
    }

    /// Two bytes, little-endian.
    pub fn u16_le(&mut self, what: &'static str) -> Result<u16, ReadError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    /// Four bytes, little-endian.
    pub fn u32_le(&mut self, what: &'static str) -> Result<u32, ReadError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// Eight bytes, little-endian.
    pub fn u64_le(&mut self, what: &'static str) -> Result<u64, ReadError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// The bytes up to the next newline, which is consumed and not included.
    pub fn line(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], ReadError> {
        let rest = &self.bytes[self.position..];
        let searched = &rest[..rest.len().min(limit)];
        let Some(len) = searched.iter().position(|&byte| byte == b'\n') else {
            return Err(ReadError::malformed(what, self.offset(), "no end of line"));
        };
        self.position += len + 1;
        Ok(&rest[..len])
    }
}
