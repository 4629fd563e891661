//! GGUF, the model files of llama.cpp: versions 1 to 3, of either byte order, and sets of splits.
//!
//! ```text
//! "GGUF" | u32 version | tensor count | metadata count | metadata | tensors | padding | data
//! metadata: key | u32 type | value        tensor: name | u32 n | n dimensions | u32 type | u64 offset into data
//! ```
//!
//! Counts, lengths and dimensions are u32 in version 1, u64 after. Dimensions stand innermost first and are shown
//! outermost first. Source: <https://github.com/ggml-org/ggml/blob/v0.9.0/docs/gguf.md>.

mod header;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use super::places::Places;
use super::{Format, Probe};
use crate::model::{
    BlockType, CheckpointParts, Dtype, Problem, Progress, PythonTypes, ReadError, TensorId, TensorInfo,
    TensorReader, TensorRole, Value,
};
use crate::raw::{ByteSource, Strided, limits, read_range, read_strided, read_strided_at};
use header::{Entry, Header};

/// GGUF files.
pub struct Gguf;

impl Format for Gguf {
    fn name(&self) -> &'static str {
        "GGUF"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["gguf"]
    }

    fn detect(&self, probe: &Probe) -> bool {
        probe.head().starts_with(b"GGUF") && probe.head().len() >= 8
    }

    fn open(&self, probe: &Probe, progress: &Progress) -> Result<CheckpointParts, ReadError> {
        let source = probe.source().ok_or_else(|| ReadError::unsupported("not a file"))?;
        let header = Header::read(source, progress)?;
        let mut catalogue = Catalogue::default();
        let split = header.split();
        let file_bytes = source.len();
        let metadata = header.metadata.clone();
        catalogue.add(source, header)?;
        catalogue.file_bytes = file_bytes;
        if let Some((number, count)) = split {
            catalogue.add_splits(probe.path(), number, count, progress)?;
        }
        Ok(CheckpointParts {
            format: "gguf",
            framework: None,
            counts_known: !catalogue.tensors.is_empty(),
            versioned_modules: Vec::new(),
            tensors: catalogue.tensors,
            layers: Vec::new(),
            metadata: Value::Map(metadata),
            problems: catalogue.problems,
            file_bytes: catalogue.file_bytes,
            python_types: PythonTypes::default(),
            reader: Box::new(Reader { places: catalogue.places }),
        })
    }
}

/// Where the values of one tensor are.
enum Place {
    Plain(Strided),
    Blocks { block: BlockType, source: ByteSource, big_endian: bool },
}

#[derive(Default)]
struct Catalogue {
    tensors: Vec<TensorInfo>,
    places: Places<Place>,
    problems: Vec<Problem>,
    names: HashSet<String>,
    file_bytes: u64,
}

impl Catalogue {
    fn add(&mut self, source: &ByteSource, header: Header) -> Result<(), ReadError> {
        if self.tensors.len() + header.entries.len() > limits::TENSORS {
            let value = (self.tensors.len() + header.entries.len()) as u64;
            let (what, limit) = ("the number of tensors".into(), limits::TENSORS as u64);
            return Err(ReadError::OverLimit { what, value, limit });
        }
        self.problems.extend(header.problems);
        let mut end = 0;
        for entry in header.entries {
            let id = TensorId(self.tensors.len() as u32);
            let place = place(source, &entry, header.data_start, header.big_endian);
            let bytes = entry.shape.checked_elements().and_then(|count| entry.dtype.bytes_for(count));
            let stored = if place.is_ok() { bytes.unwrap_or(0) } else { 0 };
            let mut tensor = TensorInfo::new(entry.name, entry.dtype, entry.shape, stored);
            tensor.role = TensorRole::Parameter;
            tensor.offset = header.data_start.checked_add(entry.offset);
            let warning = match &place {
                Err(fault) => Some(Problem::error("bad-tensor", format!("{:?}: {fault}", tensor.name))),
                Ok(_) if !self.names.insert(tensor.name.clone()) => Some(Problem::warning(
                    "duplicate-name",
                    format!("{:?} stands in the file twice", tensor.name),
                )),
                Ok(_) if !entry.offset.is_multiple_of(header.alignment) => {
                    let text = format!(
                        "{:?} does not begin at a multiple of {} bytes; llama.cpp refuses this file",
                        tensor.name, header.alignment
                    );
                    Some(Problem::warning("misaligned", text))
                }
                Ok(_) if entry.offset < end => Some(Problem::warning(
                    "overlap",
                    format!("{:?} overlaps the tensor before it", tensor.name),
                )),
                Ok(_) => match &tensor.dtype {
                    Dtype::Block(block) if !block.is_decoded() => {
                        let text =
                            format!("the values of {:?} are not decoded from {}", tensor.name, block.name());
                        Some(Problem::info("no-numbers", text))
                    }
                    _ => None,
                },
            };
            self.problems.extend(warning.map(|problem| problem.on(id)));
            end = entry.offset.saturating_add(stored);
            self.tensors.push(tensor);
            self.places.push(place);
        }
        Ok(())
    }

