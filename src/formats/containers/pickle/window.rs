//! A forward reader over a source that holds only a small stretch of it.

use crate::model::ReadError;
use crate::raw::ByteSource;

/// Bytes read at a time: few at first, twice as many each time when what is read follows what was read last.
const WINDOW: (u64, u64) = (1 << 14, 1 << 18);

/// Position in a source, with the bytes after it at hand.
pub(super) struct Window<'a> {
    source: &'a ByteSource,
    /// Where `buffer` begins in the source.
    start: u64,
    buffer: Vec<u8>,
    position: usize,
    /// Bytes to read next.
    ahead: u64,
}

impl<'a> Window<'a> {
    /// At `offset`.
    pub(super) fn new(source: &'a ByteSource, offset: u64) -> Self {
        Self { source, start: offset, buffer: Vec::new(), position: 0, ahead: WINDOW.0 }
    }

    /// Position in the source.
    pub(super) fn offset(&self) -> u64 {
        self.start + self.position as u64
    }

    /// Bytes from here to the end of the source.
    pub(super) fn remaining(&self) -> u64 {
        self.source.len().saturating_sub(self.offset())
    }

    /// Makes `need` bytes available at `position`, or says that they are not there.
    #[cold]
    fn fill(&mut self, what: &'static str, need: u64) -> Result<(), ReadError> {
        let offset = self.offset();
        self.source.check(what, offset, need)?;
        self.buffer = self.source.read_up_to(what, offset, need.max(self.ahead))?;
        self.start = offset;
        self.position = 0;
        self.ahead = (self.ahead * 2).min(WINDOW.1);
        Ok(())
    }

    /// The next `len` bytes.
    pub(super) fn take(&mut self, what: &'static str, len: u64) -> Result<&[u8], ReadError> {
        if ((self.buffer.len() - self.position) as u64) < len {
            self.fill(what, len)?;
        }
        let from = self.position;
        self.position += len as usize;
        Ok(&self.buffer[from..self.position])
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ReadError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(what, N as u64)?);
        Ok(array)
    }

    /// One byte.
    #[inline]
    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, ReadError> {
        if let Some(&byte) = self.buffer.get(self.position) {
            self.position += 1;
            return Ok(byte);
        }
        Ok(self.array::<1>(what)?[0])
    }

    /// Passes over `len` bytes without reading them; returns where they begin.
    pub(super) fn skip(&mut self, what: &'static str, len: u64) -> Result<u64, ReadError> {
        let offset = self.offset();
        self.source.check(what, offset, len)?;
        if len <= (self.buffer.len() - self.position) as u64 {
            self.position += len as usize;
        } else {
            self.start = offset + len;
            self.buffer.clear();
            self.position = 0;
            self.ahead = WINDOW.0;
        }
        Ok(offset)
    }

    /// The bytes up to the next newline, which is passed over and not included.
    pub(super) fn line(&mut self, what: &'static str, limit: u64) -> Result<&[u8], ReadError> {
        let offset = self.offset();
        let mut wanted = 0;
        loop {
            let held = &self.buffer[self.position..];
            if let Some(len) = held.iter().skip(wanted).position(|&byte| byte == b'\n') {
                let from = self.position;
                let len = wanted + len;
                self.position += len + 1;
                return Ok(&self.buffer[from..from + len]);
            }
            wanted = held.len();
            let grown = (wanted as u64 * 2).max(self.ahead).min(self.remaining());
            if wanted as u64 > limit || grown <= wanted as u64 {
                return Err(ReadError::malformed(what, offset, "its line does not end"));
            }
            self.fill(what, grown)?;
        }
    }
}
