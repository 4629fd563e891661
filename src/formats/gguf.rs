//! GGUF, the model files of llama.cpp: versions 1 to 3, of either byte order, and sets of splits.
//!
//! ```text
//! "GGUF" | u32 version | tensor count | metadata count | metadata | tensors | padding | data
//! metadata: key | u32 type | value        tensor: name | u32 n | n dimensions | u32 type | u64 offset into data
//! ```
//!
//! Counts, lengths and dimensions are u32 in version 1, u64 after. Dimensions stand innermost first and are shown
//! outermost first. Source: <https://github.com/ggml-org/ggml/blob/v0.9.0/docs/gguf.md>.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use super::{Format, Probe};
use crate::model::{
    BlockType, CheckpointParts, Dtype, Problem, Progress, ReadError, Shape, TensorId, TensorInfo,
    TensorReader, TensorRole, Value,
};
use crate::raw::{ByteSource, Strided, limits, read_range, read_strided};

/// GGUF files.
pub struct Gguf;

/// Bytes of one key, name or text; chat templates reach some hundred kilobytes.
const TEXT_BYTES: u64 = 16 << 20;

/// Arrays of more values are shown by their beginning: vocabularies have hundreds of thousands.
const ARRAY_SHOWN: u64 = 1024;

/// What is shown of such an array.
const ARRAY_BEGINNING: u64 = 32;

/// Nesting of arrays; nobody writes more than one inside another.
const ARRAY_DEPTH: usize = 8;

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
            tensors: catalogue.tensors,
            layers: Vec::new(),
            metadata: Value::Map(metadata),
            problems: catalogue.problems,
            file_bytes: catalogue.file_bytes,
            reader: Box::new(Reader { places: catalogue.places }),
        })
    }
}

/// Values of ggml's `enum ggml_type`. Source: <https://github.com/ggml-org/llama.cpp/blob/b6000/ggml/include/ggml.h>.
fn dtype(code: u32) -> Dtype {
    Dtype::Block(match code {
        0 => return Dtype::Float32,
        1 => return Dtype::Float16,
        2 => BlockType::Q4_0,
        3 => BlockType::Q4_1,
        6 => BlockType::Q5_0,
        7 => BlockType::Q5_1,
        8 => BlockType::Q8_0,
        9 => BlockType::Q8_1,
        10 => BlockType::Q2_K,
        11 => BlockType::Q3_K,
        12 => BlockType::Q4_K,
        13 => BlockType::Q5_K,
        14 => BlockType::Q6_K,
        15 => BlockType::Q8_K,
        16 => BlockType::IQ2_XXS,
        17 => BlockType::IQ2_XS,
        18 => BlockType::IQ3_XXS,
        19 => BlockType::IQ1_S,
        20 => BlockType::IQ4_NL,
        21 => BlockType::IQ3_S,
        22 => BlockType::IQ2_S,
        23 => BlockType::IQ4_XS,
        24 => return Dtype::Int8,
        25 => return Dtype::Int16,
        26 => return Dtype::Int32,
        27 => return Dtype::Int64,
        28 => return Dtype::Float64,
        29 => BlockType::IQ1_M,
        30 => return Dtype::Bfloat16,
        31 => BlockType::Q4_0_4_4,
        32 => BlockType::Q4_0_4_8,
        33 => BlockType::Q4_0_8_8,
        34 => BlockType::TQ1_0,
        35 => BlockType::TQ2_0,
        39 => BlockType::MXFP4,
        40 => BlockType::NVFP4,
        41 => BlockType::Q1_0,
        _ => return Dtype::Other(format!("ggml_type_{code}").into(), 0),
    })
}

/// One tensor of a header.
struct Entry {
    name: String,
    dtype: Dtype,
    shape: Shape,
    /// From the start of the data.
    offset: u64,
}

struct Header {
    metadata: Vec<(String, Value)>,
    entries: Vec<Entry>,
    big_endian: bool,
    alignment: u64,
    data_start: u64,
    problems: Vec<Problem>,
}

