//! Safetensors: single files, and sharded sets by their index.
//!
//! ```text
//! u64 little-endian N | N bytes of JSON: {"name": {"dtype", "shape", "data_offsets": [begin, end]}, …} | data
//! ```
//!
//! Offsets count from the end of the header. Source: <https://github.com/huggingface/safetensors#format>.
//! The reference library refuses a whole file for one unknown dtype, a gap or an overlap; this reader shows
//! what can be shown and names the rest. It reads no tensor values when opening.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::places::Places;
use super::shard_index::{self, Shard, ShardIndex, index_in_folder};
use super::{Format, Probe};
use crate::model::{
    CheckpointParts, Dtype, Problem, Progress, ReadError, Shape, TensorId, TensorInfo, TensorReader,
    TensorRole, Value, role,
};
use crate::raw::{ByteSource, limits, read_range};

/// Safetensors files and sets of shards.
pub struct Safetensors;

impl Format for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["safetensors", "safetensors.index.json"]
    }

    fn detect(&self, probe: &Probe) -> bool {
        is_file(probe.head())
            || shard_index::is_index(probe, INDEX_ENDING, &[".safetensors"])
            || index_in_folder(probe, INDEX_ENDING).is_some()
    }

    fn open(&self, probe: &Probe, progress: &Progress) -> Result<CheckpointParts, ReadError> {
        if let Some(name) = index_in_folder(probe, INDEX_ENDING) {
            let path = probe.path().join(name);
            let source = ByteSource::open(&path)?;
            return open_sharded(&path, &source, progress);
        }
        let source = probe.source().ok_or_else(|| ReadError::unsupported("not a file"))?;
        if is_file(probe.head()) { open_file(source) } else { open_sharded(probe.path(), source, progress) }
    }
}

/// Header length within the limit, then the JSON object's brace.
fn is_file(head: &[u8]) -> bool {
    let Some((length, rest)) = head.split_first_chunk::<8>() else { return false };
    let length = u64::from_le_bytes(*length);
    (2..=limits::SAFETENSORS_HEADER_BYTES).contains(&length) && rest.first() == Some(&b'{')
}

/// How the indices of sets end; a folder is opened by the one that it holds.
const INDEX_ENDING: &str = ".safetensors.index.json";

/// Where the bytes of one tensor are.
struct Place {
    source: u32,
    offset: u64,
    len: u64,
    /// See [`Dtype::group_bytes`].
    group: u8,
}

#[derive(Default)]
struct Reader {
    sources: Vec<ByteSource>,
    places: Places<Place>,
}

impl TensorReader for Reader {
    fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let &Place { source, offset, len, group } = self.places.get(id)?;
        let source = self.sources.get(source as usize);
        let source = source.ok_or_else(|| ReadError::unsupported("no such shard"))?;
        read_range(source, offset, len, usize::from(group), progress, &mut |piece| sink(piece))
    }

    fn read_at(&self, id: TensorId, offset: u64, buffer: &mut [u8]) -> Option<Result<(), ReadError>> {
        let &Place { source, offset: begin, len, .. } = self.places.get(id).ok()?;
        let source = self.sources.get(source as usize)?;
        Some(source.check_unchanged().and_then(|()| {
            let bytes = source.slice("tensor data", begin, len)?;
            bytes.read_at("tensor data", offset, buffer)
        }))
    }
}

/// One entry of the header, as far as it could be read.
struct Entry {
    name: String,
    dtype: Dtype,
    shape: Shape,
    range: (u64, u64),
    fault: Option<String>,
}

#[derive(serde::Deserialize)]
struct RawEntry<'a> {
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

struct Header {
    entries: Vec<Entry>,
    metadata: Vec<(String, Value)>,
    problems: Vec<Problem>,
    data_start: u64,
}

