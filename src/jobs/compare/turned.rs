//! A tensor with its axes in another order, read piece by piece.
//!
//! The elements of a transposed matrix do not lie one after the other, so the tensor is read as often as bands of it fit
//! into a fixed piece of memory: once, for all but the largest.

use super::pieces::{PIECE_ELEMENTS, PieceSink, Side};
use crate::model::{Progress, ReadError};

/// Memory for one band.
const BAND_BYTES: u64 = 64 << 20;

/// Passes the pieces of a tensor as they would be with its axes in the order `axes` (for each new axis the old one).
pub(super) fn read_turned(
    side: Side<'_>,
    axes: &[usize],
    progress: &Progress,
    each: &mut PieceSink<'_>,
) -> Result<(), ReadError> {
    let tensor = side.checkpoint.tensor(side.id);
    let dims = tensor.shape.dims();
    let bits = tensor.dtype.bits() as usize;
    let unsupported = || ReadError::unsupported("its elements cannot be put in another order");
    if !bits.is_multiple_of(8)
        || bits == 0
        || axes.len() != dims.len()
        || axes.iter().any(|&axis| axis >= dims.len())
    {
        return Err(unsupported());
    }
    let item = bits / 8;
    let elements = tensor.elements();
    // Elements from one index to the next of each old axis, in the new order.
    let mut steps = vec![0u64; dims.len()];
    let mut step = 1u64;
    for &axis in axes.iter().rev() {
        steps[axis] = step;
        step = step.saturating_mul(dims[axis]);
    }
    let per_band = (BAND_BYTES / side.piece_bytes as u64).max(1) * PIECE_ELEMENTS;
    let mut band = vec![0u8; per_band.min(elements) as usize * item];
    let mut start = 0;
    while start < elements {
        let end = (start + per_band).min(elements);
        let mut index = vec![0u64; dims.len()];
        let mut position = 0u64;
        side.read_pieces(progress, &mut |bytes| {
            for element in bytes.chunks_exact(item) {
                if (start..end).contains(&position) {
                    let at = (position - start) as usize * item;
                    band[at..at + item].copy_from_slice(element);
                }
                for axis in (0..dims.len()).rev() {
                    index[axis] += 1;
                    position += steps[axis];
                    if index[axis] < dims[axis] {
                        break;
                    }
                    position -= steps[axis] * dims[axis];
                    index[axis] = 0;
                }
            }
            Ok(())
        })?;
        band[..(end - start) as usize * item].chunks(side.piece_bytes).try_for_each(&mut *each)?;
        start = end;
    }
    Ok(())
}
