//! Gathers statistics and a table of values from pieces of tensors, in one pass, mergeable.
//!
//! Elements are taken in blocks of fixed size, blocks in segments of fixed size, and sums are merged in the order of
//! the elements. Where the pieces were cut, and how many threads read them, makes no difference to a single digit.

use super::codes;
use super::complex::Parts;
use super::kernels::{BLOCK, float_key, is_finite_key, sums_f32, sums_f64};
use super::key_table::KeyTable;
use super::moments::Moments;
use super::{Statistics, ValueTable};
use crate::model::Dtype;

/// Elements whose moments are merged before those of the next ones: the share of one thread at a time.
pub(super) const SEGMENT: usize = 512 * BLOCK;

/// Accumulates [`Statistics`] and a [`ValueTable`] from pieces of one or more tensors.
///
/// The result does not depend on where the pieces were cut. Integers beyond 2^53 are rounded to `f64`.
/// The table is exact for types of at most 16 bits and for tensors of less than 2048 elements.
#[derive(Clone)]
pub struct StatisticsBuilder {
    dtype: Dtype,
    content: Content,
    /// Working memory for decoded elements.
    decoded: Vec<f64>,
}

#[derive(Clone)]
enum Content {
    /// Types without numbers: only how many elements.
    Counted(u64),
    /// Types of at most 16 bits: how often each code occurs, which tells everything.
    Codes(KeyTable),
    /// Everything else, and mixtures.
    Values(Box<Values>),
}

impl StatisticsBuilder {
    /// For elements of `dtype`. Types without numbers are counted only; strings, whose size is not fixed, not even that.
    pub fn new(dtype: &Dtype) -> Self {
        let content = match dtype.bits() {
            _ if !dtype.is_numeric() => Content::Counted(0),
            1..=16 => Content::Codes(KeyTable::default()),
            _ => Content::Values(Box::new(Values::new(dtype))),
        };
        Self { dtype: dtype.clone(), content, decoded: Vec::new() }
    }

    /// Adds packed little-endian elements, as `Checkpoint::read_chunks` delivers them.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.content {
            Content::Counted(count) => {
                *count += self.dtype.elements_in(bytes.len() as u64);
            }
            Content::Codes(table) => codes::count(&self.dtype, bytes, table),
            Content::Values(values) if self.dtype == Dtype::Float32 => values.push_f32(bytes),
            Content::Values(values) => {
                // In parts of whole elements, so that the decoded values stay in cache.
                let group = self.dtype.group_bytes().max(1);
                for part in bytes.chunks((DECODED_BYTES / group).max(1) * group) {
                    self.decoded.clear();
                    self.dtype.decode(part, &mut self.decoded);
                    values.push_f64(&self.decoded);
                    if let Some(parts) = &mut values.parts {
                        parts.push(&self.dtype, part);
                    }
                }
            }
        }
    }

    /// Adds what another builder saw, of any dtype.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.content, &other.content) {
            (_, Content::Counted(0)) => {}
            (Content::Counted(mine), Content::Counted(theirs)) => *mine += theirs,
            (Content::Codes(mine), Content::Codes(theirs)) if self.dtype == other.dtype => mine.merge(theirs),
            _ => {
                let mut values = self.to_values();
                values.merge(&other.to_values());
                self.content = Content::Values(Box::new(values));
            }
        }
    }

    /// The results so far.
    pub fn finish(&self) -> (Statistics, ValueTable) {
        match &self.content {
            Content::Counted(count) => {
                (Statistics { count: *count, ..Statistics::default() }, ValueTable::default())
            }
            Content::Codes(table) => {
                let counted = codes::values(&self.dtype, table);
                let moments = Moments::of_counted(&counted, codes::smallest_normal(&self.dtype));
                let saturated = codes::saturated(&self.dtype, &counted);
                let finite = counted.into_iter().filter(|(value, _)| value.is_finite());
                let table = ValueTable { buckets: points(finite) };
                (Statistics { saturated, ..Statistics::new(&moments, &table) }, table)
            }
            Content::Values(values) => {
                // A small tensor's values are still all there.
                let mut pending: Vec<f64> = Vec::new();
                let exact = values.is_pending_only();
                if exact {
                    pending.extend(values.pending_f32.iter().map(|&value| f64::from(value)));
                    pending.extend(&values.pending_f64);
                }
                let mut values = values.clone();
                values.flush();
                let table = if exact { table_of(pending) } else { values.value_table() };
                let parts = values.parts.as_ref().and_then(|parts| parts.statistics());
                (Statistics { parts, ..Statistics::new(&values.total, &table) }, table)
            }
        }
    }

    /// The same content in the form that can hold every dtype, with nothing pending.
    fn to_values(&self) -> Values {
        match &self.content {
            Content::Counted(count) => {
                let mut values = Values::new(&self.dtype);
                values.total.count = *count;
                values
            }
            Content::Codes(table) => {
                let mut values = Values::new(&self.dtype);
                let counted = codes::values(&self.dtype, table);
                values.total = Moments::of_counted(&counted, codes::smallest_normal(&self.dtype));
                for (value, count) in counted {
                    values.keys.add_counted(float_key(value), count);
                }
                values
            }
            Content::Values(values) => {
                let mut values = (**values).clone();
                values.flush();
                values
            }
        }
    }
}

