//! Chunks that a version 2 B-tree lists, which the library does not read: datasets that may grow in several dimensions.
//!
//! ```text
//! layout message   4, 2, flags, dimensions, width │ chunk sizes, element size │ 5, node size, 2 bytes, address of the tree
//! "BTHD"  0, type, node size u32, record size u16, depth u16, 2 bytes, root address, records in the root u16, all records
//! "BTIN"  0, type, records, children: address, records in it, records below it (the last not above leaves)
//! "BTLF"  0, type, records: address, [size, mask of left-out filters], chunk number per dimension u64
//! ```
//! Source: sections III.A.2 and IV.A.2.i of the specification.

use std::collections::BTreeMap;

use super::header::{self, Widths};
use crate::model::ReadError;
use crate::raw::{ByteCursor, ByteSource};

/// Where a chunk is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    /// Position in the source.
    pub at: u64,
    /// Bytes there.
    pub size: u64,
    /// Filters that were left out, a bit each.
    pub skipped: u32,
}

/// A dataset's chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Elements of one chunk per dimension.
    pub shape: Vec<u64>,
    /// By number of the chunk in each dimension.
    pub found: BTreeMap<Vec<u64>, Chunk>,
    /// Bytes of an element that was never written; empty where these are zero.
    pub fill: Vec<u8>,
}

/// Chunks of one dataset: a table of them is held in memory.
const CHUNKS: u64 = 4_000_000;

/// Levels of the tree: each holds at least twice the records of the one below.
const DEPTH: u16 = 24;

const WHAT: &str = "an HDF5 chunk index";

/// The chunks of the dataset whose header is at `at`.
pub(super) fn read(source: &ByteSource, at: u64, widths: Widths) -> Result<Chunks, ReadError> {
    let messages = header::messages(source, at, widths)?;
    let body = |kind: u16| messages.iter().find(|(other, _)| *other == kind).map(|(_, body)| body.as_slice());
    let unknown = || ReadError::unsupported("its chunk index is of an unknown form");
    let mut layout = ByteCursor::new(body(header::LAYOUT).ok_or_else(unknown)?, 0);
    let version = layout.u8(WHAT)?;
    let class = layout.u8(WHAT)?;
    let flags = layout.u8(WHAT)?;
    let dimensions = usize::from(layout.u8(WHAT)?);
    let width = usize::from(layout.u8(WHAT)?);
    if version != 4 || class != 2 || flags & 1 != 0 || dimensions < 2 || !(1..=8).contains(&width) {
        return Err(unknown());
    }
    let mut shape = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        shape.push(widths.number(&mut layout, width)?);
    }
    let element = shape.pop().unwrap_or(0);
    let chunk_bytes = shape.iter().try_fold(element, |product, &size| product.checked_mul(size));
    if layout.u8(WHAT)? != 5 || shape.contains(&0) {
        return Err(unknown());
    }
    layout.take(WHAT, 6)?;
    let fill = body(header::FILL_VALUE).map(fill_value).transpose()?.flatten().unwrap_or_default();
    let mut chunks = Chunks { shape, found: BTreeMap::new(), fill };
    if let Some(tree) = widths.address(&mut layout)? {
        walk(source, tree, widths, chunk_bytes.ok_or_else(unknown)?, &mut chunks)?;
    }
    Ok(chunks)
}

/// The value of elements that were never written. Section IV.A.2.f of the specification.
fn fill_value(body: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
    let mut cursor = ByteCursor::new(body, 0);
    let is_defined = match cursor.u8(WHAT)? {
        1 | 2 => {
            cursor.take(WHAT, 2)?;
            cursor.u8(WHAT)? != 0
        }
        3 => cursor.u8(WHAT)? & 0x20 != 0,
        _ => false,
    };
    if !is_defined {
        return Ok(None);
    }
    let len = cursor.u32_le(WHAT)? as usize;
    Ok(Some(cursor.take(WHAT, len as u64)?.to_vec()))
}

/// Bytes that a number up to `most` takes.
fn bytes_for(most: u64) -> usize {
    (64 - most.leading_zeros() as usize).div_ceil(8).max(1)
}

