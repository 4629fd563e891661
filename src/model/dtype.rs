//! Element types: names, sizes, and how their bytes become numbers.

use std::fmt;
use std::sync::Arc;

use half::{bf16, f16};

use super::BlockType;

/// The type of a tensor's elements, under PyTorch's name for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is the dtype of that name")]
pub enum Dtype {
    Float64,
    Float32,
    Float16,
    Bfloat16,
    Float8E4m3fn,
    Float8E5m2,
    Float8E4m3fnuz,
    Float8E5m2fnuz,
    Float8E8m0fnu,
    /// Two 4-bit floats (e2m1) per byte; one element is one byte, as PyTorch counts.
    Float4E2m1fnX2,
    /// A single 4-bit float; elements are packed two per byte, low nibble first (safetensors `F4`).
    Float4E2m1,
    /// 6-bit float, packed (safetensors `F6_E2M3`).
    Float6E2m3,
    /// 6-bit float, packed (safetensors `F6_E3M2`).
    Float6E3m2,
    Int64,
    Int32,
    Int16,
    Int8,
    Uint64,
    Uint32,
    Uint16,
    Uint8,
    Bool,
    Complex128,
    Complex64,
    Complex32,
    /// Quantised: the stored integers; scale and zero point are metadata.
    Qint8,
    Quint8,
    Qint32,
    /// Signed or unsigned integers of 4 and 2 bits; one element is one byte, as PyTorch and ONNX count.
    Int4,
    Uint4,
    Int2,
    Uint2,
    /// Elements quantized in blocks that share scales (ggml).
    Block(BlockType),
    /// Text or bytes per element; no fixed size.
    String,
    /// A type that is carried but not interpreted: its name and the bits of one element (0: not known).
    Other(Arc<str>, u32),
}

