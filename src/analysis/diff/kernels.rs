//! The inner loops of a comparison: sums over the differences of two blocks of values.
//!
//! Plain loops over fixed lanes, which the compiler vectorises for the widest instruction set of the machine. Values come
//! as little-endian bytes, so that a tensor of `float32` needs no copy. Sums are in `f64`: products of 16 million `f32`
//! summed in `f32` are wrong in the third digit.

#![allow(clippy::unnecessary_cast, reason = "`as f64` in a macro that makes the functions of f32 and of f64")]

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

/// Values per block: small enough that both sides and the buckets stay in the first-level cache.
pub(super) const BLOCK: usize = 2048;

/// Partial sums that are kept apart, so that additions do not wait for each other.
const LANES: usize = 8;

/// Bits of a bucket of differences: sign, eight of exponent, two of mantissa.
pub(super) const BUCKET_BITS: u32 = 11;

/// Sums over a block in which all values are finite.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct BlockSums {
    /// Elements whose values differ at all.
    pub unequal: u64,
    /// Elements whose values have opposite signs.
    pub sign_flips: u64,
    /// Largest magnitude of a difference.
    pub max_abs: f64,
    /// Sum of the magnitudes of the differences.
    pub abs: f64,
    /// Sum of the squares of the differences.
    pub squares: f64,
    /// Sum of the squares of the left values.
    pub left_squares: f64,
    /// Sum of the squares of the right values.
    pub right_squares: f64,
    /// Sum of the products.
    pub dot: f64,
}

impl BlockSums {
    /// False when some value was not finite (or its square was not): then the sums mean nothing.
    pub fn is_finite(&self) -> bool {
        (self.left_squares + self.right_squares).is_finite()
    }
}

// Two copies of each loop rather than a generic one: the dispatch attribute needs concrete functions.
macro_rules! kernels {
    ($differences:ident, $squares:ident, $beyond:ident, $type:ty, $bytes:literal, $sign:expr) => {
        /// Sums over two blocks of the same length, at most [`BLOCK`]; writes the bucket of each difference (right minus
        /// left) to `buckets`. The sums are valid only where they are finite.
        #[multiversion(targets(
            "x86_64+avx512f+avx512dq+avx512bw+avx512vl",
            "x86_64+avx2+fma",
            "aarch64+neon"
        ))]
        pub(super) fn $differences(
            left: &[[u8; $bytes]],
            right: &[[u8; $bytes]],
            buckets: &mut [u16; BLOCK],
        ) -> BlockSums {
            let mut unequal = [0u32; LANES];
            let mut flips = [0u32; LANES];
            let mut max = [0f64; LANES];
            let mut abs = [0f64; LANES];
            let mut squares = [0f64; LANES];
            let mut left_squares = [0f64; LANES];
            let mut right_squares = [0f64; LANES];
            let mut dot = [0f64; LANES];
            let mut add = |lane: usize, a: [u8; $bytes], b: [u8; $bytes], bucket: &mut u16| {
                let (a, b) = (<$type>::from_le_bytes(a), <$type>::from_le_bytes(b));
                unequal[lane] += u32::from(a != b);
                let opposite = (a.to_bits() ^ b.to_bits()) >> $sign != 0;
                flips[lane] += u32::from(opposite & (a != 0.0) & (b != 0.0));
                *bucket = (((b - a) as f32).to_bits() >> (32 - BUCKET_BITS)) as u16;
                let (a, b) = (a as f64, b as f64);
                let difference = b - a;
                let magnitude = difference.abs();
                max[lane] = if magnitude > max[lane] { magnitude } else { max[lane] };
                abs[lane] += magnitude;
                // Fused where the machine can; the last digits may differ on one that cannot (x86-64 of before 2013).
                let plus = |sum: f64, a: f64, b: f64| {
                    if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
                        a.mul_add(b, sum)
                    } else {
                        sum + a * b
                    }
                };
                squares[lane] = plus(squares[lane], difference, difference);
                left_squares[lane] = plus(left_squares[lane], a, a);
                right_squares[lane] = plus(right_squares[lane], b, b);
                dot[lane] = plus(dot[lane], a, b);
            };
            let len = left.len().min(right.len()).min(BLOCK);
            let (left, right, buckets) = (&left[..len], &right[..len], &mut buckets[..len]);
            let (left, left_rest) = left.as_chunks::<LANES>();
            let (right, right_rest) = right.as_chunks::<LANES>();
            let (buckets, buckets_rest) = buckets.as_chunks_mut::<LANES>();
            for ((left, right), buckets) in left.iter().zip(right).zip(buckets) {
                for lane in 0..LANES {
                    add(lane, left[lane], right[lane], &mut buckets[lane]);
                }
            }
            for (lane, ((&a, &b), bucket)) in left_rest.iter().zip(right_rest).zip(buckets_rest).enumerate() {
                add(lane, a, b, bucket);
            }
            BlockSums {
                unequal: unequal.iter().map(|&count| u64::from(count)).sum(),
                sign_flips: flips.iter().map(|&count| u64::from(count)).sum(),
                max_abs: max.iter().fold(0.0, |max, &value| if value > max { value } else { max }),
                abs: abs.iter().sum(),
                squares: squares.iter().sum(),
                left_squares: left_squares.iter().sum(),
                right_squares: right_squares.iter().sum(),
                dot: dot.iter().sum(),
            }
        }

        /// The sum of squares of a block; not finite where some value is not.
        #[multiversion(targets(
            "x86_64+avx512f+avx512dq+avx512bw+avx512vl",
            "x86_64+avx2+fma",
            "aarch64+neon"
        ))]
        pub(super) fn $squares(values: &[[u8; $bytes]]) -> f64 {
            // More lanes than above: this loop has nothing else to do while it waits for an addition.
            let mut sums = [0f64; 4 * LANES];
            let (lanes, rest) = values.as_chunks::<{ 4 * LANES }>();
            for values in lanes {
                for lane in 0..4 * LANES {
                    let value = <$type>::from_le_bytes(values[lane]) as f64;
                    sums[lane] += value * value;
                }
            }
            for (lane, &value) in rest.iter().enumerate() {
                let value = <$type>::from_le_bytes(value) as f64;
                sums[lane] += value * value;
            }
            sums.iter().sum()
        }

        /// How many values differ by more than `absolute + relative × the larger magnitude`.
        #[multiversion(targets(
            "x86_64+avx512f+avx512dq+avx512bw+avx512vl",
            "x86_64+avx2+fma",
            "aarch64+neon"
        ))]
        pub(super) fn $beyond(
            left: &[[u8; $bytes]],
            right: &[[u8; $bytes]],
            absolute: f64,
            relative: f64,
        ) -> u64 {
            left.iter()
                .zip(right)
                .map(|(&a, &b)| {
                    let (a, b) = (<$type>::from_le_bytes(a) as f64, <$type>::from_le_bytes(b) as f64);
                    let (magnitude_a, magnitude_b) = (a.abs(), b.abs());
                    let larger = if magnitude_a > magnitude_b { magnitude_a } else { magnitude_b };
                    u64::from((b - a).abs() > absolute + relative * larger)
                })
                .sum()
        }
    };
}

