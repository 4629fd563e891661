//! What an archive is written to: after a failed write it goes on to nowhere.
//!
//! The zip library completes an archive when it is dropped, and says on the error output that it cannot. The failure was
//! reported already, and the file is thrown away.

use std::io::{self, Seek, SeekFrom, Write};

use super::write::Out;

/// Passes everything on until a write fails; then pretends, with the positions that a file would have.
pub(super) struct Unbroken<'a> {
    out: &'a mut dyn Out,
    position: u64,
    end: u64,
    broken: bool,
}

impl<'a> Unbroken<'a> {
    /// Over `out`, which is empty.
    pub fn new(out: &'a mut dyn Out) -> Self {
        Self { out, position: 0, end: 0, broken: false }
    }
}

impl Write for Unbroken<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = bytes.len();
        if !self.broken {
            match self.out.write(bytes) {
                Ok(count) => written = count,
                Err(error) => {
                    self.broken = error.kind() != io::ErrorKind::Interrupted;
                    return Err(error);
                }
            }
        }
        self.position += written as u64;
        self.end = self.end.max(self.position);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.broken { Ok(()) } else { self.out.flush() }
    }
}

impl Seek for Unbroken<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.end.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        let target = target.ok_or(io::ErrorKind::InvalidInput)?;
        if !self.broken {
            self.out.seek(SeekFrom::Start(target))?;
        }
        self.position = target;
        Ok(target)
    }
}