fn walk(
    source: &ByteSource,
    tree: u64,
    widths: Widths,
    chunk_bytes: u64,
    chunks: &mut Chunks,
) -> Result<(), ReadError> {
    let malformed = |at: u64, reason: &'static str| ReadError::malformed(WHAT, at, reason);
    let head = source.read_vec(WHAT, tree, (26 + widths.offset + widths.length) as u64, 64)?;
    let mut cursor = ByteCursor::new(&head, 0);
    if cursor.take(WHAT, 4)? != b"BTHD" {
        return Err(malformed(tree, "it does not begin with BTHD"));
    }
    cursor.take(WHAT, 1)?;
    let filtered = match cursor.u8(WHAT)? {
        10 => false,
        11 => true,
        _ => return Err(malformed(tree, "its records are not chunks")),
    };
    let node_bytes = u64::from(cursor.u32_le(WHAT)?);
    let record_bytes = usize::from(cursor.u16_le(WHAT)?);
    let depth = cursor.u16_le(WHAT)?;
    cursor.take(WHAT, 2)?;
    let root = widths.address(&mut cursor)?;
    let in_root = u64::from(cursor.u16_le(WHAT)?);
    let all = widths.size(&mut cursor)?;
    let fixed = widths.offset + 8 * chunks.shape.len() + if filtered { 4 } else { 0 };
    let size_width = record_bytes.checked_sub(fixed).filter(|&width| width <= 8 && (width > 0) == filtered);
    let size_width = size_width.ok_or_else(|| malformed(tree, "its records have another size"))?;
    if all > CHUNKS || depth > DEPTH || all > source.len() / record_bytes.max(1) as u64 {
        return Err(malformed(tree, "it claims more chunks than the file can list"));
    }
    let Some(root) = root.filter(|_| all > 0) else { return Ok(()) };
    // How wide the counts are that stand beside a child at each level; the level of leaves is 0.
    let most_in_leaf = node_bytes.saturating_sub(10) / record_bytes.max(1) as u64;
    let count_width = bytes_for(most_in_leaf);
    let mut below = vec![most_in_leaf];
    let mut child_bytes = vec![0usize];
    for level in 1..=usize::from(depth) {
        let beneath = below.get(level - 1).copied().unwrap_or(0);
        let child = widths.offset + count_width + if level > 1 { bytes_for(beneath) } else { 0 };
        let most = node_bytes.saturating_sub(10 + child as u64) / (record_bytes + child) as u64;
        below.push(most.saturating_add(1).saturating_mul(beneath).saturating_add(most));
        child_bytes.push(child);
    }
    let mut nodes = vec![(root, in_root, usize::from(depth))];
    let mut visited = 0u64;
    while let Some((at, count, level)) = nodes.pop() {
        visited += 1;
        if visited > all.saturating_mul(2).saturating_add(2) {
            return Err(malformed(at, "its nodes form a cycle"));
        }
        let child = child_bytes.get(level).copied().unwrap_or(0);
        let len = 6 + count * record_bytes as u64 + if level > 0 { (count + 1) * child as u64 } else { 0 };
        let node = source.read_vec(WHAT, at, len, node_bytes)?;
        let mut cursor = ByteCursor::new(&node, 0);
        if cursor.take(WHAT, 4)? != if level > 0 { b"BTIN" } else { b"BTLF" } {
            return Err(malformed(at, "a node does not begin with BTIN or BTLF"));
        }
        cursor.take(WHAT, 2)?;
        for _ in 0..count {
            let address = widths.address(&mut cursor)?;
            let size = if filtered { widths.number(&mut cursor, size_width)? } else { chunk_bytes };
            let skipped = if filtered { cursor.u32_le(WHAT)? } else { 0 };
            let mut numbers = Vec::with_capacity(chunks.shape.len());
            for _ in 0..chunks.shape.len() {
                numbers.push(widths.number(&mut cursor, 8)?);
            }
            if let Some(address) = address {
                source.check("a chunk of a dataset", address, size)?;
                chunks.found.insert(numbers, Chunk { at: address, size, skipped });
            }
        }
        if level == 0 {
            continue;
        }
        for _ in 0..=count {
            let address = widths.address(&mut cursor)?;
            let inside = widths.number(&mut cursor, count_width)?;
            cursor.take(WHAT, (child - widths.offset - count_width) as u64)?;
            if let Some(address) = address {
                nodes.push((address, inside, level - 1));
            }
        }
    }
    Ok(())
}
