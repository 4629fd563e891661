//! TensorFlow's `DataType` and `TensorShapeProto` in the vocabulary of the model.

use crate::formats::containers::protobuf::{Field, Message};
use crate::model::{Dtype, ReadError};
use crate::raw::limits;

/// `DT_STRING`.
pub const DT_STRING: u64 = 7;

/// The dtype of a `DataType` number. Source: `tensorflow/core/framework/types.proto`. Four-bit integers take a byte each
/// in files; resources and variants have no values of their own. Numbers above 100 are references to the type below.
pub fn dtype(number: u64) -> Dtype {
    match if (101..=199).contains(&number) { number - 100 } else { number } {
        1 => Dtype::Float32,
        2 => Dtype::Float64,
        3 => Dtype::Int32,
        4 => Dtype::Uint8,
        5 => Dtype::Int16,
        6 => Dtype::Int8,
        DT_STRING => Dtype::String,
        8 => Dtype::Complex64,
        9 => Dtype::Int64,
        10 => Dtype::Bool,
        11 => Dtype::Qint8,
        12 => Dtype::Quint8,
        13 => Dtype::Qint32,
        14 => Dtype::Bfloat16,
        15 => Dtype::Other("qint16".into(), 16),
        16 => Dtype::Other("quint16".into(), 16),
        17 => Dtype::Uint16,
        18 => Dtype::Complex128,
        19 => Dtype::Float16,
        20 => Dtype::Other("resource".into(), 0),
        21 => Dtype::Other("variant".into(), 0),
        22 => Dtype::Uint32,
        23 => Dtype::Uint64,
        24 => Dtype::Float8E5m2,
        25 => Dtype::Float8E4m3fn,
        26 => Dtype::Float8E4m3fnuz,
        27 => Dtype::Other("float8_e4m3b11fnuz".into(), 8),
        28 => Dtype::Float8E5m2fnuz,
        29 => Dtype::Other("int4".into(), 8),
        30 => Dtype::Other("uint4".into(), 8),
        31 => Dtype::Other("int2".into(), 8),
        32 => Dtype::Other("uint2".into(), 8),
        other => Dtype::Other(format!("tensorflow_dtype_{other}").into(), 0),
    }
}

/// The `DataType` number of a dtype; 0 (invalid) for those that have none.
pub fn number(of: &Dtype) -> u64 {
    (1..=32).find(|&number| dtype(number) == *of).unwrap_or(0)
}

/// The `DataType` number of a dtype's name.
pub fn number_of_name(name: &str) -> Option<u64> {
    (1..=32).find(|&number| dtype(number).name() == name)
}

/// Units whose bytes are reversed in big-endian files: the parts of a complex number, else the element.
pub fn swap_unit(dtype: &Dtype) -> u32 {
    let bytes = dtype.bits() / 8;
    if dtype.is_complex() { bytes / 2 } else { bytes.max(1) }
}

/// Dimensions of a `TensorShapeProto`: `None` for one that is not fixed. `None` as a whole for an unknown rank.
pub fn shape(message: Message<'_>) -> Result<Option<Vec<Option<u64>>>, ReadError> {
    let mut dims = Vec::new();
    for field in message {
        let field = field?;
        match field.number {
            2 => {
                let mut size = 0u64;
                for part in field.message()? {
                    let part = part?;
                    if part.number == 1 {
                        size = part.number_value();
                    }
                }
                if dims.len() >= limits::RANK {
                    return Err(ReadError::OverLimit {
                        what: "the rank of a tensor".into(),
                        value: dims.len() as u64 + 1,
                        limit: limits::RANK as u64,
                    });
                }
                // Sizes are signed: -1 is "not fixed"; any other negative one cannot be fixed either.
                dims.push((size.cast_signed() >= 0).then_some(size));
            }
            3 if field.number_value() != 0 => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(dims))
}

/// The shape in a field that holds a `TensorShapeProto`.
pub fn shape_field(field: &Field<'_>) -> Result<Option<Vec<Option<u64>>>, ReadError> {
    shape(field.message()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_keep_what_is_not_fixed() {
        let bytes = [0x12, 2, 8, 3, 0x12, 11, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0x12, 0];
        assert_eq!(shape(Message::new(&bytes, 0)).expect("legal"), Some(vec![Some(3), None, Some(0)]));
        assert_eq!(shape(Message::new(&[0x18, 1], 0)).expect("legal"), None);
    }

    #[test]
    fn references_have_the_type_they_refer_to() {
        assert_eq!(dtype(101), Dtype::Float32);
        assert_eq!(dtype(77).name(), "tensorflow_dtype_77");
    }
}
