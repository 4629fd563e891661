//! Lengths of the rows and columns of a tensor seen as a matrix: where units are dead, and where they explode.

use std::ops::ControlFlow;

use crate::model::{Checkpoint, Dtype, Progress, ReadError, TensorId};

/// Rows and columns for which norms are kept, at most: 64 MB of memory.
const KEPT: u64 = 8 << 20;

/// The L2 norms of the matrix `[first axis, all other axes]`, over the finite values.
#[derive(Debug, Clone, PartialEq)]
pub struct Norms {
    /// One per index of the first axis.
    pub rows: Vec<f64>,
    /// One per index of the others together; empty where there are more than are kept.
    pub columns: Vec<f64>,
    /// Values that are NaN or infinite, which no norm includes.
    pub non_finite: u64,
}

/// The matrix that norms and spectrum look at: the first axis against all others. A vector is a matrix of one column,
/// a scalar of one row and column.
pub fn matrix_shape(dims: &[u64]) -> (u64, u64) {
    match dims {
        [] => (1, 1),
        [rows, rest @ ..] => (*rows, rest.iter().fold(1, |product: u64, &dim| product.saturating_mul(dim))),
    }
}

/// Reads a tensor once and takes the norms of its rows and columns. Complex values count by their magnitude.
pub fn norms(checkpoint: &Checkpoint, id: TensorId, progress: &Progress) -> Result<Norms, ReadError> {
    let tensor = checkpoint.tensor(id);
    if !tensor.dtype.is_numeric() {
        return Err(ReadError::unsupported(format!("values of type {} are not numbers", tensor.dtype)));
    }
    let (rows, columns) = matrix_shape(&super::slice::value_dims(tensor));
    if rows > KEPT {
        return Err(ReadError::OverLimit { what: "the number of rows".into(), value: rows, limit: KEPT });
    }
    let mut gathered = Gathered {
        rows: Vec::new(),
        columns: if columns <= KEPT { vec![0.0; columns as usize] } else { Vec::new() },
        at: (0, 0),
        width: columns,
        row: 0.0,
        non_finite: 0,
    };
    progress.set_total(tensor.bytes());
    let mut values = Vec::new();
    checkpoint.read_chunks(id, progress, &mut |bytes| {
        values.clear();
        Dtype::decode(&tensor.dtype, bytes, &mut values);
        gathered.push(&values);
        ControlFlow::Continue(())
    })?;
    let root = |squares: Vec<f64>| squares.into_iter().map(f64::sqrt).collect();
    Ok(Norms { rows: root(gathered.rows), columns: root(gathered.columns), non_finite: gathered.non_finite })
}

/// Sums of squares.
struct Gathered {
    /// Of the finished rows.
    rows: Vec<f64>,
    columns: Vec<f64>,
    at: (u64, u64),
    width: u64,
    /// Of the row that is not finished.
    row: f64,
    non_finite: u64,
}

impl Gathered {
    fn push(&mut self, mut values: &[f64]) {
        while !values.is_empty() {
            let left = (self.width - self.at.1).min(values.len() as u64) as usize;
            let (now, later) = values.split_at(left);
            let start = self.at.1 as usize;
            let mut sum = 0.0;
            for (offset, &value) in now.iter().enumerate() {
                let square = if value.is_finite() { value * value } else { 0.0 };
                self.non_finite += u64::from(!value.is_finite());
                sum += square;
                if let Some(column) = self.columns.get_mut(start + offset) {
                    *column += square;
                }
            }
            self.row += sum;
            self.at.1 += left as u64;
            if self.at.1 == self.width {
                self.rows.push(self.row);
                self.row = 0.0;
                self.at = (self.at.0 + 1, 0);
            }
            values = later;
        }
    }
}