/// Reads the header. One that is cut off, or broken inside, is read as far as it goes.
fn read_header(source: &ByteSource) -> Result<Header, ReadError> {
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
    let parsed = json.deserialize_map(&mut header).and_then(|()| json.end());
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
impl<'de> Visitor<'de> for &mut Header {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let raw: &RawValue = map.next_value()?;
            if name == "__metadata__" {
                match serde_json::from_str(raw.get()).map(Value::from_json) {
                    Ok(Value::Map(entries)) => {
                        if entries.iter().any(|(_, value)| value.as_text().is_none()) {
                            let text = "__metadata__ holds values that are not text; the safetensors library refuses this file";
                            self.problems.push(Problem::warning("bad-metadata", text));
                        }
                        self.metadata = entries;
                    }
                    Ok(Value::Null) => {}
                    _ => {
                        self.problems.push(Problem::warning("bad-metadata", "__metadata__ is not an object"));
                    }
                }
            } else if self.entries.len() >= limits::TENSORS {
                return Err(serde::de::Error::custom("more tensors than the limit"));
            } else {
                self.entries.push(read_entry(name, raw.get()));
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

/// Adds a header's tensors to a catalogue. `keep` says which names belong to it.
fn catalogue(
    header: Header,
    source: u32,
    keep: impl Fn(&str) -> bool,
    tensors: &mut Vec<TensorInfo>,
    reader: &mut Reader,
    problems: &mut Vec<Problem>,
) {
    let first = tensors.len();
    // Entries that were kept, ascending: the tensors from `first` on.
    let mut kept = Vec::with_capacity(header.entries.len());
    for (index, entry) in header.entries.into_iter().enumerate().filter(|(_, entry)| keep(&entry.name)) {
        let Entry { name, dtype, shape, range: (begin, end), fault } = entry;
        let bytes = end.saturating_sub(begin);
        let stored = if fault.is_none() { bytes } else { 0 };
        let (role, evidence) = role::of_state_dict(&name, &dtype, &shape);
        let group = dtype.group_bytes() as u8;
        let mut tensor = TensorInfo::new(name, dtype, shape, stored);
        (tensor.role, tensor.role_evidence) = (role, Some(evidence));
        tensor.trainable = (tensor.role == TensorRole::Buffer).then_some(false);
        tensor.offset = header.data_start.checked_add(begin);
        reader.places.push(match (fault, tensor.offset) {
            (None, Some(offset)) => Ok(Place { source, offset, len: bytes, group }),
            (fault, _) => Err(fault.unwrap_or_default()),
        });
        kept.push(TensorId(index as u32));
        tensors.push(tensor);
    }
    problems.extend(header.problems.into_iter().filter_map(|problem| {
        let tensor = match problem.tensor {
            Some(entry) => Some(TensorId((first + kept.binary_search(&entry).ok()?) as u32)),
            None => None,
        };
        Some(Problem { tensor, ..problem })
    }));
}

/// `format: pt` in the metadata says which framework's names these are; versions are not recorded.
fn framework(metadata: &[(String, Value)]) -> Option<String> {
    let format = metadata.iter().find(|(key, _)| key == "format")?.1.as_text()?;
    Some(
        match format {
            "pt" => "torch",
            "tf" => "tensorflow",
            "flax" => "flax",
            "mlx" => "mlx",
            "np" => "numpy",
            other => other,
        }
        .to_owned(),
    )
}

fn open_file(source: &ByteSource) -> Result<CheckpointParts, ReadError> {
    let mut header = read_header(source)?;
    let metadata = std::mem::take(&mut header.metadata);
    let mut reader = Reader { sources: vec![source.clone()], ..Reader::default() };
    let mut tensors = Vec::with_capacity(header.entries.len());
    let mut problems = Vec::new();
    catalogue(header, 0, |_| true, &mut tensors, &mut reader, &mut problems);
    Ok(CheckpointParts {
        format: "safetensors",
        framework: framework(&metadata),
        counts_known: !tensors.is_empty(),
        tensors,
        layers: Vec::new(),
        metadata: Value::Map(metadata),
        problems,
        file_bytes: source.len(),
        reader: Box::new(reader),
    })
}

fn open_sharded(path: &Path, source: &ByteSource, progress: &Progress) -> Result<CheckpointParts, ReadError> {
    let index = ShardIndex::read(source)?;
    let mut problems = Vec::new();
    let mut reader = Reader::default();
    let mut tensors = Vec::new();
    let mut framework_seen = None;
    let mut file_bytes = source.len();
    for shard in &index.shards {
        progress.advance(0)?;
        let found = match open_shard(path, shard) {
            Ok((source, header)) => {
                let wanted: HashSet<&str> = shard.names.iter().map(String::as_str).collect();
                let first = tensors.len();
                file_bytes += source.len();
                reader.sources.push(source);
                let number = reader.sources.len() as u32 - 1;
                framework_seen = framework_seen.or_else(|| framework(&header.metadata));
                let keep = |name: &str| wanted.contains(name);
                catalogue(header, number, keep, &mut tensors, &mut reader, &mut problems);
                tensors.iter().skip(first).map(|tensor| tensor.name.clone()).collect()
            }
            Err(error) => {
                problems.push(shard.unreadable(&error));
                HashSet::new()
            }
        };
        for name in shard.names.iter().filter(|name| !found.contains(*name)) {
            let fault = shard.add_missing(name, &mut tensors, &mut problems);
            reader.places.push(Err(fault));
        }
    }
    let complete = tensors.iter().all(|tensor| tensor.role != TensorRole::Unknown);
    Ok(CheckpointParts {
        format: "safetensors-sharded",
        framework: framework_seen,
        counts_known: complete && !tensors.is_empty(),
        tensors,
        layers: Vec::new(),
        metadata: index.metadata,
        problems,
        file_bytes,
        reader: Box::new(reader),
    })
}

fn open_shard(index: &Path, shard: &Shard) -> Result<(ByteSource, Header), ReadError> {
    let source = ByteSource::open(&shard.beside(index)?)?;
    let header = read_header(&source)?;
    Ok((source, header))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> ByteSource {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        ByteSource::from_vec(bytes)
    }

    fn codes(parts: &CheckpointParts) -> Vec<&'static str> {
        parts.problems.iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn tensors_keep_the_order_of_the_header() {
        let source = file(
            r#"{"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"I8","shape":[2],"data_offsets":[4,6]}}"#,
            &[0; 6],
        );
        let parts = open_file(&source).expect("opens");
        let names: Vec<&str> = parts.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert!(parts.problems.is_empty());
    }

    #[test]
    fn an_unknown_dtype_costs_its_tensor_and_no_other() {
        let source = file(
            r#"{"x":{"dtype":"F31","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[1],"data_offsets":[4,5]}}"#,
            &[0; 5],
        );
        let parts = open_file(&source).expect("opens");
        assert_eq!(parts.tensors[0].dtype.name(), "F31");
        assert_eq!(parts.problems[0].tensor, Some(TensorId(0)));
        let mut read = Vec::new();
        let result = parts.reader.read_chunks(TensorId(1), &Progress::new(), &mut |bytes| {
            read.extend_from_slice(bytes);
            ControlFlow::Continue(())
        });
        assert!(result.is_ok() && read == [0]);
    }

    #[test]
    fn overlaps_gaps_and_trailing_bytes_are_named() {
        let overlap = file(
            r#"{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
            &[0; 6],
        );
        assert_eq!(codes(&open_file(&overlap).expect("opens")), ["overlap"]);
        let trailing = file(r#"{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, &[0; 9]);
        assert_eq!(codes(&open_file(&trailing).expect("opens")), ["unused-bytes"]);
    }

    #[test]
    fn a_shape_that_wraps_to_its_byte_range_is_refused() {
        let source =
            file(r#"{"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#, &[]);
        assert_eq!(codes(&open_file(&source).expect("opens")), ["bad-tensor"]);
    }

    #[test]
    fn a_header_that_is_cut_shows_the_tensors_before_the_cut() {
        let header = r#"{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","sha"#;
        let mut bytes = 500u64.to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        let parts = open_file(&ByteSource::from_vec(bytes)).expect("opens");
        assert_eq!(parts.tensors.len(), 1);
        assert!(codes(&parts).contains(&"bad-header"), "{:?}", codes(&parts));
    }

    #[test]
    fn a_header_past_the_end_says_that_the_file_is_cut() {
        let mut bytes = 500u64.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"{}");
        let error = open_file(&ByteSource::from_vec(bytes)).err().expect("refused");
        assert!(matches!(error, ReadError::Truncated { needed: 500, available: 2, .. }));
    }
}
