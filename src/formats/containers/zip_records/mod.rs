//! The records of a zip archive as they stand in the file, for whoever asks whether they agree with each other.
//!
//! [`super::zip`] reads archives as their writer meant them. Programs that load models differ in what they believe: some
//! the directory at the end, some the header before each member, some neither flags nor checksums. An archive that
//! shows one thing to a scanner and another to a loader has records that contradict each other, and this finds them.
//!
//! ```text
//! [bytes before] { local header, name, extra, data [, descriptor] }… { directory entry }… [zip64 end, locator] end, comment [bytes after]
//! ```
//! Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.

mod headers;

use std::collections::HashMap;

pub use headers::find_end;

use crate::model::{Oddity, Progress, ReadError};
use crate::raw::{ByteCursor, ByteSource, limits};
use headers::{Local, central, is_zip64, local, next_signature};

/// One member as the directory and its own header describe it.
#[derive(Debug, Clone)]
pub struct Record {
    /// Name in the directory; what is not UTF-8 is replaced.
    pub name: String,
    /// 0: stored; 8: deflated.
    pub method: u16,
    /// General purpose flags of the directory.
    pub flags: u16,
    /// CRC-32 that the directory claims.
    pub crc32: u32,
    /// Bytes in the archive.
    pub compressed: u64,
    /// Bytes once inflated.
    pub size: u64,
    /// Where its local header stands in the source.
    pub header: u64,
    /// Where its data begins; `None` where there is no local header.
    pub data: Option<u64>,
    /// Whether it is a symbolic link, by the Unix mode of its directory entry.
    pub is_link: bool,
}

/// All records.
#[derive(Debug, Default)]
pub struct Records {
    /// Members in directory order, or, without a directory, in file order.
    pub members: Vec<Record>,
    /// What does not agree: kind, member, offset, a sentence.
    pub oddities: Vec<(Oddity, String, Option<u64>, String)>,
    /// Ranges of the source that belong to no record: start and end.
    pub gaps: Vec<(u64, u64)>,
    /// Bytes before the archive: positions in its records count from behind them.
    shift: u64,
}

const CENTRAL: &[u8] = b"PK\x01\x02";
const WHAT: &str = "a zip record";

/// Bytes of the end record without its comment.
const END_BYTES: u64 = 22;

/// Bytes of a data descriptor at its longest: signature, checksum, two zip64 sizes.
const DESCRIPTOR: u64 = 24;

/// Bytes of a directory.
const DIRECTORY_BYTES: u64 = 1 << 30;

/// Oddities that are kept.
const ODDITIES: usize = 2000;

/// Members larger than this that inflate [`BOMB_RATIO`] times are called bombs: deflate reaches 1032.
const BOMB_BYTES: u64 = 10 << 20;
const BOMB_RATIO: u64 = 200;

impl Records {
    /// Reads the directory and every local header, and compares them. Where there is no directory, the local headers
    /// one after the other.
    pub fn read(source: &ByteSource, progress: &Progress) -> Result<Self, ReadError> {
        let mut records = Self::default();
        let directory = find_end(source).and_then(|end| Some((end, records.directory(source, end)?)));
        if let Some((end, (start, entries))) = directory {
            let shift = records.shift;
            let mut cursor = ByteCursor::new(&entries, start);
            while cursor.remaining() >= 46 {
                progress.advance(0)?;
                let Some(record) = central(&mut cursor, shift) else {
                    records.odd(
                        Oddity::BrokenArchive,
                        "",
                        Some(cursor.offset()),
                        "the directory holds something that is no entry".to_owned(),
                    );
                    break;
                };
                if records.members.len() >= limits::ZIP_ENTRIES {
                    break;
                }
                records.members.push(record);
            }
            records.check_end(source, end);
            records.compare(source, progress)?;
            records.find_gaps(start);
        } else {
            records.odd(
                Oddity::BrokenArchive,
                "",
                None,
                "the archive has no directory at its end; it is cut off or damaged".to_owned(),
            );
            records.walk(source, progress)?;
        }
        records.check_members();
        Ok(records)
    }

    fn odd(&mut self, kind: Oddity, member: &str, offset: Option<u64>, detail: String) {
        if self.oddities.len() < ODDITIES {
            self.oddities.push((kind, member.to_owned(), offset, detail));
        }
    }

