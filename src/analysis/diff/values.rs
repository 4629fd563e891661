//! The differences between the values of two tensors, gathered piece by piece.
//!
//! Fed with pieces of both sides by whoever reads them. A tensor is divided into segments of a fixed size, each of which may
//! be gathered by another thread; merged in order they give the same numbers however many threads there were.

use super::buckets::{DeltaBuckets, Deltas};
use super::kernels::{self, BLOCK, BlockSums};
use super::lanes::{Decoder, Lanes, block_bytes};
use crate::model::Dtype;

/// How far values may be apart and still count as unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tolerance {
    /// In units of the values.
    pub absolute: f64,
    /// As a fraction of the larger magnitude of the two.
    pub relative: f64,
}

impl Tolerance {
    /// Whether values must be equal.
    pub fn is_exact(self) -> bool {
        self.absolute <= 0.0 && self.relative <= 0.0
    }

    /// Whether two finite values differ by more. Symmetric in the two.
    pub fn is_exceeded(self, left: f64, right: f64) -> bool {
        (right - left).abs() > self.absolute.max(0.0) + self.relative.max(0.0) * left.abs().max(right.abs())
    }
}

/// One element whose value changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Its position, counted row-major over the tensor.
    pub index: u64,
    /// The left value; of a complex number the magnitude.
    pub left: f64,
    /// The right value; of a complex number the magnitude.
    pub right: f64,
    /// The magnitude of the difference.
    pub magnitude: f64,
}

/// Changes that are kept.
pub const LARGEST_CHANGES: usize = 16;

/// The differences between the values of two tensors.
///
/// Sums and extremes are over the elements that are finite on both sides; the others are counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ValueDiff {
    /// Elements that were compared.
    pub elements: u64,
    /// Elements that differ by more than the tolerance. NaN equals NaN.
    pub changed: u64,
    /// Elements whose values have opposite signs.
    pub sign_flips: u64,
    /// Elements that are NaN only on the right.
    pub nan_appeared: u64,
    /// Elements that are NaN only on the left.
    pub nan_gone: u64,
    /// Elements that are not finite on both sides, and so in no sum.
    pub not_finite: u64,
    /// The first element that is not finite on exactly one side, or differently so.
    pub first_not_finite_change: Option<u64>,
    /// Largest magnitude of a difference.
    pub max_abs: f64,
    /// Mean magnitude of the differences.
    pub mean_abs: f64,
    /// Euclidean norm of the difference.
    pub l2: f64,
    /// Euclidean norm of the left values.
    pub l2_left: f64,
    /// Euclidean norm of the right values.
    pub l2_right: f64,
    /// Cosine of the angle between both; `None` where one is all zero.
    pub cosine: Option<f64>,
    /// The differences (right minus left) of the changed elements, counted by size.
    pub deltas: Deltas,
    /// The largest changes, the largest first.
    pub largest: Vec<Change>,
}

impl ValueDiff {
    /// The norm of the difference as a fraction of the left norm; infinite where the left is all zero and the right is not.
    pub fn relative_l2(&self) -> f64 {
        relative(self.l2, self.l2_left)
    }

    /// Fraction of the elements that changed, from 0 to 1.
    pub fn changed_fraction(&self) -> f64 {
        if self.elements == 0 { 0.0 } else { self.changed as f64 / self.elements as f64 }
    }
}

/// A norm of differences as a fraction of a norm of values.
pub(super) fn relative(difference: f64, of: f64) -> f64 {
    if difference == 0.0 { 0.0 } else { difference / of }
}

/// Gathers the differences of one segment of a pair.
#[derive(Debug, Clone)]
pub struct DiffBuilder {
    lanes: Lanes,
    left: Decoder,
    right: Decoder,
    /// Bytes of a block on either side.
    block_bytes: (usize, usize),
    same_dtype: bool,
    tolerance: Tolerance,
    /// Position of the next element in the tensor.
    position: u64,
    sums: Sums,
}