impl Dtype {
    /// PyTorch's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Float64 => "float64",
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
            Self::Float8E4m3fn => "float8_e4m3fn",
            Self::Float8E5m2 => "float8_e5m2",
            Self::Float8E4m3fnuz => "float8_e4m3fnuz",
            Self::Float8E5m2fnuz => "float8_e5m2fnuz",
            Self::Float8E8m0fnu => "float8_e8m0fnu",
            Self::Float4E2m1fnX2 => "float4_e2m1fn_x2",
            Self::Float4E2m1 => "float4_e2m1fn",
            Self::Float6E2m3 => "float6_e2m3fn",
            Self::Float6E3m2 => "float6_e3m2fn",
            Self::Int64 => "int64",
            Self::Int32 => "int32",
            Self::Int16 => "int16",
            Self::Int8 => "int8",
            Self::Uint64 => "uint64",
            Self::Uint32 => "uint32",
            Self::Uint16 => "uint16",
            Self::Uint8 => "uint8",
            Self::Bool => "bool",
            Self::Complex128 => "complex128",
            Self::Complex64 => "complex64",
            Self::Complex32 => "complex32",
            Self::Qint8 => "qint8",
            Self::Quint8 => "quint8",
            Self::Qint32 => "qint32",
            Self::Int4 => "int4",
            Self::Uint4 => "uint4",
            Self::Int2 => "int2",
            Self::Uint2 => "uint2",
            Self::Block(block) => block.name(),
            Self::String => "string",
            Self::Other(name, _) => name,
        }
    }

    /// The dtype of PyTorch's or numpy's name (`float32`, `bool_`, `double`, `half`, …).
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "float64" | "double" => Self::Float64,
            "float32" | "float" => Self::Float32,
            "float16" | "half" => Self::Float16,
            "bfloat16" => Self::Bfloat16,
            "float8_e4m3fn" | "float8_e4m3" => Self::Float8E4m3fn,
            "float8_e5m2" => Self::Float8E5m2,
            "float8_e4m3fnuz" => Self::Float8E4m3fnuz,
            "float8_e5m2fnuz" => Self::Float8E5m2fnuz,
            "float8_e8m0fnu" => Self::Float8E8m0fnu,
            "float4_e2m1fn_x2" => Self::Float4E2m1fnX2,
            "int64" | "long" => Self::Int64,
            "int32" | "int" => Self::Int32,
            "int16" | "short" => Self::Int16,
            "int8" => Self::Int8,
            "uint64" => Self::Uint64,
            "uint32" => Self::Uint32,
            "uint16" => Self::Uint16,
            "uint8" => Self::Uint8,
            "bool" | "bool_" => Self::Bool,
            "complex128" | "cdouble" => Self::Complex128,
            "complex64" | "cfloat" => Self::Complex64,
            "complex32" | "chalf" => Self::Complex32,
            "int4" => Self::Int4,
            "uint4" => Self::Uint4,
            "int2" => Self::Int2,
            "uint2" => Self::Uint2,
            "qint8" => Self::Qint8,
            "quint8" => Self::Quint8,
            "qint32" => Self::Qint32,
            _ => return None,
        })
    }

    /// Bits of one element; 0 where it has no fixed size, and for blocks.
    pub fn bits(&self) -> u32 {
        match self {
            Self::Complex128 => 128,
            Self::Float64 | Self::Int64 | Self::Uint64 | Self::Complex64 => 64,
            Self::Float32 | Self::Int32 | Self::Uint32 | Self::Qint32 | Self::Complex32 => 32,
            Self::Float16 | Self::Bfloat16 | Self::Int16 | Self::Uint16 => 16,
            Self::Float8E4m3fn
            | Self::Float8E5m2
            | Self::Float8E4m3fnuz
            | Self::Float8E5m2fnuz
            | Self::Float8E8m0fnu
            | Self::Float4E2m1fnX2
            | Self::Int8
            | Self::Uint8
            | Self::Bool
            | Self::Int4
            | Self::Uint4
            | Self::Int2
            | Self::Uint2
            | Self::Qint8
            | Self::Quint8 => 8,
            Self::Float6E2m3 | Self::Float6E3m2 => 6,
            Self::Float4E2m1 => 4,
            Self::String | Self::Block(_) => 0,
            Self::Other(_, bits) => *bits,
        }
    }

    /// Bytes of `elements` packed elements; `None` when the size is not fixed, overflows, or does not fill whole bytes
    /// (whole blocks, for those).
    pub fn bytes_for(&self, elements: u64) -> Option<u64> {
        if let Self::Block(block) = self {
            let each = block.elements() as u64;
            return if elements.is_multiple_of(each) {
                (elements / each).checked_mul(block.bytes() as u64)
            } else {
                None
            };
        }
        let bits = u64::from(self.bits());
        if bits == 0 {
            return None;
        }
        if bits.is_multiple_of(8) {
            return elements.checked_mul(bits / 8);
        }
        let total = elements.checked_mul(bits)?;
        total.is_multiple_of(8).then_some(total / 8)
    }

    /// Elements in `bytes` bytes of them; 0 when their size is not fixed.
    pub fn elements_in(&self, bytes: u64) -> u64 {
        match self {
            Self::Block(block) => bytes / block.bytes() as u64 * block.elements() as u64,
            _ => bytes.saturating_mul(8).checked_div(u64::from(self.bits())).unwrap_or(0),
        }
    }

    /// Bytes of the smallest whole group of elements: pieces of a stream are multiples of it.
    pub fn group_bytes(&self) -> usize {
        if let Self::Block(block) = self {
            return block.bytes();
        }
        match self.bits() {
            0 | 4 => 1,
            6 => 3,
            bits => (bits as usize).div_ceil(8),
        }
    }

    /// Whether values are floating-point (complex included): only these can hold NaN.
    pub fn is_float(&self) -> bool {
        self.name().starts_with("float")
            || self.name().starts_with("complex")
            || matches!(self, Self::Bfloat16 | Self::Block(_))
    }

    /// Whether elements can be turned into numbers.
    pub fn is_numeric(&self) -> bool {
        match self {
            Self::String | Self::Other(..) => false,
            Self::Block(block) => block.is_decoded(),
            _ => true,
        }
    }

    /// Whether elements are complex numbers, whose magnitude stands for them in statistics.
    pub fn is_complex(&self) -> bool {
        matches!(self, Self::Complex128 | Self::Complex64 | Self::Complex32)
    }

    /// Appends the elements of `bytes` (packed, little-endian, whole elements) to `out` as `f64`.
    ///
    /// Complex numbers become their magnitude; integers beyond 2^53 round; types without numbers add nothing.
    pub fn decode(&self, bytes: &[u8], out: &mut Vec<f64>) {
        fn each<const N: usize>(bytes: &[u8], out: &mut Vec<f64>, convert: impl Fn([u8; N]) -> f64) {
            out.extend(bytes.as_chunks::<N>().0.iter().map(|&element| convert(element)));
        }
        match self {
            Self::Float64 => each(bytes, out, f64::from_le_bytes),
            Self::Float32 => each(bytes, out, |b| f64::from(f32::from_le_bytes(b))),
            Self::Float16 => each(bytes, out, |b| f16::from_le_bytes(b).to_f64()),
            Self::Bfloat16 => each(bytes, out, |b| bf16::from_le_bytes(b).to_f64()),
            Self::Float8E4m3fn => each(bytes, out, |[b]| e4m3fn(b)),
            Self::Float8E5m2 => each(bytes, out, |[b]| f16::from_le_bytes([0, b]).to_f64()),
            Self::Float8E4m3fnuz => each(bytes, out, |[b]| fnuz(b, 3, 8)),
            Self::Float8E5m2fnuz => each(bytes, out, |[b]| fnuz(b, 2, 16)),
            Self::Float8E8m0fnu => {
                each(bytes, out, |[b]| if b == 255 { f64::NAN } else { 2f64.powi(i32::from(b) - 127) });
            }
            Self::Float4E2m1fnX2 | Self::Float4E2m1 => {
                for &byte in bytes {
                    out.extend([E2M1[usize::from(byte & 15)], E2M1[usize::from(byte >> 4)]]);
                }
            }
            Self::Float6E2m3 => six_bits(bytes, out, |code| small_float(code, 3, 1)),
            Self::Float6E3m2 => six_bits(bytes, out, |code| small_float(code, 2, 3)),
            Self::Int64 => each(bytes, out, |b| i64::from_le_bytes(b) as f64),
            Self::Int32 | Self::Qint32 => each(bytes, out, |b| f64::from(i32::from_le_bytes(b))),
            Self::Int16 => each(bytes, out, |b| f64::from(i16::from_le_bytes(b))),
            Self::Int8 | Self::Qint8 | Self::Int4 | Self::Int2 => {
                each(bytes, out, |[b]| f64::from(b.cast_signed()))
            }
            Self::Uint64 => each(bytes, out, |b| u64::from_le_bytes(b) as f64),
            Self::Uint32 => each(bytes, out, |b| f64::from(u32::from_le_bytes(b))),
            Self::Uint16 => each(bytes, out, |b| f64::from(u16::from_le_bytes(b))),
            Self::Uint8 | Self::Quint8 | Self::Uint4 | Self::Uint2 => each(bytes, out, |[b]| f64::from(b)),
            Self::Bool => each(bytes, out, |[b]| f64::from(u8::from(b != 0))),
            Self::Complex128 => each(bytes, out, |b: [u8; 16]| {
                let (re, im) = b.split_at(8);
                le_f64(re).hypot(le_f64(im))
            }),
            Self::Complex64 => each(bytes, out, |[a, b, c, d, e, f, g, h]: [u8; 8]| {
                f64::from(f32::from_le_bytes([a, b, c, d])).hypot(f64::from(f32::from_le_bytes([e, f, g, h])))
            }),
            Self::Complex32 => each(bytes, out, |[a, b, c, d]: [u8; 4]| {
                f16::from_le_bytes([a, b]).to_f64().hypot(f16::from_le_bytes([c, d]).to_f64())
            }),
            Self::Block(block) => block.decode(bytes, out),
            Self::String | Self::Other(..) => {}
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn le_f64(bytes: &[u8]) -> f64 {
    let mut array = [0; 8];
    array.copy_from_slice(bytes);
    f64::from_le_bytes(array)
}

/// OCP FP4 (e2m1): sign, two exponent bits with bias 1, one mantissa bit; no NaN, no infinity.
/// Source: OCP Microscaling Formats specification 1.0, section 5.3.3.
const E2M1: [f64; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

/// OCP FP8 e4m3: bias 7, no infinity, NaN is all ones. Source: OCP 8-bit floating point specification 1.0.
fn e4m3fn(byte: u8) -> f64 {
    if byte & 0x7f == 0x7f {
        return f64::NAN;
    }
    signed(byte, decode_bits(u32::from(byte & 0x7f), 3, 7))
}

/// The `fnuz` variants: one more bias, no negative zero: 0x80 is NaN. Source: arXiv:2206.02915.
fn fnuz(byte: u8, mantissa_bits: u32, bias: i32) -> f64 {
    if byte == 0x80 {
        return f64::NAN;
    }
    signed(byte, decode_bits(u32::from(byte & 0x7f), mantissa_bits, bias))
}

fn signed(byte: u8, magnitude: f64) -> f64 {
    if byte & 0x80 != 0 { -magnitude } else { magnitude }
}

fn small_float(code: u8, mantissa_bits: u32, bias: i32) -> f64 {
    let magnitude = decode_bits(u32::from(code & 31), mantissa_bits, bias);
    if code & 32 != 0 { -magnitude } else { magnitude }
}

fn decode_bits(bits: u32, mantissa_bits: u32, bias: i32) -> f64 {
    let exponent = (bits >> mantissa_bits) as i32;
    let mantissa = f64::from(bits & ((1 << mantissa_bits) - 1)) / f64::from(1u32 << mantissa_bits);
    if exponent == 0 { mantissa * 2f64.powi(1 - bias) } else { (1.0 + mantissa) * 2f64.powi(exponent - bias) }
}

/// Four 6-bit codes per three bytes, little-endian.
fn six_bits(bytes: &[u8], out: &mut Vec<f64>, convert: impl Fn(u8) -> f64) {
    for &[a, b, c] in bytes.as_chunks::<3>().0 {
        let group = u32::from(a) | u32::from(b) << 8 | u32::from(c) << 16;
        out.extend((0..4).map(|index| convert((group >> (6 * index) & 63) as u8)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(dtype: &Dtype, bytes: &[u8]) -> Vec<f64> {
        let mut out = Vec::new();
        dtype.decode(bytes, &mut out);
        out
    }

    #[test]
    fn eight_bit_floats_follow_their_specification() {
        assert_eq!(one(&Dtype::Float8E4m3fn, &[0x38, 0x7e, 0x01, 0xb8]), [1.0, 448.0, 2f64.powi(-9), -1.0]);
        assert!(one(&Dtype::Float8E4m3fn, &[0xff])[0].is_nan());
        assert_eq!(one(&Dtype::Float8E5m2, &[0x3c, 0x7c]), [1.0, f64::INFINITY]);
        assert_eq!(one(&Dtype::Float8E4m3fnuz, &[0x40, 0x7f]), [1.0, 240.0]);
        assert_eq!(one(&Dtype::Float8E5m2fnuz, &[0x40, 0x7f]), [1.0, 57344.0]);
        assert_eq!(one(&Dtype::Float8E8m0fnu, &[127, 128]), [1.0, 2.0]);
    }

    #[test]
    fn packed_floats_unpack_low_bits_first() {
        assert_eq!(one(&Dtype::Float4E2m1, &[0x72]), [1.0, 6.0]);
        assert_eq!(one(&Dtype::Float6E3m2, &[0b0100_1100, 0, 0])[..2], [1.0, 0.0625]);
    }

    #[test]
    fn sub_byte_types_must_fill_whole_bytes() {
        assert_eq!(Dtype::Float4E2m1.bytes_for(3), None);
        assert_eq!(Dtype::Float4E2m1.bytes_for(4), Some(2));
        assert_eq!(Dtype::Float32.bytes_for(u64::MAX), None);
    }
}
