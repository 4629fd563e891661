//! Rows and columns of zeros: looked for only in tensors with enough zeros to have some.

use std::ops::ControlFlow;

use super::Statistics;
use super::slice::value_dims;
use crate::model::{Checkpoint, Dtype, Progress, ReadError, TensorId};

/// Rows or columns of zeros of a tensor of two dimensions or more.
///
/// A row is everything at one index of the first axis (an output of a PyTorch layer, a word of an embedding), a column
/// everything at one index of the last (an output of a Keras layer).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadSlices {
    /// Rows of zeros.
    pub rows: u64,
    /// The first of them, at most [`Self::LISTED`].
    pub first_rows: Vec<u64>,
    /// Columns of zeros.
    pub columns: u64,
    /// The first of them, at most [`Self::LISTED`].
    pub first_columns: Vec<u64>,
}

impl DeadSlices {
    /// Indices that are listed of each kind.
    pub const LISTED: usize = 16;
}

/// Rows and columns that are told apart, at most: 40 MB of memory.
const KEPT: u64 = 8 << 20;

/// Whether the zeros of a tensor could fill a row or a column. One of zeros only is not asked for its rows.
pub(super) fn is_possible(dims: &[u64], statistics: &Statistics) -> bool {
    let [rows, .., columns] = *dims else { return false };
    if rows == 0 || columns == 0 || rows > KEPT || columns > KEPT || statistics.is_all_zero() {
        return false;
    }
    // A single row is the whole tensor.
    let row = (rows > 1).then(|| statistics.count / rows);
    let column = (columns > 1).then(|| statistics.count / columns);
    row.into_iter().chain(column).any(|length| statistics.zeros >= length)
}

/// Reads a tensor and finds its rows and columns of zeros; `None` where there are none.
pub(super) fn find(
    checkpoint: &Checkpoint,
    id: TensorId,
    progress: &Progress,
) -> Result<Option<Box<DeadSlices>>, ReadError> {
    let tensor = checkpoint.tensor(id);
    let dims = value_dims(tensor);
    let [rows, .., columns] = *dims else { return Ok(None) };
    let mut search = Search {
        rows: vec![false; rows as usize],
        columns: vec![0; columns as usize],
        row_length: dims[1..].iter().product(),
        position: 0,
    };
    let (mut magnitudes, mut decoded) = (Vec::new(), Vec::new());
    checkpoint.read_chunks(id, progress, &mut |bytes| {
        magnitudes.clear();
        match tensor.dtype {
            Dtype::Float32 => magnitudes.extend(
                bytes.as_chunks::<4>().0.iter().map(|&element| u32::from_le_bytes(element) & 0x7fff_ffff),
            ),
            Dtype::Float16 | Dtype::Bfloat16 => magnitudes.extend(
                bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|&element| u32::from(u16::from_le_bytes(element) & 0x7fff)),
            ),
            _ => {
                decoded.clear();
                tensor.dtype.decode(bytes, &mut decoded);
                magnitudes.extend(decoded.iter().map(|&value| u32::from(value != 0.0)));
            }
        }
        search.push(&magnitudes);
        ControlFlow::Continue(())
    })?;
    Ok(search.finish())
}

struct Search {
    /// Per row: whether a value is not zero.
    rows: Vec<bool>,
    /// Per column: not zero when a value is not.
    columns: Vec<u32>,
    row_length: u64,
    position: u64,
}

impl Search {
    /// Adds elements as numbers that are zero where the value is.
    fn push(&mut self, mut magnitudes: &[u32]) {
        let width = self.columns.len() as u64;
        while !magnitudes.is_empty() {
            let column = self.position % width;
            let (now, later) = magnitudes.split_at(((width - column) as usize).min(magnitudes.len()));
            let mut any = 0;
            for (seen, &magnitude) in self.columns[column as usize..].iter_mut().zip(now) {
                *seen |= magnitude;
                any |= magnitude;
            }
            let row = self.position / self.row_length;
            if let Some(seen) = self.rows.get_mut(row as usize).filter(|_| any != 0) {
                *seen = true;
            }
            self.position += now.len() as u64;
            magnitudes = later;
        }
    }

    fn finish(self) -> Option<Box<DeadSlices>> {
        let rows = (0..).zip(&self.rows).filter(|(_, seen)| !**seen).map(|(row, _)| row);
        let columns = (0..).zip(&self.columns).filter(|(_, seen)| **seen == 0).map(|(column, _)| column);
        // With one row or column, its zeros are those of the whole tensor.
        let count_of = |slices: usize, count: usize| if slices > 1 { count as u64 } else { 0 };
        let dead = DeadSlices {
            rows: count_of(self.rows.len(), rows.clone().count()),
            first_rows: rows.take(DeadSlices::LISTED).collect(),
            columns: count_of(self.columns.len(), columns.clone().count()),
            first_columns: columns.take(DeadSlices::LISTED).collect(),
        };
        (dead.rows > 0 || dead.columns > 0).then(|| Box::new(dead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_of_zeros_are_found_wherever_the_pieces_are_cut() {
        // Shape [3, 2, 4]: row 1 is zero, and so is the last column.
        let elements = [1, 0, 3, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0];
        for size in [1, 3, 7, 24] {
            let mut search = Search { rows: vec![false; 3], columns: vec![0; 4], row_length: 8, position: 0 };
            elements.chunks(size).for_each(|piece| search.push(piece));
            let dead = search.finish().expect("dead slices");
            assert_eq!(
                (dead.rows, dead.first_rows, dead.columns, dead.first_columns),
                (1, vec![1], 1, vec![3])
            );
        }
    }

    #[test]
    fn only_a_tensor_with_a_row_of_zeros_is_searched() {
        let of = |zeros| Statistics { count: 24, zeros, ..Statistics::default() };
        assert!(!is_possible(&[3, 8], &of(2)));
        assert!(is_possible(&[3, 8], &of(3)));
        assert!(!is_possible(&[3, 8], &of(24)));
        assert!(!is_possible(&[1, 24], &of(0)));
        assert!(!is_possible(&[24], &of(20)));
    }
}
