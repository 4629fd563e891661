//! The inner loops over values, per width of element; the only place with SIMD dispatch.
//!
//! Plain loops over fixed lanes, which the compiler vectorises for the widest instruction set of the machine
//! (`multiversion`). Sums and key counting share a loop: counting waits for memory, sums for arithmetic, and together
//! they take hardly longer than counting alone. Multiplications and additions are fused where the machine can, so the
//! last digits of moments may differ on one that cannot (x86-64 of before 2013). Nothing here knows of tensors or of
//! what the numbers are for.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

/// Values whose sums are taken at a time. The distances are from one of them, which keeps the sums exact enough.
pub(super) const BLOCK: usize = 4096;

/// Partial sums that are kept apart, so that additions do not wait for each other.
const LANES: usize = 8;

/// Counters per 16-bit key, twice: neighbours count in different halves, so that runs of one value do not wait for the
/// counter they have just written.
pub(super) type KeyCounts = [u32; 2 << 16];

/// Sums over the finite values of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BlockSums {
    /// Finite values.
    pub finite: u64,
    /// Values equal to zero.
    pub zeros: u64,
    /// Values that are not zero but smaller than the smallest normal number of the type.
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
    /// Arithmetic mean; 0 when there is none.
    pub mean: f64,
    /// Sum of magnitudes.
    pub l1: f64,
    /// Sum of squares.
    pub squares: f64,
    /// Sums of the second to fourth power of the distances from the mean.
    pub central: [f64; 3],
}

impl BlockSums {
    /// Of no values.
    pub const EMPTY: Self = Self {
        finite: 0,
        zeros: 0,
        denormals: 0,
        nan: 0,
        positive_infinity: 0,
        negative_infinity: 0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        mean: 0.0,
        l1: 0.0,
        squares: 0.0,
        central: [0.0; 3],
    };
}

/// What one pass over a block leaves. Right only when `all_finite`.
struct Pass {
    all_finite: bool,
    min: f64,
    max: f64,
    /// Whether there are zeros or denormals.
    has_tiny: bool,
    l1: f64,
    /// Sums of the first to fourth power of the distances from the shift.
    powers: [f64; 4],
}

impl Pass {
    /// `count` values, of which so many are zero and so many denormal.
    fn sums(&self, count: usize, (zeros, denormals): (u64, u64), shift: f64) -> BlockSums {
        let n = count as f64;
        let [first, second, third, fourth] = self.powers;
        let offset = first / n;
        BlockSums {
            finite: count as u64,
            zeros,
            denormals,
            min: self.min,
            max: self.max,
            mean: shift + offset,
            l1: self.l1,
            squares: not_negative(second + shift * (2.0 * first + n * shift)),
            central: [
                not_negative(second - offset * first),
                third - offset * (3.0 * second - 2.0 * offset * first),
                not_negative(
                    fourth - offset * (4.0 * third - offset * (6.0 * second - 3.0 * offset * first)),
                ),
            ],
            ..BlockSums::EMPTY
        }
    }
}

/// Rounding must not make a sum of even powers negative. NaN (from overflow of the powers) stays.
fn not_negative(sum: f64) -> f64 {
    if sum < 0.0 { 0.0 } else { sum }
}

/// Sums of a block of at most [`BLOCK`] little-endian `f32`, whose keys are counted.
pub(super) fn block_f32(elements: &[[u8; 4]], counts: &mut KeyCounts) -> BlockSums {
    let Some(&first) = elements.first() else { return BlockSums::EMPTY };
    let shift = f64::from(f32::from_le_bytes(first));
    let pass = pass_f32(elements, shift, counts);
    if pass.all_finite {
        // Zeros and denormals are rare; only a block that has some is looked at again.
        let tiny = if pass.has_tiny { tiny_f32(elements) } else { (0, 0) };
        return pass.sums(elements.len(), tiny, shift);
    }
    sums_f32(elements)
}

/// The same to the last digit, without counting keys. Not as fast.
pub(super) fn sums_f32(elements: &[[u8; 4]]) -> BlockSums {
    let values = elements.iter().map(|&element| f32::from_le_bytes(element));
    let denormals = values.clone().filter(|value| value.is_subnormal()).count() as u64;
    let wide: Vec<f64> = values.map(f64::from).collect();
    BlockSums { denormals, ..sums_f64(&wide) }
}

/// The same for `f64`.
pub(super) fn block_f64(values: &[f64], counts: &mut KeyCounts) -> BlockSums {
    count_keys_f64(values, counts);
    sums_f64(values)
}

