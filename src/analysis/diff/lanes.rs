//! Which numbers the elements of two tensors are compared as, and how their bytes become these.

use crate::model::Dtype;

use super::exact::{self, Exact};
use super::kernels;

/// How the values of a pair are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lanes {
    /// Both fit `f32` exactly.
    Single,
    /// As `f64`.
    Double,
    /// One is an integer of 64 bits, which `f64` would round.
    Exact,
    /// At least one is complex.
    Complex,
}

impl Lanes {
    /// The narrowest lanes that hold both exactly; `None` where one has no numbers or no block of whole bytes. Integers
    /// of 64 bits are rounded to `f64` only beside complex numbers.
    pub fn of(left: &Dtype, right: &Dtype) -> Option<Self> {
        if !left.is_numeric()
            || !right.is_numeric()
            || block_bytes(left).is_none()
            || block_bytes(right).is_none()
        {
            return None;
        }
        let either = |test: fn(&Dtype) -> bool| test(left) || test(right);
        Some(if either(Dtype::is_complex) {
            Self::Complex
        } else if either(|dtype| matches!(dtype, Dtype::Int64 | Dtype::Uint64)) {
            Self::Exact
        } else if fits_single(left) && fits_single(right) {
            Self::Single
        } else {
            Self::Double
        })
    }
}

/// Bytes of a block of values; `None` where it does not fill whole bytes.
pub(super) fn block_bytes(dtype: &Dtype) -> Option<usize> {
    dtype
        .bytes_for(kernels::BLOCK as u64)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|&bytes| bytes > 0)
}

fn fits_single(dtype: &Dtype) -> bool {
    // Blocks of quantised values (0 bits per element) stand for products that `f32` may round.
    let small_float = dtype.is_float() && !dtype.is_complex() && (1..=32).contains(&dtype.bits());
    small_float || (is_integer(dtype) && dtype.bits() <= 16)
}

fn is_integer(dtype: &Dtype) -> bool {
    matches!(
        dtype,
        Dtype::Int64
            | Dtype::Int32
            | Dtype::Int16
            | Dtype::Int8
            | Dtype::Uint64
            | Dtype::Uint32
            | Dtype::Uint16
            | Dtype::Uint8
            | Dtype::Bool
            | Dtype::Qint8
            | Dtype::Quint8
            | Dtype::Qint32
    )
}

/// Turns the bytes of one dtype into values; keeps its buffers and tables.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    dtype: Dtype,
    /// The `f32` of each byte, for types of one byte; empty for others.
    table: Vec<[u8; 4]>,
    single: Vec<[u8; 4]>,
    double: Vec<[u8; 8]>,
    wide: Vec<f64>,
}

impl Decoder {
    pub fn new(dtype: &Dtype) -> Self {
        let mut table = Vec::new();
        let one_value = dtype.bits() == 8 && *dtype != Dtype::Float4E2m1fnX2 && fits_single(dtype);
        if one_value {
            let bytes: Vec<u8> = (0..=u8::MAX).collect();
            let mut values = Vec::with_capacity(bytes.len());
            dtype.decode(&bytes, &mut values);
            table = values.into_iter().map(|value| (value as f32).to_le_bytes()).collect();
        }
        Self { dtype: dtype.clone(), table, single: Vec::new(), double: Vec::new(), wide: Vec::new() }
    }

    /// As little-endian `f32`; exact for the types of [`Lanes::Single`].
    pub fn single<'a>(&'a mut self, bytes: &'a [u8]) -> &'a [[u8; 4]] {
        match self.dtype {
            Dtype::Float32 => bytes.as_chunks::<4>().0,
            Dtype::Bfloat16 | Dtype::Float16 => {
                let values = bytes.as_chunks::<2>().0;
                self.single.resize(values.len(), [0; 4]);
                if self.dtype == Dtype::Float16 {
                    kernels::widen_float16(values, &mut self.single);
                } else {
                    kernels::widen_bfloat16(values, &mut self.single);
                }
                &self.single
            }
            _ if self.table.len() == 256 => {
                self.single.clear();
                self.single.extend(bytes.iter().map(|&byte| self.table[usize::from(byte)]));
                &self.single
            }
            _ => {
                self.wide.clear();
                self.dtype.decode(bytes, &mut self.wide);
                self.single.clear();
                self.single.extend(self.wide.iter().map(|&value| (value as f32).to_le_bytes()));
                &self.single
            }
        }
    }

    /// As little-endian `f64`.
    pub fn double<'a>(&'a mut self, bytes: &'a [u8]) -> &'a [[u8; 8]] {
        if self.dtype == Dtype::Float64 {
            return bytes.as_chunks::<8>().0;
        }
        self.wide.clear();
        self.dtype.decode(bytes, &mut self.wide);
        self.double.clear();
        self.double.extend(self.wide.iter().map(|value| value.to_le_bytes()));
        &self.double
    }

    /// As numbers that nothing rounds.
    pub fn exact(&self, bytes: &[u8]) -> Vec<Exact> {
        exact::decode(&self.dtype, bytes)
    }

    /// As (real, imaginary).
    pub fn complex(&self, bytes: &[u8], out: &mut Vec<(f64, f64)>) {
        let part = match self.dtype {
            Dtype::Complex128 => Dtype::Float64,
            Dtype::Complex64 => Dtype::Float32,
            Dtype::Complex32 => Dtype::Float16,
            _ => {
                let mut values = Vec::new();
                self.dtype.decode(bytes, &mut values);
                out.clear();
                out.extend(values.into_iter().map(|value| (value, 0.0)));
                return;
            }
        };
        let mut values = Vec::new();
        part.decode(bytes, &mut values);
        out.clear();
        out.extend(values.as_chunks::<2>().0.iter().map(|&[re, im]| (re, im)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_the_narrowest_that_are_exact() {
        let lanes = |left, right| Lanes::of(&left, &right);
        assert_eq!(lanes(Dtype::Float32, Dtype::Bfloat16), Some(Lanes::Single));
        assert_eq!(lanes(Dtype::Uint8, Dtype::Float16), Some(Lanes::Single));
        assert_eq!(lanes(Dtype::Int32, Dtype::Float32), Some(Lanes::Double));
        assert_eq!(lanes(Dtype::Int64, Dtype::Int32), Some(Lanes::Exact));
        assert_eq!(lanes(Dtype::Float32, Dtype::Uint64), Some(Lanes::Exact));
        assert_eq!(lanes(Dtype::Complex64, Dtype::Float32), Some(Lanes::Complex));
        assert_eq!(lanes(Dtype::String, Dtype::Float32), None);
    }

    #[test]
    fn small_types_decode_to_their_values() {
        let mut decoder = Decoder::new(&Dtype::Int8);
        assert_eq!(decoder.single(&[255, 2]), [(-1f32).to_le_bytes(), 2f32.to_le_bytes()]);
        let mut decoder = Decoder::new(&Dtype::Int16);
        assert_eq!(decoder.single(&[255, 255]), [(-1f32).to_le_bytes()]);
    }
}
