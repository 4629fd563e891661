//! Tensors inside graphs (`TensorProto`): raw contents that stay where they are, or lists of typed values.
//!
//! Source: <https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/framework/tensor.proto>.

use super::types::{self, DT_STRING};
use super::values::Location;
use crate::formats::containers::protobuf::{Message, SourceFields, SourcePayload, varint};
use crate::model::{Dtype, ReadError, Shape};
use crate::raw::{ByteSource, limits};

/// Bytes of one list of typed values; contents are raw bytes as soon as they are large.
const LIST_BYTES: u64 = 64 << 20;

/// Bytes of a shape.
const SHAPE_BYTES: u64 = 64 << 10;

/// A `TensorProto`, its contents not read. Positions are within the source it was read from.
#[derive(Debug, Default)]
pub struct TensorProto {
    /// `DataType`.
    pub dtype: u64,
    /// Dimensions.
    pub dims: Vec<u64>,
    unknown_shape: bool,
    /// Offset and length of the raw contents, where it has them.
    pub content: Option<(u64, u64)>,
    /// Values of the typed lists, as little-endian elements.
    list: Vec<u8>,
    strings: Vec<Vec<u8>>,
}

impl TensorProto {
    /// Reads the message at a range of `source`.
    pub fn read(source: &ByteSource, offset: u64, len: u64) -> Result<Self, ReadError> {
        Self::read_as(source, offset, len, 0)
    }

    /// The same for a message that may leave its dtype out: it is then the `DataType` given.
    pub fn read_as(source: &ByteSource, offset: u64, len: u64, dtype: u64) -> Result<Self, ReadError> {
        let mut proto = Self { dtype, ..Self::default() };
        let mut lists = Vec::new();
        for field in SourceFields::new(source, offset, len)? {
            let field = field?;
            match (field.number, field.payload) {
                (1, SourcePayload::Number(number)) => proto.dtype = number,
                (2, SourcePayload::Range { offset, len }) => {
                    let bytes = source.read_vec("a tensor's shape", offset, len, SHAPE_BYTES)?;
                    match types::shape(Message::new(&bytes, offset))? {
                        Some(dims) if dims.iter().all(Option::is_some) => {
                            proto.dims = dims.into_iter().flatten().collect();
                        }
                        _ => proto.unknown_shape = true,
                    }
                }
                (4, SourcePayload::Range { offset, len }) => proto.content = Some((offset, len)),
                (8, SourcePayload::Range { offset, len }) => {
                    proto.strings.push(source.read_vec("a string", offset, len, LIST_BYTES)?);
                }
                (5..=18, payload) => lists.push((field.number, payload)),
                _ => {}
            }
        }
        for (number, payload) in lists {
            proto.append(source, number, payload)?;
        }
        Ok(proto)
    }

    /// Adds the values of a typed list: fixed-size ones are bytes already, varints become elements of the dtype's size.
    fn append(&mut self, source: &ByteSource, number: u32, payload: SourcePayload) -> Result<(), ReadError> {
        let item = (types::dtype(self.dtype).bits() / 8) as usize;
        let mut put = |value: u64| {
            let bytes = value.to_le_bytes();
            self.list.extend_from_slice(bytes.get(..item.min(8)).unwrap_or_default());
        };
        match payload {
            SourcePayload::Number(value) => put(value),
            SourcePayload::Range { offset, len } => {
                let bytes = source.read_vec("a list of values", offset, len, LIST_BYTES)?;
                if matches!(number, 5 | 6 | 9 | 12 | 18) {
                    self.list.extend_from_slice(&bytes);
                } else {
                    let mut at = 0;
                    while at < bytes.len() {
                        put(varint(&bytes, &mut at, offset)?);
                    }
                }
            }
        }
        Ok(())
    }

    /// Bytes that the values take in the file.
    pub fn stored_bytes(&self) -> u64 {
        match self.content {
            Some((_, len)) => len,
            None => (self.list.len() + self.strings.iter().map(Vec::len).sum::<usize>()) as u64,
        }
    }

    /// Where the values are; `file` and `base` say where the proto's source begins.
    pub fn locate(
        self,
        dtype: &Dtype,
        shape: &Shape,
        file: &ByteSource,
        base: u64,
    ) -> Result<Location, ReadError> {
        let malformed = |reason: String| ReadError::malformed("a constant", base, reason);
        if self.unknown_shape {
            return Err(malformed("it has no definite shape".to_owned()));
        }
        let elements = shape
            .checked_elements()
            .ok_or_else(|| malformed("the size of its shape overflows".to_owned()))?;
        if self.dtype == DT_STRING {
            return string_location(&self.strings, elements);
        }
        let Some(bytes) = dtype.bytes_for(elements) else {
            return Err(ReadError::unsupported(format!("values of type {dtype} cannot be read")));
        };
        if let Some((offset, len)) = self.content.filter(|(_, len)| *len > 0 || bytes == 0) {
            if len != bytes {
                return Err(malformed(format!("its shape {shape} needs {bytes} bytes, but it has {len}")));
            }
            let source = file.slice("a constant", base + offset, len)?;
            return Ok(Location::Plain {
                source,
                dtype: dtype.clone(),
                shape: shape.clone(),
                big_endian: false,
                crc: None,
            });
        }
        Ok(Location::Memory(repeat_last(self.list, (dtype.bits() / 8) as usize, bytes)?))
    }
}

/// A list that is shorter than its shape repeats its last value; an empty one means zeros.
fn repeat_last(mut list: Vec<u8>, item: usize, bytes: u64) -> Result<Vec<u8>, ReadError> {
    if bytes > limits::EXPANDED_BYTES {
        return Err(ReadError::OverLimit {
            what: "the size of a constant that repeats its last value".into(),
            value: bytes,
            limit: limits::EXPANDED_BYTES,
        });
    }
    let bytes = bytes as usize;
    if list.len() > bytes {
        return Err(ReadError::malformed("a constant", 0, "it has more values than its shape"));
    }
    let last = match list.len().checked_sub(item) {
        Some(at) => list.get(at..).unwrap_or_default().to_vec(),
        None => vec![0; item],
    };
    while list.len() < bytes && !last.is_empty() {
        list.extend_from_slice(&last);
    }
    list.truncate(bytes);
    Ok(list)
}

/// Strings in the layout that bundles have, in memory.
fn string_location(strings: &[Vec<u8>], elements: u64) -> Result<Location, ReadError> {
    let count = strings.len() as u64;
    if count != elements && count != 1 && count != 0 {
        return Err(ReadError::malformed("a constant", 0, "it has another number of strings than its shape"));
    }
    let size = strings.first().map_or(0, Vec::len) as u64 + 1;
    if count != elements && elements.saturating_mul(size) > limits::EXPANDED_BYTES {
        return Err(ReadError::OverLimit {
            what: "the size of a constant that repeats one string".into(),
            value: elements,
            limit: limits::EXPANDED_BYTES,
        });
    }
    let empty = Vec::new();
    let one = strings.first().unwrap_or(&empty);
    let all = (0..elements as usize).map(|index| strings.get(index).unwrap_or(one));
    let mut bytes = Vec::new();
    for text in all.clone() {
        let mut len = text.len();
        while len >= 0x80 {
            bytes.push(len as u8 | 0x80);
            len >>= 7;
        }
        bytes.push(len as u8);
    }
    bytes.extend([0; 4]);
    for text in all {
        bytes.extend_from_slice(text);
    }
    Ok(Location::Strings { source: ByteSource::from_vec(bytes), elements, crc: None })
}
