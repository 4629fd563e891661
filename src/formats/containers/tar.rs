//! Tar archives: where each member stands. Knows the old header, ustar, and the long names of GNU and pax.
//!
//! Source: POSIX.1-2017 `pax`, section "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".

use crate::model::{Progress, ReadError};
use crate::raw::ByteSource;

/// Bytes of a header, and the unit in which members are stored.
const BLOCK: u64 = 512;

/// Members that are looked at. The archives of interest here have four.
const ENTRIES: usize = 100_000;

/// Bytes of a long name or of a pax record.
const NAME_BYTES: u64 = 64 << 10;

/// One regular file of the archive.
#[derive(Debug, Clone)]
pub struct TarEntry {
    /// Name, without a leading `./`.
    pub name: String,
    /// Where its data begins.
    pub offset: u64,
    /// Bytes of its data.
    pub size: u64,
}

/// Whether the bytes begin with a tar header; gives the name of the first member.
pub fn first_name(head: &[u8]) -> Option<String> {
    let header = head.first_chunk::<{ BLOCK as usize }>()?;
    is_header(header).then(|| name_of(header))
}

/// All regular files, in order. Stops at the end mark; fails on what is not a header.
pub fn entries(source: &ByteSource, progress: &Progress) -> Result<Vec<TarEntry>, ReadError> {
    let mut found = Vec::new();
    let mut position = 0;
    let mut long_name = None;
    while position + BLOCK <= source.len() && found.len() < ENTRIES {
        progress.advance(0)?;
        let mut header = [0; BLOCK as usize];
        source.read_at("a tar header", position, &mut header)?;
        if header.iter().all(|&byte| byte == 0) {
            break;
        }
        if !is_header(&header) {
            return Err(ReadError::malformed("a tar header", position, "its checksum is wrong"));
        }
        let size = number(field(&header, 124, 12))
            .ok_or_else(|| ReadError::malformed("a tar header", position, "its size is not a number"))?;
        let offset = position + BLOCK;
        let kind = header[156];
        match kind {
            b'L' | b'x' if size <= NAME_BYTES => {
                let data = source.read_vec("a long name in a tar archive", offset, size, NAME_BYTES)?;
                long_name = if kind == b'L' { Some(text(&data)) } else { pax_path(&data).or(long_name) };
            }
            b'0' | 0 | b'7' => {
                let name = long_name.take().unwrap_or_else(|| name_of(&header));
                let name = name.trim_start_matches("./").to_owned();
                found.push(TarEntry { name, offset, size });
            }
            _ => long_name = None,
        }
        let padded = size.div_ceil(BLOCK).checked_mul(BLOCK);
        position = padded.and_then(|padded| offset.checked_add(padded)).ok_or_else(|| {
            ReadError::malformed("a tar header", position, format!("a size of {size} overflows"))
        })?;
    }
    Ok(found)
}

/// Whether the checksum is that of the header with its own field as spaces.
fn is_header(header: &[u8; BLOCK as usize]) -> bool {
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(index, &byte)| if (148..156).contains(&index) { 32 } else { u64::from(byte) })
        .sum();
    number(field(header, 148, 8)) == Some(sum)
}

fn name_of(header: &[u8; BLOCK as usize]) -> String {
    let name = text(field(header, 0, 100));
    let prefix = text(field(header, 345, 155));
    let is_ustar = field(header, 257, 8) == b"ustar\x0000";
    if is_ustar && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

fn field(header: &[u8; BLOCK as usize], from: usize, len: usize) -> &[u8] {
    header.get(from..from + len).unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// Octal digits, or GNU's big-endian number after a first byte of 0x80.
fn number(bytes: &[u8]) -> Option<u64> {
    if let Some((&0x80, rest)) = bytes.split_first() {
        return rest
            .iter()
            .try_fold(0u64, |sum, &byte| sum.checked_mul(256).map(|sum| sum + u64::from(byte)));
    }
    let digits = text(bytes);
    u64::from_str_radix(digits.trim(), 8).ok()
}

/// The `path` of a pax record: lines of `<length> <key>=<value>`.
fn pax_path(data: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(data);
    text.lines()
        .filter_map(|line| line.split_once(' ')?.1.split_once('='))
        .find(|(key, _)| *key == "path")
        .map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(name: &[u8], size: &[u8], kind: u8) -> Vec<u8> {
        let mut header = vec![0; BLOCK as usize];
        header[..name.len()].copy_from_slice(name);
        header[124..124 + size.len()].copy_from_slice(size);
        header[156] = kind;
        header[148..156].fill(b' ');
        let sum: u64 = header.iter().map(|&byte| u64::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        header
    }

    fn padded(data: &[u8]) -> Vec<u8> {
        let mut bytes = data.to_vec();
        bytes.resize(data.len().div_ceil(512) * 512, 0);
        bytes
    }

    fn listed(bytes: Vec<u8>) -> Result<Vec<(String, u64, u64)>, ReadError> {
        let found = entries(&ByteSource::from_vec(bytes), &Progress::new())?;
        Ok(found.into_iter().map(|entry| (entry.name, entry.offset, entry.size)).collect())
    }

    #[test]
    fn members_stand_behind_their_headers_under_short_and_long_names() {
        // Sizes are octal.
        let bytes = [
            block(b"./first", b"5", b'0'),
            padded(b"hello"),
            block(b"././@LongLink", b"14", b'L'),
            padded(b"a longer one"),
            block(b"a longer", b"0", b'0'),
            block(b"pax", b"21", b'x'),
            padded(b"17 path=the third"),
            block(b"the", b"1", 0),
            padded(b"!"),
            vec![0; 1024],
        ]
        .concat();
        let expected = [("first", 512, 5), ("a longer one", 2560, 0), ("the third", 4096, 1)];
        let found = listed(bytes).expect("an archive");
        assert_eq!(found, expected.map(|(name, offset, size)| (name.to_owned(), offset, size)));
    }

    #[test]
    fn a_damaged_header_and_an_endless_size_are_errors() {
        let mut damaged = block(b"name", b"0", b'0');
        damaged[0] ^= 1;
        assert!(listed(damaged).is_err());
        let endless = [&[0x80, 0, 0, 0][..], &[0xff; 8]].concat();
        assert!(listed(block(b"name", &endless, b'0')).is_err());
    }
}