/// Sums of a block of at most [`BLOCK`] values, whose keys are not counted.
pub(super) fn sums_f64(values: &[f64]) -> BlockSums {
    let Some(&shift) = values.first() else { return BlockSums::EMPTY };
    let pass = pass_f64(values, shift);
    if pass.all_finite {
        let count = |is: fn(&f64) -> bool| values.iter().filter(|value| is(value)).count() as u64;
        let tiny = if pass.has_tiny {
            (count(|value| *value == 0.0), count(|value| value.is_subnormal()))
        } else {
            (0, 0)
        };
        return pass.sums(values.len(), tiny, shift);
    }
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    with_outside(sums_f64(&finite), values.iter().copied().filter(|value| !value.is_finite()))
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

/// Zeros and denormals.
fn tiny_f32(elements: &[[u8; 4]]) -> (u64, u64) {
    let (mut zeros, mut tiny) = (0u32, 0u32);
    for &element in elements {
        let magnitude = magnitude_f32(element);
        zeros += u32::from(magnitude == 0);
        tiny += u32::from(magnitude < SMALLEST_NORMAL_F32);
    }
    (u64::from(zeros), u64::from(tiny - zeros))
}

/// The bits of an `f32` without its sign; they order as magnitudes do.
fn magnitude_f32(element: [u8; 4]) -> u32 {
    u32::from_le_bytes(element) & 0x7fff_ffff
}

const SMALLEST_NORMAL_F32: u32 = 0x0080_0000;

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512bw+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
fn pass_f32(elements: &[[u8; 4]], shift: f64, counts: &mut KeyCounts) -> Pass {
    let mut min = [f32::INFINITY; LANES];
    let mut max = [f32::NEG_INFINITY; LANES];
    let mut smallest = [u32::MAX; LANES];
    let mut l1 = [0f64; LANES];
    let mut powers = [[0f64; LANES]; 4];
    let mut add = |lane: usize, element: [u8; 4]| {
        let value = f32::from_le_bytes(element);
        min[lane] = if value < min[lane] { value } else { min[lane] };
        max[lane] = if value > max[lane] { value } else { max[lane] };
        smallest[lane] = smallest[lane].min(magnitude_f32(element));
        let wide = f64::from(value);
        l1[lane] += wide.abs();
        let distance = wide - shift;
        let square = distance * distance;
        powers[0][lane] += distance;
        if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
            powers[1][lane] = distance.mul_add(distance, powers[1][lane]);
            powers[2][lane] = square.mul_add(distance, powers[2][lane]);
            powers[3][lane] = square.mul_add(square, powers[3][lane]);
        } else {
            powers[1][lane] += square;
            powers[2][lane] += square * distance;
            powers[3][lane] += square * square;
        }
    };
    let (lanes, rest) = elements.as_chunks::<LANES>();
    for elements in lanes {
        for (lane, &element) in elements.iter().enumerate() {
            add(lane, element);
        }
        // One load for two keys: loads and stores are what counting waits for.
        for &pair in elements.as_flattened().as_chunks::<8>().0 {
            let pair = u64::from_le_bytes(pair);
            counts[(pair >> 16 & 0xffff) as usize] += 1;
            counts[1 << 16 | (pair >> 48) as usize] += 1;
        }
    }
    for (lane, &element) in rest.iter().enumerate() {
        add(lane, element);
        counts[usize::from(u16::from_le_bytes([element[2], element[3]]))] += 1;
    }
    let lowest = min.into_iter().fold(f32::INFINITY, |a, b| if b < a { b } else { a });
    let highest = max.into_iter().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
    let l1: f64 = l1.iter().sum();
    Pass {
        // The magnitudes of a block cannot overflow a sum of `f64`, but for infinite ones.
        all_finite: l1.is_finite(),
        min: f64::from(lowest),
        max: f64::from(highest),
        has_tiny: smallest.into_iter().fold(u32::MAX, u32::min) < SMALLEST_NORMAL_F32,
        l1,
        powers: powers.map(|lanes| lanes.iter().sum()),
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512bw+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
fn pass_f64(values: &[f64], shift: f64) -> Pass {
    let mut min = [f64::INFINITY; LANES];
    let mut max = [f64::NEG_INFINITY; LANES];
    let mut largest = [0u64; LANES];
    let mut smallest = [u64::MAX; LANES];
    let mut l1 = [0f64; LANES];
    let mut powers = [[0f64; LANES]; 4];
    let mut add = |lane: usize, value: f64| {
        let magnitude = value.to_bits() & (u64::MAX >> 1);
        min[lane] = if value < min[lane] { value } else { min[lane] };
        max[lane] = if value > max[lane] { value } else { max[lane] };
        largest[lane] = largest[lane].max(magnitude);
        smallest[lane] = smallest[lane].min(magnitude);
        l1[lane] += value.abs();
        let distance = value - shift;
        let square = distance * distance;
        powers[0][lane] += distance;
        if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
            powers[1][lane] = distance.mul_add(distance, powers[1][lane]);
            powers[2][lane] = square.mul_add(distance, powers[2][lane]);
            powers[3][lane] = square.mul_add(square, powers[3][lane]);
        } else {
            powers[1][lane] += square;
            powers[2][lane] += square * distance;
            powers[3][lane] += square * square;
        }
    };
    let (lanes, rest) = values.as_chunks::<LANES>();
    for values in lanes {
        for (lane, &value) in values.iter().enumerate() {
            add(lane, value);
        }
    }
    for (lane, &value) in rest.iter().enumerate() {
        add(lane, value);
    }
    let lowest = min.into_iter().fold(f64::INFINITY, |a, b| if b < a { b } else { a });
    let highest = max.into_iter().fold(f64::NEG_INFINITY, |a, b| if b > a { b } else { a });
    Pass {
        all_finite: largest.into_iter().fold(0, u64::max) < 0x7ff0_0000_0000_0000,
        min: lowest,
        max: highest,
        has_tiny: smallest.into_iter().fold(u64::MAX, u64::min) < 0x0010_0000_0000_0000,
        l1: l1.iter().sum(),
        powers: powers.map(|lanes| lanes.iter().sum()),
    }
}

/// The key of a value in the table of floats: the high half of its `f32` bits, cut off rather than rounded, so that keys
/// order as magnitudes do and a bucket holds what lies between its bounds.
///
/// Finite values beyond `f32` get the outermost finite key of their sign. NaN and infinities have exponents of all
/// ones ([`is_finite_key`]).
#[inline]
pub(super) fn float_key(value: f64) -> u16 {
    // Without the digits that an `f32` has no room for, the conversion is exact.
    let mut narrow = f64::from_bits(value.to_bits() & !0x1fff_ffff) as f32;
    if narrow.is_infinite() && value.is_finite() {
        narrow = f32::MAX.copysign(narrow);
    }
    let key = (narrow.to_bits() >> 16) as u16;
    // A NaN whose only digits were cut off looks like an infinity; both are not finite.
    if value.is_nan() { key | 0x7fc0 } else { key }
}

/// Whether a key stands for finite values.
pub(super) fn is_finite_key(key: u16) -> bool {
    key & 0x7f80 != 0x7f80
}

fn count_keys_f64(values: &[f64], counts: &mut KeyCounts) {
    let mut keys = [[0; 2]; BLOCK];
    for block in values.chunks(BLOCK) {
        let keys = &mut keys[..block.len()];
        float_keys(block, keys);
        count_16(keys, counts);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512dq+avx512bw+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
fn float_keys(values: &[f64], keys: &mut [[u8; 2]]) {
    for (key, &value) in keys.iter_mut().zip(values) {
        *key = float_key(value).to_le_bytes();
    }
}

/// Counts little-endian 16-bit codes. Each counter must have room for all of them.
pub(super) fn count_16(elements: &[[u8; 2]], counts: &mut KeyCounts) {
    let (words, rest) = elements.as_flattened().as_chunks::<8>();
    for &word in words {
        let word = u64::from_le_bytes(word);
        counts[(word & 0xffff) as usize] += 1;
        counts[1 << 16 | (word >> 16 & 0xffff) as usize] += 1;
        counts[(word >> 32 & 0xffff) as usize] += 1;
        counts[1 << 16 | (word >> 48) as usize] += 1;
    }
    for &element in rest.as_chunks::<2>().0 {
        counts[usize::from(u16::from_le_bytes(element))] += 1;
    }
}

/// Counters per byte, four times; see [`KeyCounts`].
pub(super) type ByteCounts = [[u32; 256]; 4];

/// Counts bytes. Each counter must have room for all of them.
pub(super) fn count_8(bytes: &[u8], counts: &mut ByteCounts) {
    let (words, rest) = bytes.as_chunks::<8>();
    for &word in words {
        let word = u64::from_le_bytes(word);
        for index in 0..8 {
            counts[index & 3][(word >> (8 * index) & 0xff) as usize] += 1;
        }
    }
    for &byte in rest {
        counts[0][usize::from(byte)] += 1;
    }
}
