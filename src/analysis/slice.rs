//! A plane of a tensor: two axes vary, the others are fixed. Downsampled to a grid of cells, or value by value.
//!
//! Reads no more than the plane needs where the file allows it, and never holds more than the grid and a buffer.

use std::ops::Range;

use super::element::{self, Element};
use super::walk::{Layout, Steps, walk};
use crate::model::{Checkpoint, Dtype, Progress, ReadError, TensorId, TensorInfo};

/// Cells of a grid, at most: 4 million are more than a screen has pixels.
const CELLS: u64 = 1 << 22;

/// Single values that are handed out at a time.
const VALUES: u64 = 1 << 16;

/// The dimensions of a tensor's values: its shape, but for types that pack two values into an element.
pub fn value_dims(tensor: &TensorInfo) -> Vec<u64> {
    let mut dims = tensor.shape.dims().to_vec();
    if let (Dtype::Float4E2m1fnX2, Some(last)) = (&tensor.dtype, dims.last_mut()) {
        *last = last.saturating_mul(2);
    }
    dims
}

/// Which part of a tensor, in terms of its [`value_dims`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Plane {
    /// The axis that runs down; `None`: a single row.
    pub row_axis: Option<usize>,
    /// The axis that runs across; `None`: a single column.
    pub column_axis: Option<usize>,
    /// An index for every axis; those of the two axes above are not looked at.
    pub fixed: Vec<u64>,
    /// Indices of the row axis that are wanted.
    pub rows: Range<u64>,
    /// Indices of the column axis that are wanted.
    pub columns: Range<u64>,
}

impl Plane {
    /// The last two axes, whole, at index 0 of the others.
    pub fn of_last_axes(dims: &[u64]) -> Self {
        let rank = dims.len();
        let (row_axis, column_axis) = (rank.checked_sub(2), rank.checked_sub(1));
        let whole = |axis: Option<usize>| 0..axis.and_then(|axis| dims.get(axis)).copied().unwrap_or(1);
        Self {
            row_axis,
            column_axis,
            fixed: vec![0; rank],
            rows: whole(row_axis),
            columns: whole(column_axis),
        }
    }

    /// Where the plane lies in row-major order; `None` when it is not within the tensor.
    fn layout(&self, dims: &[u64]) -> Option<Layout> {
        if self.fixed.len() != dims.len() || (self.row_axis.is_some() && self.row_axis == self.column_axis) {
            return None;
        }
        let extent = |axis: Option<usize>| match axis {
            Some(axis) => dims.get(axis).copied(),
            None => Some(1),
        };
        let within = |range: &Range<u64>, axis| range.start <= range.end && Some(range.end) <= extent(axis);
        if !within(&self.rows, self.row_axis) || !within(&self.columns, self.column_axis) {
            return None;
        }
        let mut layout = Layout {
            first: 0,
            rows: Steps { step: 0, count: self.row_count() },
            columns: Steps { step: 0, count: self.column_count() },
        };
        let mut stride = 1u64;
        for axis in (0..dims.len()).rev() {
            if self.row_axis == Some(axis) {
                layout.rows.step = stride;
                layout.first += self.rows.start * stride;
            } else if self.column_axis == Some(axis) {
                layout.columns.step = stride;
                layout.first += self.columns.start * stride;
            } else if self.fixed[axis] < dims[axis] {
                layout.first += self.fixed[axis] * stride;
            } else {
                return None;
            }
            stride = stride.checked_mul(dims[axis])?;
        }
        Some(layout)
    }

    pub(super) fn row_count(&self) -> u64 {
        self.rows.end - self.rows.start
    }

    pub(super) fn column_count(&self) -> u64 {
        self.columns.end - self.columns.start
    }
}

/// What is under one cell of a grid. Over the finite values; all three are NaN where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Smallest.
    pub min: f32,
    /// Largest.
    pub max: f32,
    /// Arithmetic mean.
    pub mean: f32,
    /// What is under the cell beside finite values.
    pub non_finite: NonFinite,
}

/// Which values that are no finite numbers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NonFinite {
    /// NaN.
    pub nan: bool,
    /// +∞.
    pub positive: bool,
    /// −∞.
    pub negative: bool,
}

impl NonFinite {
    /// Whether there is any.
    pub fn any(self) -> bool {
        self.nan || self.positive || self.negative
    }

    fn add(&mut self, value: f64) {
        if value.is_nan() {
            self.nan = true;
        } else if value > 0.0 {
            self.positive = true;
        } else {
            self.negative = true;
        }
    }
}

/// A plane as a grid of cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Rows of cells.
    pub down: usize,
    /// Columns of cells.
    pub across: usize,
    /// Row by row.
    pub cells: Vec<Cell>,
    /// Whether every cell is exactly one value.
    pub is_exact: bool,
}

impl Grid {
    /// One cell.
    pub fn cell(&self, row: usize, column: usize) -> Option<&Cell> {
        if column >= self.across { None } else { self.cells.get(row * self.across + column) }
    }
}

/// Reads a plane into a grid of at most `down` by `across` cells; fewer where the plane has fewer rows or columns.
/// Cells are as equal as whole rows and columns allow. Complex values count by their magnitude.
///
/// Fails for a plane outside the tensor and for types without numbers.
pub fn grid(
    checkpoint: &Checkpoint,
    id: TensorId,
    plane: &Plane,
    down: usize,
    across: usize,
    progress: &Progress,
) -> Result<Grid, ReadError> {
    let layout = layout(checkpoint, id, plane)?;
    let mut builder = GridBuilder::new(plane, down, across)?;
    walk(checkpoint, id, &layout, Dtype::decode, progress, &mut |run| {
        builder.add((run.row, run.column), run.is_down, run.values);
    })?;
    Ok(builder.finish())
}

