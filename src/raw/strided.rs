//! Elements of a strided array, delivered row-major and little-endian whatever their order in the file.

use std::ops::ControlFlow;

use super::scattered::read_scattered;
use super::{ByteSource, limits};
use crate::model::{Progress, ReadError, Shape};

/// Where the elements of an array lie inside a source.
#[derive(Debug, Clone)]
pub struct Strided {
    /// The bytes of the storage.
    pub source: ByteSource,
    /// Bytes from the start of `source` to element 0.
    pub offset: u64,
    /// Dimensions, outermost first.
    pub shape: Shape,
    /// Elements from one index to the next, per dimension. `None`: row-major and contiguous.
    pub strides: Option<Box<[u64]>>,
    /// Bytes per element.
    pub item_bytes: u32,
    /// Size of the units whose bytes must be reversed (big-endian data): half of `item_bytes` for complex numbers. 1: none.
    pub swap_unit: u32,
}

impl Strided {
    /// Fails unless all elements lie within the source. Sizes are checked for overflow.
    pub fn check(&self, what: impl Into<std::borrow::Cow<'static, str>>) -> Result<(), ReadError> {
        let what = what.into();
        let overflow = || ReadError::malformed("a tensor's shape", self.offset, "its size overflows");
        let elements = self.shape.checked_elements().ok_or_else(overflow)?;
        if elements == 0 {
            return Ok(());
        }
        let last = match &self.strides {
            None => elements - 1,
            Some(strides) => {
                if strides.len() != self.shape.rank() {
                    return Err(ReadError::malformed(
                        what,
                        self.offset,
                        "as many strides as dimensions are needed",
                    ));
                }
                let mut last = 0u64;
                for (&dim, &stride) in self.shape.dims().iter().zip(strides) {
                    last = (dim - 1)
                        .checked_mul(stride)
                        .and_then(|step| last.checked_add(step))
                        .ok_or_else(overflow)?;
                }
                last
            }
        };
        let bytes = last
            .checked_add(1)
            .and_then(|count| count.checked_mul(u64::from(self.item_bytes)))
            .ok_or_else(overflow)?;
        self.source.check(what, self.offset, bytes)
    }

    /// Whether the elements lie one after the other in row-major order.
    pub fn is_contiguous(&self) -> bool {
        let Some(strides) = &self.strides else { return true };
        let mut expected = 1u64;
        for (&dim, &stride) in self.shape.dims().iter().zip(strides).rev() {
            if dim != 1 && stride != expected {
                return false;
            }
            expected = expected.saturating_mul(dim);
        }
        true
    }
}

/// Passes all elements of `array` to `sink` in pieces of whole elements, row-major, little-endian.
/// Memory is bounded by [`limits::CHUNK_BYTES`], and by some multiples of it for an array that is not contiguous.
pub fn read_strided(
    array: &Strided,
    progress: &Progress,
    sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    array.check("tensor data")?;
    let elements = array.shape.elements();
    let item = array.item_bytes as usize;
    if elements == 0 || item == 0 {
        return Ok(());
    }
    array.source.check_unchanged()?;
    if array.is_contiguous() {
        let len = elements * item as u64;
        return read_range(&array.source, array.offset, len, item, progress, &mut |piece| {
            swap(piece, array.swap_unit);
            sink(piece)
        });
    }

    // An expanded dimension (stride 0) can claim terabytes from one stored element.
    let logical = elements.saturating_mul(item as u64);
    if logical > array.source.len() && logical > limits::EXPANDED_BYTES {
        return Err(ReadError::OverLimit {
            what: "the size of an expanded tensor".into(),
            value: logical,
            limit: limits::EXPANDED_BYTES,
        });
    }
    read_scattered(array, progress, sink)
}

