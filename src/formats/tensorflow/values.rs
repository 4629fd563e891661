//! Values of TensorFlow tensors: plain ranges, strings, and variables saved in pieces.
//!
//! Everything is delivered in pieces with bounded memory. Where the tensors lie was found out by `bundle`.

use std::ops::ControlFlow;

use crate::model::{Dtype, Progress, ReadError, TensorId, TensorReader};
use crate::raw::pieces::{Piece, Stream, Whole, read_pieces};
use crate::raw::{ByteSource, Strided, limits, read_strided};

use super::types::swap_unit;
use crate::formats::containers::sstable::masked;
use crate::formats::places::Places;
use crate::model::Shape;

/// Where the values of one tensor are.
#[derive(Debug, Clone)]
pub enum Location {
    /// Elements one after the other.
    Plain {
        /// Exactly the bytes of the tensor.
        source: ByteSource,
        /// Type of the elements.
        dtype: Dtype,
        /// Dimensions.
        shape: Shape,
        /// Whether elements are big-endian.
        big_endian: bool,
        /// Masked checksum of the bytes; `None` when it was not written.
        crc: Option<u32>,
    },
    /// Lengths, their checksum, then all bytes.
    Strings {
        /// Exactly the bytes of the tensor.
        source: ByteSource,
        /// How many strings.
        elements: u64,
        /// Masked checksum of lengths and strings; `None` when it was not written.
        crc: Option<u32>,
    },
    /// Pieces that together make the tensor.
    Pieces {
        /// Type of the elements.
        dtype: Dtype,
        /// Dimensions of the whole.
        shape: Shape,
        /// Whether elements are big-endian.
        big_endian: bool,
        /// In no significant order.
        pieces: Vec<Piece>,
        /// Masked checksums of the pieces, in their order; as many as were written.
        crcs: Vec<Option<u32>>,
    },
    /// Bytes in memory, little-endian, whose elements repeat as needed (graph constants).
    Memory(Vec<u8>),
    /// Entries of a V1 checkpoint, whose blocks must be unpacked to read them.
    TableEntries {
        /// The pieces of the variable; often one.
        entries: Vec<super::v1::Entry>,
        /// Type of the elements.
        dtype: Dtype,
        /// Dimensions of the whole.
        shape: Shape,
    },
    /// Not readable; the text says why.
    Unreadable(String),
}

/// Reads values by [`Location`].
pub struct Reader {
    /// Per tensor, in catalogue order.
    pub locations: Places<Location>,
}

impl TensorReader for Reader {
    fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.locations.get(id)?.read(progress, sink)
    }
}

impl Location {
    /// Passes all elements to `sink`; see [`TensorReader::read_chunks`]. Strings are delivered as their bytes,
    /// each followed by a zero byte. A checksum that fails is an error after the last element.
    pub fn read(
        &self,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        match self {
            Self::Plain { source, dtype, shape, big_endian, crc } => {
                let array = Strided {
                    source: source.clone(),
                    offset: 0,
                    shape: shape.clone(),
                    strides: None,
                    item_bytes: dtype.bits() / 8,
                    swap_unit: if *big_endian { swap_unit(dtype) } else { 1 },
                };
                let mut sum = 0;
                let mut ended = false;
                read_strided(&array, progress, &mut |bytes| {
                    sum = crc32c::crc32c_append(sum, bytes);
                    let flow = sink(bytes);
                    ended = flow.is_break();
                    flow
                })?;
                match crc {
                    Some(_) if ended => Ok(()),
                    // The checksum is over the bytes as stored, which big-endian reading has changed.
                    Some(expected) if *big_endian => check(sum_of(source)?, *expected, source),
                    Some(expected) => check(sum, *expected, source),
                    None => Ok(()),
                }
            }
            Self::Strings { source, elements, crc } => {
                read_strings(source, *elements, progress, sink)?;
                match crc {
                    Some(expected) => check(string_sum(source, *elements)?, *expected, source),
                    None => Ok(()),
                }
            }
            Self::Pieces { dtype, shape, big_endian, pieces, crcs } => {
                let whole = Whole {
                    shape,
                    item_bytes: dtype.bits() / 8,
                    swap_unit: if *big_endian { swap_unit(dtype) } else { 1 },
                };
                let mut ended = false;
                read_pieces(&whole, pieces, progress, &mut |bytes| {
                    let flow = sink(bytes);
                    ended = flow.is_break();
                    flow
                })?;
                // Pieces are not read in the order of their bytes, so their checksums take a second look.
                for (piece, crc) in pieces.iter().zip(crcs).filter(|_| !ended) {
                    if let Some(expected) = crc {
                        check(sum_of(&piece.source)?, *expected, &piece.source)?;
                    }
                }
                Ok(())
            }
            Self::Memory(bytes) => {
                for piece in bytes.chunks(limits::CHUNK_BYTES) {
                    progress.advance(piece.len() as u64)?;
                    if sink(piece).is_break() {
                        break;
                    }
                }
                Ok(())
            }
            // What it unpacks to is never an entry of a table again.
            Self::TableEntries { entries, dtype, shape } => {
                super::v1::unpack(entries, dtype, shape)?.read(progress, sink)
            }
            Self::Unreadable(reason) => Err(ReadError::unsupported(reason.clone())),
        }
    }

    /// All strings, where there are at most `count` of `bytes` together; `None` for more or for other types.
    pub fn short_strings(&self, count: u64, bytes: u64) -> Option<Vec<Vec<u8>>> {
        let Self::Strings { source, elements, .. } = self else { return None };
        if *elements > count || source.len() > bytes {
            return None;
        }
        strings(source, *elements).ok()
    }
}

