//! Closer looks at one tensor: a plane as a picture or value by value, norms, spectrum.

use std::ops::Range;
use std::sync::Arc;

use super::difference;
use super::request::{CheckpointId, JobError, JobOutcome, ValueSummary};
use crate::analysis::norms::{Norms, norms};
use crate::analysis::slice::{Cell, Grid, NonFinite, Plane, Window, grid, window};
use crate::analysis::spectrum::{Spectrum, SpectrumError, spectrum};
use crate::model::{Checkpoint, Progress, ReadError, TensorId};

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Look {
    /// A plane as a picture of at most so many cells down and across.
    Picture(Plane, usize, usize),
    /// The kernels of a convolution side by side.
    Kernels(Kernels),
    /// A plane value by value.
    Window(Plane),
    /// Lengths of rows and columns.
    Norms,
    /// Singular values.
    Spectrum,
    /// Statistics and value counts of the tensor and of another one.
    Both(Against),
    /// A picture or single values beside another tensor: of the picture the difference, of single values both.
    Beside(Against, Box<Look>),
}

/// The tensor that another one is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Against {
    /// Of which opening.
    pub checkpoint: CheckpointId,
    /// Which one. Planes are in terms of its axes, and differences are it minus the other.
    pub tensor: TensorId,
    /// For each of its axes the other tensor's, where they lie differently.
    pub axes: Option<Box<[usize]>>,
}

/// Which kernels of a convolution's weight, side by side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kernels {
    /// The axes along which kernels follow each other, down and across.
    pub axes: [usize; 2],
    /// The axes of a kernel's own rows and columns.
    pub inner: [usize; 2],
    /// Indices of the first of [`Self::axes`] that are wanted.
    pub rows: Range<u64>,
    /// Indices of the second.
    pub columns: Range<u64>,
    /// Whether outputs follow each other across, and inputs down.
    pub outputs_across: bool,
}

impl Kernels {
    /// Kernels shown side by side, each way.
    pub const SHOWN: u64 = 24;
    /// A larger window is no kernel.
    const LARGEST: u64 = 15;

    /// The first kernels of a weight that looks like a convolution's: two small axes of the same kind, last as PyTorch
    /// has them or first as Keras has them. Of outputs and inputs the more numerous go across, where there is more room.
    pub fn of(dims: &[u64]) -> Option<Self> {
        let &[a, b, c, d] = dims else { return None };
        let small = |x: u64, y: u64| x.max(y) <= Self::LARGEST && x * y > 1;
        let (outputs, inputs, inner) = if small(c, d) && a.saturating_mul(b) > 1 {
            (0, 1, [2, 3])
        } else if small(a, b) && c.saturating_mul(d) > 1 {
            (3, 2, [0, 1])
        } else {
            return None;
        };
        let outputs_across = dims[outputs] > dims[inputs];
        let axes = if outputs_across { [inputs, outputs] } else { [outputs, inputs] };
        let first = |axis: usize| 0..dims[axis].min(Self::SHOWN);
        Some(Self { axes, inner, rows: first(axes[0]), columns: first(axes[1]), outputs_across })
    }
}

impl Look {
    /// What the status line calls it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Picture(..) | Self::Kernels(_) => "Heat map",
            Self::Window(_) => "Values",
            Self::Norms => "Norms",
            Self::Spectrum => "Spectrum",
            Self::Both(_) => "Histograms",
            Self::Beside(_, look) => match **look {
                Self::Window(_) => "Values of both",
                _ => "Difference",
            },
        }
    }

    /// The tensor that it compares with.
    pub fn against(&self) -> Option<&Against> {
        match self {
            Self::Both(against) | Self::Beside(against, _) => Some(against),
            _ => None,
        }
    }

    /// Whether nobody needs the other look any more once this one is asked for.
    pub fn is_instead_of(&self, other: &Self) -> bool {
        self.label() == other.label()
    }
}

/// Names the result of a look.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LookKey {
    /// Of which opening.
    pub checkpoint: CheckpointId,
    /// Of which tensor.
    pub tensor: TensorId,
    /// At what.
    pub look: Look,
}

/// What was seen.
#[derive(Debug, Clone)]
pub enum Looked {
    /// Cells to colour.
    Picture(HeatMap),
    /// Single values.
    Window(Window),
    /// Lengths.
    Norms(NormsSummary),
    /// Singular values.
    Spectrum(Spectrum),
    /// Statistics and value counts of two tensors.
    Both(Box<[ValueSummary; 2]>),
    /// Single values of two tensors.
    Windows(Window, Window),
}

impl Looked {
    /// About how much memory it takes.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Picture(map) => map.grid.cells.len() * size_of::<Cell>(),
            Self::Window(window) => window.elements.len() * 32,
            Self::Norms(_) => 64 << 10,
            Self::Spectrum(spectrum) => spectrum.singular_values.len() * 8,
            Self::Both(both) => both.iter().map(ValueSummary::memory_bytes).sum(),
            Self::Windows(left, right) => (left.elements.len() + right.elements.len()) * 32,
        }
    }
}

