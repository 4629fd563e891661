//! Single records: the end of the directory, its entries, and the header before each member.
//!
//! Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.

use super::{CENTRAL, END_BYTES, Record, WHAT};
use crate::raw::{ByteCursor, ByteSource};

const LOCAL: &[u8] = b"PK\x03\x04";
const END: &[u8] = b"PK\x05\x06";

/// Bytes of the end record with the longest comment.
const END_SEARCHED: u64 = END_BYTES + 65_535;

/// Where the end record stands, if the source has one: sources that begin otherwise can be archives as well.
pub fn find_end(source: &ByteSource) -> Option<u64> {
    let from = source.len().saturating_sub(END_SEARCHED);
    let tail = source.read_up_to(WHAT, from, END_SEARCHED).ok()?;
    let candidates = tail.windows(END.len()).enumerate().rev().filter(|(_, window)| *window == END);
    let mut found = None;
    for (at, _) in candidates {
        let comment = tail.get(at + 20..at + 22)?;
        let comment = u64::from(u16::from_le_bytes([*comment.first()?, *comment.get(1)?]));
        // An end record whose comment reaches exactly to the end is the one that readers take.
        if from + at as u64 + END_BYTES + comment == source.len() {
            return Some(from + at as u64);
        }
        found = found.or(Some(from + at as u64));
    }
    found
}

/// Where the next local header stands, searched for within a bound; else the end of the source.
pub(super) fn next_signature(source: &ByteSource, from: u64) -> u64 {
    const SEARCHED: u64 = 64 << 20;
    const PIECE: u64 = 1 << 20;
    let mut at = from;
    while at < source.len() && at - from < SEARCHED {
        let Ok(piece) = source.read_up_to(WHAT, at, PIECE + 3) else { break };
        let found = piece
            .windows(4)
            .position(|window| window == LOCAL || window == CENTRAL || window == b"PK\x07\x08");
        if let Some(found) = found {
            return at + found as u64;
        }
        at += PIECE;
    }
    source.len()
}

/// Whether the locator of a zip64 end record stands before the end record.
pub(super) fn is_zip64(source: &ByteSource, end: u64) -> bool {
    let locator = end.checked_sub(20).and_then(|at| source.read_up_to(WHAT, at, 4).ok());
    locator.is_some_and(|locator| locator == b"PK\x06\x07")
}

/// The next entry of a directory, with positions moved by `shift`.
pub(super) fn central(cursor: &mut ByteCursor, shift: u64) -> Option<Record> {
    if cursor.take(WHAT, 4).ok()? != CENTRAL {
        return None;
    }
    let made_by = cursor.u16_le(WHAT).ok()?;
    cursor.take(WHAT, 2).ok()?;
    let (flags, method) = (cursor.u16_le(WHAT).ok()?, cursor.u16_le(WHAT).ok()?);
    cursor.take(WHAT, 4).ok()?;
    let crc32 = cursor.u32_le(WHAT).ok()?;
    let mut compressed = u64::from(cursor.u32_le(WHAT).ok()?);
    let mut size = u64::from(cursor.u32_le(WHAT).ok()?);
    let lengths = [cursor.u16_le(WHAT).ok()?, cursor.u16_le(WHAT).ok()?, cursor.u16_le(WHAT).ok()?];
    cursor.take(WHAT, 4).ok()?;
    let attributes = cursor.u32_le(WHAT).ok()?;
    let mut header = u64::from(cursor.u32_le(WHAT).ok()?);
    let name = String::from_utf8_lossy(cursor.take(WHAT, lengths[0].into()).ok()?).into_owned();
    let extra = cursor.take(WHAT, lengths[1].into()).ok()?;
    cursor.take(WHAT, lengths[2].into()).ok()?;
    // Section 4.5.3: the 64-bit values of those fields that are all ones, in this order.
    let mut extra = ByteCursor::new(extra, 0);
    while extra.remaining() >= 4 {
        let (id, len) = (extra.u16_le(WHAT).ok()?, extra.u16_le(WHAT).ok()?);
        let Ok(body) = extra.take(WHAT, len.into()) else { break };
        if id == 1 {
            let mut body = ByteCursor::new(body, 0);
            for field in [&mut size, &mut compressed, &mut header] {
                if *field == 0xffff_ffff {
                    *field = body.u64_le(WHAT).unwrap_or(*field);
                }
            }
        }
    }
    let is_unix = made_by >> 8 == 3;
    let is_link = is_unix && (attributes >> 16) & 0o170_000 == 0o120_000;
    let header = header.saturating_add(shift);
    Some(Record { name, method, flags, crc32, compressed, size, header, data: None, is_link })
}

/// The header before a member.
pub(super) struct Local {
    pub name: String,
    pub flags: u16,
    pub method: u16,
    pub crc32: u32,
    pub compressed: u64,
    pub size: u64,
    pub data: Option<u64>,
}

/// The header at a position, if there is one.
pub(super) fn local(source: &ByteSource, at: u64) -> Option<Local> {
    // The names of members are short: one read gets most of them whole.
    let head = source.read_up_to(WHAT, at, 30 + 226).ok()?;
    let mut cursor = ByteCursor::new(&head, at);
    if cursor.take(WHAT, 4).ok()? != LOCAL {
        return None;
    }
    cursor.take(WHAT, 2).ok()?;
    let (flags, method) = (cursor.u16_le(WHAT).ok()?, cursor.u16_le(WHAT).ok()?);
    cursor.take(WHAT, 4).ok()?;
    let crc32 = cursor.u32_le(WHAT).ok()?;
    let compressed = u64::from(cursor.u32_le(WHAT).ok()?);
    let size = u64::from(cursor.u32_le(WHAT).ok()?);
    let (name_len, extra_len) = (cursor.u16_le(WHAT).ok()?, cursor.u16_le(WHAT).ok()?);
    let whole;
    let name = if let Ok(name) = cursor.take(WHAT, name_len.into()) {
        name
    } else {
        whole = source.read_up_to(WHAT, at.saturating_add(30), name_len.into()).ok()?;
        &whole
    };
    let name = String::from_utf8_lossy(name).into_owned();
    let data = at.saturating_add(30 + u64::from(name_len) + u64::from(extra_len));
    Some(Local { name, flags, method, crc32, compressed, size, data: (data <= source.len()).then_some(data) })
}
