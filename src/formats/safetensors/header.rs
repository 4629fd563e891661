//! The header of a safetensors file: names, types and places of its tensors, and whether they can be so.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::{Dtype, Problem, Progress, ReadError, Shape, TensorId, Value};
use crate::raw::{ByteSource, limits};

/// One entry of the header, as far as it could be read.
pub(super) struct Entry {
    /// As the header has it; names may occur twice.
    pub name: String,
    pub dtype: Dtype,
    pub shape: Shape,
    /// Where its bytes begin and end, from the end of the header.
    pub range: (u64, u64),
    /// Why its values cannot be read.
    pub fault: Option<String>,
}

#[derive(serde::Deserialize)]
struct RawEntry<'a> {
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// Entries that are read between two looks at whether the work was cancelled.
const CANCELLABLE: usize = 4096;

/// What a header says.
pub(super) struct Header {
    /// In the order of the header.
    pub entries: Vec<Entry>,
    /// `__metadata__`.
    pub metadata: Vec<(String, Value)>,
    /// Their tensors are positions among the entries.
    pub problems: Vec<Problem>,
    /// Where the data begin in the file.
    pub data_start: u64,
}

/// Reads the header. One that is cut off, or broken inside, is read as far as it goes.
pub(super) fn read_header(source: &ByteSource, progress: &Progress) -> Result<Header, ReadError> {
    let mut length = [0; 8];
    source.read_at("the header length", 0, &mut length)?;
    let length = u64::from_le_bytes(length);
    if length > limits::SAFETENSORS_HEADER_BYTES {
        let (what, limit) = ("the header".into(), limits::SAFETENSORS_HEADER_BYTES);
        return Err(ReadError::OverLimit { what, value: length, limit });
    }
    let bytes = source.read_up_to("the header", 8, length)?;
    let cut = source.check("the header", 8, length).err();
    let (text, mut fault) = match std::str::from_utf8(&bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let at = error.valid_up_to();
            let valid = std::str::from_utf8(bytes.get(..at).unwrap_or_default()).unwrap_or_default();
            (valid, Some(ReadError::malformed("the header", 8 + at as u64, "it is not UTF-8 text")))
        }
    };
    let mut header =
        Header { entries: Vec::new(), metadata: Vec::new(), problems: Vec::new(), data_start: 8 + length };
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = json.deserialize_map(Entries { header: &mut header, progress }).and_then(|()| json.end());
    progress.advance(0)?;
    if let Err(error) = parsed {
        fault = fault.or_else(|| Some(ReadError::malformed("the header", 8, error.to_string())));
    }
    if let Some(fault) = cut.or(fault) {
        if header.entries.is_empty() {
            return Err(fault);
        }
        let message = format!("the header is read only as far as it goes: {fault}");
        header.problems.push(Problem::error("bad-header", message).at(8));
    }
    let data_bytes = source.len().saturating_sub(header.data_start);
    for (index, entry) in header.entries.iter_mut().enumerate() {
        if let Some(fault) = entry.fault.take().or_else(|| fault_of(entry, data_bytes)) {
            let message = format!("{:?}: {fault}", entry.name);
            header.problems.push(Problem::error("bad-tensor", message).on(TensorId(index as u32)));
            entry.fault = Some(fault);
        }
    }
    check_layout(&mut header, data_bytes);
    if length > limits::SAFETENSORS_LIBRARY_HEADER_BYTES {
        let message = format!("the header takes {length} bytes; the safetensors library refuses this file");
        header.problems.push(Problem::warning("large-header", message));
    }
    Ok(header)
}

/// Reads the header's entries in order, duplicates included; an entry that cannot be understood is kept with its fault.
struct Entries<'a> {
    header: &'a mut Header,
    progress: &'a Progress,
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { header, progress } = self;
        while let Some(name) = map.next_key::<String>()? {
            if header.entries.len() % CANCELLABLE == 0 && progress.is_cancelled() {
                return Err(serde::de::Error::custom("cancelled"));
            }
            let raw: &RawValue = map.next_value()?;
            if name == "__metadata__" {
                match serde_json::from_str(raw.get()).map(Value::from_json) {
                    Ok(Value::Map(entries)) => {
                        if entries.iter().any(|(_, value)| value.as_text().is_none()) {
                            let text = "__metadata__ holds values that are not text; the safetensors library refuses this file";
                            header.problems.push(Problem::warning("bad-metadata", text));
                        }
                        header.metadata = entries;
                    }
                    Ok(Value::Null) => {}
                    _ => {
                        header
                            .problems
                            .push(Problem::warning("bad-metadata", "__metadata__ is not an object"));
                    }
                }
            } else if header.entries.len() >= limits::TENSORS {
                return Err(serde::de::Error::custom("more tensors than the limit"));
            } else {
                header.entries.push(read_entry(name, raw.get()));
            }
        }
        Ok(())
    }
}

