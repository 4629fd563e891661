//! Elements of one dtype as elements of another, piece by piece.
//!
//! Floating-point numbers round to the nearest, ties to even, once: no intermediate type of fewer bits. What becomes infinite
//! or zero by it, and integers that do not fit, are counted.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::model::Dtype;

/// Turns pieces of whole elements into pieces of whole elements.
pub(super) struct Cast {
    kind: Kind,
    numbers: Vec<f64>,
    /// Finite numbers that became infinite, and integers that were cut to the nearest that fits.
    pub overflowed: u64,
    /// Numbers other than zero that became zero.
    pub vanished: u64,
}

enum Kind {
    /// The bytes stay.
    Copy,
    SingleToHalf,
    SingleToBrain,
    BrainToSingle,
    HalfToSingle,
    Numbers {
        from: Dtype,
        to: Dtype,
    },
    Integers {
        from: Dtype,
        to: Dtype,
    },
}

impl Cast {
    /// `None` where elements of the one cannot become the other.
    pub fn new(from: &Dtype, to: &Dtype) -> Option<Self> {
        let kind = match (from, to) {
            _ if from == to => Kind::Copy,
            (Dtype::Qint8 | Dtype::Int4 | Dtype::Int2, Dtype::Int8)
            | (Dtype::Quint8 | Dtype::Uint4 | Dtype::Uint2, Dtype::Uint8)
            | (Dtype::Qint32, Dtype::Int32)
            | (Dtype::Float4E2m1, Dtype::Float4E2m1fnX2)
            | (Dtype::Float4E2m1fnX2, Dtype::Float4E2m1) => Kind::Copy,
            (Dtype::Float32, Dtype::Float16) => Kind::SingleToHalf,
            (Dtype::Float32, Dtype::Bfloat16) => Kind::SingleToBrain,
            (Dtype::Bfloat16, Dtype::Float32) => Kind::BrainToSingle,
            (Dtype::Float16, Dtype::Float32) => Kind::HalfToSingle,
            _ => match (part(from), part(to)) {
                (Some(from), Some(to)) => return Self::new(&from, &to),
                (None, None) if from.is_float() && from.is_numeric() && encodes(to) => {
                    Kind::Numbers { from: from.clone(), to: to.clone() }
                }
                (None, None) if integer(from, &[0; 8]).is_some() && integer(to, &[0; 8]).is_some() => {
                    Kind::Integers { from: from.clone(), to: to.clone() }
                }
                _ => return None,
            },
        };
        Some(Self { kind, numbers: Vec::new(), overflowed: 0, vanished: 0 })
    }

    /// Whether the bytes stay as they are.
    pub fn is_copy(&self) -> bool {
        matches!(self.kind, Kind::Copy)
    }

    /// Appends the elements of `bytes` (packed, little-endian, whole) to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &self.kind {
            Kind::Copy => out.extend_from_slice(bytes),
            Kind::SingleToHalf => {
                let mut singles = [0f32; BLOCK];
                let mut halves = [f16::ZERO; BLOCK];
                for block in bytes.chunks(BLOCK * 4) {
                    let count = block.len() / 4;
                    for (single, bytes) in singles.iter_mut().zip(block.as_chunks::<4>().0) {
                        *single = f32::from_le_bytes(*bytes);
                    }
                    let (Some(singles), Some(halves)) = (singles.get(..count), halves.get_mut(..count))
                    else {
                        continue;
                    };
                    halves.convert_from_f32_slice(singles);
                    for (single, half) in singles.iter().zip(&*halves) {
                        self.overflowed += u64::from(half.is_infinite() && single.is_finite());
                        self.vanished += u64::from(*half == f16::ZERO && *single != 0.0);
                        out.extend_from_slice(&half.to_le_bytes());
                    }
                }
            }
            Kind::SingleToBrain => {
                for bytes in bytes.as_chunks::<4>().0 {
                    let single = f32::from_le_bytes(*bytes);
                    let brain = bf16::from_f32(single);
                    self.overflowed += u64::from(brain.is_infinite() && single.is_finite());
                    self.vanished += u64::from(brain == bf16::ZERO && single != 0.0);
                    out.extend_from_slice(&brain.to_le_bytes());
                }
            }
            Kind::BrainToSingle => {
                out.extend(bytes.as_chunks::<2>().0.iter().flat_map(|&[low, high]| [0, 0, low, high]));
            }
            Kind::HalfToSingle => {
                for bytes in bytes.as_chunks::<2>().0 {
                    out.extend_from_slice(&f16::from_le_bytes(*bytes).to_f32().to_le_bytes());
                }
            }
            Kind::Numbers { from, to } => {
                self.numbers.clear();
                from.decode(bytes, &mut self.numbers);
                for &number in &self.numbers {
                    let became = encode(to, number, out);
                    self.overflowed += u64::from(became.is_infinite() && number.is_finite());
                    self.vanished += u64::from(became == 0.0 && number != 0.0);
                }
            }
            Kind::Integers { from, to } => {
                for element in bytes.chunks_exact(from.group_bytes()) {
                    let Some(number) = integer(from, element) else { continue };
                    let (low, high) = range(to);
                    let fitting = number.clamp(low, high);
                    self.overflowed += u64::from(fitting != number);
                    let all = fitting.to_le_bytes();
                    out.extend_from_slice(all.get(..to.group_bytes()).unwrap_or_default());
                }
            }
        }
    }
}