fn check(sum: u32, expected: u32, source: &ByteSource) -> Result<(), ReadError> {
    if masked(sum) == expected {
        return Ok(());
    }
    Err(ReadError::malformed(
        "the tensor's data",
        source.file_offset(),
        "it fails its checksum, so some values are not what was saved",
    ))
}

/// The checksum of all bytes, as they are stored.
fn sum_of(source: &ByteSource) -> Result<u32, ReadError> {
    sum_from(source, 0, 0)
}

/// The checksum `sum`, carried on over the bytes from `position` to the end.
fn sum_from(source: &ByteSource, mut position: u64, mut sum: u32) -> Result<u32, ReadError> {
    while position < source.len() {
        let bytes = source.read_up_to("tensor data", position, limits::CHUNK_BYTES as u64)?;
        sum = crc32c::crc32c_append(sum, &bytes);
        position += bytes.len() as u64;
    }
    Ok(sum)
}

/// The checksum of a string tensor: over the lengths as fixed-size numbers, then over what follows them in the file.
/// Source: `WriteStringTensor`, as for [`string_bytes_start`].
fn string_sum(source: &ByteSource, elements: u64) -> Result<u32, ReadError> {
    let mut lengths = Stream::new(source, 0);
    let mut sum = 0;
    for _ in 0..elements {
        let length = varint(&mut lengths)?;
        sum = match u32::try_from(length) {
            Ok(short) => crc32c::crc32c_append(sum, &short.to_le_bytes()),
            Err(_) => crc32c::crc32c_append(sum, &length.to_le_bytes()),
        };
    }
    sum_from(source, lengths.position(), sum)
}

fn varint(stream: &mut Stream<'_>) -> Result<u64, ReadError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        stream.fill(&mut byte)?;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok(value);
        }
    }
    Err(ReadError::malformed("a string's length", stream.position(), "it is longer than ten bytes"))
}

/// Where the bytes of the strings begin, after checking that the lengths add up to what is there.
///
/// Layout: a varint per string, 4 bytes of checksum, all bytes.
/// Source: `tensorflow/core/util/tensor_bundle/tensor_bundle.cc`, `WriteStringTensor`.
fn string_bytes_start(source: &ByteSource, elements: u64) -> Result<u64, ReadError> {
    if elements > source.len() {
        return Err(ReadError::Truncated {
            what: "the lengths of a string tensor".into(),
            offset: 0,
            needed: elements,
            available: source.len(),
        });
    }
    let mut lengths = Stream::new(source, 0);
    let mut total = 0u64;
    for _ in 0..elements {
        total = total.saturating_add(varint(&mut lengths)?);
    }
    let start = lengths.position() + 4;
    source.check("the strings of a tensor", start, total)?;
    Ok(start)
}

fn read_strings(
    source: &ByteSource,
    elements: u64,
    progress: &Progress,
    sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let mut bytes = Stream::new(source, string_bytes_start(source, elements)?);
    let mut lengths = Stream::new(source, 0);
    let mut buffer = Vec::new();
    for index in 0..elements {
        let mut left = varint(&mut lengths)?;
        while left > 0 {
            let take = left.min((limits::CHUNK_BYTES - buffer.len()) as u64) as usize;
            let from = buffer.len();
            buffer.resize(from + take, 0);
            bytes.fill(buffer.get_mut(from..).unwrap_or_default())?;
            left -= take as u64;
            if buffer.len() >= limits::CHUNK_BYTES {
                progress.advance(buffer.len() as u64)?;
                if sink(&buffer).is_break() {
                    return Ok(());
                }
                buffer.clear();
            }
        }
        buffer.push(0);
        if buffer.len() >= limits::CHUNK_BYTES || index + 1 == elements {
            progress.advance(buffer.len() as u64)?;
            if sink(&buffer).is_break() {
                return Ok(());
            }
            buffer.clear();
        }
    }
    Ok(())
}

/// All strings of a tensor; the caller has bounded their number and size.
pub fn strings(source: &ByteSource, elements: u64) -> Result<Vec<Vec<u8>>, ReadError> {
    let mut bytes = Stream::new(source, string_bytes_start(source, elements)?);
    let mut lengths = Stream::new(source, 0);
    let mut all = Vec::new();
    for _ in 0..elements {
        // `string_bytes_start` has checked the sum of the lengths against the bytes that are there.
        let mut text = vec![0; varint(&mut lengths)? as usize];
        bytes.fill(&mut text)?;
        all.push(text);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(location: &Location) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        location.read(&Progress::new(), &mut |piece| {
            bytes.extend_from_slice(piece);
            ControlFlow::Continue(())
        })?;
        Ok(bytes)
    }

    #[test]
    fn strings_are_read_behind_their_lengths() {
        let source = ByteSource::from_vec(b"\x02\x00\x03CRC!hiyou".to_vec());
        assert_eq!(strings(&source, 3).expect("legal"), [&b"hi"[..], b"", b"you"]);
        assert_eq!(
            all(&Location::Strings { source: source.clone(), elements: 3, crc: None }).expect("legal"),
            b"hi\0\0you\0"
        );
        assert!(strings(&source, 4).is_err());
        assert!(strings(&source, u64::MAX).is_err());
    }

    #[test]
    fn a_failed_checksum_is_reported_after_the_values() {
        let location = |crc| Location::Plain {
            source: ByteSource::from_vec(vec![1, 2]),
            dtype: Dtype::Uint8,
            shape: Shape::new([2]),
            big_endian: false,
            crc: Some(crc),
        };
        assert_eq!(all(&location(masked(crc32c::crc32c(&[1, 2])))).expect("right"), [1, 2]);
        assert!(all(&location(5)).is_err());
    }
}
