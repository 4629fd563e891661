//! Chunks that a version 2 B-tree lists, which the library does not read: datasets that may grow in several dimensions.
//!
//! ```text
//! layout message   4, 2, flags, dimensions, width │ chunk sizes, element size │ 5, node size, 2 bytes, address of the tree
//! record           address, [size, mask of left-out filters], chunk number per dimension u64
//! ```
//! Source: sections III.A.2 and IV.A.2.i of the specification.

use std::collections::BTreeMap;

use super::header::{self, Widths};
use super::record_tree::RecordTree;
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
        shape.push(header::number(&mut layout, width)?);
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

fn walk(
    source: &ByteSource,
    at: u64,
    widths: Widths,
    chunk_bytes: u64,
    chunks: &mut Chunks,
) -> Result<(), ReadError> {
    let malformed = |reason: &'static str| ReadError::malformed(WHAT, at, reason);
    let tree = RecordTree::open(source, at, widths)?;
    let filtered = match tree.kind {
        10 => false,
        11 => true,
        _ => return Err(malformed("its records are not chunks")),
    };
    let dimensions = chunks.shape.len();
    let fixed = widths.offset + 8 * dimensions + if filtered { 4 } else { 0 };
    let size_width =
        tree.record_bytes.checked_sub(fixed).filter(|&width| width <= 8 && (width > 0) == filtered);
    let size_width = size_width.ok_or_else(|| malformed("its records have another size"))?;
    tree.visit(source, &mut |record| {
        let mut cursor = ByteCursor::new(record, 0);
        let address = widths.address(&mut cursor)?;
        let size = if filtered { header::number(&mut cursor, size_width)? } else { chunk_bytes };
        let skipped = if filtered { cursor.u32_le(WHAT)? } else { 0 };
        let mut numbers = Vec::with_capacity(dimensions);
        for _ in 0..dimensions {
            numbers.push(header::number(&mut cursor, 8)?);
        }
        if let Some(address) = address {
            source.check("a chunk of a dataset", address, size)?;
            chunks.found.insert(numbers, Chunk { at: address, size, skipped });
        }
        Ok(())
    })
}