/// Elements that are converted at a time.
const BLOCK: usize = 2048;

/// The dtype of both parts of a complex number.
fn part(dtype: &Dtype) -> Option<Dtype> {
    match dtype {
        Dtype::Complex128 => Some(Dtype::Float64),
        Dtype::Complex64 => Some(Dtype::Float32),
        Dtype::Complex32 => Some(Dtype::Float16),
        _ => None,
    }
}

fn encodes(dtype: &Dtype) -> bool {
    matches!(dtype, Dtype::Float64 | Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16)
}

/// A number as a single, rounded to the neighbour with an odd last bit where it lies between two: rounding that once more, to
/// the nearest of a narrower type, is as exact as rounding the number itself. `half` looks at the upper half of a double only,
/// or rounds twice. Source: S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
/// rounding to odd", IEEE Transactions on Computers 57(4), 2008.
fn single_to_odd(number: f64) -> f32 {
    let single = number as f32;
    if number.is_nan() || f64::from(single) == number {
        return single;
    }
    let towards_zero = single.to_bits() - u32::from(f64::from(single).abs() > number.abs());
    f32::from_bits(towards_zero | 1)
}

/// Appends a number; gives what it became.
fn encode(dtype: &Dtype, number: f64, out: &mut Vec<u8>) -> f64 {
    match dtype {
        Dtype::Float32 => {
            let single = number as f32;
            out.extend_from_slice(&single.to_le_bytes());
            single.into()
        }
        Dtype::Float16 => {
            let half = f16::from_f32(single_to_odd(number));
            out.extend_from_slice(&half.to_le_bytes());
            half.into()
        }
        Dtype::Bfloat16 => {
            let brain = bf16::from_f32(single_to_odd(number));
            out.extend_from_slice(&brain.to_le_bytes());
            brain.into()
        }
        _ => {
            out.extend_from_slice(&number.to_le_bytes());
            number
        }
    }
}

/// The integer at the beginning of `bytes`; `None` for other dtypes.
pub(super) fn integer(dtype: &Dtype, bytes: &[u8]) -> Option<i128> {
    Some(match dtype {
        Dtype::Int64 => i64::from_le_bytes(*bytes.first_chunk()?).into(),
        Dtype::Int32 | Dtype::Qint32 => i32::from_le_bytes(*bytes.first_chunk()?).into(),
        Dtype::Int16 => i16::from_le_bytes(*bytes.first_chunk()?).into(),
        Dtype::Int8 | Dtype::Qint8 | Dtype::Int4 | Dtype::Int2 => {
            i8::from_le_bytes(*bytes.first_chunk()?).into()
        }
        Dtype::Uint64 => u64::from_le_bytes(*bytes.first_chunk()?).into(),
        Dtype::Uint32 => u32::from_le_bytes(*bytes.first_chunk()?).into(),
        Dtype::Uint16 => u16::from_le_bytes(*bytes.first_chunk()?).into(),
        Dtype::Uint8 | Dtype::Quint8 | Dtype::Uint4 | Dtype::Uint2 => (*bytes.first()?).into(),
        _ => return None,
    })
}

