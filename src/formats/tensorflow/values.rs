//! Values of TensorFlow tensors: plain ranges, strings, and variables saved in pieces.
//!
//! Everything is delivered in pieces with bounded memory. Where the tensors lie was found out by `bundle`.

use std::ops::ControlFlow;

use crate::model::{Dtype, Progress, ReadError, TensorId, TensorReader};
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
    },
    /// Bytes in memory, little-endian, whose elements repeat as needed (graph constants).
    Memory(Vec<u8>),
    /// An entry of a V1 checkpoint, whose block must be unpacked to read it.
    TableEntry {
        /// The whole table.
        source: ByteSource,
        /// Where its block begins.
        block: u64,
        /// Its key there.
        key: Vec<u8>,
        /// Type of the elements.
        dtype: Dtype,
        /// Dimensions.
        shape: Shape,
    },
    /// Not readable; the text says why.
    Unreadable(String),
}

/// One piece of a partitioned variable.
#[derive(Debug, Clone)]
pub struct Piece {
    /// First index per dimension.
    pub start: Vec<u64>,
    /// Indices per dimension.
    pub length: Vec<u64>,
    /// Exactly its bytes, row-major.
    pub source: ByteSource,
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
                source.check_unchanged()?;
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
                // The checksum is over the bytes as stored, which big-endian reading has changed.
                match crc {
                    Some(expected) if !ended && !big_endian && masked(sum) != *expected => {
                        Err(ReadError::malformed(
                            "the tensor's data",
                            source.file_offset(),
                            "it fails its checksum, so some values are not what was saved",
                        ))
                    }
                    _ => Ok(()),
                }
            }
            Self::Strings { source, elements } => read_strings(source, *elements, progress, sink),
            Self::Pieces { dtype, shape, big_endian, pieces } => {
                read_pieces(dtype, shape, *big_endian, pieces, progress, sink)
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
            Self::TableEntry { source, block, key, dtype, shape } => {
                super::v1::unpack(source, *block, key, dtype, shape)?.read(progress, sink)
            }
            Self::Unreadable(reason) => Err(ReadError::unsupported(reason.clone())),
        }
    }

    /// All strings, where there are at most `count` of `bytes` together; `None` for more or for other types.
    pub fn short_strings(&self, count: u64, bytes: u64) -> Option<Vec<Vec<u8>>> {
        let Self::Strings { source, elements } = self else { return None };
        if *elements > count || source.len() > bytes {
            return None;
        }
        strings(source, *elements).ok()
    }
}

/// A reading position with a buffer, for bytes that are read in order in small steps.
struct Stream<'a> {
    source: &'a ByteSource,
    position: u64,
    buffer: Vec<u8>,
    start: u64,
}

impl<'a> Stream<'a> {
    const BUFFER: u64 = 64 << 10;

    fn new(source: &'a ByteSource, position: u64) -> Self {
        Self { source, position, buffer: Vec::new(), start: 0 }
    }

    fn fill(&mut self, target: &mut [u8]) -> Result<(), ReadError> {
        if target.len() as u64 >= Self::BUFFER {
            self.source.read_at("tensor data", self.position, target)?;
        } else {
            let end = self.position + target.len() as u64;
            if self.position < self.start || end > self.start + self.buffer.len() as u64 {
                self.buffer = self.source.read_up_to("tensor data", self.position, Self::BUFFER)?;
                self.start = self.position;
            }
            let from = (self.position - self.start) as usize;
            let bytes = self.buffer.get(from..from + target.len()).ok_or_else(|| ReadError::Truncated {
                what: "tensor data".into(),
                offset: self.position,
                needed: target.len() as u64,
                available: (self.buffer.len() - from.min(self.buffer.len())) as u64,
            })?;
            target.copy_from_slice(bytes);
        }
        self.position += target.len() as u64;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, ReadError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.fill(&mut byte)?;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(ReadError::malformed("a string's length", self.position, "it is longer than ten bytes"))
    }
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
        total = total.saturating_add(lengths.varint()?);
    }
    let start = lengths.position + 4;
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
        let mut left = lengths.varint()?;
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
        let mut text = vec![0; lengths.varint()? as usize];
        bytes.fill(&mut text)?;
        all.push(text);
    }
    Ok(all)
}

/// A piece as a sequence of runs: stretches that are contiguous both in the piece and in the whole.
struct Runs<'a> {
    stream: Stream<'a>,
    /// Elements of one run.
    run: u64,
    /// Of the dimensions that runs do not cover: indices left to step through.
    index: Vec<u64>,
    outer: Vec<u64>,
    strides: Vec<u64>,
    /// Element of the whole at which the current run begins.
    position: u64,
    /// Elements of the current run already delivered.
    used: u64,
    done: bool,
}