#[derive(Debug, Clone, Default)]
struct Sums {
    elements: u64,
    changed: u64,
    sign_flips: u64,
    nan_appeared: u64,
    nan_gone: u64,
    not_finite: u64,
    first_not_finite_change: Option<u64>,
    max_abs: f64,
    abs: f64,
    squares: f64,
    left_squares: f64,
    right_squares: f64,
    dot: f64,
    deltas: DeltaBuckets,
    largest: Vec<Change>,
}

impl DiffBuilder {
    /// For the elements from `position` on; `None` where one of the types has no numbers.
    pub fn new(left: &Dtype, right: &Dtype, tolerance: Tolerance, position: u64) -> Option<Self> {
        Some(Self {
            lanes: Lanes::of(left, right)?,
            left: Decoder::new(left),
            right: Decoder::new(right),
            block_bytes: (block_bytes(left)?, block_bytes(right)?),
            same_dtype: left == right,
            tolerance,
            position,
            sums: Sums::default(),
        })
    }

    /// The same for another segment of the pair, with nothing gathered.
    #[must_use]
    pub fn another(&self, position: u64) -> Self {
        Self { position, sums: Sums::default(), ..self.clone() }
    }

    /// Elements per block: pieces hold a multiple of it, except the last of a tensor.
    pub const BLOCK_ELEMENTS: u64 = BLOCK as u64;

    /// Adds a piece of packed little-endian elements, the same elements of both sides.
    pub fn push(&mut self, left: &[u8], right: &[u8]) {
        let mut buckets = [0u16; BLOCK];
        for (left, right) in left.chunks(self.block_bytes.0).zip(right.chunks(self.block_bytes.1)) {
            let elements = match self.lanes {
                Lanes::Single if self.same_dtype && left == right => self.equal_single(left),
                Lanes::Double if self.same_dtype && left == right => self.equal_double(left),
                Lanes::Single => {
                    let (a, b) = (self.left.single(left), self.right.single(right));
                    let sums = kernels::differences_f32(a, b, &mut buckets);
                    let wide = |value: &[u8; 4]| f64::from(f32::from_le_bytes(*value));
                    let beyond = |tolerance: Tolerance| {
                        kernels::beyond_f32(a, b, tolerance.absolute, tolerance.relative)
                    };
                    let values = a.iter().map(wide).zip(b.iter().map(wide));
                    self.sums.add_block(self.position, self.tolerance, &sums, &buckets, values, beyond)
                }
                Lanes::Double => {
                    let (a, b) = (self.left.double(left), self.right.double(right));
                    let sums = kernels::differences_f64(a, b, &mut buckets);
                    let wide = |value: &[u8; 8]| f64::from_le_bytes(*value);
                    let beyond = |tolerance: Tolerance| {
                        kernels::beyond_f64(a, b, tolerance.absolute, tolerance.relative)
                    };
                    let values = a.iter().map(wide).zip(b.iter().map(wide));
                    self.sums.add_block(self.position, self.tolerance, &sums, &buckets, values, beyond)
                }
                Lanes::Exact => self.push_exact(left, right),
                Lanes::Complex => self.push_complex(left, right),
            };
            self.position += elements;
        }
    }

    fn equal_single(&mut self, bytes: &[u8]) -> u64 {
        let values = self.left.single(bytes);
        let squares = kernels::squares_f32(values);
        let wide = values.iter().map(|value| f64::from(f32::from_le_bytes(*value)));
        self.sums.add_equal(values.len(), squares, wide)
    }

    fn equal_double(&mut self, bytes: &[u8]) -> u64 {
        let values = self.left.double(bytes);
        let squares = kernels::squares_f64(values);
        self.sums.add_equal(values.len(), squares, values.iter().map(|value| f64::from_le_bytes(*value)))
    }

