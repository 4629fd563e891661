//! Elements of an array whose order in the file is not row-major, put in order band by band.
//!
//! A band is a stretch of the result. Where the bytes that it comes from lie close together, they are read at once;
//! where they are spread over a large storage (a transposed matrix of gigabytes), in runs along the dimension that
//! is densest in the file. The array was checked by the caller.

use std::ops::ControlFlow;

use super::strided::swap;
use super::{ByteSource, Strided, limits};
use crate::model::{Progress, ReadError};

/// Bytes of the result that are put in order at a time: more of them make longer runs.
const BAND_BYTES: u64 = 16 << 20;

/// A storage, or the part of it that one band needs, is held whole up to this size.
const HELD_BYTES: u64 = 64 << 20;

/// Bytes of a run that are read at a time.
const RUN_BYTES: u64 = 1 << 20;

/// Passes all elements of an array that is not contiguous to `sink`; see [`super::read_strided`].
pub(super) fn read_scattered(
    array: &Strided,
    progress: &Progress,
    sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let dims = array.shape.dims();
    let strides = array.strides.as_deref().unwrap_or_default();
    let item = u64::from(array.item_bytes);
    // Bands are cut along the first dimension of which one index fits into a band.
    let mut axis = 0;
    let mut slab: u64 = dims.iter().skip(1).product();
    while axis + 1 < dims.len() && slab * item > BAND_BYTES {
        axis += 1;
        slab /= dims[axis];
    }
    let rows = (BAND_BYTES / (slab * item)).clamp(1, dims[axis]);
    let mut buffer = vec![0u8; (rows * slab * item) as usize];
    let mut held = Held { source: &array.source, start: 0, bytes: Vec::new() };
    let mut outer = Steps::new(&dims[..axis], &strides[..axis]);
    loop {
        for start in (0..dims[axis]).step_by(rows as usize) {
            let mut size = dims[axis..].to_vec();
            size[0] = rows.min(dims[axis] - start);
            let band = Band { dims: &size, strides: &strides[axis..], item };
            let bytes = &mut buffer[..(size[0] * slab * item) as usize];
            let first = array.offset + (outer.position + start * strides[axis]) * item;
            band.gather(first, &mut held, bytes)?;
            swap(bytes, array.swap_unit);
            let item = item as usize;
            for piece in bytes.chunks((limits::CHUNK_BYTES / item).max(1) * item) {
                progress.advance(piece.len() as u64)?;
                if sink(piece).is_break() {
                    return Ok(());
                }
            }
        }
        if !outer.step() {
            return Ok(());
        }
    }
}

/// A box of the array.
struct Band<'a> {
    dims: &'a [u64],
    /// In elements of the storage.
    strides: &'a [u64],
    item: u64,
}

impl Band<'_> {
    /// Fills `out` with the elements of the box whose first stands at byte `first` of the source.
    fn gather(&self, first: u64, held: &mut Held<'_>, out: &mut [u8]) -> Result<(), ReadError> {
        let rank = self.dims.len();
        let mut targets = vec![1u64; rank];
        for axis in (1..rank).rev() {
            targets[axis - 1] = targets[axis] * self.dims[axis];
        }
        let span: u64 =
            1 + self.dims.iter().zip(self.strides).map(|(dim, stride)| (dim - 1) * stride).sum::<u64>();
        let at_once = span * self.item <= HELD_BYTES;
        if at_once {
            held.hold(first, span * self.item)?;
        }
        // The dimension that is densest in the storage makes the runs.
        let dense = (0..rank).filter(|&axis| self.dims[axis] > 1 && self.strides[axis] > 0);
        let along = dense.min_by_key(|&axis| self.strides[axis]).unwrap_or(rank - 1);
        let (length, stride, target) = (self.dims[along], self.strides[along], targets[along]);
        let per_read = ((RUN_BYTES / self.item).saturating_sub(1) / stride.max(1)).saturating_add(1);
        let others = |values: &[u64]| -> Vec<u64> {
            values.iter().enumerate().filter(|(axis, _)| *axis != along).map(|(_, value)| *value).collect()
        };
        let (dims, strides, steps) = (others(self.dims), others(self.strides), others(&targets));
        let mut from = Steps::new(&dims, &strides);
        let mut to = Steps::new(&dims, &steps);
        loop {
            for start in (0..length).step_by(usize::try_from(per_read).unwrap_or(usize::MAX)) {
                let count = per_read.min(length - start);
                let at = first + (from.position + start * stride) * self.item;
                let bytes = held.get(at, ((count - 1) * stride + 1) * self.item)?;
                self.scatter(bytes, stride, out, to.position + start * target, target, count);
            }
            if !(from.step() && to.step()) {
                return Ok(());
            }
        }
    }

    /// Copies every `stride`-th of the elements in `bytes` to every `step`-th place of `out` from `first` on.
    fn scatter(&self, bytes: &[u8], stride: u64, out: &mut [u8], first: u64, step: u64, count: u64) {
        let item = self.item as usize;
        let (stride, step, first) = (stride as usize * item, step as usize * item, first as usize * item);
        for index in 0..count as usize {
            let to = first + index * step;
            out[to..to + item].copy_from_slice(&bytes[index * stride..index * stride + item]);
        }
    }
}