impl Header {
    fn read(source: &ByteSource, progress: &Progress) -> Result<Self, ReadError> {
        let mut fields =
            Fields { source, window: Vec::new(), start: 0, position: 4, big_endian: false, wide: true };
        let version = fields.u32("the version")?;
        // A version that is 0 in its low half is one of the other byte order.
        fields.big_endian = version & 0xffff == 0;
        let version = if fields.big_endian { version.swap_bytes() } else { version };
        if !(1..=3).contains(&version) {
            return Err(ReadError::unsupported(format!(
                "version {version} of GGUF; versions 1 to 3 are read"
            )));
        }
        fields.wide = version > 1;
        let tensor_count = fields.length("the number of tensors")?;
        let value_count = fields.length("the number of metadata values")?;
        // The shortest of each: an empty name, no dimensions; an empty key, one byte.
        fields.fits("the number of tensors", tensor_count, 20, limits::TENSORS as u64)?;
        fields.fits("the number of metadata values", value_count, 9, limits::METADATA_NODES as u64)?;

        let mut metadata = vec![
            ("GGUF.version".to_owned(), Value::Int(i64::from(version))),
            ("GGUF.endianness".to_owned(), text(if fields.big_endian { "big" } else { "little" })),
        ];
        let mut left = limits::METADATA_NODES as u64;
        for _ in 0..value_count {
            progress.advance(0)?;
            let key = fields.text("a metadata key")?;
            let kind = fields.u32("the type of a metadata value")?;
            let value = fields.value(kind, 0, &mut left)?;
            metadata.push((key, value));
        }
        let mut entries = Vec::new();
        for _ in 0..tensor_count {
            progress.advance(0)?;
            let name = fields.text("the name of a tensor")?;
            let rank = fields.u32("the number of dimensions")?;
            if rank as usize > limits::RANK {
                let (what, limit) = ("the number of dimensions".into(), limits::RANK as u64);
                return Err(ReadError::OverLimit { what, value: u64::from(rank), limit });
            }
            let mut dims = Vec::with_capacity(rank as usize);
            for _ in 0..rank {
                dims.push(fields.length("a dimension")?);
            }
            dims.reverse();
            let dtype = dtype(fields.u32("the type of a tensor")?);
            let offset = fields.u64("the offset of a tensor")?;
            entries.push(Entry { name, dtype, shape: Shape::from(dims), offset });
        }
        let mut problems = Vec::new();
        let given = metadata.iter().find(|(key, _)| key == "general.alignment").map(|(_, value)| value);
        let alignment = match given {
            Some(Value::Int(given)) if *given > 0 && given.count_ones() == 1 => given.cast_unsigned(),
            Some(_) => {
                let text = "general.alignment is not a power of two; 32 is taken in its place";
                problems.push(Problem::warning("bad-alignment", text));
                32
            }
            None => 32,
        };
        let data_start = fields.position.next_multiple_of(alignment);
        Ok(Self { metadata, entries, big_endian: fields.big_endian, alignment, data_start, problems })
    }

    fn number(&self, key: &str) -> Option<u64> {
        match self.metadata.iter().find(|(name, _)| name == key) {
            Some((_, Value::Int(number))) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Which part this is, from 0, and of how many; `None` for a file that is whole.
    fn split(&self) -> Option<(u64, u64)> {
        let count = self.number("split.count").filter(|&count| count > 1)?;
        Some((self.number("split.no").unwrap_or(0), count))
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Reads fields in order, through a window over the file.
struct Fields<'a> {
    source: &'a ByteSource,
    window: Vec<u8>,
    /// Where the window begins.
    start: u64,
    position: u64,
    big_endian: bool,
    /// Whether lengths are u64.
    wide: bool,
}

impl Fields<'_> {
    const WINDOW: u64 = 256 << 10;

    fn take(&mut self, what: &'static str, len: u64) -> Result<&[u8], ReadError> {
        self.source.check(what, self.position, len)?;
        let held = self.start + self.window.len() as u64;
        if self.position < self.start || self.position + len > held {
            self.window = self.source.read_up_to(what, self.position, len.max(Self::WINDOW))?;
            self.start = self.position;
        }
        let from = (self.position - self.start) as usize;
        self.position += len;
        self.window.get(from..from + len as usize).ok_or(ReadError::FileChanged)
    }

    /// The next `N` bytes, little-endian.
    fn number<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ReadError> {
        let big_endian = self.big_endian;
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(what, N as u64)?);
        if big_endian {
            bytes.reverse();
        }
        Ok(bytes)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, ReadError> {
        Ok(u32::from_le_bytes(self.number(what)?))
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, ReadError> {
        Ok(u64::from_le_bytes(self.number(what)?))
    }

    fn length(&mut self, what: &'static str) -> Result<u64, ReadError> {
        if self.wide { self.u64(what) } else { self.u32(what).map(u64::from) }
    }

    fn text(&mut self, what: &'static str) -> Result<String, ReadError> {
        let len = self.length(what)?;
        if len > TEXT_BYTES {
            return Err(ReadError::OverLimit { what: what.into(), value: len, limit: TEXT_BYTES });
        }
        Ok(String::from_utf8_lossy(self.take(what, len)?).into_owned())
    }

    /// Fails unless `count` things of at least `each` bytes can still follow.
    fn fits(&self, what: &'static str, count: u64, each: u64, limit: u64) -> Result<(), ReadError> {
        if count > limit {
            return Err(ReadError::OverLimit { what: what.into(), value: count, limit });
        }
        self.source.check(what, self.position, count.saturating_mul(each))
    }

    /// A value of one of the format's types. `left`: values that may still be kept.
    fn value(&mut self, kind: u32, depth: usize, left: &mut u64) -> Result<Value, ReadError> {
        const WHAT: &str = "a metadata value";
        Ok(match kind {
            0 => Value::Int(i64::from(self.number::<1>(WHAT)?[0])),
            1 => Value::Int(i64::from(i8::from_le_bytes(self.number(WHAT)?))),
            2 => Value::Int(i64::from(u16::from_le_bytes(self.number(WHAT)?))),
            3 => Value::Int(i64::from(i16::from_le_bytes(self.number(WHAT)?))),
            4 => Value::Int(i64::from(self.u32(WHAT)?)),
            5 => Value::Int(i64::from(i32::from_le_bytes(self.number(WHAT)?))),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.number(WHAT)?))),
            7 => Value::Bool(self.number::<1>(WHAT)?[0] != 0),
            8 => Value::Text(self.text(WHAT)?),
            9 => self.array(depth, left)?,
            10 => {
                let value = self.u64(WHAT)?;
                i64::try_from(value).map_or_else(|_| Value::BigInt(value.to_string()), Value::Int)
            }
            11 => Value::Int(i64::from_le_bytes(self.number(WHAT)?)),
            12 => Value::Float(f64::from_le_bytes(self.number(WHAT)?)),
            _ => {
                let reason = format!("type {kind} is not known");
                return Err(ReadError::malformed(WHAT, self.position, reason));
            }
        })
    }