    /// The bytes of the directory and where they begin.
    fn directory(&mut self, source: &ByteSource, end: u64) -> Option<(u64, Vec<u8>)> {
        let bytes = source.read_vec(WHAT, end, END_BYTES, END_BYTES).ok()?;
        let mut cursor = ByteCursor::new(&bytes, end);
        cursor.take(WHAT, 12).ok()?;
        let mut size = u64::from(cursor.u32_le(WHAT).ok()?);
        let mut start = u64::from(cursor.u32_le(WHAT).ok()?);
        let mut directory_end = end;
        if size == 0xffff_ffff || start == 0xffff_ffff || is_zip64(source, end) {
            let locator = source.read_vec(WHAT, end.checked_sub(20)?, 20, 20).ok()?;
            let mut cursor = ByteCursor::new(&locator, 0);
            if cursor.take(WHAT, 8).ok()?.starts_with(b"PK\x06\x07") {
                let at = cursor.u64_le(WHAT).ok()?;
                // Bytes before the archive move the record; then it stands right before its locator.
                let moved = end.checked_sub(20 + 56)?;
                let (at, record) = [at, moved].into_iter().find_map(|at| {
                    let record = source.read_vec(WHAT, at, 56, 56).ok()?;
                    record.starts_with(b"PK\x06\x06").then_some((at, record))
                })?;
                let mut cursor = ByteCursor::new(&record, at);
                cursor.take(WHAT, 40).ok()?;
                size = cursor.u64_le(WHAT).ok()?;
                start = cursor.u64_le(WHAT).ok()?;
                directory_end = at;
            }
        }
        let actual = directory_end.checked_sub(size)?;
        if actual != start {
            let at_actual = source.read_up_to(WHAT, actual, 4).ok()?;
            if at_actual == CENTRAL && actual > start {
                self.shift = actual - start;
                let text = format!("{} bytes stand before the archive", self.shift);
                self.odd(Oddity::DataBefore, "", Some(0), text);
                self.gaps.push((0, self.shift));
                start = actual;
            } else {
                let text = format!(
                    "the directory should be at {start} and end at {directory_end}, which does not fit"
                );
                self.odd(Oddity::BrokenArchive, "", Some(end), text);
            }
        }
        let bytes = source.read_vec(WHAT, start, size, DIRECTORY_BYTES).ok()?;
        Some((start, bytes))
    }

    fn check_end(&mut self, source: &ByteSource, end: u64) {
        let comment = source.read_up_to(WHAT, end + 20, 2).unwrap_or_default();
        let comment = comment.first_chunk::<2>().map_or(0, |&len| u64::from(u16::from_le_bytes(len)));
        let after = end + END_BYTES + comment;
        if after < source.len() {
            let text = format!("{} bytes stand behind the archive", source.len() - after);
            self.odd(Oddity::DataAfter, "", Some(after), text);
            self.gaps.push((after, source.len()));
        }
        if comment > 0 {
            self.gaps.push((end + END_BYTES, after.min(source.len())));
        }
    }

    /// Reads every local header and says where it does not agree with the directory.
    fn compare(&mut self, source: &ByteSource, progress: &Progress) -> Result<(), ReadError> {
        for index in 0..self.members.len() {
            progress.advance(0)?;
            let Some(record) = self.members.get(index).cloned() else { break };
            let Some(local) = local(source, record.header) else {
                let text = format!("its header should be at {}, where none is", record.header);
                self.odd(Oddity::BrokenArchive, &record.name, Some(record.header), text);
                continue;
            };
            if let Some(member) = self.members.get_mut(index) {
                member.data = local.data;
            }
            let mut differs = Vec::new();
            if local.name != record.name {
                differs.push(format!("the name {:?}", local.name));
            }
            if local.method != record.method {
                differs.push(format!("the method {}, the directory {}", local.method, record.method));
            }
            // Flags that say whether and how the bytes are encrypted.
            if (local.flags ^ record.flags) & 0x2041 != 0 {
                differs.push(format!("the flags {:#x}, the directory {:#x}", local.flags, record.flags));
            }
            // With flag 3 the sizes stand behind the data; zip64 has them in the extra field.
            let told = local.flags & 8 == 0;
            for (what, own, listed) in [
                ("size", local.size, record.size),
                ("compressed size", local.compressed, record.compressed),
                ("checksum", u64::from(local.crc32), u64::from(record.crc32)),
            ] {
                let absent = own == 0xffff_ffff || (!told && own == 0);
                if own != listed && !absent {
                    differs.push(format!("the {what} {own}, the directory {listed}"));
                }
            }
            if !differs.is_empty() {
                let text = format!("its own header has {}", differs.join("; "));
                self.odd(Oddity::ContradictoryHeaders, &record.name, Some(record.header), text);
            }
        }
        Ok(())
    }

