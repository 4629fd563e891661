//! The header of a GGUF file: metadata and tensors, read through a window that moves over it.

use crate::model::{BlockType, Dtype, Problem, Progress, ReadError, Shape, Value};
use crate::raw::{ByteSource, limits};

/// Bytes of one key, name or text; chat templates reach some hundred kilobytes.
const TEXT_BYTES: u64 = 16 << 20;

/// Arrays of more values are shown by their beginning: vocabularies have hundreds of thousands.
const ARRAY_SHOWN: u64 = 1024;

/// What is shown of such an array.
const ARRAY_BEGINNING: u64 = 32;

/// Nesting of arrays; nobody writes more than one inside another.
const ARRAY_DEPTH: usize = 8;

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
pub struct Entry {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Shape,
    /// From the start of the data.
    pub offset: u64,
}

/// Everything before the data.
pub struct Header {
    pub metadata: Vec<(String, Value)>,
    pub entries: Vec<Entry>,
    pub big_endian: bool,
    /// Of which the offsets are multiples.
    pub alignment: u64,
    /// Where the data begins.
    pub data_start: u64,
    pub problems: Vec<Problem>,
}

impl Header {
    /// Reads and checks it; the tensors' bytes are for others to check.
    pub fn read(source: &ByteSource, progress: &Progress) -> Result<Self, ReadError> {
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
    pub fn split(&self) -> Option<(u64, u64)> {
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
