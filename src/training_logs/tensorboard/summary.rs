//! One value of a summary: a scalar or a histogram, in the form of TensorFlow 1 (`simple_value`, `histo`) or of
//! TensorFlow 2 (`tensor` with the plugin `scalars` or `histograms`).
//!
//! Tensors of other plugins (text, pictures, Keras models) are passed over. Source of the tensor's fields:
//! <https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/framework/tensor.proto>; of the histograms':
//! <https://github.com/tensorflow/tensorboard/blob/2.16.2/tensorboard/plugins/histogram/summary_v2.py>.

use std::collections::HashMap;

use half::{bf16, f16};

use crate::formats::containers::protobuf::{Field, Message, Payload};
use crate::model::{LoggedBucket, ReadError};
use crate::raw::limits;

/// A value with its name.
pub struct Value {
    pub tag: String,
    pub content: Content,
}

/// What was logged.
pub enum Content {
    Scalar(f64),
    Histogram(Vec<LoggedBucket>),
    /// Something that is no curve.
    Other,
}

pub fn value(message: Message<'_>, plugins: &mut HashMap<String, String>) -> Result<Value, ReadError> {
    let mut tag = String::new();
    let mut content = Content::Other;
    let (mut tensor, mut plugin) = (None, None);
    for field in message {
        let field = field?;
        match (field.number, field.payload) {
            (1, Payload::Bytes(_)) => tag = field.text(),
            (2, Payload::Fixed32(bits)) => content = Content::Scalar(f64::from(f32::from_bits(bits))),
            (5, Payload::Bytes(_)) => content = Content::Histogram(histogram(field.message()?)?),
            (8, Payload::Bytes(_)) => tensor = Some(field),
            (9, Payload::Bytes(_)) => plugin = plugin_name(field.message()?)?,
            _ => {}
        }
    }
    if let Some(plugin) = plugin
        && plugins.len() < limits::LOG_SERIES
    {
        plugins.entry(tag.clone()).or_insert(plugin);
    }
    if let Some(tensor) = tensor {
        let tensor = Tensor::read(&tensor)?;
        content = match plugins.get(&tag).map(String::as_str) {
            // Writers without metadata still mean a scalar by a tensor of one number.
            Some("scalars") | None => tensor.scalar().map_or(Content::Other, Content::Scalar),
            Some("histograms") => Content::Histogram(tensor.histogram()?),
            Some(_) => Content::Other,
        };
    }
    Ok(Value { tag, content })
}

fn plugin_name(metadata: Message<'_>) -> Result<Option<String>, ReadError> {
    for field in metadata {
        let field = field?;
        if field.number != 1 {
            continue;
        }
        for field in field.message()? {
            let field = field?;
            if field.number == 1 {
                return Ok(Some(field.text()));
            }
        }
    }
    Ok(None)
}

/// Buckets of a `HistogramProto`, as TensorBoard makes them: those without values at both ends are left off, and what
/// remains begins at the smallest value and ends at the largest, since the outermost limits are the largest numbers there
/// are. Source: `_migrate_histogram_value` in
/// <https://github.com/tensorflow/tensorboard/blob/2.16.2/tensorboard/data_compat.py>.
fn histogram(message: Message<'_>) -> Result<Vec<LoggedBucket>, ReadError> {
    let (mut min, mut max, mut edges, mut counts) = (0.0, 0.0, Vec::new(), Vec::new());
    for field in message {
        let field = field?;
        match (field.number, field.payload) {
            (1, Payload::Fixed64(bits)) => min = f64::from_bits(bits),
            (2, Payload::Fixed64(bits)) => max = f64::from_bits(bits),
            (6, _) => doubles(&field, &mut edges)?,
            (7, _) => doubles(&field, &mut counts)?,
            _ => {}
        }
    }
    let has_values = |count: &f64| *count > 0.0;
    let (Some(start), Some(end)) = (counts.iter().position(has_values), counts.iter().rposition(has_values))
    else {
        return Ok(Vec::new());
    };
    let inner = edges.get(start..end).unwrap_or_default();
    let lefts = std::iter::once(min).chain(inner.iter().copied());
    let rights = inner.iter().copied().chain(std::iter::once(max));
    let counts = counts.get(start..=end).unwrap_or_default();
    let buckets = lefts.zip(rights).zip(counts);
    Ok(buckets.map(|((left, right), &count)| LoggedBucket { left, right, count }).collect())
}