/// The stretch of the source that was read last.
struct Held<'a> {
    source: &'a ByteSource,
    start: u64,
    bytes: Vec<u8>,
}

impl Held<'_> {
    fn holds(&self, at: u64, len: u64) -> bool {
        at >= self.start && at + len <= self.start + self.bytes.len() as u64
    }

    /// Reads a stretch; a small source is read whole, for the next band needs the rest of it.
    fn hold(&mut self, at: u64, len: u64) -> Result<(), ReadError> {
        if self.holds(at, len) {
            return Ok(());
        }
        let (start, len) = if self.source.len() <= HELD_BYTES { (0, self.source.len()) } else { (at, len) };
        self.bytes.resize(len as usize, 0);
        self.start = start;
        self.source.read_at("tensor data", start, &mut self.bytes)
    }

    fn get(&mut self, at: u64, len: u64) -> Result<&[u8], ReadError> {
        self.hold(at, len)?;
        let from = (at - self.start) as usize;
        self.bytes.get(from..from + len as usize).ok_or(ReadError::FileChanged)
    }
}

/// All indices of some dimensions in row-major order, with the position that they stand for.
struct Steps<'a> {
    dims: &'a [u64],
    strides: &'a [u64],
    index: Vec<u64>,
    position: u64,
}

impl<'a> Steps<'a> {
    fn new(dims: &'a [u64], strides: &'a [u64]) -> Self {
        Self { dims, strides, index: vec![0; dims.len()], position: 0 }
    }

    /// To the next index; `false` behind the last.
    fn step(&mut self) -> bool {
        for axis in (0..self.dims.len()).rev() {
            self.index[axis] += 1;
            self.position += self.strides[axis];
            if self.index[axis] < self.dims[axis] {
                return true;
            }
            self.position -= self.strides[axis] * self.dims[axis];
            self.index[axis] = 0;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Shape;

    /// The elements of a view of the numbers from 0 on.
    fn read(elements: u64, shape: &[u64], strides: &[u64]) -> Vec<u32> {
        let bytes: Vec<u8> = (0..elements as u32).flat_map(u32::to_le_bytes).collect();
        let array = Strided {
            source: ByteSource::from_vec(bytes),
            offset: 0,
            shape: Shape::new(shape),
            strides: Some(strides.into()),
            item_bytes: 4,
            swap_unit: 1,
        };
        let mut seen = Vec::new();
        let result = read_scattered(&array, &Progress::new(), &mut |piece| {
            seen.extend(piece.as_chunks::<4>().0.iter().map(|&four| u32::from_le_bytes(four)));
            ControlFlow::Continue(())
        });
        assert!(result.is_ok());
        seen
    }

    #[test]
    fn a_large_transposed_matrix_is_read_in_runs() {
        // 72 MB: not held whole.
        let (rows, columns) = (3000u64, 6000u64);
        let seen = read(rows * columns, &[rows, columns], &[1, rows]);
        assert_eq!(seen.len() as u64, rows * columns);
        for (row, column) in [(0, 0), (0, 5999), (1, 0), (1499, 17), (2999, 5999)] {
            assert_eq!(u64::from(seen[(row * columns + column) as usize]), column * rows + row);
        }
    }

    #[test]
    fn three_dimensions_in_any_order_and_an_expanded_one() {
        let seen = read(24, &[3, 2, 4], &[1, 12, 3]);
        let expected: Vec<u32> =
            (0..3).flat_map(|a| (0..2).flat_map(move |b| (0..4).map(move |c| a + 12 * b + 3 * c))).collect();
        assert_eq!(seen, expected);
        assert_eq!(read(3, &[2, 3, 2], &[0, 1, 0]), [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]);
    }
}