/// Fills `buffer` with the elements of a contiguous array from byte `offset` of them on, as [`read_strided`] delivers
/// them; `None` when they do not lie one after the other. Whole elements only.
pub fn read_strided_at(array: &Strided, offset: u64, buffer: &mut [u8]) -> Option<Result<(), ReadError>> {
    if !array.is_contiguous() {
        return None;
    }
    let mut read = || {
        array.check("tensor data")?;
        let len = array.shape.elements() * u64::from(array.item_bytes);
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > len) {
            return Err(ReadError::malformed("a request for values", offset, "it ends beyond the tensor"));
        }
        array.source.check_unchanged()?;
        array.source.read_at("tensor data", array.offset + offset, buffer)?;
        swap(buffer, array.swap_unit);
        Ok(())
    };
    Some(read())
}

/// Passes `len` bytes at `offset` to `sink` in pieces that are multiples of `group` bytes.
pub fn read_range(
    source: &ByteSource,
    offset: u64,
    len: u64,
    group: usize,
    progress: &Progress,
    sink: &mut dyn FnMut(&mut [u8]) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    source.check("tensor data", offset, len)?;
    source.check_unchanged()?;
    let piece_bytes = (limits::CHUNK_BYTES / group.max(1) * group.max(1)).max(group) as u64;
    let mut buffer = vec![0u8; piece_bytes.min(len) as usize];
    let mut done = 0u64;
    while done < len {
        let piece = &mut buffer[..(len - done).min(piece_bytes) as usize];
        source.read_at("tensor data", offset + done, piece)?;
        done += piece.len() as u64;
        progress.advance(piece.len() as u64)?;
        if sink(piece).is_break() {
            break;
        }
    }
    Ok(())
}

/// Reverses the bytes of every unit.
pub(super) fn swap(bytes: &mut [u8], unit: u32) {
    if unit > 1 {
        for element in bytes.chunks_exact_mut(unit as usize) {
            element.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(array: &Strided) -> Vec<u8> {
        let mut all = Vec::new();
        read_strided(array, &Progress::new(), &mut |bytes| {
            all.extend_from_slice(bytes);
            ControlFlow::Continue(())
        })
        .expect("readable");
        all
    }

    fn array(shape: &[u64], strides: Option<&[u64]>, item_bytes: u32, swap_unit: u32) -> Strided {
        Strided {
            source: ByteSource::from_vec((0..24).collect()),
            offset: 0,
            shape: Shape::new(shape),
            strides: strides.map(Into::into),
            item_bytes,
            swap_unit,
        }
    }

    #[test]
    fn a_transposed_view_is_delivered_row_major() {
        assert_eq!(collect(&array(&[3, 2], Some(&[1, 3]), 1, 1)), [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn an_expanded_dimension_repeats_its_element() {
        assert_eq!(collect(&array(&[2, 3], Some(&[1, 0]), 1, 1)), [0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn big_endian_elements_are_reversed() {
        assert_eq!(collect(&array(&[2], None, 4, 4)), [3, 2, 1, 0, 7, 6, 5, 4]);
    }

    #[test]
    fn a_part_of_a_contiguous_array_is_what_the_whole_has_there() {
        let (swapped, scattered) = (array(&[3, 2], None, 4, 4), array(&[3, 2], Some(&[1, 3]), 1, 1));
        let mut part = [0; 8];
        assert!(read_strided_at(&swapped, 8, &mut part).is_some_and(|result| result.is_ok()));
        assert_eq!(part, collect(&swapped)[8..16]);
        assert!(read_strided_at(&swapped, 20, &mut part).is_some_and(|result| result.is_err()));
        assert!(read_strided_at(&scattered, 0, &mut part).is_none());
    }

    #[test]
    fn an_array_past_its_storage_is_refused() {
        assert!(matches!(array(&[25], None, 1, 1).check("x"), Err(ReadError::Truncated { .. })));
        assert!(array(&[2, 2], Some(&[u64::MAX, 1]), 1, 1).check("x").is_err());
    }
}