/// Numbers of a repeated double, packed or not; no more than a histogram has.
fn doubles(field: &Field<'_>, into: &mut Vec<f64>) -> Result<(), ReadError> {
    match field.payload {
        Payload::Fixed64(bits) => {
            few_buckets(into.len() + 1)?;
            into.push(f64::from_bits(bits));
        }
        Payload::Bytes(bytes) => {
            let numbers = bytes.as_chunks::<8>().0;
            few_buckets(into.len() + numbers.len())?;
            into.extend(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)));
        }
        _ => {}
    }
    Ok(())
}

fn few_buckets(count: usize) -> Result<(), ReadError> {
    if count <= limits::LOG_BUCKETS {
        return Ok(());
    }
    Err(ReadError::OverLimit {
        what: "the number of buckets of a histogram".into(),
        value: count as u64,
        limit: limits::LOG_BUCKETS as u64,
    })
}

/// Numbers of a repeated integer; none where there are more than any histogram has.
fn varints(field: &Field<'_>) -> Result<Vec<u64>, ReadError> {
    // A varint takes ten bytes at most.
    let is_small = !matches!(field.payload, Payload::Bytes(bytes) if bytes.len() > 10 * NUMBERS);
    if is_small { field.varints() } else { Ok(Vec::new()) }
}

/// The parts of a `TensorProto` that scalars and histograms need.
struct Tensor {
    dims: Vec<u64>,
    values: Vec<f64>,
}

impl Tensor {
    fn read(field: &Field<'_>) -> Result<Self, ReadError> {
        let (mut dtype, mut dims, mut content, mut values) = (0, Vec::new(), None, Vec::new());
        for field in field.message()? {
            let field = field?;
            match (field.number, field.payload) {
                (1, _) => dtype = field.number_value(),
                (2, Payload::Bytes(_)) => dims = shape(field.message()?)?,
                (4, Payload::Bytes(bytes)) => content = Some(bytes),
                (5, Payload::Bytes(bytes)) => {
                    let numbers = bytes.as_chunks::<4>().0.iter();
                    values.extend(numbers.map(|bytes| f64::from(f32::from_le_bytes(*bytes))).take(NUMBERS));
                }
                (5, Payload::Fixed32(bits)) => values.push(f64::from(f32::from_bits(bits))),
                (6, Payload::Fixed64(bits)) => values.push(f64::from_bits(bits)),
                (6, Payload::Bytes(bytes)) => {
                    let numbers = bytes.as_chunks::<8>().0.iter();
                    values.extend(numbers.map(|bytes| f64::from_le_bytes(*bytes)).take(NUMBERS));
                }
                (7 | 10 | 11 | 16 | 17, _) => {
                    let signed = !matches!(field.number, 16 | 17);
                    let numbers = varints(&field)?.into_iter();
                    values.extend(
                        numbers.map(|bits| if signed { bits.cast_signed() as f64 } else { bits as f64 }),
                    );
                }
                (13, _) => {
                    let numbers = varints(&field)?.into_iter();
                    values.extend(numbers.map(|bits| {
                        let bits = bits as u16;
                        if dtype == BFLOAT16 {
                            bf16::from_bits(bits).to_f64()
                        } else {
                            f16::from_bits(bits).to_f64()
                        }
                    }));
                }
                _ => {}
            }
        }
        if let Some(content) = content.filter(|content| !content.is_empty()) {
            values = decode(dtype, content);
        }
        Ok(Self { dims, values })
    }

    /// Its number, where it holds exactly one.
    fn scalar(&self) -> Option<f64> {
        let is_one = self.dims.iter().all(|&dim| dim == 1);
        self.values.first().copied().filter(|_| is_one && self.values.len() == 1)
    }

    /// Rows of left edge, right edge and count.
    fn histogram(&self) -> Result<Vec<LoggedBucket>, ReadError> {
        let &[rows, 3] = self.dims.as_slice() else { return Ok(Vec::new()) };
        few_buckets(usize::try_from(rows).unwrap_or(usize::MAX))?;
        let rows = self.values.as_chunks::<3>().0.iter();
        Ok(rows.map(|&[left, right, count]| LoggedBucket { left, right, count }).collect())
    }
}