    /// What no member and no directory covers. Writers pad within headers, so a gap is someone's work.
    fn find_gaps(&mut self, directory: u64) {
        let mut ranges: Vec<(u64, u64, usize)> = self
            .members
            .iter()
            .enumerate()
            .filter_map(|(index, member)| {
                Some((member.header, member.data?.saturating_add(member.compressed), index))
            })
            .collect();
        ranges.sort_unstable();
        let name =
            |index: usize| self.members.get(index).map(|member| member.name.clone()).unwrap_or_default();
        let mut overlaps = Vec::new();
        let mut gaps = Vec::new();
        let mut position = self.shift;
        let mut last = None;
        for &(start, end, index) in &ranges {
            if let Some(last) = last.filter(|_| start < position) {
                overlaps.push((name(index), start, format!("it shares bytes with {:?}", name(last))));
            }
            if start > position {
                gaps.push((position, start));
            }
            if end > position {
                position = end;
                last = Some(index);
            }
        }
        if position < directory {
            gaps.push((position, directory));
        }
        for (member, at, text) in overlaps {
            self.odd(Oddity::OverlappingMembers, &member, Some(at), text);
        }
        self.gaps.extend(gaps.into_iter().filter(|(start, end)| end - start > DESCRIPTOR));
    }

    fn check_members(&mut self) {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut found = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            let mut odd =
                |kind, text: String| found.push((kind, member.name.clone(), Some(member.header), text));
            if let Some(first) = seen.insert(member.name.clone(), index) {
                odd(
                    Oddity::DuplicateMember,
                    format!(
                        "two members have this name (entries {first} and {index}); which one is loaded depends on the program"
                    ),
                );
            }
            if escapes(&member.name) {
                odd(
                    Oddity::EscapingName,
                    "unpacking it by its name would write outside of the folder".to_owned(),
                );
            }
            if member.is_link {
                odd(Oddity::LinkMember, "it is a symbolic link".to_owned());
            }
            if member.flags & 0x41 != 0 {
                odd(
                    Oddity::Encrypted,
                    "it is marked as encrypted, which some programs believe and others ignore".to_owned(),
                );
            }
            if member.size > BOMB_BYTES && member.size / BOMB_RATIO > member.compressed {
                odd(Oddity::Bomb, format!("{} bytes inflate to {}", member.compressed, member.size));
            }
        }
        for (kind, name, at, text) in found {
            self.odd(kind, &name, at, text);
        }
    }

    /// Members by their local headers alone, as far as these tell where they end.
    fn walk(&mut self, source: &ByteSource, progress: &Progress) -> Result<(), ReadError> {
        let mut position = 0;
        while let Some(local) = local(source, position) {
            progress.advance(0)?;
            let Some(data) = local.data else { break };
            // With the size behind the data, the next signature has to be searched.
            let compressed = if local.flags & 8 != 0 && local.compressed == 0 {
                let end = next_signature(source, data);
                end.saturating_sub(data)
            } else {
                local.compressed.min(source.len().saturating_sub(data))
            };
            let Local { name, flags, method, crc32, size, .. } = local;
            let size = if size == 0 { compressed } else { size };
            self.members.push(Record {
                name,
                method,
                flags: flags & !0x41,
                crc32,
                compressed,
                size,
                header: position,
                data: Some(data),
                is_link: false,
            });
            let after = data.saturating_add(compressed);
            position = if local.flags & 8 != 0 { next_signature(source, after) } else { after };
            if self.members.len() >= limits::ZIP_ENTRIES || position <= data && compressed == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Whether unpacking a member under its name may leave the folder.
pub fn escapes(name: &str) -> bool {
    let mut characters = name.chars();
    let drive =
        characters.next().is_some_and(|first| first.is_ascii_alphabetic()) && characters.next() == Some(':');
    name.starts_with(['/', '\\'])
        || drive
        || name.contains('\0')
        || name.split(['/', '\\']).any(|part| part == "..")
}
