//! Complex types: statistics of the real and of the imaginary parts, beside those of the magnitudes.

use half::f16;

use super::PartStatistics;
use super::kernels::{BLOCK, sums_f64};
use super::moments::Moments;
use crate::model::Dtype;

/// The real and the imaginary parts of complex elements.
#[derive(Clone)]
pub(super) struct Parts {
    moments: [Moments; 2],
    /// Elements that do not fill a block yet.
    pending: [Vec<f64>; 2],
}

impl Default for Parts {
    fn default() -> Self {
        Self { moments: [Moments::empty(), Moments::empty()], pending: [Vec::new(), Vec::new()] }
    }
}

impl Parts {
    /// Adds packed little-endian elements of a complex `dtype`.
    pub fn push(&mut self, dtype: &Dtype, bytes: &[u8]) {
        let [real, imaginary] = &mut self.pending;
        decode(dtype, bytes, real, imaginary);
        for (moments, pending) in self.moments.iter_mut().zip(&mut self.pending) {
            let (blocks, rest) = pending.as_chunks::<BLOCK>();
            for block in blocks {
                moments.merge(&Moments::of_block(&sums_f64(block)));
            }
            let done = pending.len() - rest.len();
            pending.drain(..done);
        }
    }

    /// Adds what is pending.
    pub fn flush(&mut self) {
        for (moments, pending) in self.moments.iter_mut().zip(&mut self.pending) {
            moments.merge(&Moments::of_block(&sums_f64(pending)));
            pending.clear();
        }
    }

    /// Adds what another one saw; nothing may be pending in either.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.moments.iter_mut().zip(&other.moments) {
            mine.merge(theirs);
        }
    }

    /// Of the real and of the imaginary parts; `None` where one of them has no finite value. Nothing may be pending.
    pub fn statistics(&self) -> Option<Box<[PartStatistics; 2]>> {
        let part = |moments: &Moments| {
            let found = moments.statistics();
            Some(PartStatistics { min: found.min?, max: found.max?, mean: found.mean?, std: found.std? })
        };
        let [real, imaginary] = &self.moments;
        Some(Box::new([part(real)?, part(imaginary)?]))
    }
}

/// Appends the parts of complex elements; other types add nothing.
pub(super) fn decode(dtype: &Dtype, bytes: &[u8], real: &mut Vec<f64>, imaginary: &mut Vec<f64>) {
    fn each<const N: usize>(
        bytes: &[u8],
        real: &mut Vec<f64>,
        imaginary: &mut Vec<f64>,
        convert: impl Fn([u8; N]) -> f64,
    ) {
        let (pairs, _) = bytes.as_chunks::<N>().0.as_chunks::<2>();
        real.extend(pairs.iter().map(|&[part, _]| convert(part)));
        imaginary.extend(pairs.iter().map(|&[_, part]| convert(part)));
    }
    match dtype {
        Dtype::Complex128 => each(bytes, real, imaginary, f64::from_le_bytes),
        Dtype::Complex64 => each(bytes, real, imaginary, |part| f64::from(f32::from_le_bytes(part))),
        Dtype::Complex32 => each(bytes, real, imaginary, |part| f16::from_le_bytes(part).to_f64()),
        _ => {}
    }
}