/// A grid of cells with the ranges of values that a colour scale may span.
#[derive(Debug, Clone)]
pub struct HeatMap {
    /// The cells.
    pub grid: Grid,
    /// The largest magnitude, and the magnitudes below which 99.8 % and 98 % of the cells' extremes lie.
    pub ranges: [f32; 3],
    /// Height and width of one kernel, where kernels lie side by side.
    pub tile: Option<(usize, usize)>,
}

impl HeatMap {
    pub(super) fn new(grid: Grid, tile: Option<(usize, usize)>) -> Self {
        let mut magnitudes: Vec<f32> = grid.cells.iter().map(|cell| extreme(cell).abs()).collect();
        magnitudes.retain(|magnitude| !magnitude.is_nan());
        magnitudes.sort_by(f32::total_cmp);
        let at = |share: f64| {
            let last = magnitudes.len().saturating_sub(1);
            magnitudes.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
        };
        Self { ranges: [at(1.0), at(0.998), at(0.98)], grid, tile }
    }
}

/// The value under a cell that is farthest from zero: what should not be lost when many values share a pixel.
pub fn extreme(cell: &Cell) -> f32 {
    if cell.min.abs() > cell.max.abs() { cell.min } else { cell.max }
}

/// Lengths of the rows and of the columns, in short.
#[derive(Debug, Clone)]
pub struct NormsSummary {
    /// One per index of the first axis.
    pub rows: Lengths,
    /// One per index of the other axes together; `None` where there are too many.
    pub columns: Option<Lengths>,
    /// Values that no norm includes.
    pub non_finite: u64,
}

/// Norms in index order, gathered into bars, with the ones that stand out.
#[derive(Debug, Clone, Default)]
pub struct Lengths {
    /// How many there are.
    pub count: u64,
    /// The smallest.
    pub min: f64,
    /// The one in the middle.
    pub median: f64,
    /// The largest.
    pub max: f64,
    /// Smallest and largest of each bar; every bar has [`Self::per_bar`] indices, but for the last.
    pub bars: Vec<(f64, f64)>,
    /// Indices in one bar.
    pub per_bar: u64,
    /// Rows whose norm is zero, or nearly so beside the others.
    pub dead: u64,
    /// The first of them.
    pub first_dead: Vec<u64>,
    /// Rows whose norm is far above the others.
    pub high: u64,
    /// The highest of them, with their norms.
    pub highest: Vec<(u64, f64)>,
}

impl Lengths {
    const BARS: u64 = 256;
    const LISTED: usize = 12;
    /// Below this share of the median a row is dead.
    pub const DEAD: f64 = 1e-4;
    /// Above this multiple of the median a row stands out.
    pub const HIGH: f64 = 5.0;

    fn of(norms: &[f64]) -> Self {
        let mut sorted = norms.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        let per_bar = (norms.len() as u64).div_ceil(Self::BARS).max(1);
        let bars = norms.chunks(per_bar as usize).map(|part| {
            part.iter().fold((f64::INFINITY, 0.0f64), |(low, high), &norm| (low.min(norm), high.max(norm)))
        });
        let is_dead = |norm: f64| norm == 0.0 || norm < median * Self::DEAD;
        let indexed = || norms.iter().enumerate().map(|(index, &norm)| (index as u64, norm));
        let dead = indexed().filter(|&(_, norm)| is_dead(norm));
        let mut highest: Vec<(u64, f64)> =
            indexed().filter(|&(_, norm)| median > 0.0 && norm > median * Self::HIGH).collect();
        let high = highest.len() as u64;
        highest.sort_by(|a, b| b.1.total_cmp(&a.1));
        highest.truncate(Self::LISTED);
        Self {
            count: norms.len() as u64,
            min: sorted.first().copied().unwrap_or(0.0),
            median,
            max: sorted.last().copied().unwrap_or(0.0),
            bars: bars.collect(),
            per_bar,
            dead: dead.clone().count() as u64,
            first_dead: dead.map(|(index, _)| index).take(Self::LISTED).collect(),
            high,
            highest,
        }
    }
}

