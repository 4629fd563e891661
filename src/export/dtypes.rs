//! Which dtypes each format holds, and what stands in for the others.

use super::ExportFormat;
use crate::model::{Dtype, Shape};

/// What becomes of a tensor's elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub dtype: Dtype,
    pub shape: Shape,
}

/// The dtype and shape in a file of `format`; `None` where nothing in it can stand for such elements.
pub(super) fn target(format: ExportFormat, dtype: &Dtype, shape: &Shape) -> Option<Target> {
    if holds(format, dtype) {
        return Some(Target { dtype: dtype.clone(), shape: shape.clone() });
    }
    stand_ins(dtype).iter().filter(|stand_in| holds(format, stand_in)).find_map(|stand_in| {
        Some(Target { dtype: stand_in.clone(), shape: reshaped(dtype, stand_in, shape)? })
    })
}

/// Whether values keep their exact meaning in the other dtype, whatever they are.
pub(super) fn is_exact(from: &Dtype, to: &Dtype) -> bool {
    use Dtype::{
        Complex32, Complex64, Complex128, Float4E2m1, Float4E2m1fnX2, Float16, Float32, Float64, Int4, Int8,
        Qint8, Qint32, Quint8, Uint4, Uint8,
    };
    if from == to {
        return true;
    }
    match (from, to) {
        (Float64 | Complex128 | Qint8 | Quint8 | Qint32, _) => false,
        // The numbers that blocks stand for are computed in this type, as ggml does.
        (Dtype::Block(_), Float32)
        | (Float4E2m1, Float4E2m1fnX2)
        | (Float4E2m1fnX2, Float4E2m1)
        | (Int4 | Dtype::Int2, Int8)
        | (Uint4 | Dtype::Uint2, Uint8)
        | (Complex32, Complex64)
        | (Complex64, Complex128)
        | (Dtype::Float8E4m3fn | Dtype::Float8E5m2, Float16) => true,
        (from, Float64) if from.is_float() && !from.is_complex() => true,
        (Float32, _) => false,
        (from, Float32) if from.is_float() && !from.is_complex() => true,
        (from, to) if !from.is_float() && !to.is_float() => {
            let signed = |dtype: &Dtype| dtype.name().starts_with("int");
            to.bits() > from.bits() && (signed(to) || !signed(from))
        }
        _ => false,
    }
}

fn holds(format: ExportFormat, dtype: &Dtype) -> bool {
    use Dtype::{
        Bfloat16, Bool, Complex32, Complex64, Complex128, Float4E2m1, Float4E2m1fnX2, Float6E2m3, Float6E3m2,
        Float8E4m3fn, Float8E4m3fnuz, Float8E5m2, Float8E5m2fnuz, Float8E8m0fnu, Float16, Float32, Float64,
        Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64,
    };
    match dtype {
        Float64 | Float32 | Float16 | Int64 | Int32 | Int16 | Int8 | Uint64 | Uint32 | Uint16 | Uint8
        | Bool | Complex64 => true,
        Complex128 => format != ExportFormat::Safetensors,
        Bfloat16 | Float8E4m3fn | Float8E5m2 | Float8E4m3fnuz | Float8E5m2fnuz | Float8E8m0fnu => {
            matches!(format, ExportFormat::Safetensors | ExportFormat::PyTorch)
        }
        Float4E2m1fnX2 | Complex32 => format == ExportFormat::PyTorch,
        Float4E2m1 | Float6E2m3 | Float6E3m2 => format == ExportFormat::Safetensors,
        _ => false,
    }
}

/// The best first.
fn stand_ins(dtype: &Dtype) -> &'static [Dtype] {
    match dtype {
        Dtype::Bfloat16
        | Dtype::Float8E4m3fn
        | Dtype::Float8E5m2
        | Dtype::Float8E4m3fnuz
        | Dtype::Float8E5m2fnuz
        | Dtype::Float8E8m0fnu
        | Dtype::Float6E2m3
        | Dtype::Float6E3m2 => &[Dtype::Float32],
        Dtype::Block(block) if block.is_decoded() => &[Dtype::Float32],
        Dtype::Float4E2m1fnX2 => &[Dtype::Float4E2m1, Dtype::Float32],
        Dtype::Float4E2m1 => &[Dtype::Float4E2m1fnX2, Dtype::Float32],
        Dtype::Complex32 | Dtype::Complex128 => &[Dtype::Complex64],
        Dtype::Qint8 | Dtype::Int4 | Dtype::Int2 => &[Dtype::Int8],
        Dtype::Quint8 | Dtype::Uint4 | Dtype::Uint2 => &[Dtype::Uint8],
        Dtype::Qint32 => &[Dtype::Int32],
        _ => &[],
    }
}

/// Two values in one element count as two elements elsewhere.
pub(super) fn reshaped(from: &Dtype, to: &Dtype, shape: &Shape) -> Option<Shape> {
    let mut dims = shape.dims().to_vec();
    match (from == &Dtype::Float4E2m1fnX2, to == &Dtype::Float4E2m1fnX2) {
        (true, false) => {
            let last = dims.last_mut()?;
            *last = last.checked_mul(2)?;
        }
        (false, true) => {
            let last = dims.last_mut().filter(|last| last.is_multiple_of(2))?;
            *last /= 2;
        }
        _ => {}
    }
    Some(dims.into())
}

/// The dtype after the cast that was asked for: floating-point numbers to floating-point, integers to integers, the rest
/// as it is.
pub(super) fn after_cast(dtype: &Dtype, cast: Option<&Dtype>) -> Dtype {
    let Some(cast) = cast else { return dtype.clone() };
    let is_number = dtype.is_float() && !dtype.is_complex() && dtype.is_numeric();
    let is_integer = |dtype: &Dtype| CASTS.contains(dtype) && !dtype.is_float();
    if cast.is_float() && is_number || is_integer(cast) && is_integer(dtype) {
        cast.clone()
    } else {
        dtype.clone()
    }
}

/// Dtypes that values can be cast to.
pub(super) const CASTS: [Dtype; 12] = [
    Dtype::Float64,
    Dtype::Float32,
    Dtype::Float16,
    Dtype::Bfloat16,
    Dtype::Int64,
    Dtype::Int32,
    Dtype::Int16,
    Dtype::Int8,
    Dtype::Uint64,
    Dtype::Uint32,
    Dtype::Uint16,
    Dtype::Uint8,
];