/// Gathers the values of a plane into cells.
pub(super) struct GridBuilder {
    rows: Spread,
    columns: Spread,
    cells: Vec<Gathering>,
}

impl GridBuilder {
    /// For a grid of at most `down` by `across` cells.
    pub(super) fn new(plane: &Plane, down: usize, across: usize) -> Result<Self, ReadError> {
        let down = (down as u64).min(plane.row_count()).max(1);
        let across = (across as u64).min(plane.column_count()).max(1);
        if down.saturating_mul(across) > CELLS {
            return Err(ReadError::OverLimit {
                what: "the size of a grid".into(),
                value: down.saturating_mul(across),
                limit: CELLS,
            });
        }
        Ok(Self {
            rows: Spread::new(plane.row_count(), down),
            columns: Spread::new(plane.column_count(), across),
            cells: vec![Gathering::default(); (down * across) as usize],
        })
    }

    /// Adds neighbouring values from a row and column of the plane on: below each other, or beside.
    pub(super) fn add(&mut self, (row, column): (u64, u64), is_down: bool, values: &[f64]) {
        let (mut row, mut column) = (self.rows.at(row), self.columns.at(column));
        let across = self.columns.cells as u64;
        for &value in values {
            if let Some(cell) = self.cells.get_mut((row.cell * across + column.cell) as usize) {
                cell.add(value);
            }
            if is_down {
                row.step();
            } else {
                column.step();
            }
        }
    }

    /// The grid.
    pub(super) fn finish(self) -> Grid {
        let exact = |spread: Spread| spread.cells == spread.count;
        Grid {
            down: self.rows.cells as usize,
            across: self.columns.cells as usize,
            cells: self.cells.iter().map(Gathering::cell).collect(),
            is_exact: exact(self.rows) && exact(self.columns),
        }
    }
}

pub(super) fn layout(checkpoint: &Checkpoint, id: TensorId, plane: &Plane) -> Result<Layout, ReadError> {
    let tensor = checkpoint.tensor(id);
    if !tensor.dtype.is_numeric() {
        return Err(ReadError::unsupported(format!("values of type {} are not numbers", tensor.dtype)));
    }
    let outside = || ReadError::unsupported("that part is not within the tensor");
    plane.layout(&value_dims(tensor)).ok_or_else(outside)
}

/// `count` indices over `cells` cells, in order and as equal as whole indices allow.
#[derive(Clone, Copy)]
struct Spread {
    count: u128,
    cells: u128,
}

impl Spread {
    fn new(count: u64, cells: u64) -> Self {
        Self { count: u128::from(count.max(1)), cells: u128::from(cells) }
    }

    fn at(self, index: u64) -> Place {
        let cell = (u128::from(index) * self.cells / self.count) as u64;
        Place { spread: self, index, cell, next: self.first_of(cell + 1) }
    }

    /// The first index of a cell.
    fn first_of(self, cell: u64) -> u64 {
        (u128::from(cell) * self.count).div_ceil(self.cells) as u64
    }
}

/// An index and the cell it falls in.
struct Place {
    spread: Spread,
    index: u64,
    cell: u64,
    /// The first index of the next cell.
    next: u64,
}

impl Place {
    fn step(&mut self) {
        self.index += 1;
        if self.index >= self.next {
            self.cell += 1;
            self.next = self.spread.first_of(self.cell + 1);
        }
    }
}

#[derive(Clone)]
struct Gathering {
    min: f64,
    max: f64,
    sum: f64,
    finite: u64,
    non_finite: NonFinite,
}

impl Default for Gathering {
    fn default() -> Self {
        let non_finite = NonFinite::default();
        Self { min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, finite: 0, non_finite }
    }
}

impl Gathering {
    fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.sum += value;
            self.finite += 1;
        } else {
            self.non_finite.add(value);
        }
    }

    fn cell(&self) -> Cell {
        let (min, max, mean) = if self.finite == 0 {
            (f64::NAN, f64::NAN, f64::NAN)
        } else {
            (self.min, self.max, self.sum / self.finite as f64)
        };
        Cell { min: min as f32, max: max as f32, mean: mean as f32, non_finite: self.non_finite }
    }
}

/// The values of a plane, one by one.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Row by row.
    pub elements: Vec<Element>,
}

impl Window {
    /// One value.
    pub fn element(&self, row: usize, column: usize) -> Option<Element> {
        if column >= self.columns { None } else { self.elements.get(row * self.columns + column).copied() }
    }
}

/// Reads a plane of at most 65,536 elements value by value.
pub fn window(
    checkpoint: &Checkpoint,
    id: TensorId,
    plane: &Plane,
    progress: &Progress,
) -> Result<Window, ReadError> {
    let count = plane.row_count().saturating_mul(plane.column_count());
    if count > VALUES {
        return Err(ReadError::OverLimit {
            what: "the number of single values".into(),
            value: count,
            limit: VALUES,
        });
    }
    let columns = plane.column_count();
    let mut elements = vec![Element::Integer(0); count as usize];
    walk(checkpoint, id, &layout(checkpoint, id, plane)?, element::decode, progress, &mut |run| {
        let start = (run.row * columns + run.column) as usize;
        let step = if run.is_down { columns as usize } else { 1 };
        for (target, &element) in elements.iter_mut().skip(start).step_by(step).zip(run.values) {
            *target = element;
        }
    })?;
    Ok(Window { rows: plane.row_count() as usize, columns: columns as usize, elements })
}
