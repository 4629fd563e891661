//! The difference of two tensors over a plane, as a grid of cells.
//!
//! Read in tiles of bounded size, both sides of a tile one after the other, whatever the size of the plane.

use super::slice::{Grid, GridBuilder, Plane, layout, value_dims};
use super::walk::walk;
use crate::model::{Checkpoint, Dtype, Progress, ReadError, TensorId};

/// Elements of a tile: 16 MB for either side.
const TILE: u64 = 1 << 21;

/// Two tensors; planes are in terms of the right one's axes.
#[derive(Clone, Copy)]
pub struct TwoTensors<'a> {
    /// The left one.
    pub left: (&'a Checkpoint, TensorId),
    /// The right one.
    pub right: (&'a Checkpoint, TensorId),
    /// For each axis of the right one the left one's, where they lie differently.
    pub axes: Option<&'a [usize]>,
}

impl TwoTensors<'_> {
    /// Whether each value of one has its place in the other.
    pub fn have_equal_shapes(&self) -> bool {
        let of = |(checkpoint, id): (&Checkpoint, TensorId)| value_dims(checkpoint.tensor(id));
        let (left, right) = (of(self.left), of(self.right));
        match self.axes {
            None => left == right,
            Some(axes) => {
                axes.len() == left.len()
                    && axes.len() == right.len()
                    && axes.iter().zip(&right).all(|(&axis, length)| left.get(axis) == Some(length))
            }
        }
    }

    /// The left one's part that is the right one's `plane`.
    pub fn left_plane(&self, plane: &Plane) -> Plane {
        let Some(axes) = self.axes else { return plane.clone() };
        let of_left = |axis: Option<usize>| axis.and_then(|axis| axes.get(axis).copied());
        let mut fixed = vec![0; axes.len()];
        for (&axis, &index) in axes.iter().zip(&plane.fixed) {
            if let Some(place) = fixed.get_mut(axis) {
                *place = index;
            }
        }
        Plane {
            row_axis: of_left(plane.row_axis),
            column_axis: of_left(plane.column_axis),
            fixed,
            rows: plane.rows.clone(),
            columns: plane.columns.clone(),
        }
    }
}

/// Reads right minus left over a plane into a grid of at most `down` by `across` cells, as [`super::slice::grid`] makes one
/// of a single tensor. NaN equals NaN; where only one side is finite, or infinities differ, the cell has no number.
///
/// Complex values count by their magnitude. Fails where the shapes differ, outside the tensors, and for types without numbers.
pub fn difference_grid(
    two: &TwoTensors<'_>,
    plane: &Plane,
    down: usize,
    across: usize,
    progress: &Progress,
) -> Result<Grid, ReadError> {
    if !two.have_equal_shapes() {
        return Err(ReadError::unsupported("the two have different shapes"));
    }
    layout(two.right.0, two.right.1, plane)?;
    let mut builder = GridBuilder::new(plane, down, across)?;
    let (rows, columns) = (plane.row_count(), plane.column_count());
    let wide = columns.clamp(1, TILE);
    let tall = (TILE / wide).max(1);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for top in (0..rows).step_by(tall as usize) {
        for start in (0..columns).step_by(wide as usize) {
            let (bottom, end) = ((top + tall).min(rows), (start + wide).min(columns));
            let tile = Plane {
                rows: plane.rows.start + top..plane.rows.start + bottom,
                columns: plane.columns.start + start..plane.columns.start + end,
                ..plane.clone()
            };
            read(two.left, &two.left_plane(&tile), &mut left, progress)?;
            read(two.right, &tile, &mut right, progress)?;
            for (right, left) in right.iter_mut().zip(&left) {
                *right = difference(*left, *right);
            }
            for (row, values) in (top..bottom).zip(right.chunks((end - start) as usize)) {
                builder.add((row, start), false, values);
            }
        }
    }
    Ok(builder.finish())
}

fn difference(left: f64, right: f64) -> f64 {
    if left == right || (left.is_nan() && right.is_nan()) { 0.0 } else { right - left }
}

/// The values of a plane, row by row.
fn read(
    (checkpoint, id): (&Checkpoint, TensorId),
    plane: &Plane,
    values: &mut Vec<f64>,
    progress: &Progress,
) -> Result<(), ReadError> {
    let columns = plane.column_count();
    values.clear();
    values.resize((plane.row_count() * columns) as usize, 0.0);
    walk(checkpoint, id, &layout(checkpoint, id, plane)?, Dtype::decode, progress, &mut |run| {
        let start = (run.row * columns + run.column) as usize;
        let step = if run.is_down { columns as usize } else { 1 };
        for (target, &value) in values.iter_mut().skip(start).step_by(step.max(1)).zip(run.values) {
            *target = value;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_equals_nan_and_infinities_equal_themselves() {
        assert_eq!(difference(f64::NAN, f64::NAN), 0.0);
        assert_eq!(difference(f64::INFINITY, f64::INFINITY), 0.0);
        assert!(difference(1.0, f64::NAN).is_nan());
        assert_eq!(difference(1.0, 3.0), 2.0);
    }
}
