//! Gathers what is needed of a tensor's values for statistics, in one pass over pieces of it.
//!
//! Elements are taken in blocks of fixed size, blocks in segments of fixed size, and sums are merged in the order of
//! the elements. Where the pieces were cut, and how many threads read them, makes no difference to a single digit.

use super::codes::Codes;
use super::complex::Parts;
use super::gathered::{Gathered, Keys, Seen};
use super::kernels::{BLOCK, block_f32, block_f64};
use super::key_table::Counters;
use super::moments::Moments;
use super::{Statistics, ValueTable};
use crate::model::Dtype;

/// Elements whose moments are merged before those of the next ones: the share of one thread at a time.
pub(super) const SEGMENT: usize = 256 * BLOCK;

/// Elements of the wider types that are kept, so that everything about a small tensor is exact and cheap.
const LISTED: usize = BLOCK;

/// Accumulates [`Statistics`] and a [`ValueTable`] from pieces of one or more tensors.
///
/// The result does not depend on where the pieces were cut. Integers beyond 2^53 are rounded to `f64`.
/// The table is exact for types of at most 16 bits and for tensors of at most 4096 elements.
#[derive(Clone)]
pub struct StatisticsBuilder {
    dtype: Dtype,
    content: Content,
    memory: Memory,
    /// What other builders saw.
    merged: Option<Gathered>,
}

/// Working memory, used again for tensor after tensor.
#[derive(Clone, Default)]
pub(super) struct Memory {
    counters: Option<Counters>,
    decoded: Vec<f64>,
}

#[derive(Clone)]
enum Content {
    /// Types without numbers: only how many elements.
    Counted(u64),
    /// Types of at most 16 bits.
    Codes(Codes),
    /// Everything else.
    Values(Box<Values>),
}

impl StatisticsBuilder {
    /// For elements of `dtype`. Types without numbers are counted only; strings, whose size is not fixed, not even that.
    pub fn new(dtype: &Dtype) -> Self {
        Self::with_memory(dtype, Memory::default())
    }

    pub(super) fn with_memory(dtype: &Dtype, memory: Memory) -> Self {
        let content = match dtype.bits() {
            _ if !dtype.is_numeric() => Content::Counted(0),
            1..=16 => Content::Codes(Codes::new(dtype)),
            _ => Content::Values(Box::new(Values::new(dtype))),
        };
        Self { dtype: dtype.clone(), content, memory, merged: None }
    }

    /// Adds packed little-endian elements, as `Checkpoint::read_chunks` delivers them; at most 2^31 bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let Memory { counters, decoded } = &mut self.memory;
        match &mut self.content {
            Content::Counted(count) => {
                *count += self.dtype.elements_in(bytes.len() as u64);
            }
            Content::Codes(codes) => codes.push(&self.dtype, bytes, counters),
            Content::Values(values) if self.dtype == Dtype::Float32 => {
                values.push_f32(bytes.as_chunks::<4>().0, counters);
            }
            Content::Values(values) => {
                // A block at a time: decoded, it is still in cache when it is added up.
                let block_bytes = self.dtype.bytes_for(BLOCK as u64).filter(|&bytes| bytes > 0);
                for part in bytes.chunks(block_bytes.map_or(bytes.len().max(1), |bytes| bytes as usize)) {
                    decoded.clear();
                    self.dtype.decode(part, decoded);
                    values.push_f64(decoded, counters);
                    if let Some(parts) = &mut values.parts {
                        parts.push(&self.dtype, part);
                    }
                }
            }
        }
    }

    /// Counts elements of a type without numbers that need not be read for it.
    pub(super) fn count_only(&mut self, elements: u64) {
        if let Content::Counted(count) = &mut self.content {
            *count += elements;
        }
    }

    /// Adds what another builder saw, of any dtype.
    pub fn merge(&mut self, other: &Self) {
        let mut gathered = self.clone().gather().0;
        gathered.merge(&other.clone().gather().0);
        *self = Self { merged: Some(gathered), ..Self::new(&self.dtype) };
    }

    /// The results.
    pub fn finish(self) -> (Statistics, ValueTable) {
        self.gather().0.finish()
    }

    /// Ends a segment and takes its moments out; `None` for types of at most 16 bits, which need none.
    pub(super) fn take_segment(&mut self) -> Option<Moments> {
        let Content::Values(values) = &mut self.content else { return None };
        values.is_small = false;
        values.flush(&mut self.memory.counters);
        values.segments.pop()
    }

    /// What was seen, in a form that can be merged, and the memory for the next one.
    pub(super) fn gather(self) -> (Gathered, Memory) {
        let Self { dtype, content, mut memory, merged } = self;
        let seen = match content {
            Content::Counted(count) => Seen::Counted(count),
            Content::Codes(codes) => Seen::Codes(codes.take(&dtype, &mut memory.counters)),
            Content::Values(values) => values.gather(&mut memory.counters),
        };
        let gathered = Gathered { dtype, seen };
        match merged {
            None => (gathered, memory),
            Some(mut all) => {
                all.merge(&gathered);
                (all, memory)
            }
        }
    }
}