/// Bytes decoded at a time.
const DECODED_BYTES: usize = 3 << 12;

/// A table of points from all the values there are.
fn table_of(mut values: Vec<f64>) -> ValueTable {
    values.retain(|value| value.is_finite());
    values.sort_unstable_by(f64::total_cmp);
    let runs = values.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64));
    ValueTable { buckets: points(runs) }
}

fn points(counted: impl Iterator<Item = (f64, u64)>) -> Vec<(f64, f64, u64)> {
    // Zero is shown without a sign, whichever zero came first.
    counted.map(|(value, count)| (value + 0.0, value + 0.0, count)).collect()
}

/// Moments and a table of keys, filled block by block.
#[derive(Clone)]
struct Values {
    /// Of all finished segments.
    total: Moments,
    /// Of the finished blocks of the segment that is not finished.
    segment: Moments,
    /// Elements in `segment`.
    in_segment: usize,
    keys: KeyTable,
    /// Whether all values are whole numbers, so that a bucket ends at whole numbers.
    whole: bool,
    /// Of complex types.
    parts: Option<Box<Parts>>,
    /// Elements that do not fill a block yet; only one of the two is used for a dtype.
    pending_f32: Vec<f32>,
    pending_f64: Vec<f64>,
}

impl Values {
    fn new(dtype: &Dtype) -> Self {
        Self {
            total: Moments::empty(),
            segment: Moments::empty(),
            in_segment: 0,
            keys: KeyTable::default(),
            whole: !dtype.is_float(),
            parts: dtype.is_complex().then(Box::default),
            pending_f32: Vec::new(),
            pending_f64: Vec::new(),
        }
    }

    fn is_pending_only(&self) -> bool {
        self.total.count == 0 && self.segment.count == 0
    }

    fn push_f32(&mut self, bytes: &[u8]) {
        let mut elements = bytes.as_chunks::<4>().0;
        while !elements.is_empty() {
            let room = BLOCK - self.pending_f32.len();
            let (now, later) = elements.split_at(room.min(elements.len()));
            self.pending_f32.extend(now.iter().map(|&element| f32::from_le_bytes(element)));
            elements = later;
            if self.pending_f32.len() == BLOCK {
                self.flush_f32();
            }
        }
    }

    fn push_f64(&mut self, mut values: &[f64]) {
        while !values.is_empty() {
            let room = BLOCK - self.pending_f64.len();
            let (now, later) = values.split_at(room.min(values.len()));
            self.pending_f64.extend_from_slice(now);
            values = later;
            if self.pending_f64.len() == BLOCK {
                self.flush_f64();
            }
        }
    }

    fn flush_f32(&mut self) {
        let moments = Moments::of_block(&sums_f32(&self.pending_f32));
        self.keys.add(self.pending_f32.iter().map(|value| (value.to_bits() >> 16) as u16));
        self.end_block(&moments, self.pending_f32.len());
        self.pending_f32.clear();
    }

    fn flush_f64(&mut self) {
        let moments = Moments::of_block(&sums_f64(&self.pending_f64));
        self.keys.add(self.pending_f64.iter().map(|&value| float_key(value)));
        self.end_block(&moments, self.pending_f64.len());
        self.pending_f64.clear();
    }

    fn end_block(&mut self, moments: &Moments, elements: usize) {
        self.segment.merge(moments);
        self.in_segment += elements;
        if self.in_segment >= SEGMENT {
            self.end_segment();
        }
    }

    fn end_segment(&mut self) {
        self.total.merge(&self.segment);
        self.segment = Moments::empty();
        self.in_segment = 0;
    }

    fn flush(&mut self) {
        if !self.pending_f32.is_empty() {
            self.flush_f32();
        }
        if !self.pending_f64.is_empty() {
            self.flush_f64();
        }
        self.end_segment();
        if let Some(parts) = &mut self.parts {
            parts.flush();
        }
    }

    /// Adds what another one saw; nothing may be pending in either.
    fn merge(&mut self, other: &Self) {
        if other.total.finite > 0 {
            self.whole = other.whole && (self.whole || self.total.finite == 0);
        }
        // Parts of a mixture would be those of a part of it.
        self.parts = match (self.parts.take(), &other.parts) {
            (Some(mut mine), Some(theirs)) => {
                mine.merge(theirs);
                Some(mine)
            }
            _ => None,
        };
        self.total.merge(&other.total);
        self.keys.merge(&other.keys);
    }