fn read_entry(name: String, json: &str) -> Entry {
    match serde_json::from_str::<RawEntry<'_>>(json) {
        Ok(raw) => {
            let shape = Shape::from(raw.shape);
            let dtype = dtype(&raw.dtype, &shape, raw.data_offsets);
            Entry { name, dtype, shape, range: raw.data_offsets, fault: None }
        }
        Err(error) => Entry {
            name,
            dtype: Dtype::Other("unknown".into(), 0),
            shape: Shape::default(),
            range: (0, 0),
            fault: Some(format!("its entry in the header is malformed: {error}")),
        },
    }
}

/// Names of the format, from `safetensors/src/tensor.rs` (0.7). An unknown one keeps its name, with the bits
/// that its bytes and its shape suggest, so that its bytes can still be hashed and copied.
fn dtype(name: &str, shape: &Shape, (begin, end): (u64, u64)) -> Dtype {
    match name {
        "BOOL" => Dtype::Bool,
        "U8" => Dtype::Uint8,
        "I8" => Dtype::Int8,
        "U16" => Dtype::Uint16,
        "I16" => Dtype::Int16,
        "U32" => Dtype::Uint32,
        "I32" => Dtype::Int32,
        "U64" => Dtype::Uint64,
        "I64" => Dtype::Int64,
        "F16" => Dtype::Float16,
        "BF16" => Dtype::Bfloat16,
        "F32" => Dtype::Float32,
        "F64" => Dtype::Float64,
        "C64" => Dtype::Complex64,
        "F8_E4M3" => Dtype::Float8E4m3fn,
        "F8_E5M2" => Dtype::Float8E5m2,
        "F8_E4M3FNUZ" => Dtype::Float8E4m3fnuz,
        "F8_E5M2FNUZ" => Dtype::Float8E5m2fnuz,
        "F8_E8M0" => Dtype::Float8E8m0fnu,
        "F4" => Dtype::Float4E2m1,
        "F6_E2M3" => Dtype::Float6E2m3,
        "F6_E3M2" => Dtype::Float6E3m2,
        other => {
            let bits = match (end.checked_sub(begin), shape.checked_elements()) {
                (Some(bytes), Some(elements)) if elements > 0 => {
                    bytes.saturating_mul(8).checked_div(elements)
                }
                _ => None,
            };
            Dtype::Other(other.into(), bits.and_then(|bits| u32::try_from(bits).ok()).unwrap_or(0))
        }
    }
}

/// Why the entry's bytes cannot be what it says; `None` when they can.
fn fault_of(entry: &Entry, data_bytes: u64) -> Option<String> {
    let (begin, end) = entry.range;
    if end < begin {
        return Some(format!("its data ends ({end}) before it begins ({begin})"));
    }
    if entry.shape.rank() > limits::RANK {
        return Some(format!(
            "it has {} dimensions, more than the limit of {}",
            entry.shape.rank(),
            limits::RANK
        ));
    }
    let Some(elements) = entry.shape.checked_elements() else {
        return Some(format!("its shape {} overflows", entry.shape));
    };
    if end > data_bytes {
        return Some(format!(
            "its data ends at byte {end} of the data, but the file holds {data_bytes}; the download may be incomplete"
        ));
    }
    match (&entry.dtype, entry.dtype.bytes_for(elements)) {
        (Dtype::Other(name, _), _) => {
            Some(format!("its dtype {name:?} is not known to this version; values are not shown"))
        }
        (_, Some(bytes)) if bytes == end - begin => None,
        (dtype, Some(bytes)) => Some(format!(
            "{} elements of {dtype} take {bytes} bytes, but the header gives it {}",
            entry.shape,
            end - begin
        )),
        (dtype, None) => Some(format!("{} elements of {dtype} do not fill whole bytes", entry.shape)),
    }
}

/// Findings that the reference library refuses a file for: duplicate names, overlaps, gaps, bytes after the last tensor.
fn check_layout(header: &mut Header, data_bytes: u64) {
    let mut seen = HashSet::with_capacity(header.entries.len());
    let mut ranges = Vec::with_capacity(header.entries.len());
    for (index, entry) in header.entries.iter().enumerate() {
        if !seen.insert(entry.name.as_str()) {
            header.problems.push(
                Problem::warning("duplicate-name", format!("{:?} stands in the header twice", entry.name))
                    .on(TensorId(index as u32)),
            );
        }
        if entry.fault.is_none() && entry.range.1 > entry.range.0 {
            ranges.push((entry.range.0, entry.range.1, index));
        }
    }
    ranges.sort_unstable();
    let mut end = 0;
    let mut gap = 0;
    for &(begin, stop, index) in &ranges {
        if begin < end {
            let name = header.entries.get(index).map_or("", |entry| entry.name.as_str());
            let message =
                format!("{name:?} overlaps the tensor before it; the safetensors library refuses this file");
            header.problems.push(
                Problem::warning("overlap", message).on(TensorId(index as u32)).at(header.data_start + begin),
            );
        }
        gap += begin.saturating_sub(end);
        end = end.max(stop);
    }
    let unused = gap + data_bytes.saturating_sub(end);
    // Bytes that a broken entry fails to describe are no finding of their own.
    if unused > 0 && header.entries.iter().all(|entry| entry.fault.is_none()) {
        let message = format!(
            "{unused} bytes of the data belong to no tensor; the safetensors library refuses this file"
        );
        header.problems.push(Problem::warning("unused-bytes", message));
    }
}
