//! `TensorProto` messages: what they say, and where their values are.
//!
//! Field numbers are those of <https://github.com/onnx/onnx/blob/v1.19.0/onnx/onnx.proto3>. Reads no values.

use std::path::PathBuf;

use crate::formats::containers::protobuf::{Message, Payload, SourceFields, SourcePayload};
use crate::model::{Dtype, ReadError, Shape};
use crate::raw::{ByteSource, limits};

/// Numbers of one tensor that may stand in fields of their own, as only unusual writers leave them.
const SINGLES: usize = 1 << 20;

/// Bytes of one name, key or short text.
pub const TEXT_BYTES: u64 = 1 << 20;

/// A stretch of a repeated field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Packed numbers (or one fixed-size number), at an offset of the source.
    Range(u64, u64),
    /// One varint.
    Single(u64),
}

/// Where values are, and how they are written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// As they are in memory: `raw_data`, `float_data`, `double_data`, or texts one after the other.
    Plain(Vec<Part>),
    /// As varints, of each of which the low bytes count.
    Varints(Vec<Part>),
    /// As they are in memory, in another file; no length: to its end.
    External { path: PathBuf, offset: u64, len: Option<u64> },
}

/// A tensor as its message describes it.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Its own name; may be empty.
    pub name: String,
    /// Type of the elements.
    pub dtype: Dtype,
    /// Dimensions.
    pub shape: Shape,
    /// Elements in each byte as stored: 2 or 4 for those that are delivered as a byte each.
    pub packed: u64,
    /// Where the values are; `Err` says why they are not to be had.
    pub values: Result<Values, String>,
}

/// Values of `TensorProto.DataType`, with the elements that share a byte.
pub fn dtype(code: u64) -> (Dtype, u64) {
    let dtype = match code {
        1 => Dtype::Float32,
        2 => Dtype::Uint8,
        3 => Dtype::Int8,
        4 => Dtype::Uint16,
        5 => Dtype::Int16,
        6 => Dtype::Int32,
        7 => Dtype::Int64,
        8 => Dtype::String,
        9 => Dtype::Bool,
        10 => Dtype::Float16,
        11 => Dtype::Float64,
        12 => Dtype::Uint32,
        13 => Dtype::Uint64,
        14 => Dtype::Complex64,
        15 => Dtype::Complex128,
        16 => Dtype::Bfloat16,
        17 => Dtype::Float8E4m3fn,
        18 => Dtype::Float8E4m3fnuz,
        19 => Dtype::Float8E5m2,
        20 => Dtype::Float8E5m2fnuz,
        21 => return (Dtype::Uint4, 2),
        22 => return (Dtype::Int4, 2),
        23 => Dtype::Float4E2m1,
        24 => Dtype::Float8E8m0fnu,
        25 => return (Dtype::Uint2, 4),
        26 => return (Dtype::Int2, 4),
        27 => Dtype::Float6E2m3,
        28 => Dtype::Float6E3m2,
        code => Dtype::Other(format!("onnx_type_{code}").into(), 0),
    };
    (dtype, 1)
}

/// The text of a short field.
pub fn text(source: &ByteSource, payload: SourcePayload) -> Result<String, ReadError> {
    let SourcePayload::Range { offset, len } = payload else {
        return Err(ReadError::malformed("a text", 0, "a number stands in its place"));
    };
    let bytes = source.read_vec("a text", offset, len, TEXT_BYTES)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The fields of a message that is a field itself.
pub fn fields(source: &ByteSource, payload: SourcePayload) -> Result<SourceFields<'_>, ReadError> {
    match payload {
        SourcePayload::Range { offset, len } => SourceFields::new(source, offset, len),
        SourcePayload::Number(_) => {
            Err(ReadError::malformed("a protobuf message", 0, "a number stands in its place"))
        }
    }
}

/// A `StringStringEntryProto`.
pub fn entry(source: &ByteSource, payload: SourcePayload) -> Result<(String, String), ReadError> {
    let mut pair = (String::new(), String::new());
    for field in fields(source, payload)? {
        let field = field?;
        match field.number {
            1 => pair.0 = text(source, field.payload)?,
            2 => pair.1 = text(source, field.payload)?,
            _ => {}
        }
    }
    Ok(pair)
}

