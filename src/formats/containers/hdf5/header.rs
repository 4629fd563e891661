//! Messages of an object header that the library does not hand over: links, and the place of a chunk index.
//!
//! ```text
//! version 1   1, 0, messages u16, references u32, size u32, 4 unused │ type u16, size u16, flags, 3 unused, body │ …
//! version 2   "OHDR", 2, flags, [4 times], [2 limits], size │ type u8, size u16, flags, [order u16], body │ … checksum
//!             "OCHK" │ … checksum                             a continuation of either is named by a message of type 16
//! ```
//! Checksums were verified by the library, which reads every header first. Source: section IV.A of the specification.

use crate::model::ReadError;
use crate::raw::{ByteCursor, ByteSource};

/// Type of a message that says where a group of many links keeps them.
pub(super) const LINK_INFO: u16 = 2;
/// Type of a message that describes the fill value.
pub(super) const FILL_VALUE: u16 = 5;
/// Type of a message that holds one link.
pub(super) const LINK: u16 = 6;
/// Type of a message that says where a dataset's values are.
pub(super) const LAYOUT: u16 = 8;
/// Type of a message that says where the old form of a group keeps its links.
pub(super) const SYMBOL_TABLE: u16 = 17;
const CONTINUATION: u16 = 16;

/// Blocks of one header, and bytes of one block. Real headers have two or three of some kilobytes.
const BLOCKS: usize = 1000;
const BLOCK_BYTES: u64 = 16 << 20;

/// Bytes that addresses and lengths take in a file, and what its addresses count from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widths {
    /// Bytes of an address.
    pub offset: usize,
    /// Bytes of a length.
    pub length: usize,
    /// Position of address 0 in the source.
    pub base: u64,
}

impl Widths {
    /// The next address, as a position in the source; `None` where it is undefined.
    pub fn address(self, cursor: &mut ByteCursor) -> Result<Option<u64>, ReadError> {
        let address = number(cursor, self.offset)?;
        let undefined = if self.offset == 8 { u64::MAX } else { (1 << (8 * self.offset)) - 1 };
        Ok((address != undefined).then(|| self.base.saturating_add(address)))
    }

    /// The next length.
    pub fn size(self, cursor: &mut ByteCursor) -> Result<u64, ReadError> {
        number(cursor, self.length)
    }
}

/// The next little-endian number of `width` bytes, at most 8.
pub(super) fn number(cursor: &mut ByteCursor, width: usize) -> Result<u64, ReadError> {
    let bytes = cursor.take("an HDF5 number", width as u64)?;
    Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// All messages of the header at a position, in order.
pub(super) fn messages(
    source: &ByteSource,
    at: u64,
    widths: Widths,
) -> Result<Vec<(u16, Vec<u8>)>, ReadError> {
    const WHAT: &str = "an HDF5 object header";
    let head = source.read_up_to(WHAT, at, 64)?;
    let mut cursor = ByteCursor::new(&head, 0);
    let is_new = head.starts_with(b"OHDR");
    let (start, len, has_order) = if is_new {
        cursor.take(WHAT, 5)?;
        let flags = cursor.u8(WHAT)?;
        cursor.take(WHAT, if flags & 0x20 != 0 { 16 } else { 0 })?;
        cursor.take(WHAT, if flags & 0x10 != 0 { 4 } else { 0 })?;
        let len = number(&mut cursor, 1 << (flags & 3))?;
        (cursor.position() as u64, len, flags & 4 != 0)
    } else {
        cursor.take(WHAT, 8)?;
        (16, u64::from(cursor.u32_le(WHAT)?), false)
    };
    let mut found = Vec::new();
    let mut blocks = vec![(at.saturating_add(start), len)];
    let mut next = 0;
    while let Some(&(start, len)) = blocks.get(next) {
        next += 1;
        let block = source.read_vec(WHAT, start, len, BLOCK_BYTES)?;
        let mut cursor = ByteCursor::new(&block, 0);
        // What is too short for another message is a gap.
        while cursor.remaining() >= if is_new { 4 } else { 8 } {
            let (kind, size) = if is_new {
                let kind = u16::from(cursor.u8(WHAT)?);
                let size = cursor.u16_le(WHAT)?;
                cursor.take(WHAT, if has_order { 3 } else { 1 })?;
                (kind, size)
            } else {
                let (kind, size) = (cursor.u16_le(WHAT)?, cursor.u16_le(WHAT)?);
                cursor.take(WHAT, 4)?;
                (kind, size)
            };
            let body = cursor.take(WHAT, u64::from(size))?;
            if kind != CONTINUATION {
                found.push((kind, body.to_vec()));
                continue;
            }
            let mut body = ByteCursor::new(body, 0);
            let (Some(address), len) = (widths.address(&mut body)?, widths.size(&mut body)?) else {
                continue;
            };
            // A continuation of the new form stands between its signature and its checksum.
            let (before, around) = if is_new { (4, 8) } else { (0, 0) };
            if blocks.len() < BLOCKS {
                blocks.push((address.saturating_add(before), len.saturating_sub(around)));
            }
        }
    }
    Ok(found)
}
