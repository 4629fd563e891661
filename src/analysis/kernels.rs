//! The inner loops over values, per dtype; the only place with SIMD dispatch.
//!
//! Plain loops over fixed lanes, which the compiler vectorises for the widest instruction set of the
//! machine (`multiversion`). Nothing here knows of tensors or of what the numbers are for.

use multiversion::multiversion;

/// Values per block: the moments of a block are taken in two passes over it while it is in the first-level cache.
pub(super) const BLOCK: usize = 2048;

/// Partial sums that are kept apart, so that additions do not wait for each other.
const LANES: usize = 8;

/// Sums over the finite values of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BlockSums {
    /// Finite values.
    pub finite: u64,
    /// Values equal to zero.
    pub zeros: u64,
    /// Values that are not zero but smaller than the smallest normal number.
    pub denormals: u64,
    /// NaN values.
    pub nan: u64,
    /// +∞ values.
    pub positive_infinity: u64,
    /// −∞ values.
    pub negative_infinity: u64,
    /// Smallest finite value; +∞ when there is none.
    pub min: f64,
    /// Largest finite value; −∞ when there is none.
    pub max: f64,
    /// Sum of values.
    pub sum: f64,
    /// Sum of magnitudes.
    pub l1: f64,
    /// Sum of squares.
    pub squares: f64,
    /// Sums of the second to fourth power of the distances from the block's mean.
    pub central: [f64; 3],
}

/// Sums of a block of at most [`BLOCK`] values.
///
/// Non-finite values are rare; a block that has some is copied without them first.
pub(super) fn sums_f32(values: &[f32]) -> BlockSums {
    let mut sums = first_pass_f32(values);
    if sums.finite == values.len() as u64 {
        sums.central = second_pass_f32(values, sums.sum / sums.finite as f64);
        return sums;
    }
    let finite: Vec<f64> = values.iter().filter(|v| v.is_finite()).map(|&v| f64::from(v)).collect();
    let outside = values.iter().filter(|v| !v.is_finite()).map(|&v| f64::from(v));
    // Denormals are those of the narrow type.
    BlockSums { denormals: sums.denormals, ..with_outside(sums_f64(&finite), outside) }
}

/// The same for `f64`.
pub(super) fn sums_f64(values: &[f64]) -> BlockSums {
    let mut sums = first_pass_f64(values);
    if sums.finite == values.len() as u64 {
        sums.central = second_pass_f64(values, sums.sum / sums.finite.max(1) as f64);
        return sums;
    }
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let outside = values.iter().copied().filter(|v| !v.is_finite());
    with_outside(sums_f64(&finite), outside)
}

fn with_outside(mut sums: BlockSums, outside: impl Iterator<Item = f64>) -> BlockSums {
    for value in outside {
        if value.is_nan() {
            sums.nan += 1;
        } else if value > 0.0 {
            sums.positive_infinity += 1;
        } else {
            sums.negative_infinity += 1;
        }
    }
    sums
}