/// The numbers of a short repeated field, such as dimensions.
pub fn numbers(source: &ByteSource, payload: SourcePayload, into: &mut Vec<u64>) -> Result<(), ReadError> {
    match payload {
        SourcePayload::Number(number) => into.push(number),
        SourcePayload::Range { offset, len } => {
            let bytes = source.read_vec("dimensions", offset, len, 10 * limits::RANK as u64)?;
            let mut at = 0;
            while at < bytes.len() {
                into.push(crate::formats::containers::protobuf::varint(&bytes, &mut at, offset)?);
            }
        }
    }
    if into.len() > limits::RANK {
        let (what, limit) = ("the number of dimensions".into(), limits::RANK as u64);
        return Err(ReadError::OverLimit { what, value: into.len() as u64, limit });
    }
    Ok(())
}

/// Reads a `TensorProto`. `external` says which file a location names, or why it is not opened.
pub fn read(
    source: &ByteSource,
    payload: SourcePayload,
    external: &mut dyn FnMut(&str) -> Result<(PathBuf, u64), String>,
) -> Result<Tensor, ReadError> {
    let mut name = String::new();
    let mut dims = Vec::new();
    let mut code = 0;
    let mut raw = None;
    let mut lists: Vec<(u32, Part)> = Vec::new();
    let mut elsewhere = Vec::new();
    let mut is_external = false;
    let mut fault = None;
    for field in fields(source, payload)? {
        let field = field?;
        match (field.number, field.payload) {
            (1, payload) => numbers(source, payload, &mut dims)?,
            (2, SourcePayload::Number(number)) => code = number,
            (3, _) => fault = Some("it is one segment of a tensor, which is not read".to_owned()),
            (4..=7 | 10 | 11, payload) => {
                if lists.len() >= SINGLES {
                    fault = Some(format!("its values stand in more than {SINGLES} fields"));
                    continue;
                }
                lists.push((
                    field.number,
                    match payload {
                        SourcePayload::Range { offset, len } => Part::Range(offset, len),
                        SourcePayload::Number(number) => Part::Single(number),
                    },
                ));
            }
            (8, payload) => name = text(source, payload)?,
            (9, SourcePayload::Range { offset, len }) => raw = Some(Part::Range(offset, len)),
            (13, payload) => elsewhere.push(entry(source, payload)?),
            (14, SourcePayload::Number(location)) => is_external = location == 1,
            _ => {}
        }
    }
    let (dtype, packed) = dtype(code);
    let shape = Shape::from(dims);
    let values = match fault {
        Some(fault) => Err(fault),
        None if is_external => find_external(&elsewhere, external),
        None => Ok(match raw {
            Some(raw) => Values::Plain(vec![raw]),
            None => of_list(&dtype, &lists),
        }),
    };
    let values = values.and_then(|values| check(&dtype, packed, &shape, values));
    Ok(Tensor { name, dtype, shape, packed, values })
}

/// The values in the typed field that belongs to the dtype; other fields mean nothing.
fn of_list(dtype: &Dtype, lists: &[(u32, Part)]) -> Values {
    let (number, varints) = match dtype {
        Dtype::Float32 | Dtype::Complex64 => (4, false),
        Dtype::Float64 | Dtype::Complex128 => (10, false),
        Dtype::String => (6, false),
        Dtype::Int64 => (7, true),
        Dtype::Uint32 | Dtype::Uint64 => (11, true),
        _ => (5, true),
    };
    let parts = lists.iter().filter(|(field, _)| *field == number).map(|(_, part)| *part).collect();
    if varints { Values::Varints(parts) } else { Values::Plain(parts) }
}

