//! Version 2 B-trees, whatever their records are.
//!
//! ```text
//! "BTHD"  0, type, node size u32, record size u16, depth u16, 2 bytes, root address, records in the root u16, all records
//! "BTIN"  0, type, records, children: address, records in it, records below it (the last not above leaves)
//! "BTLF"  0, type, records
//! ```
//! Checksums are not verified. Source: section III.A.2 of the specification.

use super::header::{self, Widths};
use crate::model::ReadError;
use crate::raw::{ByteCursor, ByteSource};

/// Records of one tree: what they describe is held in memory.
const RECORDS: u64 = 4_000_000;

/// Levels of a tree: each holds at least twice the records of the one below.
const DEPTH: u16 = 24;

const WHAT: &str = "an HDF5 index";

/// The header of a tree.
#[derive(Debug)]
pub(super) struct RecordTree {
    /// What its records are.
    pub kind: u8,
    /// Bytes of one record, at least 1.
    pub record_bytes: usize,
    at: u64,
    widths: Widths,
    node_bytes: u64,
    depth: u16,
    root: Option<u64>,
    in_root: u64,
    all: u64,
}

fn malformed(at: u64, reason: &'static str) -> ReadError {
    ReadError::malformed(WHAT, at, reason)
}

/// Bytes that a number up to `most` takes.
fn bytes_for(most: u64) -> usize {
    (64 - most.leading_zeros() as usize).div_ceil(8).max(1)
}

impl RecordTree {
    /// Reads the header at a position. Fails where it claims more records than the source can hold.
    pub fn open(source: &ByteSource, at: u64, widths: Widths) -> Result<Self, ReadError> {
        let head = source.read_vec(WHAT, at, (26 + widths.offset + widths.length) as u64, 64)?;
        let mut cursor = ByteCursor::new(&head, 0);
        if cursor.take(WHAT, 4)? != b"BTHD" {
            return Err(malformed(at, "it does not begin with BTHD"));
        }
        cursor.take(WHAT, 1)?;
        let kind = cursor.u8(WHAT)?;
        let node_bytes = u64::from(cursor.u32_le(WHAT)?);
        let record_bytes = usize::from(cursor.u16_le(WHAT)?);
        let depth = cursor.u16_le(WHAT)?;
        cursor.take(WHAT, 2)?;
        let root = widths.address(&mut cursor)?;
        let in_root = u64::from(cursor.u16_le(WHAT)?);
        let all = widths.size(&mut cursor)?;
        if record_bytes == 0
            || all > RECORDS
            || depth > DEPTH
            || all > source.len() / record_bytes.max(1) as u64
        {
            return Err(malformed(at, "it claims more records than the file can hold"));
        }
        Ok(Self { kind, record_bytes, at, widths, node_bytes, depth, root, in_root, all })
    }

    /// Hands over every record, in no order that means anything.
    pub fn visit(
        &self,
        source: &ByteSource,
        take: &mut dyn FnMut(&[u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let Some(root) = self.root.filter(|_| self.all > 0) else { return Ok(()) };
        let record_bytes = self.record_bytes as u64;
        // How wide the counts are that stand beside a child at each level; the level of leaves is 0.
        let most_in_leaf = self.node_bytes.saturating_sub(10) / record_bytes;
        let count_width = bytes_for(most_in_leaf);
        let mut below = vec![most_in_leaf];
        let mut child_bytes = vec![0usize];
        for level in 1..=usize::from(self.depth) {
            let beneath = below.get(level - 1).copied().unwrap_or(0);
            let child = self.widths.offset + count_width + if level > 1 { bytes_for(beneath) } else { 0 };
            let most = self.node_bytes.saturating_sub(10 + child as u64) / (record_bytes + child as u64);
            below.push(most.saturating_add(1).saturating_mul(beneath).saturating_add(most));
            child_bytes.push(child);
        }
        let mut nodes = vec![(root, self.in_root, usize::from(self.depth))];
        let (mut visited, mut taken) = (0u64, 0u64);
        while let Some((at, count, level)) = nodes.pop() {
            visited += 1;
            taken = taken.saturating_add(count);
            if visited > self.all.saturating_mul(2).saturating_add(2) || taken > self.all {
                return Err(malformed(self.at, "its nodes form a cycle"));
            }
            let child = child_bytes.get(level).copied().unwrap_or(0);
            let len = 6 + count * record_bytes + if level > 0 { (count + 1) * child as u64 } else { 0 };
            let node = source.read_vec(WHAT, at, len, self.node_bytes)?;
            let mut cursor = ByteCursor::new(&node, 0);
            if cursor.take(WHAT, 4)? != if level > 0 { b"BTIN" } else { b"BTLF" } {
                return Err(malformed(at, "a node does not begin with BTIN or BTLF"));
            }
            cursor.take(WHAT, 2)?;
            for _ in 0..count {
                take(cursor.take(WHAT, record_bytes)?)?;
            }
            if level == 0 {
                continue;
            }
            for _ in 0..=count {
                let address = self.widths.address(&mut cursor)?;
                let inside = header::number(&mut cursor, count_width)?;
                cursor.take(WHAT, (child - self.widths.offset - count_width) as u64)?;
                if let Some(address) = address {
                    nodes.push((address, inside, level - 1));
                }
            }
        }
        Ok(())
    }
}