impl<'a> Runs<'a> {
    fn new(piece: &'a Piece, dims: &[u64]) -> Self {
        let mut strides = vec![1u64; dims.len()];
        for axis in (1..dims.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(dims[axis]);
        }
        // Trailing dimensions that the piece holds in full join the one before them into one run.
        let mut axis = dims.len();
        let mut run = 1u64;
        while axis > 0 {
            axis -= 1;
            run = run.saturating_mul(piece.length[axis]);
            if piece.length[axis] != dims[axis] {
                break;
            }
        }
        let position = piece.start.iter().zip(&strides).map(|(start, stride)| start * stride).sum();
        Self {
            stream: Stream::new(&piece.source, 0),
            run,
            index: vec![0; axis],
            outer: piece.length[..axis].to_vec(),
            strides,
            position,
            used: 0,
            done: piece.length.contains(&0),
        }
    }

    /// Copies what falls into `buffer`, which holds the elements `from..to` of the whole; returns how many.
    fn copy(&mut self, from: u64, to: u64, item: u64, buffer: &mut [u8]) -> Result<u64, ReadError> {
        let mut copied = 0;
        while !self.done && self.position + self.used < to {
            let start = self.position + self.used;
            let count = (self.run - self.used).min(to - start);
            let at = ((start - from) * item) as usize;
            let target = buffer.get_mut(at..at + (count * item) as usize).unwrap_or_default();
            self.stream.fill(target)?;
            copied += count;
            self.used += count;
            if self.used == self.run {
                self.used = 0;
                self.step();
            }
        }
        Ok(copied)
    }

    fn step(&mut self) {
        for axis in (0..self.index.len()).rev() {
            self.index[axis] += 1;
            self.position += self.strides[axis];
            if self.index[axis] < self.outer[axis] {
                return;
            }
            self.position -= self.strides[axis] * self.outer[axis];
            self.index[axis] = 0;
        }
        self.done = true;
    }
}

fn read_pieces(
    dtype: &Dtype,
    shape: &Shape,
    big_endian: bool,
    pieces: &[Piece],
    progress: &Progress,
    sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let item = u64::from(dtype.bits() / 8);
    let elements = shape.elements();
    if item == 0 {
        return Err(ReadError::unsupported("pieces of a type without a fixed size"));
    }
    let per_chunk = limits::CHUNK_BYTES as u64 / item;
    let mut runs: Vec<Runs<'_>> = pieces.iter().map(|piece| Runs::new(piece, shape.dims())).collect();
    let mut from = 0;
    while from < elements {
        let to = elements.min(from + per_chunk);
        let mut buffer = vec![0u8; ((to - from) * item) as usize];
        let mut copied = 0;
        for run in &mut runs {
            copied += run.copy(from, to, item, &mut buffer)?;
        }
        if copied != to - from {
            return Err(ReadError::malformed(
                "a partitioned variable",
                0,
                "its pieces overlap or leave elements out",
            ));
        }
        if big_endian {
            for element in buffer.chunks_exact_mut(swap_unit(dtype) as usize) {
                element.reverse();
            }
        }
        progress.advance(buffer.len() as u64)?;
        if sink(&buffer).is_break() {
            return Ok(());
        }
        from = to;
    }
    Ok(())
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

    fn piece(start: &[u64], length: &[u64], bytes: &[u8]) -> Piece {
        Piece { start: start.into(), length: length.into(), source: ByteSource::from_vec(bytes.to_vec()) }
    }

    #[test]
    fn pieces_in_two_dimensions_make_the_whole() {
        let pieces = vec![
            piece(&[0, 2], &[2, 1], &[2, 5]),
            piece(&[2, 0], &[1, 3], &[6, 7, 8]),
            piece(&[0, 0], &[2, 2], &[0, 1, 3, 4]),
        ];
        let shape = Shape::new([3, 3]);
        let location =
            Location::Pieces { dtype: Dtype::Uint8, shape: shape.clone(), big_endian: false, pieces };
        assert_eq!(all(&location).expect("whole"), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let missing = vec![piece(&[0, 0], &[2, 3], &[0; 6])];
        let location = Location::Pieces { dtype: Dtype::Uint8, shape, big_endian: false, pieces: missing };
        assert!(all(&location).is_err());
    }

    #[test]
    fn strings_are_read_behind_their_lengths() {
        let source = ByteSource::from_vec(b"\x02\x00\x03CRC!hiyou".to_vec());
        assert_eq!(strings(&source, 3).expect("legal"), [&b"hi"[..], b"", b"you"]);
        assert_eq!(
            all(&Location::Strings { source: source.clone(), elements: 3 }).expect("legal"),
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