fn find_external(
    entries: &[(String, String)],
    external: &mut dyn FnMut(&str) -> Result<(PathBuf, u64), String>,
) -> Result<Values, String> {
    let get = |key: &str| entries.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let number = |key: &str| match get(key).filter(|text| !text.is_empty()) {
        Some(text) => match text.trim().parse::<u64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("the {key} of its external data is not a number: {text:?}")),
        },
        None => Ok(None),
    };
    let location = get("location").ok_or("its values are external, but no location is given")?;
    let (offset, len) = (number("offset")?.unwrap_or(0), number("length")?);
    let (path, size) = external(location)?;
    let end = offset.checked_add(len.unwrap_or(0));
    if end.is_none_or(|end| end > size) {
        return Err(format!("its values lie past the end of {location:?}, which has {size} bytes"));
    }
    let len = Some(len.unwrap_or(size - offset));
    Ok(Values::External { path, offset, len })
}

/// Fails where the values cannot be as many as the shape says. Varints tell only when they are read.
fn check(dtype: &Dtype, packed: u64, shape: &Shape, values: Values) -> Result<Values, String> {
    if let Dtype::Other(name, _) = dtype {
        return Err(format!("its type ({name}) is not known to this version; values are not shown"));
    }
    let elements = shape.checked_elements().ok_or_else(|| format!("its shape {shape} overflows"))?;
    if *dtype == Dtype::String {
        return Ok(values);
    }
    let bytes = dtype
        .bytes_for(elements)
        .ok_or_else(|| format!("{elements} elements of {dtype} do not fill whole bytes"))?;
    let expected = bytes.div_ceil(packed);
    let there = match &values {
        Values::Plain(parts) => Some(
            parts
                .iter()
                .map(|part| if let Part::Range(_, len) = part { *len } else { 0 })
                .fold(0, u64::saturating_add),
        ),
        Values::Varints(parts) if parts.is_empty() => Some(0),
        Values::Varints(_) => None,
        Values::External { len, .. } => *len,
    };
    match there {
        Some(there)
            if there < expected || (there > expected && !matches!(values, Values::External { .. })) =>
        {
            Err(format!("its shape {shape} of {dtype} takes {expected} bytes, but {there} are there"))
        }
        _ => Ok(values),
    }
}

/// `name: type [dimensions]` of a `ValueInfoProto`.
pub fn value_info(source: &ByteSource, payload: SourcePayload) -> Result<(String, String), ReadError> {
    let SourcePayload::Range { offset, len } = payload else { return Ok(Default::default()) };
    let bytes = source.read_vec("a graph input", offset, len, TEXT_BYTES)?;
    let mut name = String::new();
    let mut what = "unknown".to_owned();
    for field in Message::new(&bytes, offset) {
        let field = field?;
        match field.number {
            1 => name = field.text(),
            2 => {
                for kind in field.message()? {
                    let kind = kind?;
                    what = match kind.number {
                        1 => tensor_type(kind.message()?)?,
                        4 => "sequence".to_owned(),
                        5 => "map".to_owned(),
                        8 => format!("sparse {}", tensor_type(kind.message()?)?),
                        9 => "optional".to_owned(),
                        _ => continue, // what the value denotes
                    };
                }
            }
            _ => {}
        }
    }
    Ok((name, what))
}

/// `float32 [batch, 3, 224, 224]`; a dimension without a name is `?`.
fn tensor_type(message: Message<'_>) -> Result<String, ReadError> {
    let mut element = "unknown".to_owned();
    let mut shape = String::new();
    for field in message {
        let field = field?;
        match field.number {
            1 => dtype(field.number_value()).0.name().clone_into(&mut element),
            2 => {
                let mut dims = Vec::new();
                for dim in field.message()? {
                    let mut text = "?".to_owned();
                    for part in dim?.message()? {
                        let part = part?;
                        match (part.number, part.payload) {
                            (1, Payload::Varint(size)) => text = size.cast_signed().to_string(),
                            (2, Payload::Bytes(_)) => text = part.text(),
                            _ => {}
                        }
                    }
                    dims.push(text);
                }
                shape = format!(" [{}]", dims.join(", "));
            }
            _ => {}
        }
    }
    Ok(element + &shape)
}
