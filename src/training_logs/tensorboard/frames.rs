//! All checksums of a `TFRecord` file, for whoever asks whether it is whole: nothing in a record is looked at.
//!
//! Unlike `records`, which reads a log for its curves, records of any size are read, in pieces.

use super::records::{checksum, little, starts_like_one};
use crate::formats::containers::sstable::masked;
use crate::model::{Progress, ReadError};
use crate::raw::{ByteSource, limits};

/// What was found out.
#[derive(Debug, Default)]
pub struct Frames {
    /// Records whose both checksums hold.
    pub records: u64,
    /// Checksums that were compared.
    pub checksums: u64,
    /// Bytes in these records, without lengths and checksums.
    pub bytes: u64,
    /// What is wrong, as sentences, at most [`KEPT`] of them.
    pub damage: Vec<String>,
    /// Damage beyond those.
    pub more: u64,
}

/// Sentences that are kept: a file can hold a wrong checksum every 16 bytes.
pub const KEPT: usize = 1000;

/// Length and its checksum; the checksum behind the data.
const HEADER: u64 = 12;
const FOOTER: u64 = 4;

const WHAT: &str = "a record";

/// Compares every checksum. `None` where the bytes do not begin like a file of records.
///
/// Behind a length that does not have its checksum nothing can be found again, so what follows is damage as a whole.
pub fn check(source: &ByteSource, progress: &Progress) -> Result<Option<Frames>, ReadError> {
    if !starts_like_one(&source.read_up_to(WHAT, 0, HEADER)?) {
        return Ok(None);
    }
    let mut found = Frames::default();
    let mut at = 0;
    while at < source.len() {
        let left = source.len() - at;
        let header = source.read_up_to(WHAT, at, HEADER)?;
        let Some((length_bytes, crc)) = header.split_first_chunk::<8>().filter(|_| left >= HEADER) else {
            found.add(format!("the record at {at} is cut off: {left} bytes are there"));
            break;
        };
        found.checksums += 1;
        if Some(checksum(length_bytes)) != little(crc) {
            found.add(format!(
                "the length of the record at {at} does not have its checksum; {left} bytes were not checked"
            ));
            break;
        }
        let length = u64::from_le_bytes(*length_bytes);
        if length.checked_add(FOOTER).is_none_or(|needed| needed > left - HEADER) {
            found.add(format!(
                "the record at {at} needs {length} bytes and is cut off: {} are there",
                left - HEADER
            ));
            break;
        }
        let mut sum = 0;
        let (mut position, end) = (at + HEADER, at + HEADER + length);
        while position < end {
            let piece =
                source.read_up_to(WHAT, position, (end - position).min(limits::CHUNK_BYTES as u64))?;
            progress.advance(piece.len() as u64)?;
            sum = crc32c::crc32c_append(sum, &piece);
            position += piece.len() as u64;
        }
        found.checksums += 1;
        if Some(masked(sum)) == little(&source.read_up_to(WHAT, end, FOOTER)?) {
            found.records += 1;
            found.bytes += length;
        } else {
            found.add(format!("the checksum of the record at {at} ({length} bytes) does not hold"));
        }
        at = end + FOOTER;
    }
    Ok(Some(found))
}

impl Frames {
    fn add(&mut self, damage: String) {
        if self.damage.len() < KEPT {
            self.damage.push(damage);
        } else {
            self.more += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(data: &[u8]) -> Vec<u8> {
        let length = (data.len() as u64).to_le_bytes();
        let sums = [checksum(&length), checksum(data)].map(u32::to_le_bytes);
        [&length[..], &sums[0], data, &sums[1]].concat()
    }

    fn check_bytes(bytes: Vec<u8>) -> Frames {
        check(&ByteSource::from_vec(bytes), &Progress::new()).unwrap().unwrap()
    }

    #[test]
    fn every_flipped_bit_of_a_file_of_records_is_found() {
        let good = [record(b"first"), record(b""), record(b"the third one")].concat();
        let found = check_bytes(good.clone());
        assert_eq!((found.records, found.checksums, found.bytes), (3, 6, 18));
        assert_eq!(found.damage, Vec::<String>::new());
        // In the first record's header, the file is no longer taken for one of records.
        for bit in HEADER as usize * 8..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!check_bytes(bytes).damage.is_empty(), "bit {bit}");
        }
    }

    #[test]
    fn a_file_that_ends_within_a_record_is_damaged() {
        let good = [record(b"first"), record(b"second")].concat();
        for len in HEADER as usize..good.len() {
            let is_whole = len == record(b"first").len();
            assert_eq!(check_bytes(good[..len].to_vec()).damage.is_empty(), is_whole, "{len} bytes");
        }
    }
}
