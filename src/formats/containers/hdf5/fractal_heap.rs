//! Objects of a fractal heap, which is where groups of many links keep them.
//!
//! ```text
//! "FRHP"  0, id length u16, filters u16, flags, largest managed object u32, next huge id, tree of huge objects, …, counts,
//!         width u16, first block size, largest direct block, bits of an offset u16, rows u16, root block, rows in it u16
//! "FHIB"  0, header, offset, address of each child: rows of direct blocks, then rows of further "FHIB"
//! "FHDB"  objects, at offsets that count from the block's own start
//! id      kind in bits 4 and 5 │ managed: offset, length │ huge: address and length, or number in a tree │ tiny: itself
//! ```
//! Rows 0 and 1 have blocks of the first size, each further row of twice the size of the one before. Heaps with filters
//! are not read; checksums are not verified. Source: section III.G of the specification.

use std::collections::HashMap;

use super::header::{self, Widths};
use super::record_tree::RecordTree;
use crate::model::ReadError;
use crate::raw::{ByteCursor, ByteSource};

/// Bytes of one object.
const OBJECT_BYTES: u64 = 1 << 20;

/// Indirect blocks inside one another: each level holds at least twice what the one below does.
const LEVELS: usize = 64;

const WHAT: &str = "an HDF5 fractal heap";

/// The header of a heap.
#[derive(Debug)]
pub(super) struct FractalHeap {
    widths: Widths,
    at: u64,
    /// Blocks in a row.
    width: u64,
    /// Bytes of a block in the first row; a power of two, as `width` and `largest_direct` are.
    first: u64,
    largest_direct: u64,
    offset_bits: u32,
    id_bytes: usize,
    root: Option<u64>,
    /// 0: the root is a direct block.
    rows: u64,
    /// Place and length by number, of objects too large for blocks.
    huge: HashMap<u64, (u64, u64)>,
}

impl FractalHeap {
    pub fn open(source: &ByteSource, at: u64, widths: Widths) -> Result<Self, ReadError> {
        let malformed = |reason: &'static str| ReadError::malformed(WHAT, at, reason);
        let head = source.read_up_to(WHAT, at, 160)?;
        let mut cursor = ByteCursor::new(&head, at);
        if cursor.take(WHAT, 4)? != b"FRHP" || cursor.u8(WHAT)? != 0 {
            return Err(malformed("it does not begin with FRHP and version 0"));
        }
        let id_bytes = usize::from(cursor.u16_le(WHAT)?);
        if cursor.u16_le(WHAT)? != 0 {
            return Err(ReadError::unsupported("its heap has filters"));
        }
        cursor.take(WHAT, 5)?;
        widths.size(&mut cursor)?;
        let tree = widths.address(&mut cursor)?;
        // Free space, its manager, space, allocated, iterator; then five counts and sizes.
        cursor.take(WHAT, (widths.offset + 9 * widths.length) as u64)?;
        let width = u64::from(cursor.u16_le(WHAT)?);
        let first = widths.size(&mut cursor)?;
        let largest_direct = widths.size(&mut cursor)?;
        let offset_bits = u32::from(cursor.u16_le(WHAT)?);
        cursor.take(WHAT, 2)?;
        let root = widths.address(&mut cursor)?;
        let rows = u64::from(cursor.u16_le(WHAT)?);
        let is_power = [width, first, largest_direct].iter().all(|number| number.is_power_of_two());
        if !is_power || first > 1 << 40 || largest_direct < first || offset_bits > 64 {
            return Err(malformed("the sizes of its blocks are no powers of two"));
        }
        let huge = tree.map(|tree| huge_objects(source, tree, widths)).transpose()?.unwrap_or_default();
        Ok(Self { widths, at, width, first, largest_direct, offset_bits, id_bytes, root, rows, huge })
    }

