//! The bytes of a file as the HDF5 library wants them.
//!
//! The library takes every entry of a symbol table for an object. A soft link has no object, so one of them makes a
//! whole group unreadable. Symbol tables are therefore handed over without their soft links, which are counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hdf5::{FormatError, Source};

use super::SIGNATURE;
use crate::raw::ByteSource;

/// Soft links seen so far, by the position of the symbol table node.
pub(super) type SoftLinks = Arc<Mutex<HashMap<u64, usize>>>;

/// A [`ByteSource`] for the library.
pub(super) struct Adapter {
    source: ByteSource,
    /// Bytes of an entry of a symbol table node, and where in it the cache type is.
    entry: Option<(usize, usize)>,
    soft_links: SoftLinks,
}

/// "A symbol table entry's cache type 2 means that it is a symbolic link." Section III.B of the specification.
const SOFT_LINK: u8 = 2;

impl Adapter {
    pub fn new(source: ByteSource) -> Self {
        let entry =
            widths(&source).map(|(offsets, lengths)| (lengths + offsets + 4 + 4 + 16, lengths + offsets));
        Self { source, entry, soft_links: SoftLinks::default() }
    }

    pub fn soft_links(&self) -> SoftLinks {
        Arc::clone(&self.soft_links)
    }

    /// The first `len` bytes of the symbol table node at `offset`, without its soft links.
    fn without_soft_links(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        let (entry_bytes, cache_type) = self.entry?;
        let header = self.source.read_vec("a symbol table", offset, 8, 8).ok()?;
        let count = u16::from_le_bytes([*header.get(6)?, *header.get(7)?]);
        let total = 8 + usize::from(count) * entry_bytes;
        let node = self.source.read_vec("a symbol table", offset, total as u64, total as u64).ok()?;
        let (head, entries) = node.split_at_checked(8)?;
        let mut kept = head.to_vec();
        let mut number = 0u16;
        for entry in entries.chunks_exact(entry_bytes) {
            if entry.get(cache_type..cache_type + 4) != Some(&[SOFT_LINK, 0, 0, 0]) {
                kept.extend_from_slice(entry);
                number += 1;
            }
        }
        kept.get_mut(6..8)?.copy_from_slice(&number.to_le_bytes());
        if number < count {
            let mut links = self.soft_links.lock().unwrap_or_else(PoisonError::into_inner);
            links.insert(offset, usize::from(count - number));
        }
        kept.truncate(len);
        (kept.len() == len).then_some(kept)
    }
}

/// Bytes of an address and of a length, which the superblock states: at 13 and 14 in versions 0 and 1, at 9 and 10 later.
fn widths(source: &ByteSource) -> Option<(usize, usize)> {
    let mut start = 0u64;
    loop {
        let head = source.read_vec("the HDF5 superblock", start, 16, 16).ok()?;
        if head.starts_with(SIGNATURE) {
            let at = if *head.get(8)? < 2 { 13 } else { 9 };
            let (offsets, lengths) = (usize::from(*head.get(at)?), usize::from(*head.get(at + 1)?));
            return (matches!(offsets, 2 | 4 | 8) && matches!(lengths, 2 | 4 | 8))
                .then_some((offsets, lengths));
        }
        start = if start == 0 { 512 } else { start.checked_mul(2)? };
    }
}

impl Source for Adapter {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.source.len()) {
            return Err(FormatError::UnexpectedEof {
                expected: usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(buffer.len()),
                available: usize::try_from(self.source.len()).unwrap_or(usize::MAX),
            });
        }
        self.source
            .read_at("HDF5 structure", offset, buffer)
            .map_err(|error| FormatError::Source(error.to_string()))
    }

    fn read_metadata_at(&self, offset: u64, len: usize) -> Result<Vec<u8>, FormatError> {
        let bytes = self.read_exact_at(offset, len)?;
        if len >= 8
            && bytes.starts_with(b"SNOD\x01")
            && let Some(patched) = self.without_soft_links(offset, len)
        {
            return Ok(patched);
        }
        Ok(bytes)
    }
}