    fn push_exact(&mut self, left: &[u8], right: &[u8]) -> u64 {
        let (a, b) = (self.left.exact(left), self.right.exact(right));
        for (index, (&a, &b)) in a.iter().zip(&b).enumerate() {
            let position = self.position + index as u64;
            let (left, right) = (a.value(), b.value());
            if !a.is_finite() || !b.is_finite() {
                let equal = a == b || (left.is_nan() && right.is_nan());
                self.sums.add_not_finite(position, left, right, equal);
                continue;
            }
            let difference = a.distance_to(b);
            let changed = a != b && (self.tolerance.is_exact() || self.tolerance.is_exceeded(left, right));
            let flip = a.sign() * b.sign() < 0;
            self.sums.add_one(position, left, right, difference, difference.abs(), changed, flip);
            self.sums.add_products(left * left, right * right, left * right);
        }
        a.len().min(b.len()) as u64
    }

    fn push_complex(&mut self, left: &[u8], right: &[u8]) -> u64 {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        self.left.complex(left, &mut a);
        self.right.complex(right, &mut b);
        for (index, (&a, &b)) in a.iter().zip(&b).enumerate() {
            let position = self.position + index as u64;
            let is_finite = |z: (f64, f64)| z.0.is_finite() && z.1.is_finite();
            let magnitude =
                |z: (f64, f64)| if z.0.is_nan() || z.1.is_nan() { f64::NAN } else { z.0.hypot(z.1) };
            if !is_finite(a) || !is_finite(b) {
                let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
                let equal = same(a.0, b.0) && same(a.1, b.1);
                self.sums.add_not_finite(position, magnitude(a), magnitude(b), equal);
                continue;
            }
            let distance = (b.0 - a.0).hypot(b.1 - a.1);
            let larger = magnitude(a).max(magnitude(b));
            let changed =
                distance > self.tolerance.absolute.max(0.0) + self.tolerance.relative.max(0.0) * larger;
            self.sums.add_one(position, magnitude(a), magnitude(b), distance, distance, changed, false);
            self.sums.add_products(a.0 * a.0 + a.1 * a.1, b.0 * b.0 + b.1 * b.1, a.0 * b.0 + a.1 * b.1);
        }
        a.len().min(b.len()) as u64
    }

    /// Adds the next segment of the same pair.
    pub fn merge(&mut self, next: &Self) {
        self.position = next.position;
        self.sums.merge(&next.sums);
    }

    /// The result over everything gathered.
    pub fn finish(&self) -> ValueDiff {
        let sums = &self.sums;
        let finite = sums.elements - sums.not_finite;
        let norms = sums.left_squares.sqrt() * sums.right_squares.sqrt();
        ValueDiff {
            elements: sums.elements,
            changed: sums.changed,
            sign_flips: sums.sign_flips,
            nan_appeared: sums.nan_appeared,
            nan_gone: sums.nan_gone,
            not_finite: sums.not_finite,
            first_not_finite_change: sums.first_not_finite_change,
            max_abs: sums.max_abs,
            mean_abs: if finite == 0 { 0.0 } else { sums.abs / finite as f64 },
            l2: sums.squares.sqrt(),
            l2_left: sums.left_squares.sqrt(),
            l2_right: sums.right_squares.sqrt(),
            cosine: (norms > 0.0).then(|| (sums.dot / norms).clamp(-1.0, 1.0)),
            deltas: sums.deltas.finish(),
            largest: sums.largest.clone(),
        }
    }
}

impl Sums {
    /// Adds a block whose bytes are the same on both sides.
    fn add_equal(&mut self, len: usize, squares: f64, values: impl Iterator<Item = f64>) -> u64 {
        self.elements += len as u64;
        if squares.is_finite() {
            self.add_products(squares, squares, squares);
            return len as u64;
        }
        for value in values {
            if value.is_finite() {
                self.add_products(value * value, value * value, value * value);
            } else {
                self.not_finite += 1;
            }
        }
        len as u64
    }