// Two copies of each loop rather than a generic one: the dispatch attribute needs concrete functions. In the first
// pass, `finite` is right only when all values are finite; otherwise the caller throws the sums away.
macro_rules! passes {
    ($first:ident, $second:ident, $type:ty) => {
        #[multiversion(targets(
            "x86_64+avx512f+avx512dq+avx512bw+avx512vl",
            "x86_64+avx2+fma",
            "aarch64+neon"
        ))]
        fn $first(values: &[$type]) -> BlockSums {
            let mut min = [<$type>::INFINITY; LANES];
            let mut max = [<$type>::NEG_INFINITY; LANES];
            let mut zeros = [0u32; LANES];
            let mut tiny = [0u32; LANES];
            let mut finite = [0u32; LANES];
            let mut sum = [0f64; LANES];
            let mut l1 = [0f64; LANES];
            let mut squares = [0f64; LANES];
            let mut add = |lane: usize, value: $type| {
                min[lane] = if value < min[lane] { value } else { min[lane] };
                max[lane] = if value > max[lane] { value } else { max[lane] };
                zeros[lane] += u32::from(value == 0.0);
                tiny[lane] += u32::from(value.abs() < <$type>::MIN_POSITIVE);
                finite[lane] += u32::from(value.abs() < <$type>::INFINITY);
                #[allow(clippy::useless_conversion, reason = "of f64 only")]
                let wide = f64::from(value);
                sum[lane] += wide;
                l1[lane] += wide.abs();
                squares[lane] += wide * wide;
            };
            let (lanes, rest) = values.as_chunks::<LANES>();
            for values in lanes {
                for lane in 0..LANES {
                    add(lane, values[lane]);
                }
            }
            for (lane, &value) in rest.iter().enumerate() {
                add(lane, value);
            }
            let (mut lowest, mut highest) = (f64::INFINITY, f64::NEG_INFINITY);
            for lane in 0..LANES {
                #[allow(clippy::useless_conversion, reason = "of f64 only")]
                let (low, high) = (f64::from(min[lane]), f64::from(max[lane]));
                lowest = if low < lowest { low } else { lowest };
                highest = if high > highest { high } else { highest };
            }
            let zeros = zeros.iter().map(|&count| u64::from(count)).sum();
            BlockSums {
                finite: finite.iter().map(|&count| u64::from(count)).sum(),
                zeros,
                denormals: tiny.iter().map(|&count| u64::from(count)).sum::<u64>() - zeros,
                nan: 0,
                positive_infinity: 0,
                negative_infinity: 0,
                min: lowest,
                max: highest,
                sum: sum.iter().sum(),
                l1: l1.iter().sum(),
                squares: squares.iter().sum(),
                central: [0.0; 3],
            }
        }

        #[multiversion(targets(
            "x86_64+avx512f+avx512dq+avx512bw+avx512vl",
            "x86_64+avx2+fma",
            "aarch64+neon"
        ))]
        fn $second(values: &[$type], mean: f64) -> [f64; 3] {
            let mut sums = [[0f64; LANES]; 3];
            let (lanes, rest) = values.as_chunks::<LANES>();
            for values in lanes {
                for lane in 0..LANES {
                    #[allow(clippy::useless_conversion, reason = "of f64 only")]
                    let distance = f64::from(values[lane]) - mean;
                    let square = distance * distance;
                    sums[0][lane] += square;
                    sums[1][lane] += square * distance;
                    sums[2][lane] += square * square;
                }
            }
            let mut totals = sums.map(|lanes| lanes.iter().sum());
            for &value in rest {
                #[allow(clippy::useless_conversion, reason = "of f64 only")]
                let distance = f64::from(value) - mean;
                let square = distance * distance;
                totals[0] += square;
                totals[1] += square * distance;
                totals[2] += square * square;
            }
            totals
        }
    };
}

passes!(first_pass_f32, second_pass_f32, f32);
passes!(first_pass_f64, second_pass_f64, f64);

/// The key of a value in the float table: the high half of its `f32` bits, so keys order as magnitudes do.
///
/// Finite values beyond `f32` get the outermost finite key of their sign. NaN and infinities have exponents of all
/// ones ([`is_finite_key`]).
pub(super) fn float_key(value: f64) -> u16 {
    let mut narrow = value as f32;
    if narrow.is_infinite() && value.is_finite() {
        narrow = f32::MAX.copysign(narrow);
    }
    (narrow.to_bits() >> 16) as u16
}

/// Whether a key stands for finite values.
pub(super) fn is_finite_key(key: u16) -> bool {
    key & 0x7f80 != 0x7f80
}

/// Two counters per key, so that runs of one value do not wait for the counter they have just written.
pub(super) type KeyCounts = [u32; 2 << 16];

/// Counts keys. Each counter must have room for all of them.
pub(super) fn count_keys(keys: impl ExactSizeIterator<Item = u16>, counts: &mut KeyCounts) {
    for (index, key) in keys.enumerate() {
        counts[(index & 1) << 16 | usize::from(key)] += 1;
    }
}
