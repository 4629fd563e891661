//! The bytes of a file as the HDF5 library wants them.
//!
//! The library takes every entry of a symbol table for an object. A soft link has no object, so one of them makes a
//! whole group unreadable. Symbol tables are therefore handed over without their soft links, which are kept aside.
//! The library does not tell where an object is either; the reads that it makes do.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdf5::{FormatError, Source};

use super::SIGNATURE;
use super::header::Widths;
use crate::raw::ByteSource;

/// What was seen of the library's reads since it was last cleared.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Soft links of symbol tables: where name and target are in the group's local heap.
    pub soft_links: BTreeSet<(u64, u64)>,
    /// Where the first read was.
    pub first_read: Option<u64>,
    /// Where the last object header of the new form was read.
    pub last_header: Option<u64>,
}

/// Shared with whoever makes the library read.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was seen, which is forgotten.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut self.seen())
    }
}

/// Soft links kept of one group.
const SOFT_LINKS: usize = 100_000;

/// A [`ByteSource`] for the library.
pub(super) struct Adapter {
    source: ByteSource,
    /// Bytes of an entry of a symbol table node, and where in it the cache type is.
    entry: Option<(usize, usize)>,
    widths: Option<Widths>,
    watch: Watch,
}

/// "A symbol table entry's cache type 2 means that it is a symbolic link." Section III.B of the specification.
const SOFT_LINK: u8 = 2;

impl Adapter {
    pub fn new(source: ByteSource) -> Self {
        let widths = widths(&source);
        let entry = widths.map(|w| (w.length + w.offset + 4 + 4 + 16, w.length + w.offset));
        Self { source, entry, widths, watch: Watch::default() }
    }

    /// What the library reads from here on.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Sizes that the superblock states, with addresses that count from the start of the source.
    pub fn widths(&self) -> Option<Widths> {
        self.widths
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
        let width = self.widths?.offset;
        let field = |bytes: Option<&[u8]>| {
            Some(bytes?.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte)))
        };
        let mut soft = Vec::new();
        for entry in entries.chunks_exact(entry_bytes) {
            if entry.get(cache_type..cache_type + 4) == Some(&[SOFT_LINK, 0, 0, 0]) {
                // The scratch pad behind two more fields begins with the place of the target, in 4 bytes.
                let target = cache_type + 8;
                soft.extend(field(entry.get(..width)).zip(field(entry.get(target..target + 4))));
            } else {
                kept.extend_from_slice(entry);
                number += 1;
            }
        }
        kept.get_mut(6..8)?.copy_from_slice(&number.to_le_bytes());
        let mut seen = self.watch.seen();
        for link in soft {
            // A node may be read more than once.
            if seen.soft_links.len() < SOFT_LINKS {
                seen.soft_links.insert(link);
            }
        }
        drop(seen);
        kept.truncate(len);
        (kept.len() == len).then_some(kept)
    }
}

/// Bytes of an address and of a length, which the superblock states: at 13 and 14 in versions 0 and 1, at 9 and 10 later.
fn widths(source: &ByteSource) -> Option<Widths> {
    let mut start = 0u64;
    loop {
        let head = source.read_vec("the HDF5 superblock", start, 16, 16).ok()?;
        if head.starts_with(SIGNATURE) {
            let at = if *head.get(8)? < 2 { 13 } else { 9 };
            let (offset, length) = (usize::from(*head.get(at)?), usize::from(*head.get(at + 1)?));
            return (matches!(offset, 2 | 4 | 8) && matches!(length, 2 | 4 | 8)).then_some(Widths {
                offset,
                length,
                base: start,
            });
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
        let mut seen = self.watch.seen();
        seen.first_read.get_or_insert(offset);
        if bytes.starts_with(b"OHDR") {
            seen.last_header = Some(offset);
        }
        drop(seen);
        if len >= 8
            && bytes.starts_with(b"SNOD\x01")
            && let Some(patched) = self.without_soft_links(offset, len)
        {
            return Ok(patched);
        }
        Ok(bytes)
    }
}
