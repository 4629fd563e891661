//! LevelDB-style sorted string table, as TensorFlow's `.index` and V1 checkpoint files use it.
//!
//! Gives keys and values in order; knows nothing of what they mean.
//! Source: <https://github.com/google/leveldb/blob/main/doc/table_format.md> and
//! <https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/lib/io/format.cc>.
//!
//! ```text
//! file    := data block* metaindex block, index block, footer
//! footer  := handle(metaindex) handle(index) padding to 40 bytes, magic (8 bytes)
//! handle  := varint(offset) varint(size)
//! block   := entry* restart offsets (u32 each) count (u32) | compression (1 byte) masked crc32c (4 bytes)
//! entry   := varint(shared) varint(unshared) varint(value size) key bytes, value bytes
//! ```

use super::protobuf::varint;
use crate::model::{Problem, ReadError};
use crate::raw::ByteSource;

/// The last 8 bytes of a table, as they stand in the file.
pub const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();

/// Bytes at the end of the file that say where the index is.
const FOOTER_BYTES: u64 = 48;

/// Compression byte and checksum behind every block.
const TRAILER_BYTES: u64 = 5;

/// Bytes of one block in memory. TensorFlow's blocks are 256 KiB, but one value larger than that makes a block of its own.
const BLOCK_BYTES: u64 = 256 << 20;

/// Bytes of one key. TensorFlow variable names stay far below.
const KEY_BYTES: usize = 64 << 10;

/// Bytes of all keys together: prefix compression lets a small file claim any amount.
const ALL_KEY_BYTES: u64 = 256 << 20;

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Handle {
    offset: u64,
    size: u64,
}

/// An opened table: its index is read, its data blocks are not.
#[derive(Debug)]
pub struct Table {
    source: ByteSource,
    blocks: Vec<Handle>,
    problems: Vec<Problem>,
}

/// One entry, as [`Table::visit`] shows it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The whole key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// Where the value begins in the file; `None` in a compressed block.
    pub offset: Option<u64>,
    /// Where the block that holds it begins in the file.
    pub block: u64,
}

/// Whether a file of these last bytes is a table.
pub fn has_magic(tail: &[u8]) -> bool {
    tail.ends_with(&MAGIC)
}

impl Table {
    /// Reads the footer and the index block.
    pub fn open(source: &ByteSource) -> Result<Self, ReadError> {
        let Some(start) = source.len().checked_sub(FOOTER_BYTES) else {
            return Err(ReadError::Truncated {
                what: "the table footer".into(),
                offset: 0,
                needed: FOOTER_BYTES,
                available: source.len(),
            });
        };
        let mut footer = [0u8; FOOTER_BYTES as usize];
        source.read_at("the table footer", start, &mut footer)?;
        let (handles, magic) = footer.split_at(40);
        if magic != MAGIC {
            return Err(ReadError::malformed(
                "the table footer",
                start + 40,
                "its magic number is wrong; the file may be cut off",
            ));
        }
        let mut position = 0;
        handle(handles, &mut position, start)?;
        let index = handle(handles, &mut position, start)?;
        let mut table = Self { source: source.clone(), blocks: Vec::new(), problems: Vec::new() };
        let block = table.read_block(index)?;
        let mut blocks = Vec::new();
        block.visit(&mut |entry| {
            let mut position = 0;
            blocks.push(handle(entry.value, &mut position, index.offset)?);
            Ok(())
        })?;
        // A data block has at least its trailer, so honest handles cannot be more than the file's bytes; and blocks
        // that repeat would make the work quadratic.
        let claimed = blocks.iter().fold(0u64, |sum, block| sum.saturating_add(block.size + TRAILER_BYTES));
        if claimed > source.len() {
            return Err(ReadError::malformed(
                "the table index",
                index.offset,
                format!("its blocks take {claimed} bytes, but the file has {}", source.len()),
            ));
        }
        table.blocks = blocks;
        Ok(table)
    }