/// Moments and keys, filled block by block.
#[derive(Clone)]
struct Values {
    /// Of the finished segments, in order.
    segments: Vec<Moments>,
    /// Of the finished blocks of the segment that is not finished.
    segment: Moments,
    /// Elements in `segment`.
    in_segment: usize,
    /// Elements that wait for others: all of a small tensor, otherwise those that do not fill a block yet. Only one of
    /// the two is used for a dtype.
    pending_f32: Vec<[u8; 4]>,
    pending_f64: Vec<f64>,
    /// Whether there were so few elements so far that all of them are pending.
    is_small: bool,
    /// Whether all values are whole numbers.
    whole: bool,
    /// Of complex types.
    parts: Option<Box<Parts>>,
}

impl Values {
    fn new(dtype: &Dtype) -> Self {
        Self {
            segments: Vec::new(),
            segment: Moments::empty(),
            in_segment: 0,
            pending_f32: Vec::new(),
            pending_f64: Vec::new(),
            is_small: true,
            whole: !dtype.is_float(),
            parts: dtype.is_complex().then(Box::default),
        }
    }

    fn push_f32(&mut self, mut elements: &[[u8; 4]], counters: &mut Option<Counters>) {
        if self.is_small {
            if self.pending_f32.len() + elements.len() <= LISTED {
                self.pending_f32.extend_from_slice(elements);
                return;
            }
            self.is_small = false;
            let listed = std::mem::take(&mut self.pending_f32);
            self.push_f32(&listed, counters);
        }
        if !self.pending_f32.is_empty() {
            let (now, later) = elements.split_at(elements.len().min(BLOCK - self.pending_f32.len()));
            self.pending_f32.extend_from_slice(now);
            elements = later;
            if self.pending_f32.len() == BLOCK {
                self.flush_f32(counters);
            }
        }
        let counters = counters.get_or_insert_with(Counters::new);
        let (blocks, rest) = elements.as_chunks::<BLOCK>();
        for block in blocks {
            let sums = block_f32(block, counters.with_room_for(BLOCK));
            self.end_block(&Moments::of_block(&sums), BLOCK);
        }
        self.pending_f32.extend_from_slice(rest);
    }

    fn push_f64(&mut self, mut values: &[f64], counters: &mut Option<Counters>) {
        if self.is_small {
            if self.pending_f64.len() + values.len() <= LISTED {
                self.pending_f64.extend_from_slice(values);
                return;
            }
            self.is_small = false;
            let listed = std::mem::take(&mut self.pending_f64);
            self.push_f64(&listed, counters);
        }
        if !self.pending_f64.is_empty() {
            let (now, later) = values.split_at(values.len().min(BLOCK - self.pending_f64.len()));
            self.pending_f64.extend_from_slice(now);
            values = later;
            if self.pending_f64.len() == BLOCK {
                self.flush_f64(counters);
            }
        }
        let counters = counters.get_or_insert_with(Counters::new);
        let (blocks, rest) = values.as_chunks::<BLOCK>();
        for block in blocks {
            let sums = block_f64(block, counters.with_room_for(BLOCK));
            self.end_block(&Moments::of_block(&sums), BLOCK);
        }
        self.pending_f64.extend_from_slice(rest);
    }

    fn end_block(&mut self, moments: &Moments, elements: usize) {
        self.segment.merge(moments);
        self.in_segment += elements;
        if self.in_segment >= SEGMENT {
            self.end_segment();
        }
    }

    fn end_segment(&mut self) {
        if self.in_segment > 0 {
            self.segments.push(std::mem::replace(&mut self.segment, Moments::empty()));
            self.in_segment = 0;
        }
    }

    fn flush_f32(&mut self, counters: &mut Option<Counters>) {
        let counters = counters.get_or_insert_with(Counters::new);
        for block in std::mem::take(&mut self.pending_f32).chunks(BLOCK) {
            let sums = block_f32(block, counters.with_room_for(block.len()));
            self.end_block(&Moments::of_block(&sums), block.len());
        }
    }

    fn flush_f64(&mut self, counters: &mut Option<Counters>) {
        let counters = counters.get_or_insert_with(Counters::new);
        for block in std::mem::take(&mut self.pending_f64).chunks(BLOCK) {
            let sums = block_f64(block, counters.with_room_for(block.len()));
            self.end_block(&Moments::of_block(&sums), block.len());
        }
    }

    /// Ends the segment with what is pending.
    fn flush(&mut self, counters: &mut Option<Counters>) {
        self.flush_f32(counters);
        self.flush_f64(counters);
        self.end_segment();
    }

    fn gather(mut self, counters: &mut Option<Counters>) -> Seen {
        let keys = if self.is_small {
            // The sums alone, without touching the counters.
            let mut values: Vec<f64> =
                self.pending_f32.iter().map(|&element| f64::from(f32::from_le_bytes(element))).collect();
            values.extend(&self.pending_f64);
            self.segments.push(Moments::of_few(&self.pending_f32, &self.pending_f64));
            Keys::Values(values)
        } else {
            self.flush(counters);
            Keys::Counted(counters.as_mut().map(Counters::take).unwrap_or_default())
        };
        let mut moments = Moments::empty();
        for segment in &self.segments {
            moments.merge(segment);
        }
        if let Some(parts) = &mut self.parts {
            parts.flush();
        }
        Seen::Values { moments, keys, whole: self.whole, parts: self.parts }
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
