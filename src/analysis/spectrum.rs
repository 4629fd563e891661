//! Singular values of a tensor seen as a matrix, and what they say of it.
//!
//! All of them for matrices that take about two seconds, otherwise the largest by a randomized method, whose error is
//! estimated and said. Cancelling takes effect while values are read, between panels of products, and during a
//! decomposition, which is then left to itself.

use std::ops::ControlFlow;

use faer::{Mat, MatRef};

use super::abandonable::abandonable;
use super::norms::matrix_shape;
use super::power_law::{self, PowerLaw};
use super::slice::value_dims;
use crate::model::{Checkpoint, Progress, ReadError, TensorId};

/// Rows or columns of a square matrix, at most; another one may have as many elements.
pub const SIDE: u64 = 8192;

/// The shorter side and the elements of matrices whose singular values are all found.
const EXACT: (u64, u64) = (1536, 1 << 24);

/// Values found by the randomized method, and further directions that make them more exact.
const LARGEST: usize = 256;
const OVERSAMPLED: usize = 32;

/// Multiplications by `A·Aᵀ` that sharpen the random projection.
const POWER_ITERATIONS: usize = 2;

/// Rows multiplied between two looks at whether the work was cancelled.
const PANEL: usize = 256;

/// How singular values were found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// All of them, to rounding.
    Exact,
    /// The largest ones, from a random projection with power iterations and a fixed seed.
    Randomized {
        /// The share of the matrix's energy (the sum of squares) that the values found do not explain.
        unexplained: f64,
        /// Estimated relative error of the largest value.
        largest_error: f64,
        /// Estimated relative error of the smallest value that is given.
        smallest_error: f64,
    },
}

/// The spectrum of the matrix `[first axis, all other axes]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// Rows of the matrix.
    pub rows: u64,
    /// Its columns.
    pub columns: u64,
    /// Descending. All of them where the method is exact, otherwise the largest.
    pub singular_values: Vec<f64>,
    /// How they were found.
    pub method: Method,
    /// The square root of the sum of squares of all elements.
    pub frobenius_norm: f64,
    /// The largest singular value.
    pub spectral_norm: f64,
    /// Squared Frobenius norm over squared spectral norm: how many directions carry the energy. 0 for a matrix of zeros.
    pub stable_rank: f64,
    /// The exponential of the entropy of the singular values as shares of their sum (O. Roy, M. Vetterli, "The effective
    /// rank", EUSIPCO 2007). `None` where not all of them are known.
    pub effective_rank: Option<f64>,
    /// The largest over the smallest singular value; infinite for a singular matrix, `None` where not all are known.
    pub condition: Option<f64>,
    /// `None` where there are too few values for a fit.
    pub power_law: Option<PowerLaw>,
}

/// Why there is no spectrum.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpectrumError {
    /// The values could not be read, or the work was cancelled.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// More than one dimension is needed, and at least one element.
    #[error("a tensor of shape {0} is not a matrix")]
    NotAMatrix(String),
    /// More elements than [`SIDE`] by [`SIDE`].
    #[error("a matrix of {rows} by {columns} has more elements than one of {SIDE} by {SIDE}")]
    TooLarge {
        /// Rows.
        rows: u64,
        /// Columns.
        columns: u64,
    },
    /// Singular values of NaN or infinite elements do not exist.
    #[error("{0} of its values are NaN or infinite")]
    NotFinite(u64),
    /// Complex, text or unknown.
    #[error("spectra of type {0} are not computed")]
    Dtype(String),
    /// The method did not converge.
    #[error("the singular values did not converge")]
    NotConverged,
}