    fn array(&mut self, depth: usize, left: &mut u64) -> Result<Value, ReadError> {
        const WHAT: &str = "a metadata array";
        if depth >= ARRAY_DEPTH {
            return Err(ReadError::malformed(WHAT, self.position, "arrays are nested too deeply"));
        }
        let kind = self.u32(WHAT)?;
        let count = self.length(WHAT)?;
        let (name, bytes) = match kind {
            0 => ("uint8", 1),
            1 => ("int8", 1),
            2 => ("uint16", 2),
            3 => ("int16", 2),
            4 => ("uint32", 4),
            5 => ("int32", 4),
            6 => ("float32", 4),
            7 => ("bool", 1),
            8 => ("string", if self.wide { 8 } else { 4 }),
            9 => ("array", 8),
            10 => ("uint64", 8),
            11 => ("int64", 8),
            12 => ("float64", 8),
            _ => {
                let reason = format!("type {kind} is not known");
                return Err(ReadError::malformed(WHAT, self.position, reason));
            }
        };
        self.fits(WHAT, count, bytes, u64::MAX)?;
        let whole = count <= ARRAY_SHOWN && count <= *left;
        let kept = if whole { count } else { ARRAY_BEGINNING.min(count).min(*left) };
        *left -= kept;
        let mut items = Vec::with_capacity(kept as usize);
        for _ in 0..kept {
            items.push(self.value(kind, depth + 1, left)?);
        }
        for _ in kept..count {
            match kind {
                8 => {
                    let len = self.length(WHAT)?;
                    self.skip(WHAT, len)?;
                }
                9 => drop(self.array(depth + 1, &mut 0)?),
                _ => {
                    self.skip(WHAT, (count - kept).saturating_mul(bytes))?;
                    break;
                }
            }
        }
        if whole {
            return Ok(Value::List(items));
        }
        let fields = vec![
            ("count".to_owned(), Value::Int(i64::try_from(count).unwrap_or(i64::MAX))),
            ("first".to_owned(), Value::List(items)),
        ];
        Ok(Value::Object { class: format!("array of {count} values of {name}"), fields })
    }

    fn skip(&mut self, what: &'static str, len: u64) -> Result<(), ReadError> {
        self.source.check(what, self.position, len)?;
        self.position += len;
        Ok(())
    }
}

/// Where the bytes of one tensor are; `Err` says why they are not to be had.
type Place = Result<Bytes, String>;

struct Bytes {
    source: ByteSource,
    offset: u64,
    dtype: Dtype,
    shape: Shape,
    big_endian: bool,
}

#[derive(Default)]
struct Catalogue {
    tensors: Vec<TensorInfo>,
    places: Vec<Place>,
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
fn place(source: &ByteSource, entry: &Entry, data_start: u64, big_endian: bool) -> Place {
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
    if let Dtype::Block(block) = &entry.dtype
        && big_endian
        && block.halves().is_none()
    {
        return Err(format!("how {} is stored in big-endian files is not known", entry.dtype));
    }
    let (dtype, shape) = (entry.dtype.clone(), entry.shape.clone());
    Ok(Bytes { source: source.clone(), offset, dtype, shape, big_endian })
}

struct Reader {
    places: Vec<Place>,
}

impl TensorReader for Reader {
    fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let place = self.places.get(id.index()).ok_or_else(|| ReadError::unsupported("no such tensor"))?;
        let Bytes { source, offset, dtype, shape, big_endian } =
            place.as_ref().map_err(|fault| ReadError::unsupported(fault.clone()))?;
        let Dtype::Block(block) = dtype else {
            let item_bytes = dtype.bits() / 8;
            let swap_unit = if *big_endian { item_bytes } else { 1 };
            let (source, shape) = (source.clone(), shape.clone());
            let array = Strided { source, offset: *offset, shape, strides: None, item_bytes, swap_unit };
            return read_strided(&array, progress, sink);
        };
        let len = dtype.bytes_for(shape.elements()).unwrap_or(0);
        read_range(source, *offset, len, block.bytes(), progress, &mut |piece| {
            if *big_endian {
                for block_bytes in piece.chunks_exact_mut(block.bytes()) {
                    for &at in block.halves().unwrap_or_default() {
                        block_bytes.swap(at, at + 1);
                    }
                }
            }
            sink(piece)
        })
    }
}