    fn value_table(&self) -> ValueTable {
        let counted = self.keys.non_empty();
        let (positive, negative) = counted.split_at(counted.partition_point(|&(key, _)| key < 0x8000));
        let finite = |entry: &&(u16, u64)| is_finite_key(entry.0);
        let mut buckets: Vec<(f64, f64, u64)> = Vec::with_capacity(counted.len() + 1);
        for &(key, count) in negative.iter().rev().filter(finite).filter(|entry| entry.0 != 0x8000) {
            let (low, high) = self.bounds(key & 0x7fff);
            buckets.push((-high, -low, count));
        }
        // Zero is a point of its own; what else is in the two innermost buckets is smaller than 2^-132.
        let innermost: u64 =
            counted.iter().filter(|(key, _)| matches!(key, 0 | 0x8000)).map(|entry| entry.1).sum();
        let tiny = innermost.saturating_sub(self.total.zeros);
        if tiny > 0 {
            let (_, high) = self.bounds(0);
            buckets.push((-high, high, tiny));
        }
        if innermost > tiny {
            buckets.push((0.0, 0.0, innermost - tiny));
        }
        for &(key, count) in positive.iter().filter(finite).filter(|entry| entry.0 != 0) {
            let (low, high) = self.bounds(key);
            buckets.push((low, high, count));
        }
        // The outermost buckets end where the values do, and one with a single element is that value.
        if let Some(first) = buckets.first_mut() {
            first.0 = self.total.min;
            first.1 = if first.2 == 1 { self.total.min } else { first.1 };
        }
        if let Some(last) = buckets.last_mut() {
            last.1 = self.total.max;
            last.0 = if last.2 == 1 { self.total.max } else { last.0 };
        }
        ValueTable { buckets }
    }