/// Reads a matrix and finds its singular values. Stops when `progress` is cancelled; takes up to 8 bytes for each of
/// 16 million elements, or 4 for each of 67 million.
pub fn spectrum(
    checkpoint: &Checkpoint,
    id: TensorId,
    progress: &Progress,
) -> Result<Spectrum, SpectrumError> {
    let tensor = checkpoint.tensor(id);
    let dims = value_dims(tensor);
    let (rows, columns) = matrix_shape(&dims);
    if dims.len() < 2 || rows == 0 || columns == 0 {
        return Err(SpectrumError::NotAMatrix(tensor.shape.to_string()));
    }
    if !tensor.dtype.is_numeric() || tensor.dtype.is_complex() {
        return Err(SpectrumError::Dtype(tensor.dtype.to_string()));
    }
    let elements = rows.saturating_mul(columns);
    if elements > SIDE * SIDE {
        return Err(SpectrumError::TooLarge { rows, columns });
    }
    progress.set_total(tensor.bytes());
    let is_exact = rows.min(columns) <= EXACT.0 && elements <= EXACT.1;
    let mut matrix = Matrix { rows: rows as usize, columns: columns as usize, ..Matrix::default() };
    let (mut values, mut not_finite, mut squares) = (Vec::new(), 0, 0.0);
    checkpoint.read_chunks(id, progress, &mut |bytes| {
        values.clear();
        tensor.dtype.decode(bytes, &mut values);
        not_finite += values.iter().filter(|value| !value.is_finite()).count() as u64;
        squares += values.iter().map(|value| value * value).sum::<f64>();
        if is_exact {
            matrix.wide.extend_from_slice(&values);
        } else {
            matrix.narrow.extend(values.iter().map(|&value| value as f32));
        }
        if not_finite > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if not_finite > 0 {
        return Err(SpectrumError::NotFinite(not_finite));
    }
    if (matrix.wide.len() + matrix.narrow.len()) as u64 != elements {
        return Err(ReadError::FileChanged.into());
    }
    let (singular_values, method) = if is_exact {
        (matrix.all_singular_values(progress)?, Method::Exact)
    } else {
        largest_singular_values(&matrix, LARGEST, squares, progress)?
    };
    if progress.is_cancelled() {
        return Err(ReadError::Cancelled.into());
    }
    Ok(describe(rows, columns, singular_values, method, squares))
}

fn describe(rows: u64, columns: u64, singular_values: Vec<f64>, method: Method, squares: f64) -> Spectrum {
    let largest = singular_values.first().copied().unwrap_or(0.0);
    let is_exact = method == Method::Exact;
    let sum: f64 = singular_values.iter().sum();
    let entropy: f64 = singular_values
        .iter()
        .map(|value| value / sum)
        .filter(|share| *share > 0.0)
        .map(|share| -share * share.ln())
        .sum();
    Spectrum {
        rows,
        columns,
        method,
        frobenius_norm: squares.sqrt(),
        spectral_norm: largest,
        stable_rank: if largest > 0.0 { squares / (largest * largest) } else { 0.0 },
        effective_rank: is_exact.then_some(if sum > 0.0 { entropy.exp() } else { 0.0 }),
        condition: singular_values.last().filter(|_| is_exact && largest > 0.0).map(|least| largest / least),
        power_law: power_law::fit(&singular_values.iter().map(|value| value * value).collect::<Vec<f64>>()),
        singular_values,
    }
}

/// Row-major elements, in one of two widths.
#[derive(Default)]
struct Matrix {
    rows: usize,
    columns: usize,
    wide: Vec<f64>,
    narrow: Vec<f32>,
}

impl Matrix {
    fn all_singular_values(self, progress: &Progress) -> Result<Vec<f64>, SpectrumError> {
        let found = abandonable(progress, move || {
            MatRef::from_row_major_slice(&self.wide, self.rows, self.columns).singular_values().ok()
        })?;
        found.flatten().ok_or(SpectrumError::NotConverged)
    }

    fn narrow(&self) -> MatRef<'_, f32> {
        MatRef::from_row_major_slice(&self.narrow, self.rows, self.columns)
    }

    /// `A·x`, in panels of rows.
    fn times(&self, x: &Mat<f32>, progress: &Progress) -> Result<Mat<f32>, ReadError> {
        let mut product = Mat::zeros(self.rows, x.ncols());
        for start in (0..self.rows).step_by(PANEL) {
            progress.advance(0)?;
            let count = PANEL.min(self.rows - start);
            let panel = self.narrow().subrows(start, count) * x;
            product.subrows_mut(start, count).copy_from(&panel);
        }
        Ok(product)
    }

    /// `Aᵀ·y`, in panels of rows.
    fn transposed_times(&self, y: &Mat<f32>, progress: &Progress) -> Result<Mat<f32>, ReadError> {
        let mut product = Mat::zeros(self.columns, y.ncols());
        for start in (0..self.rows).step_by(PANEL) {
            progress.advance(0)?;
            let count = PANEL.min(self.rows - start);
            product += self.narrow().subrows(start, count).transpose() * y.subrows(start, count);
        }
        Ok(product)
    }
}

/// The largest singular values by projection on the range of `A·Ω` for a random `Ω`.
///
/// Source: N. Halko, P. G. Martinsson, J. A. Tropp, "Finding structure with randomness", SIAM Review 53 (2011),
/// algorithms 4.4 and 5.1. The error is estimated by how much the last power iteration moved the values.
fn largest_singular_values(
    matrix: &Matrix,
    wanted: usize,
    squares: f64,
    progress: &Progress,
) -> Result<(Vec<f64>, Method), SpectrumError> {
    let kept = (wanted + OVERSAMPLED).min(matrix.rows).min(matrix.columns);
    let mut random = Random(0x5eed);
    let mut basis = matrix.times(&Mat::from_fn(matrix.columns, kept, |_, _| random.normal()), progress)?;
    let (mut before, mut values) = (Vec::new(), Vec::new());
    for iteration in 0..=POWER_ITERATIONS {
        let projected = matrix.transposed_times(&orthogonal(basis, progress)?, progress)?;
        if iteration + 1 >= POWER_ITERATIONS {
            before = std::mem::take(&mut values);
            let projected = projected.clone();
            let found = abandonable(progress, move || projected.singular_values().ok())?;
            values = found.flatten().ok_or(SpectrumError::NotConverged)?;
        }
        if iteration == POWER_ITERATIONS {
            break;
        }
        basis = matrix.times(&orthogonal(projected, progress)?, progress)?;
    }
    let count = wanted.min(kept);
    let values: Vec<f64> = values.into_iter().take(count).map(f64::from).collect();
    let moved = |index: usize| match (values.get(index), before.get(index)) {
        (Some(&now), Some(&before)) if now > 0.0 => {
            // Never less than single precision can tell.
            ((now - f64::from(before)).abs() / now).max(f64::from(f32::EPSILON))
        }
        _ => 0.0,
    };
    let explained: f64 = values.iter().map(|value| value * value).sum();
    let unexplained = if squares > 0.0 { (1.0 - explained / squares).max(0.0) } else { 0.0 };
    let (largest_error, smallest_error) = (moved(0), moved(values.len().saturating_sub(1)));
    Ok((values, Method::Randomized { unexplained, largest_error, smallest_error }))
}

/// Orthonormal columns that span the same as these.
fn orthogonal(columns: Mat<f32>, progress: &Progress) -> Result<Mat<f32>, SpectrumError> {
    abandonable(progress, move || columns.qr().compute_thin_Q())?.ok_or(SpectrumError::NotConverged)
}

/// The same numbers in every run: splitmix64 (S. Vigna), and the Box-Muller transform.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * self.uniform()).cos()) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A matrix whose singular values fall off like those of trained weights.
    fn falling(rows: usize, columns: usize) -> Matrix {
        let mut random = Random(7);
        let rank = rows.min(columns);
        let left = Mat::<f64>::from_fn(rows, rank, |_, _| f64::from(random.normal())).qr().compute_thin_Q();
        let right =
            Mat::<f64>::from_fn(columns, rank, |_, _| f64::from(random.normal())).qr().compute_thin_Q();
        let scaled = Mat::from_fn(rows, rank, |row, k| left[(row, k)] / (1.0 + k as f64));
        let product = scaled * right.transpose();
        let wide: Vec<f64> =
            (0..rows * columns).map(|index| product[(index / columns, index % columns)]).collect();
        let narrow = wide.iter().map(|&value| value as f32).collect();
        Matrix { rows, columns, wide, narrow }
    }

    #[test]
    fn all_singular_values_are_those_the_matrix_was_made_with() {
        for (rows, columns) in [(40, 25), (25, 40)] {
            let values = falling(rows, columns).all_singular_values(&Progress::new()).expect("converges");
            assert_eq!(values.len(), 25);
            for (k, value) in values.iter().enumerate() {
                assert!((value * (1.0 + k as f64) - 1.0).abs() < 1e-12, "{k}: {value}");
            }
        }
    }

    #[test]
    fn the_randomized_method_finds_the_largest_within_the_error_it_says() {
        let matrix = falling(300, 220);
        let squares = matrix.wide.iter().map(|value| value * value).sum();
        let (values, method) =
            largest_singular_values(&matrix, 40, squares, &Progress::new()).expect("converges");
        let Method::Randomized { unexplained, largest_error, smallest_error } = method else {
            panic!("a randomized method")
        };
        assert!((values[0] - 1.0).abs() <= 2.0 * largest_error, "{} {largest_error}", values[0]);
        assert!((values[39] * 40.0 - 1.0).abs() <= 10.0 * smallest_error, "{} {smallest_error}", values[39]);
        assert!(smallest_error < 0.05);
        let expected: f64 = (40..220).map(|k| (1.0 + f64::from(k)).powi(-2)).sum::<f64>() / squares;
        assert!((unexplained - expected).abs() < 1e-3, "{unexplained} {expected}");
        let again = largest_singular_values(&matrix, 40, squares, &Progress::new()).expect("converges").0;
        assert_eq!(values, again);
    }

    #[test]
    fn a_cancelled_product_stops() {
        let progress = Progress::new();
        progress.cancel();
        assert!(largest_singular_values(&falling(30, 20), 5, 1.0, &progress).is_err());
    }

    #[test]
    fn ranks_of_the_identity_are_its_size_and_of_one_direction_are_one() {
        let identity = describe(4, 4, vec![1.0; 4], Method::Exact, 4.0);
        assert_eq!((identity.stable_rank, identity.condition), (4.0, Some(1.0)));
        assert!((identity.effective_rank.expect("known") - 4.0).abs() < 1e-12);
        let single = describe(2, 2, vec![3.0, 0.0], Method::Exact, 9.0);
        assert_eq!((single.stable_rank, single.effective_rank), (1.0, Some(1.0)));
        assert_eq!(single.condition, Some(f64::INFINITY));
        let nothing = describe(2, 2, vec![0.0, 0.0], Method::Exact, 0.0);
        assert_eq!((nothing.stable_rank, nothing.effective_rank, nothing.condition), (0.0, Some(0.0), None));
    }
}