/// Numbers of one tensor that are kept: those of the largest histogram.
const NUMBERS: usize = 3 * limits::LOG_BUCKETS;

/// `DT_BFLOAT16` in TensorFlow's `types.proto`.
const BFLOAT16: u64 = 14;

/// Numbers of `tensor_content`; empty for types that have none.
fn decode(dtype: u64, content: &[u8]) -> Vec<f64> {
    fn each<const N: usize>(content: &[u8], decode: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        content.as_chunks::<N>().0.iter().take(NUMBERS).map(|bytes| decode(*bytes)).collect()
    }
    match dtype {
        1 => each(content, |bytes| f64::from(f32::from_le_bytes(bytes))),
        2 => each(content, f64::from_le_bytes),
        3 => each(content, |bytes| f64::from(i32::from_le_bytes(bytes))),
        4 | 10 => each(content, |[byte]| f64::from(byte)),
        5 => each(content, |bytes| f64::from(i16::from_le_bytes(bytes))),
        6 => each(content, |[byte]| f64::from(byte.cast_signed())),
        9 => each(content, |bytes| i64::from_le_bytes(bytes) as f64),
        BFLOAT16 => each(content, |bytes| bf16::from_le_bytes(bytes).to_f64()),
        17 => each(content, |bytes| f64::from(u16::from_le_bytes(bytes))),
        19 => each(content, |bytes| f16::from_le_bytes(bytes).to_f64()),
        22 => each(content, |bytes| f64::from(u32::from_le_bytes(bytes))),
        23 => each(content, |bytes| u64::from_le_bytes(bytes) as f64),
        _ => Vec::new(),
    }
}

fn shape(message: Message<'_>) -> Result<Vec<u64>, ReadError> {
    let mut dims = Vec::new();
    for field in message {
        let field = field?;
        if field.number != 2 || dims.len() >= limits::RANK {
            continue;
        }
        let mut size = 0;
        for field in field.message()? {
            let field = field?;
            if field.number == 1 {
                size = field.number_value();
            }
        }
        dims.push(size);
    }
    Ok(dims)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut length = bytes.len();
        let mut out = vec![number << 3 | 2];
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        [out, bytes.to_vec()].concat()
    }

    fn doubles(number: u8, values: &[f64]) -> Vec<u8> {
        field(number, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    }

    fn double(number: u8, value: f64) -> Vec<u8> {
        [vec![number << 3 | 1], value.to_le_bytes().to_vec()].concat()
    }

    fn buckets(parts: &[Vec<u8>]) -> Result<Vec<(f64, f64, f64)>, ReadError> {
        let bytes = parts.concat();
        let found = histogram(Message::new(&bytes, 0))?;
        Ok(found.into_iter().map(|bucket| (bucket.left, bucket.right, bucket.count)).collect())
    }

    #[test]
    fn a_histogram_begins_at_its_least_value_and_ends_at_its_largest() {
        let edges = doubles(6, &[-1.0, 0.0, 1.0, f64::MAX]);
        let found = buckets(&[double(1, -0.5), double(2, 3.0), edges, doubles(7, &[0.0, 2.0, 0.0, 1.0])]);
        assert_eq!(found.expect("buckets"), [(-0.5, 0.0, 2.0), (0.0, 1.0, 0.0), (1.0, 3.0, 1.0)]);
        assert_eq!(buckets(&[doubles(6, &[1.0]), doubles(7, &[0.0])]).expect("none"), []);
        assert_eq!(buckets(&[doubles(7, &[1.0, 2.0])]).expect("no limits").len(), 1);
        let nan = buckets(&[doubles(6, &[f64::NAN, 1.0]), doubles(7, &[1.0, f64::INFINITY])]).expect("kept");
        assert!(nan[0].1.is_nan() && nan[1].2.is_infinite());
    }

    #[test]
    fn more_buckets_than_any_histogram_has_are_refused() {
        let many = vec![0.0; limits::LOG_BUCKETS + 1];
        assert!(matches!(buckets(&[doubles(6, &many)]), Err(ReadError::OverLimit { .. })));
        let tensor = Tensor { dims: vec![u64::MAX, 3], values: Vec::new() };
        assert!(tensor.histogram().is_err());
        let flat = Tensor { dims: vec![6], values: vec![0.0; 6] };
        assert_eq!(flat.histogram().expect("no histogram"), []);
    }
}
