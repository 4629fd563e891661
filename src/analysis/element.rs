//! Single values, exactly as the file has them: what a table of values shows.

use std::fmt;

use super::complex;
use crate::model::Dtype;

/// One value as the file has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Element {
    /// Floats, and quantised or packed types by the number they stand for.
    Float(f64),
    /// Integers of any size.
    Integer(i128),
    /// Truth values.
    Bool(bool),
    /// Real and imaginary part.
    Complex(f64, f64),
}

impl fmt::Display for Element {
    /// The shortest text that reads back as the same number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Complex(real, imaginary) => write!(f, "{real:?}{imaginary:+?}i"),
        }
    }
}

/// Appends the elements of `bytes` (packed, little-endian, whole elements) to `out`.
pub(super) fn decode(dtype: &Dtype, bytes: &[u8], out: &mut Vec<Element>) {
    fn each<const N: usize>(bytes: &[u8], out: &mut Vec<Element>, convert: impl Fn([u8; N]) -> Element) {
        out.extend(bytes.as_chunks::<N>().0.iter().map(|&element| convert(element)));
    }
    match dtype {
        // Integers that a float cannot hold; the narrower ones it can.
        Dtype::Int64 => each(bytes, out, |b| Element::Integer(i64::from_le_bytes(b).into())),
        Dtype::Uint64 => each(bytes, out, |b| Element::Integer(u64::from_le_bytes(b).into())),
        Dtype::Bool => each(bytes, out, |[b]| Element::Bool(b != 0)),
        _ if dtype.is_complex() => {
            let (mut real, mut imaginary) = (Vec::new(), Vec::new());
            complex::decode(dtype, bytes, &mut real, &mut imaginary);
            out.extend(
                real.into_iter().zip(imaginary).map(|(real, imaginary)| Element::Complex(real, imaginary)),
            );
        }
        _ => {
            let mut values = Vec::new();
            dtype.decode(bytes, &mut values);
            let is_float = dtype.is_float();
            out.extend(
                values.into_iter().map(|value| {
                    if is_float { Element::Float(value) } else { Element::Integer(value as i128) }
                }),
            );
        }
    }
}
