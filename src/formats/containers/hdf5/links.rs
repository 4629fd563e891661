//! Links that lead to no object of this file by themselves: soft and external ones. They are listed and never followed.
//!
//! The old form of a group keeps names and targets in a local heap; the new form has a message per link, in the header
//! of the group or, where there are many, in a fractal heap with an index by name.

use super::fractal_heap::FractalHeap;
use super::header::{self, Widths};
use super::record_tree::RecordTree;
use crate::model::ReadError;
use crate::raw::{ByteCursor, ByteSource};

/// A link that is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name in the group.
    pub name: String,
    /// Where it says that the object is: a path, for an external link behind the name of a file.
    pub target: String,
    /// Whether the target is in another file.
    pub is_external: bool,
}

/// Bytes of a link's name or target.
const NAME_BYTES: u64 = 1 << 16;

/// Links kept of one group.
const LINKS: usize = 100_000;

/// The links of the group whose header is at `at`. `soft` are the places in the local heap of names and targets that
/// the symbol tables of an old group have. Also returns why some could not be read.
pub(super) fn of_group(
    source: &ByteSource,
    at: u64,
    widths: Widths,
    soft: &[(u64, u64)],
) -> (Vec<Link>, Option<ReadError>) {
    let mut found = Found::default();
    match header::messages(source, at, widths) {
        Err(error) => found.error = Some(error),
        Ok(messages) => {
            for (kind, body) in messages {
                let read = match kind {
                    header::LINK => message(&body).map(|link| found.links.extend(link)),
                    header::LINK_INFO => found.indexed(source, &body, widths),
                    header::SYMBOL_TABLE if !soft.is_empty() => found.old(source, &body, widths, soft),
                    _ => Ok(()),
                };
                found.keep(read);
            }
        }
    }
    (found.links, found.error)
}

/// What was read of a group.
#[derive(Default)]
struct Found {
    links: Vec<Link>,
    /// The first.
    error: Option<ReadError>,
}

impl Found {
    fn keep(&mut self, read: Result<(), ReadError>) {
        if let Err(error) = read {
            self.error.get_or_insert(error);
        }
    }

    /// Links in the symbol tables of an old group.
    fn old(
        &mut self,
        source: &ByteSource,
        body: &[u8],
        widths: Widths,
        soft: &[(u64, u64)],
    ) -> Result<(), ReadError> {
        let mut cursor = ByteCursor::new(body, 0);
        widths.address(&mut cursor)?;
        if let Some(heap) = widths.address(&mut cursor)? {
            self.links.extend(from_heap(source, heap, widths, soft)?);
        }
        Ok(())
    }

    /// Links of a group that has them in a heap. Section IV.A.2.c of the specification: version, flags, [largest order],
    /// address of the heap, address of the index by name. Its records are of type 5: a hash, and the id in the heap.
    fn indexed(&mut self, source: &ByteSource, body: &[u8], widths: Widths) -> Result<(), ReadError> {
        const WHAT: &str = "an HDF5 link index";
        let mut cursor = ByteCursor::new(body, 0);
        cursor.take(WHAT, 1)?;
        let flags = cursor.u8(WHAT)?;
        cursor.take(WHAT, if flags & 1 != 0 { 8 } else { 0 })?;
        let heap = widths.address(&mut cursor)?;
        let index = widths.address(&mut cursor)?;
        let (Some(heap), Some(index)) = (heap, index) else { return Ok(()) };
        let heap = FractalHeap::open(source, heap, widths)?;
        let tree = RecordTree::open(source, index, widths)?;
        if tree.kind != 5 {
            return Err(ReadError::malformed(WHAT, index, "its records are not names"));
        }
        tree.visit(source, &mut |record| {
            if self.links.len() < LINKS {
                let id = record.get(4..).unwrap_or_default();
                // One that is broken must not hide the others.
                let read = heap.object(source, id).and_then(|bytes| message(&bytes));
                let read = read.map(|link| self.links.extend(link));
                self.keep(read);
            }
            Ok(())
        })
    }
}

/// Section III.D of the specification: "HEAP", version, 3 unused bytes, size, free list, address of the data.
fn from_heap(
    source: &ByteSource,
    at: u64,
    widths: Widths,
    soft: &[(u64, u64)],
) -> Result<Vec<Link>, ReadError> {
    const WHAT: &str = "an HDF5 local heap";
    let head = source.read_up_to(WHAT, at, 64)?;
    let mut cursor = ByteCursor::new(&head, 0);
    cursor.take(WHAT, 8)?;
    let size = widths.size(&mut cursor)?;
    widths.size(&mut cursor)?;
    let Some(data) = widths.address(&mut cursor)? else { return Ok(Vec::new()) };
    let text = |offset: u64| {
        let left = size.saturating_sub(offset).min(NAME_BYTES);
        let bytes = source.read_up_to(WHAT, data.saturating_add(offset), left)?;
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        Ok::<_, ReadError>(String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned())
    };
    soft.iter()
        .map(|&(name, target)| Ok(Link { name: text(name)?, target: text(target)?, is_external: false }))
        .collect()
}

/// Section IV.A.2.g of the specification: version, flags, [type], [order], [character set], length of the name, name, target.
fn message(body: &[u8]) -> Result<Option<Link>, ReadError> {
    const WHAT: &str = "an HDF5 link";
    let mut cursor = ByteCursor::new(body, 0);
    cursor.take(WHAT, 1)?;
    let flags = cursor.u8(WHAT)?;
    let kind = if flags & 8 != 0 { cursor.u8(WHAT)? } else { 0 };
    cursor.take(WHAT, if flags & 4 != 0 { 8 } else { 0 })?;
    cursor.take(WHAT, u64::from(flags & 16 != 0))?;
    let len = header::number(&mut cursor, 1 << (flags & 3))?;
    let name = String::from_utf8_lossy(cursor.take(WHAT, len)?).into_owned();
    if kind == 0 {
        return Ok(None);
    }
    let len = u64::from(cursor.u16_le(WHAT)?);
    let value = cursor.take(WHAT, len)?;
    Ok(match kind {
        1 => Some(Link { name, target: String::from_utf8_lossy(value).into_owned(), is_external: false }),
        // A byte of version and flags, then the name of the file and the path in it, each ended by a zero.
        64 => {
            let rest = String::from_utf8_lossy(value.get(1..).unwrap_or_default()).into_owned();
            let target = rest.trim_end_matches('\0').split('\0').collect::<Vec<_>>().join(":");
            Some(Link { name, target, is_external: true })
        }
        _ => None,
    })
}
