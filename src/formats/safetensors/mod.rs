//! Safetensors: single files, and sharded sets by their index.
//!
//! ```text
//! u64 little-endian N | N bytes of JSON: {"name": {"dtype", "shape", "data_offsets": [begin, end]}, …} | data
//! ```
//!
//! Offsets count from the end of the header. Source: <https://github.com/huggingface/safetensors#format>.
//! The reference library refuses a whole file for one unknown dtype, a gap or an overlap; this reader shows
//! what can be shown and names the rest. It reads no tensor values when opening.

mod header;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use self::header::{Entry, Header, read_header};
use super::places::Places;
use super::shard_index::{self, Shard, ShardIndex, index_in_folder};
use super::{Format, Probe};
use crate::model::{
    CheckpointParts, Problem, Progress, PythonTypes, ReadError, TensorId, TensorInfo, TensorReader,
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
        if is_file(probe.head()) {
            open_file(source, progress)
        } else {
            open_sharded(probe.path(), source, progress)
        }
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
    /// See [`crate::model::Dtype::group_bytes`].
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

fn open_file(source: &ByteSource, progress: &Progress) -> Result<CheckpointParts, ReadError> {
    let mut header = read_header(source, progress)?;
    let metadata = std::mem::take(&mut header.metadata);
    let mut reader = Reader { sources: vec![source.clone()], ..Reader::default() };
    let mut tensors = Vec::with_capacity(header.entries.len());
    let mut problems = Vec::new();
    catalogue(header, 0, |_| true, &mut tensors, &mut reader, &mut problems);
    Ok(CheckpointParts {
        format: "safetensors",
        framework: framework(&metadata),
        counts_known: !tensors.is_empty(),
        versioned_modules: Vec::new(),
        tensors,
        layers: Vec::new(),
        metadata: Value::Map(metadata),
        problems,
        file_bytes: source.len(),
        python_types: PythonTypes::default(),
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
        let found = match open_shard(path, shard, progress) {
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
            Err(error) if error.is_cancelled() => return Err(error),
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
        versioned_modules: Vec::new(),
        tensors,
        layers: Vec::new(),
        metadata: index.metadata,
        problems,
        file_bytes,
        python_types: PythonTypes::default(),
        reader: Box::new(reader),
    })
}

fn open_shard(index: &Path, shard: &Shard, progress: &Progress) -> Result<(ByteSource, Header), ReadError> {
    let source = ByteSource::open(&shard.beside(index)?)?;
    let header = read_header(&source, progress)?;
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
        let parts = open_file(&source, &Progress::new()).expect("opens");
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
        let parts = open_file(&source, &Progress::new()).expect("opens");
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
        assert_eq!(codes(&open_file(&overlap, &Progress::new()).expect("opens")), ["overlap"]);
        let trailing = file(r#"{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, &[0; 9]);
        assert_eq!(codes(&open_file(&trailing, &Progress::new()).expect("opens")), ["unused-bytes"]);
    }

    #[test]
    fn a_shape_that_wraps_to_its_byte_range_is_refused() {
        let source =
            file(r#"{"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#, &[]);
        assert_eq!(codes(&open_file(&source, &Progress::new()).expect("opens")), ["bad-tensor"]);
    }

    #[test]
    fn a_header_that_is_cut_shows_the_tensors_before_the_cut() {
        let header = r#"{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","sha"#;
        let mut bytes = 500u64.to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        let parts = open_file(&ByteSource::from_vec(bytes), &Progress::new()).expect("opens");
        assert_eq!(parts.tensors.len(), 1);
        assert!(codes(&parts).contains(&"bad-header"), "{:?}", codes(&parts));
    }

    #[test]
    fn a_header_past_the_end_says_that_the_file_is_cut() {
        let mut bytes = 500u64.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"{}");
        let error = open_file(&ByteSource::from_vec(bytes), &Progress::new()).err().expect("refused");
        assert!(matches!(error, ReadError::Truncated { needed: 500, available: 2, .. }));
    }
}