    /// Shows every entry in key order. A block that cannot be read becomes a problem; `visitor`'s errors end the walk.
    pub fn visit(
        &mut self,
        visitor: &mut dyn FnMut(Entry<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let mut key_bytes = 0u64;
        for handle in std::mem::take(&mut self.blocks) {
            let mut refused = None;
            let outcome = self.read_block(handle).and_then(|block| {
                block.visit(&mut |entry| {
                    key_bytes += entry.key.len() as u64;
                    if key_bytes > ALL_KEY_BYTES {
                        let error = ReadError::OverLimit {
                            what: "the size of all keys of the table".into(),
                            value: key_bytes,
                            limit: ALL_KEY_BYTES,
                        };
                        refused = Some(error);
                        return Err(ReadError::Cancelled);
                    }
                    visitor(entry).map_err(|error| {
                        refused = Some(error);
                        ReadError::Cancelled
                    })
                })
            });
            self.blocks.push(handle);
            if let Some(error) = refused {
                return Err(error);
            }
            if let Err(error) = outcome {
                let message = format!("a block of the table could not be read: {error}");
                self.problems.push(Problem::error("table-block", message).at(handle.offset));
            }
        }
        Ok(())
    }

    /// What was found wrong so far: blocks that fail their checksum or cannot be read.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The value of the first entry of the block at `block` that has this key.
    pub fn find_in_block(&mut self, block: u64, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(&handle) = self.blocks.iter().find(|handle| handle.offset == block) else {
            return Ok(None);
        };
        let mut found = None;
        self.read_block(handle)?.visit(&mut |entry| {
            if entry.key == key && found.is_none() {
                found = Some(entry.value.to_vec());
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn read_block(&mut self, handle: Handle) -> Result<Block, ReadError> {
        let with_trailer = handle
            .size
            .checked_add(TRAILER_BYTES)
            .ok_or_else(|| ReadError::malformed("a table block", handle.offset, "its size overflows"))?;
        let mut bytes = self.source.read_vec(
            "a table block",
            handle.offset,
            with_trailer,
            BLOCK_BYTES + TRAILER_BYTES,
        )?;
        let checked = bytes.len() - 4;
        let mut stored = [0; 4];
        stored.copy_from_slice(bytes.get(checked..).unwrap_or_default());
        if masked(crc32c::crc32c(bytes.get(..checked).unwrap_or_default())) != u32::from_le_bytes(stored)
            && self.problems.len() < 100
        {
            self.problems.push(
                Problem::warning(
                    "checksum",
                    "a block of the index fails its checksum; what it says may be wrong",
                )
                .at(handle.offset),
            );
        }
        let compression = bytes.get(checked - 1).copied().unwrap_or_default();
        bytes.truncate(checked - 1);
        match compression {
            0 => Ok(Block { bytes, handle, compressed: false }),
            1 => {
                let bytes = inflate(&bytes, handle.offset)?;
                Ok(Block { bytes, handle, compressed: true })
            }
            other => Err(ReadError::malformed(
                "a table block",
                handle.offset,
                format!("compression type {other} is not known"),
            )),
        }
    }
}

/// The checksum as it is stored. Source: leveldb `util/crc32c.h`, `Mask`.
pub fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn inflate(bytes: &[u8], offset: u64) -> Result<Vec<u8>, ReadError> {
    let broken = |error: snap::Error| {
        ReadError::malformed("a table block", offset, format!("snappy cannot unpack it: {error}"))
    };
    let len = snap::raw::decompress_len(bytes).map_err(broken)? as u64;
    // The densest snappy element turns 3 bytes into 64; a block that claims more lies, and would cost its claim in memory.
    let limit = BLOCK_BYTES.min(bytes.len() as u64 * 22 + 64);
    if len > limit {
        return Err(ReadError::OverLimit {
            what: "the size of an unpacked table block".into(),
            value: len,
            limit,
        });
    }
    snap::raw::Decoder::new().decompress_vec(bytes).map_err(broken)
}

fn handle(bytes: &[u8], position: &mut usize, base: u64) -> Result<Handle, ReadError> {
    let offset = varint(bytes, position, base)?;
    let size = varint(bytes, position, base)?;
    offset
        .checked_add(size)
        .and_then(|end| end.checked_add(TRAILER_BYTES))
        .map(|_| Handle { offset, size })
        .ok_or_else(|| ReadError::malformed("a table block handle", base, "offset and size overflow"))
}

struct Block {
    bytes: Vec<u8>,
    handle: Handle,
    compressed: bool,
}

impl Block {
    fn visit(&self, visitor: &mut dyn FnMut(Entry<'_>) -> Result<(), ReadError>) -> Result<(), ReadError> {
        let base = self.handle.offset;
        let malformed =
            |reason: &'static str, at: usize| ReadError::malformed("a table block", base + at as u64, reason);
        let count = self
            .bytes
            .last_chunk::<4>()
            .map(|bytes| u32::from_le_bytes(*bytes) as usize)
            .ok_or_else(|| malformed("it is too short", 0))?;
        let end = count
            .checked_mul(4)
            .and_then(|bytes| self.bytes.len().checked_sub(bytes + 4))
            .ok_or_else(|| malformed("it claims more restart points than it can hold", 0))?;
        let entries = self.bytes.get(..end).unwrap_or_default();
        let mut key: Vec<u8> = Vec::new();
        let mut position = 0;
        while position < entries.len() {
            let start = position;
            let shared = varint(entries, &mut position, base)?;
            let unshared = varint(entries, &mut position, base)?;
            let value_len = varint(entries, &mut position, base)?;
            if shared > key.len() as u64 {
                return Err(malformed("a key shares more bytes than the key before it has", start));
            }
            if shared.saturating_add(unshared) > KEY_BYTES as u64 {
                return Err(ReadError::OverLimit {
                    what: "the length of a key of the table".into(),
                    value: shared.saturating_add(unshared),
                    limit: KEY_BYTES as u64,
                });
            }
            let key_end = position + unshared as usize;
            let suffix =
                entries.get(position..key_end).ok_or_else(|| malformed("a key passes its end", start))?;
            key.truncate(shared as usize);
            key.extend_from_slice(suffix);
            let value_end = usize::try_from(value_len).ok().and_then(|len| key_end.checked_add(len));
            let value = value_end
                .and_then(|value_end| entries.get(key_end..value_end))
                .ok_or_else(|| malformed("a value passes its end", start))?;
            position = key_end + value.len();
            let offset = (!self.compressed).then_some(base + key_end as u64);
            visitor(Entry { key: &key, value, offset, block: base })?;
        }
        Ok(())
    }
}

/// Tables built byte by byte, for the tests of whoever reads them.
#[cfg(test)]
pub mod testing {
    use super::{MAGIC, masked};

    /// Appends a base-128 number.
    pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    fn put_block(file: &mut Vec<u8>, mut body: Vec<u8>, compression: u8) -> (u64, u64) {
        let at = (file.len() as u64, body.len() as u64);
        body.push(compression);
        let crc = masked(crc32c::crc32c(&body));
        file.extend(body);
        file.extend(crc.to_le_bytes());
        at
    }

    /// A block body of these entries, with prefixes shared.
    pub fn block(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        let mut previous: &[u8] = b"";
        for (key, value) in entries {
            let shared = key.iter().zip(previous).take_while(|(a, b)| a == b).count();
            put_varint(&mut body, shared as u64);
            put_varint(&mut body, (key.len() - shared) as u64);
            put_varint(&mut body, value.len() as u64);
            body.extend(&key[shared..]);
            body.extend(*value);
            previous = key;
        }
        body.extend(0u32.to_le_bytes());
        body.extend(1u32.to_le_bytes());
        body
    }

    /// A whole table of one data block.
    pub fn table(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
        table_of(block(entries), 0)
    }

    /// A whole table whose data block has this body and compression type.
    pub fn table_of(body: Vec<u8>, compression: u8) -> Vec<u8> {
        let mut file = Vec::new();
        let data = put_block(&mut file, body, compression);
        let meta = put_block(&mut file, block(&[]), 0);
        let mut data_handle = Vec::new();
        put_varint(&mut data_handle, data.0);
        put_varint(&mut data_handle, data.1);
        let index = put_block(&mut file, block(&[(b"\xff", &data_handle)]), 0);
        let mut footer = Vec::new();
        for (offset, size) in [meta, index] {
            put_varint(&mut footer, offset);
            put_varint(&mut footer, size);
        }
        footer.resize(40, 0);
        file.extend(footer);
        file.extend(MAGIC);
        file
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{block, table, table_of};
    use super::*;

    type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

    fn entries(bytes: Vec<u8>) -> Result<(Pairs, Vec<Problem>), ReadError> {
        let mut table = Table::open(&ByteSource::from_vec(bytes))?;
        let mut found = Vec::new();
        table.visit(&mut |entry| {
            found.push((entry.key.to_vec(), entry.value.to_vec()));
            Ok(())
        })?;
        Ok((found, table.problems().to_vec()))
    }

    const TWO: [(&[u8], &[u8]); 2] = [(b"layer/bias", b"1"), (b"layer/kernel", b"22")];

    #[test]
    fn keys_that_share_a_prefix_are_restored() {
        let (found, problems) = entries(table(&TWO)).expect("legal");
        assert_eq!(found, TWO.map(|(key, value)| (key.to_vec(), value.to_vec())));
        assert!(problems.is_empty());
    }

    #[test]
    fn a_snappy_block_reads_like_a_plain_one() {
        let packed = snap::raw::Encoder::new().compress_vec(&block(&TWO)).expect("fits");
        assert_eq!(entries(table_of(packed, 1)).expect("legal").0.len(), 2);
    }

    #[test]
    fn a_block_that_fails_its_checksum_is_read_with_a_warning() {
        let mut bytes = table(&TWO);
        bytes[14] ^= 1;
        let (found, problems) = entries(bytes).expect("legal");
        assert_eq!((found.len(), problems[0].code), (2, "checksum"));
    }

    #[test]
    fn an_unknown_compression_and_a_lying_prefix_cost_their_block() {
        assert_eq!(entries(table_of(block(&TWO), 7)).expect("opens").1[0].code, "table-block");
        let mut body = block(&TWO);
        body[0] = 200;
        assert_eq!(entries(table_of(body, 0)).expect("opens").1.last().map(|p| p.code), Some("table-block"));
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_an_answer() {
        let whole = table(&TWO);
        for len in 0..whole.len() {
            assert!(entries(whole[..len].to_vec()).is_err());
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                let _ = entries(bytes);
            }
        }
    }

    #[test]
    fn a_block_that_unpacks_to_more_than_it_can_is_refused() {
        let mut bomb = Vec::new();
        testing::put_varint(&mut bomb, 1 << 31);
        bomb.extend([0; 16]);
        assert!(matches!(inflate(&bomb, 0), Err(ReadError::OverLimit { .. })));
    }
}