    /// Adds a block from what the kernels found, or value by value where some are not finite.
    fn add_block(
        &mut self,
        position: u64,
        tolerance: Tolerance,
        sums: &BlockSums,
        buckets: &[u16; BLOCK],
        values: impl ExactSizeIterator<Item = (f64, f64)>,
        beyond: impl FnOnce(Tolerance) -> u64,
    ) -> u64 {
        let len = values.len();
        if !sums.is_finite() {
            for (index, (left, right)) in values.enumerate() {
                self.add_value(position + index as u64, left, right, tolerance);
            }
            return len as u64;
        }
        self.elements += len as u64;
        self.add_products(sums.left_squares, sums.right_squares, sums.dot);
        if sums.unequal == 0 {
            return len as u64;
        }
        self.changed += if tolerance.is_exact() { sums.unequal } else { beyond(tolerance) };
        self.sign_flips += sums.sign_flips;
        self.max_abs = self.max_abs.max(sums.max_abs);
        self.abs += sums.abs;
        self.squares += sums.squares;
        self.deltas.add(&buckets[..len], len as u64 - sums.unequal);
        if self.may_be_largest(sums.max_abs) {
            for (index, (left, right)) in values.enumerate() {
                self.note_change(position + index as u64, left, right, (right - left).abs());
            }
        }
        len as u64
    }

    fn add_value(&mut self, position: u64, left: f64, right: f64, tolerance: Tolerance) {
        if !left.is_finite() || !right.is_finite() {
            self.add_not_finite(position, left, right, left == right || (left.is_nan() && right.is_nan()));
            return;
        }
        let difference = right - left;
        let flip = (left < 0.0 && right > 0.0) || (left > 0.0 && right < 0.0);
        let changed = tolerance.is_exceeded(left, right);
        self.add_one(position, left, right, difference, difference.abs(), changed, flip);
        self.add_products(left * left, right * right, left * right);
    }

    #[expect(clippy::too_many_arguments, reason = "one element, said in full")]
    fn add_one(
        &mut self,
        position: u64,
        left: f64,
        right: f64,
        delta: f64,
        magnitude: f64,
        changed: bool,
        flip: bool,
    ) {
        self.elements += 1;
        self.changed += u64::from(changed);
        self.sign_flips += u64::from(flip);
        if magnitude > 0.0 {
            self.max_abs = self.max_abs.max(magnitude);
            self.abs += magnitude;
            self.squares += magnitude * magnitude;
            self.deltas.add_one(delta);
            self.note_change(position, left, right, magnitude);
        }
    }

    fn add_products(&mut self, left: f64, right: f64, dot: f64) {
        self.left_squares += left;
        self.right_squares += right;
        self.dot += dot;
    }

    fn add_not_finite(&mut self, position: u64, left: f64, right: f64, equal: bool) {
        self.elements += 1;
        self.not_finite += 1;
        self.nan_appeared += u64::from(right.is_nan() && !left.is_nan());
        self.nan_gone += u64::from(left.is_nan() && !right.is_nan());
        if !equal {
            self.changed += 1;
            self.first_not_finite_change.get_or_insert(position);
        }
    }

    fn may_be_largest(&self, magnitude: f64) -> bool {
        magnitude > 0.0
            && (self.largest.len() < LARGEST_CHANGES
                || self.largest.last().is_some_and(|least| magnitude > least.magnitude))
    }

    /// Keeps a change if it is among the largest. Of equal ones the first stay, so the order of merging decides nothing.
    fn note_change(&mut self, index: u64, left: f64, right: f64, magnitude: f64) {
        if self.may_be_largest(magnitude) {
            let place = self.largest.partition_point(|kept| kept.magnitude >= magnitude);
            self.largest.insert(place, Change { index, left, right, magnitude });
            self.largest.truncate(LARGEST_CHANGES);
        }
    }

    fn merge(&mut self, next: &Self) {
        self.elements += next.elements;
        self.changed += next.changed;
        self.sign_flips += next.sign_flips;
        self.nan_appeared += next.nan_appeared;
        self.nan_gone += next.nan_gone;
        self.not_finite += next.not_finite;
        self.first_not_finite_change = self.first_not_finite_change.or(next.first_not_finite_change);
        self.max_abs = self.max_abs.max(next.max_abs);
        self.abs += next.abs;
        self.squares += next.squares;
        self.add_products(next.left_squares, next.right_squares, next.dot);
        self.deltas.merge(&next.deltas);
        for change in &next.largest {
            self.note_change(change.index, change.left, change.right, change.magnitude);
        }
    }
}