/// Looks. Blocks; stops soon after `progress` is cancelled. `other` is the opening that the look compares with.
pub(super) fn look(
    checkpoint: &Checkpoint,
    other: Option<&Checkpoint>,
    key: &LookKey,
    progress: &Progress,
) -> Result<Arc<Looked>, JobOutcome> {
    if let Some(against) = key.look.against() {
        let other =
            other.ok_or_else(|| JobOutcome::Failed(JobError::new("The other side is closed.", None)))?;
        let two = difference::Two { left: (checkpoint, key.tensor), right: (other, against) };
        return two.look(&key.look, progress).map(Arc::new);
    }
    let id = key.tensor;
    let failed = |error: ReadError| match error {
        ReadError::Cancelled => JobOutcome::Cancelled,
        error => JobOutcome::Failed(JobError::new(
            format!("Failed to read {}: {error}.", checkpoint.tensor(id).name),
            matches!(error, ReadError::FileChanged).then_some("Reload the checkpoint"),
        )),
    };
    let looked = match &key.look {
        Look::Picture(plane, down, across) => {
            let grid = grid(checkpoint, id, plane, *down, *across, progress).map_err(failed)?;
            Looked::Picture(HeatMap::new(grid, None))
        }
        Look::Kernels(kernels) => {
            let dims = checkpoint.tensor(id).shape.dims();
            let grid = |plane: &Plane, down, across| grid(checkpoint, id, plane, down, across, progress);
            Looked::Picture(side_by_side(dims, kernels, &grid).map_err(failed)?)
        }
        Look::Window(plane) => Looked::Window(window(checkpoint, id, plane, progress).map_err(failed)?),
        Look::Norms => {
            let Norms { rows, columns, non_finite } = norms(checkpoint, id, progress).map_err(failed)?;
            Looked::Norms(NormsSummary {
                rows: Lengths::of(&rows),
                columns: (!columns.is_empty()).then(|| Lengths::of(&columns)),
                non_finite,
            })
        }
        Look::Spectrum => {
            Looked::Spectrum(spectrum(checkpoint, id, progress).map_err(|error| match error {
                SpectrumError::Read(error) => failed(error),
                error => JobOutcome::Failed(JobError::new(format!("There is no spectrum: {error}."), None)),
            })?)
        }
        Look::Both(_) | Look::Beside(..) => {
            return Err(JobOutcome::Failed(JobError::new("The other side is missing.", None)));
        }
    };
    Ok(Arc::new(looked))
}

/// Makes a grid of a plane, of at most so many cells down and across.
pub(super) type Gridder<'a> = dyn Fn(&Plane, usize, usize) -> Result<Grid, ReadError> + 'a;

/// One plane per position inside the kernel, put together so that every kernel is whole again.
pub(super) fn side_by_side(
    dims: &[u64],
    kernels: &Kernels,
    grid: &Gridder<'_>,
) -> Result<HeatMap, ReadError> {
    let [row_axis, column_axis] = kernels.axes;
    let [down, across] = kernels.inner;
    let extent = |axis: usize| dims.get(axis).copied().unwrap_or(0).min(Kernels::LARGEST) as usize;
    let (height, width) = (extent(down), extent(across));
    let count = |range: &Range<u64>| range.end.saturating_sub(range.start).min(Kernels::SHOWN) as usize;
    let (rows, columns) = (count(&kernels.rows), count(&kernels.columns));
    let nothing = Cell { min: f32::NAN, max: f32::NAN, mean: f32::NAN, non_finite: NonFinite::default() };
    let mut cells = vec![nothing; rows * height * columns * width];
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let mut fixed = vec![0; dims.len()];
        for (axis, at) in [(down, y), (across, x)] {
            if let Some(index) = fixed.get_mut(axis) {
                *index = at as u64;
            }
        }
        let plane = Plane {
            row_axis: Some(row_axis),
            column_axis: Some(column_axis),
            fixed,
            rows: kernels.rows.clone(),
            columns: kernels.columns.clone(),
        };
        let part = grid(&plane, rows, columns)?;
        for (index, cell) in part.cells.iter().enumerate() {
            let (row, column) = (index / columns.max(1), index % columns.max(1));
            let place = (row * height + y) * (columns * width) + column * width + x;
            if let Some(target) = cells.get_mut(place) {
                *target = *cell;
            }
        }
    }
    let grid = Grid { down: rows * height, across: columns * width, cells, is_exact: true };
    Ok(HeatMap::new(grid, Some((height, width))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_dead_or_far_above_the_others_stand_out() {
        let mut norms = vec![1.0; 1000];
        norms[7] = 0.0;
        norms[500] = 9.0;
        let lengths = Lengths::of(&norms);
        assert_eq!((lengths.dead, lengths.first_dead.as_slice()), (1, [7].as_slice()));
        assert_eq!(lengths.highest, [(500, 9.0)]);
        assert_eq!(lengths.bars.len(), 250);
        assert_eq!(lengths.bars[1], (0.0, 1.0));
    }

    #[test]
    fn kernels_are_found_in_both_layouts() {
        let torch = Kernels::of(&[64, 3, 7, 7]).unwrap();
        assert_eq!((torch.axes, torch.inner, torch.outputs_across), ([1, 0], [2, 3], true));
        assert_eq!((torch.rows, torch.columns), (0..3, 0..24));
        let keras = Kernels::of(&[3, 3, 64, 128]).unwrap();
        assert_eq!((keras.axes, keras.inner, keras.outputs_across), ([2, 3], [0, 1], true));
        assert_eq!(Kernels::of(&[64, 64, 3, 3]).unwrap().axes, [0, 1]);
        assert_eq!(Kernels::of(&[64, 64, 1, 1]), None);
        assert_eq!(Kernels::of(&[64, 64]), None);
    }
}