kernels!(differences_f32, squares_f32, beyond_f32, f32, 4, 31);
kernels!(differences_f64, squares_f64, beyond_f64, f64, 8, 63);

/// `bfloat16` as little-endian `f32`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512bw+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn widen_bfloat16(values: &[[u8; 2]], out: &mut [[u8; 4]]) {
    for (&value, out) in values.iter().zip(out) {
        *out = (u32::from(u16::from_le_bytes(value)) << 16).to_le_bytes();
    }
}

/// `float16` as little-endian `f32`.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512bw+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn widen_float16(values: &[[u8; 2]], out: &mut [[u8; 4]]) {
    // The exponent's bias is corrected by a product with 2^112, which also makes subnormal numbers right.
    const REBIAS: f32 = f32::from_bits(0x7780_0000);
    for (&value, out) in values.iter().zip(out) {
        let half = u32::from(u16::from_le_bytes(value));
        let magnitude = f32::from_bits((half & 0x7fff) << 13) * REBIAS;
        let outside = if half & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
        *out = (magnitude.to_bits() | outside | (half & 0x8000) << 16).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_widened_to_its_value() {
        for bits in 0..=u16::MAX {
            let expected = half::f16::from_bits(bits).to_f32();
            let mut out = [[0; 4]];
            widen_float16(&[bits.to_le_bytes()], &mut out);
            let seen = f32::from_le_bytes(out[0]);
            assert!(
                seen.to_bits() == expected.to_bits() || (seen.is_nan() && expected.is_nan()),
                "{bits:#x}"
            );
            widen_bfloat16(&[bits.to_le_bytes()], &mut out);
            assert_eq!(u32::from_le_bytes(out[0]), u32::from(bits) << 16);
        }
    }

    #[test]
    fn sums_do_not_depend_on_where_a_value_stands_in_the_block() {
        let left: Vec<_> = (0..BLOCK - 3).map(|i| (i as f32).to_le_bytes()).collect();
        let right: Vec<_> = (0..BLOCK - 3).map(|i| (i as f32 - 2.0).to_le_bytes()).collect();
        let sums = differences_f32(&left, &right, &mut [0; BLOCK]);
        let count = left.len() as f64;
        assert_eq!(
            (sums.unequal, sums.max_abs, sums.abs, sums.squares),
            (left.len() as u64, 2.0, 2.0 * count, 4.0 * count)
        );
        assert_eq!(sums.sign_flips, 1); // 1 became -1; 0 has no sign
        assert_eq!(sums.left_squares, squares_f32(&left));
    }

    #[test]
    fn a_value_that_is_not_finite_shows_in_the_sums() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let sums = differences_f32(&[1f32.to_le_bytes()], &[bad.to_le_bytes()], &mut [0; BLOCK]);
            assert!(!sums.is_finite());
        }
    }
}