    /// The smallest and largest value of a key of positive numbers.
    fn bounds(&self, key: u16) -> (f64, f64) {
        let bits = u32::from(key) << 16;
        let (low, high) = (f64::from(f32::from_bits(bits)), f64::from(f32::from_bits(bits | 0xffff)));
        if self.whole && low.ceil() <= high.floor() { (low.ceil(), high.floor()) } else { (low, high) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reproducible mixture of magnitudes, signs and zeros.
    fn numbers(count: usize) -> Vec<f32> {
        let mut state = 1u64;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                match state >> 60 {
                    0 => 0.0,
                    1 => ((state >> 40) as f32) * -1e-9,
                    _ => ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 3.0,
                }
            })
            .collect()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn built(dtype: &Dtype, bytes: &[u8]) -> StatisticsBuilder {
        let mut builder = StatisticsBuilder::new(dtype);
        builder.push(bytes);
        builder
    }

    fn assert_close(a: f64, b: f64, relative: f64) {
        assert!((a - b).abs() <= relative * a.abs().max(b.abs()), "{a} is not {b}");
    }

    #[test]
    fn moments_are_those_of_the_definition() {
        let values = numbers(10_007);
        let (found, table) = built(&Dtype::Float32, &bytes(&values)).finish();
        let wide: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        let n = wide.len() as f64;
        let mean = wide.iter().sum::<f64>() / n;
        let power = |exponent| wide.iter().map(|value| (value - mean).powi(exponent)).sum::<f64>() / n;
        assert_close(found.mean.expect("a mean"), mean, 1e-12);
        assert_close(found.std.expect("a deviation"), power(2).sqrt(), 1e-12);
        assert_close(found.skewness.expect("a skewness"), power(3) / power(2).powf(1.5), 1e-9);
        assert_close(found.kurtosis.expect("a kurtosis"), power(4) / power(2).powi(2) - 3.0, 1e-9);
        assert_close(found.l1, wide.iter().map(|value| value.abs()).sum(), 1e-12);
        assert_close(found.l2, wide.iter().map(|value| value * value).sum::<f64>().sqrt(), 1e-12);
        assert_eq!(found.zeros, wide.iter().filter(|&&value| value == 0.0).count() as u64);
        assert_eq!((found.count, table.total()), (10_007, 10_007));
    }

    #[test]
    fn results_do_not_depend_on_where_the_pieces_are_cut() {
        let bytes = bytes(&numbers(9000));
        let whole = built(&Dtype::Float32, &bytes).finish();
        for size in [4, 36, 1000, 4096, 20_000] {
            let mut builder = StatisticsBuilder::new(&Dtype::Float32);
            for piece in bytes.chunks(size) {
                builder.push(piece);
            }
            assert_eq!(builder.finish(), whole);
        }
    }

    #[test]
    fn merged_parts_equal_the_whole() {
        let bytes = bytes(&numbers(30_000));
        let (whole, whole_table) = built(&Dtype::Float32, &bytes).finish();
        let (left, right) = bytes.split_at(4 * 7001);
        let mut merged = built(&Dtype::Float32, left);
        merged.merge(&built(&Dtype::Float32, right));
        let (found, table) = merged.finish();
        assert_eq!(table, whole_table);
        assert_eq!(
            (found.min, found.max, found.zeros, found.count),
            (whole.min, whole.max, whole.zeros, whole.count)
        );
        for (a, b) in [(found.mean, whole.mean), (found.std, whole.std), (found.kurtosis, whole.kurtosis)] {
            assert_close(a.expect("known"), b.expect("known"), 1e-12);
        }
    }

    #[test]
    fn merging_types_keeps_counts_extremes_and_moments() {
        let mut builder = built(&Dtype::Int16, &[1, 0, 3, 0]);
        builder.merge(&built(&Dtype::Float32, &bytes(&[0.5, -8.0])));
        builder.merge(&built(&Dtype::String, b"text"));
        let (found, table) = builder.finish();
        assert_eq!((found.count, found.min, found.max, found.mean), (4, Some(-8.0), Some(3.0), Some(-0.875)));
        assert_eq!(table.total(), 4);
    }

    #[test]
    fn values_that_are_not_finite_are_counted_and_left_out() {
        let (found, table) =
            built(&Dtype::Float32, &bytes(&[f32::NAN, f32::INFINITY, 2.0, f32::NEG_INFINITY, 4.0])).finish();
        assert_eq!((found.nan, found.positive_infinity, found.negative_infinity), (1, 1, 1));
        assert_eq!(
            (found.min, found.max, found.mean, found.std),
            (Some(2.0), Some(4.0), Some(3.0), Some(1.0))
        );
        assert_eq!((found.finite, table.total()), (2, 2));
        let (none, table) = built(&Dtype::Float32, &bytes(&[f32::NAN])).finish();
        assert_eq!((none.count, none.min, none.mean, table.quantile(0.5)), (1, None, None, None));
    }

    #[test]
    fn histogram_counts_add_up_to_the_finite_elements() {
        let mut values = numbers(5000);
        values.extend([f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, 1e-40]);
        let (found, table) = built(&Dtype::Float32, &bytes(&values)).finish();
        let (Some(min), Some(max)) = (found.min, found.max) else { panic!("there are finite values") };
        for bins in [1, 7, 64, 1000] {
            assert_eq!(table.histogram(min, max, bins).counts.iter().sum::<u64>(), found.finite);
        }
    }

    #[test]
    fn quantiles_lie_within_a_percent() {
        let mut values = numbers(4001);
        let (_, table) = built(&Dtype::Float32, &bytes(&values)).finish();
        values.sort_by(f32::total_cmp);
        for (q, rank) in [(0.0, 0), (0.05, 200), (0.25, 1000), (0.75, 3000), (1.0, 4000)] {
            assert_close(table.quantile(q).expect("a quantile"), f64::from(values[rank]), 0.01);
        }
    }

    #[test]
    fn small_types_and_small_integers_are_exact() {
        let (found, table) = built(&Dtype::Int8, &[0xff, 1, 1, 0]).finish();
        assert_eq!(table.buckets, [(-1.0, -1.0, 1), (0.0, 0.0, 1), (1.0, 1.0, 2)]);
        assert_eq!((found.mean, found.zeros), (Some(0.25), 1));
        let wide: Vec<u8> = [-3i64, 7, 7, 200].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(
            built(&Dtype::Int64, &wide).finish().1.buckets,
            [(-3.0, -3.0, 1), (7.0, 7.0, 2), (200.0, 200.0, 1)]
        );
        assert_eq!(built(&Dtype::Float4E2m1, &[0x72]).finish().0.max, Some(6.0));
        assert_eq!(built(&Dtype::Bool, &[0, 1, 2]).finish().1.buckets, [(0.0, 0.0, 1), (1.0, 1.0, 2)]);
    }

    #[test]
    fn numbers_beyond_single_precision_stay_in_range() {
        let bytes: Vec<u8> = [1e300f64, -1e-300, 5.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let (found, table) = built(&Dtype::Float64, &bytes).finish();
        assert_eq!((found.min, found.max, found.nan), (Some(-1e-300), Some(1e300), 0));
        assert_eq!(table.quantile(1.0), Some(1e300));
        assert_eq!(table.total(), 3);
    }

    #[test]
    fn a_large_offset_does_not_cost_the_deviation() {
        let values: Vec<u8> = (0..8192).map(|i| 1e9 + f64::from(i % 2)).flat_map(f64::to_le_bytes).collect();
        let (found, _) = built(&Dtype::Float64, &values).finish();
        assert_close(found.std.expect("a deviation"), 0.5, 1e-9);
    }
}