/// The smallest and largest integer of a dtype.
fn range(dtype: &Dtype) -> (i128, i128) {
    let bits = dtype.bits();
    if dtype.name().starts_with("uint") {
        (0, (1 << bits) - 1)
    } else {
        (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cast(from: &Dtype, to: &Dtype, bytes: &[u8]) -> (Vec<u8>, u64, u64) {
        let mut cast = Cast::new(from, to).expect("a cast");
        let mut out = Vec::new();
        cast.push(bytes, &mut out);
        (out, cast.overflowed, cast.vanished)
    }

    #[test]
    fn singles_round_to_the_nearest_half_and_ties_to_even() {
        // 2049 lies between 2048 and 2050, 2051 between 2050 and 2052.
        let singles: Vec<u8> =
            [2049f32, 2051.0, 65519.0, 65520.0, 1e-8, -0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let (halves, overflowed, vanished) = cast(&Dtype::Float32, &Dtype::Float16, &singles);
        let expected: Vec<u8> = [2048f32, 2052.0, 65504.0, f32::INFINITY, 0.0, -0.0]
            .iter()
            .flat_map(|&x| f16::from_f32(x).to_le_bytes())
            .collect();
        assert_eq!((halves, overflowed, vanished), (expected, 1, 1));
    }

    #[test]
    fn singles_round_to_the_nearest_brain_float_and_ties_to_even() {
        let singles: Vec<u8> =
            [0x3f80_8000u32, 0x3f81_8000, 0x3f80_8001, 0x7f7f_ffff, 1].map(u32::to_le_bytes).concat();
        let (brains, overflowed, vanished) = cast(&Dtype::Float32, &Dtype::Bfloat16, &singles);
        assert_eq!(brains, [0x3f80u16, 0x3f82, 0x3f81, 0x7f80, 0].map(u16::to_le_bytes).concat());
        assert_eq!((overflowed, vanished), (1, 1));
    }

    #[test]
    fn a_double_rounds_once() {
        // Just above the middle of two brain floats: a single in between would make it a tie.
        let double = 1.0 + 2f64.powi(-8) + 2f64.powi(-40);
        let (brain, ..) = cast(&Dtype::Float64, &Dtype::Bfloat16, &double.to_le_bytes());
        assert_eq!(brain, 0x3f81u16.to_le_bytes());
    }

    #[test]
    fn widening_and_narrowing_again_changes_no_bit() {
        let brains: Vec<u8> =
            (0..=u16::MAX).filter(|bits| bits & 0x7f80 != 0x7f80).flat_map(u16::to_le_bytes).collect();
        let (singles, ..) = cast(&Dtype::Bfloat16, &Dtype::Float32, &brains);
        assert_eq!(cast(&Dtype::Float32, &Dtype::Bfloat16, &singles).0, brains);
        let halves: Vec<u8> =
            (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00).flat_map(u16::to_le_bytes).collect();
        let (singles, ..) = cast(&Dtype::Float16, &Dtype::Float32, &halves);
        assert_eq!(cast(&Dtype::Float32, &Dtype::Float16, &singles).0, halves);
    }

    #[test]
    fn integers_that_do_not_fit_are_cut_and_counted() {
        let wide: Vec<u8> = [300i64, -1, i64::MIN, 7].map(i64::to_le_bytes).concat();
        let (narrow, overflowed, _) = cast(&Dtype::Int64, &Dtype::Uint8, &wide);
        assert_eq!((narrow, overflowed), (vec![255, 0, 0, 7], 3));
        let (wide, overflowed, _) = cast(&Dtype::Int8, &Dtype::Int64, &[0xff]);
        assert_eq!((wide, overflowed), ((-1i64).to_le_bytes().to_vec(), 0));
    }

    #[test]
    fn complex_numbers_keep_both_parts() {
        let half: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        let (wide, ..) = cast(&Dtype::Complex32, &Dtype::Complex64, &half);
        assert_eq!(wide, [1.5f32, -2.0].map(f32::to_le_bytes).concat());
        assert!(Cast::new(&Dtype::Complex64, &Dtype::Float32).is_none());
    }
}