    /// The object of an id.
    pub fn object(&self, source: &ByteSource, id: &[u8]) -> Result<Vec<u8>, ReadError> {
        let id = id.get(..self.id_bytes).unwrap_or(id);
        let mut cursor = ByteCursor::new(id, 0);
        let first = cursor.u8(WHAT)?;
        match first >> 4 & 3 {
            0 => {
                let offset_bytes = (self.offset_bits as usize).div_ceil(8);
                let offset = header::number(&mut cursor, offset_bytes)?;
                let left = cursor.remaining().min(8);
                let len = header::number(&mut cursor, left)?;
                source.read_vec(WHAT, self.place(source, offset)?, len, OBJECT_BYTES)
            }
            1 if cursor.remaining() >= self.widths.offset + self.widths.length => {
                let place = self.widths.address(&mut cursor)?;
                let len = self.widths.size(&mut cursor)?;
                let place =
                    place.ok_or_else(|| ReadError::malformed(WHAT, self.at, "an object is nowhere"))?;
                source.read_vec(WHAT, place, len, OBJECT_BYTES)
            }
            1 => {
                let left = cursor.remaining().min(8);
                let number = header::number(&mut cursor, left)?;
                let known = self.huge.get(&number);
                let &(place, len) =
                    known.ok_or_else(|| ReadError::malformed(WHAT, self.at, "an object is nowhere"))?;
                source.read_vec(WHAT, place, len, OBJECT_BYTES)
            }
            2 => {
                let is_long = self.id_bytes > 17;
                let more = if is_long { u64::from(cursor.u8(WHAT)?) } else { 0 };
                let low = u64::from(first & 15);
                let len = if is_long { low << 8 | more } else { low } + 1;
                Ok(cursor.take(WHAT, len)?.to_vec())
            }
            _ => Err(ReadError::malformed(WHAT, self.at, "an object is of no known kind")),
        }
    }

    /// Bytes of a block in a row.
    fn block_bytes(&self, row: u64) -> Option<u64> {
        self.first
            .checked_shl(u32::try_from(row.saturating_sub(1)).ok()?)
            .filter(|&bytes| bytes >= self.first)
    }

    /// Where an offset in the heap is in the source.
    fn place(&self, source: &ByteSource, offset: u64) -> Result<u64, ReadError> {
        let malformed = || ReadError::malformed(WHAT, self.at, "an object is outside of its blocks");
        let mut block = self.root.ok_or_else(malformed)?;
        if self.rows == 0 {
            return Ok(block.saturating_add(offset));
        }
        let (mut rows, mut begins) = (self.rows, 0u64);
        let row_bytes = self.first.checked_mul(self.width).ok_or_else(malformed)?;
        let direct_rows = u64::from(self.largest_direct.ilog2() - self.first.ilog2()) + 2;
        for _ in 0..LEVELS {
            let within = offset.checked_sub(begins).ok_or_else(malformed)?;
            let (row, row_begins) = match within / row_bytes {
                0 => (0, 0),
                times => (u64::from(times.ilog2()) + 1, row_bytes << times.ilog2()),
            };
            let size = self.block_bytes(row).ok_or_else(malformed)?;
            let column = (within - row_begins) / size;
            if row >= rows {
                return Err(malformed());
            }
            begins += row_begins + column * size;
            let entry = row * self.width + column;
            let head = 5 + self.widths.offset as u64 + u64::from(self.offset_bits.div_ceil(8));
            let at = block.saturating_add(head + entry * self.widths.offset as u64);
            let bytes = source.read_vec(WHAT, at, self.widths.offset as u64, 8)?;
            block = self.widths.address(&mut ByteCursor::new(&bytes, at))?.ok_or_else(malformed)?;
            if row < direct_rows {
                return Ok(block.saturating_add(offset - begins));
            }
            rows = u64::from((size / row_bytes).max(1).ilog2()) + 1;
        }
        Err(malformed())
    }
}

/// Record type 1: address, length, number. Others belong to heaps that say the place in the id, or have filters.
fn huge_objects(source: &ByteSource, at: u64, widths: Widths) -> Result<HashMap<u64, (u64, u64)>, ReadError> {
    let tree = RecordTree::open(source, at, widths)?;
    let mut found = HashMap::new();
    if tree.kind == 1 {
        tree.visit(source, &mut |record| {
            let mut cursor = ByteCursor::new(record, 0);
            let place = widths.address(&mut cursor)?;
            let len = widths.size(&mut cursor)?;
            let number = widths.size(&mut cursor)?;
            found.extend(place.map(|place| (number, (place, len))));
            Ok(())
        })?;
    }
    Ok(found)
}