    /// Adds the other parts of a set that lie beside its first.
    /// Source of their names: <https://github.com/ggml-org/llama.cpp/blob/b6000/src/llama.cpp> (`llama_split_path`).
    fn add_splits(
        &mut self,
        path: &Path,
        number: u64,
        count: u64,
        progress: &Progress,
    ) -> Result<(), ReadError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let end = format!("-{:05}-of-{count:05}.gguf", number + 1);
        let Some(stem) = name.strip_suffix(&end).filter(|_| count < 100_000) else {
            let text = format!(
                "this is part {} of {count}; the other parts are not named after it",
                number.saturating_add(1)
            );
            self.problems.push(Problem::warning("missing-shard", text));
            return Ok(());
        };
        if number != 0 {
            let text = format!(
                "this is part {} of {count}; open {stem}-00001-of-{count:05}.gguf to see all",
                number + 1
            );
            self.problems.push(Problem::info("one-shard", text));
            return Ok(());
        }
        for part in 2..=count {
            progress.advance(0)?;
            let name = format!("{stem}-{part:05}-of-{count:05}.gguf");
            let opened = ByteSource::open(&path.with_file_name(&name)).and_then(|source| {
                let mut magic = [0; 4];
                source.read_at("the signature", 0, &mut magic)?;
                if &magic != b"GGUF" {
                    return Err(ReadError::malformed("the signature", 0, "it is not GGUF"));
                }
                Ok((Header::read(&source, progress)?, source))
            });
            match opened {
                Ok((header, source)) => {
                    self.file_bytes += source.len();
                    self.add(&source, header)?;
                }
                Err(ReadError::Cancelled) => return Err(ReadError::Cancelled),
                Err(error) => {
                    let text = format!("part {name:?} cannot be read: {error}; its tensors are not shown");
                    self.problems.push(Problem::error("missing-shard", text));
                }
            }
        }
        Ok(())
    }
}

/// Checks that an entry's bytes are there and can be what it says.
fn place(source: &ByteSource, entry: &Entry, data_start: u64, big_endian: bool) -> Result<Place, String> {
    let Some(elements) = entry.shape.checked_elements() else {
        return Err(format!("its shape {} overflows", entry.shape));
    };
    if let Dtype::Other(name, _) = &entry.dtype {
        return Err(format!("its type ({name}) is not known to this version; values are not shown"));
    }
    let row = entry.shape.dims().last().copied().unwrap_or(1);
    let bytes = match &entry.dtype {
        Dtype::Block(block) if !row.is_multiple_of(block.elements() as u64) => None,
        dtype => dtype.bytes_for(elements),
    };
    let Some(bytes) = bytes else {
        return Err(format!("rows of {row} elements do not fill whole blocks of {}", entry.dtype));
    };
    let offset = data_start.checked_add(entry.offset).ok_or("its offset overflows")?;
    if offset.checked_add(bytes).is_none_or(|end| end > source.len()) {
        let there = source.len().saturating_sub(offset);
        return Err(format!(
            "its {bytes} bytes begin at {offset}, but {there} are there; the download may be incomplete"
        ));
    }
    let Dtype::Block(block) = entry.dtype else {
        let item_bytes = entry.dtype.bits() / 8;
        return Ok(Place::Plain(Strided {
            source: source.clone(),
            offset,
            shape: entry.shape.clone(),
            strides: None,
            item_bytes,
            swap_unit: if big_endian { item_bytes } else { 1 },
        }));
    };
    if big_endian && block.halves().is_none() {
        return Err(format!("how {} is stored in big-endian files is not known", entry.dtype));
    }
    let source = source.slice("a tensor", offset, bytes).map_err(|error| error.to_string())?;
    Ok(Place::Blocks { block, source, big_endian })
}

struct Reader {
    places: Places<Place>,
}

impl TensorReader for Reader {
    fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        match self.places.get(id)? {
            Place::Plain(array) => read_strided(array, progress, sink),
            Place::Blocks { block, source, big_endian } => {
                read_range(source, 0, source.len(), block.bytes(), progress, &mut |piece| {
                    if *big_endian {
                        swap_halves(*block, piece);
                    }
                    sink(piece)
                })
            }
        }
    }

    fn read_at(&self, id: TensorId, offset: u64, buffer: &mut [u8]) -> Option<Result<(), ReadError>> {
        match self.places.get(id).ok()? {
            Place::Plain(array) => read_strided_at(array, offset, buffer),
            Place::Blocks { block, source, big_endian } => Some(source.check_unchanged().and_then(|()| {
                source.read_at("tensor data", offset, buffer)?;
                if *big_endian {
                    swap_halves(*block, buffer);
                }
                Ok(())
            })),
        }
    }
}

/// Makes the 16-bit numbers of whole blocks little-endian.
fn swap_halves(block: BlockType, bytes: &mut [u8]) {
    for bytes in bytes.chunks_exact_mut(block.bytes()) {
        for &at in block.halves().unwrap_or_default() {
            bytes.swap(at, at + 1);
        }
    }
}
