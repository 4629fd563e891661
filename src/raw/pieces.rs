//! A whole array put together from pieces that lie in several places, with bounded memory.

use std::ops::ControlFlow;

use super::strided::swap;
use super::{ByteSource, limits};
use crate::model::{Progress, ReadError, Shape};

/// One box of a whole array.
#[derive(Debug, Clone)]
pub struct Piece {
    /// First index per dimension.
    pub start: Vec<u64>,
    /// Indices per dimension.
    pub length: Vec<u64>,
    /// Exactly its bytes, row-major.
    pub source: ByteSource,
}

/// What the pieces make.
#[derive(Debug, Clone, Copy)]
pub struct Whole<'a> {
    /// Its dimensions.
    pub shape: &'a Shape,
    /// Bytes per element.
    pub item_bytes: u32,
    /// See [`super::Strided::swap_unit`].
    pub swap_unit: u32,
}

/// Passes the whole to `sink` in row-major order, in chunks of [`limits::CHUNK_BYTES`]. Every piece must lie inside the whole;
/// pieces that overlap or leave something out are an error where that shows.
pub fn read_pieces(
    whole: &Whole<'_>,
    pieces: &[Piece],
    progress: &Progress,
    sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let item = u64::from(whole.item_bytes);
    let elements = whole.shape.elements();
    if item == 0 {
        return Err(ReadError::unsupported("pieces of a type without a fixed size"));
    }
    let per_chunk = (limits::CHUNK_BYTES as u64 / item).max(1);
    let mut runs: Vec<Runs<'_>> = pieces.iter().map(|piece| Runs::new(piece, whole.shape.dims())).collect();
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
                "a tensor in pieces",
                0,
                "its pieces overlap or leave elements out",
            ));
        }
        swap(&mut buffer, whole.swap_unit);
        progress.advance(buffer.len() as u64)?;
        if sink(&buffer).is_break() {
            return Ok(());
        }
        from = to;
    }
    Ok(())
}

/// A reading position with a buffer, for bytes that are read in order in small steps.
pub struct Stream<'a> {
    source: &'a ByteSource,
    position: u64,
    buffer: Vec<u8>,
    start: u64,
}

impl<'a> Stream<'a> {
    const BUFFER: u64 = 64 << 10;

    /// At `position` of `source`.
    pub fn new(source: &'a ByteSource, position: u64) -> Self {
        Self { source, position, buffer: Vec::new(), start: 0 }
    }

    /// The bytes up to the end of `target`; the position moves behind them.
    pub fn fill(&mut self, target: &mut [u8]) -> Result<(), ReadError> {
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

    /// Where the next byte is read.
    pub fn position(&self) -> u64 {
        self.position
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn all(whole: &Whole<'_>, pieces: &[Piece]) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        read_pieces(whole, pieces, &Progress::new(), &mut |piece| {
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
        let whole = Whole { shape: &shape, item_bytes: 1, swap_unit: 1 };
        assert_eq!(all(&whole, &pieces).expect("whole"), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let missing = vec![piece(&[0, 0], &[2, 3], &[0; 6])];
        assert!(all(&whole, &missing).is_err());
    }
}
