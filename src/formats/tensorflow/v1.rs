//! V1 checkpoints: a table file that holds both the catalogue and the values, or several such shards.
//!
//! Values stand inside compressed blocks, so one is read by unpacking its block. Sources:
//! `tensorflow/core/util/saved_tensor_slice.proto`, `tensorflow/core/util/tensor_slice_writer.h`.
//!
//! ```text
//! "" → SavedTensorSlices { meta = 1 { tensor = 1 { name = 1, shape = 2, type = 3, slice = 4 } } }
//! slice key → SavedTensorSlices { data = 2 { name = 1, slice = 2, data = 3 TensorProto } }
//! ```

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::bundle::{Bundle, Variable, is_v1_header, parse_slice, place};
use super::ordered_code::{Extent, slice_key};
use super::tensor_proto::TensorProto;
use super::types;
use super::values::Location;
use crate::formats::containers::protobuf::{Field, Message};
use crate::formats::containers::sstable::Table;
use crate::model::{Dtype, Problem, Progress, ReadError, Shape, TensorId};
use crate::raw::pieces::Piece;
use crate::raw::{ByteSource, limits};

/// Shards that a name may tell of.
const SHARDS: u32 = 10_000;

/// Whether a table is a V1 checkpoint: its first key is empty, and holds messages rather than numbers.
pub fn is_v1(source: &ByteSource) -> bool {
    let mut first = None;
    let walked = Table::open(source).and_then(|mut table| {
        table.visit(&mut |entry| {
            first = Some(entry.key.is_empty() && is_v1_header(entry.value));
            // One entry tells; the error only ends the walk.
            Err(ReadError::Cancelled)
        })
    });
    walked.is_err() && first == Some(true)
}

/// Reads the catalogue of a V1 checkpoint, and where each variable's blocks are. `path` is its file, or any of its shards.
pub fn open(path: &Path) -> Result<Bundle, ReadError> {
    let paths = shards_of(path);
    let mut variables = Variables::default();
    let mut bundle = Bundle::empty();
    bundle.shards = if paths.len() > 1 { paths.len() as u64 } else { 0 };
    for shard in &paths {
        match ByteSource::open(shard).and_then(|source| variables.read(&source)) {
            Ok((bytes, problems)) => {
                bundle.file_bytes += bytes;
                bundle.problems.extend(problems);
            }
            Err(error) if paths.len() == 1 => return Err(error),
            Err(error) => {
                let name = shard.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let message = format!("shard {name} cannot be read, so its variables are not known: {error}");
                bundle.problems.push(Problem::error("missing-shard", message));
            }
        }
    }
    for (index, variable) in variables.found.iter().enumerate() {
        let (location, stored_bytes) = variables.locate(variable).unwrap_or_else(|error| {
            let reason = error.to_string();
            let problem = Problem::error("unreadable-tensor", reason.clone());
            bundle.problems.push(problem.on(TensorId(index as u32)));
            (Location::Unreadable(reason), 0)
        });
        bundle.variables.push(Variable {
            key: variable.name.clone(),
            dtype: variable.dtype.clone(),
            shape: variable.shape.clone(),
            stored_bytes,
            crc: None,
            offset: None,
            location,
        });
    }
    Ok(bundle)
}

/// All shards of a checkpoint of which `path` is one (`P-00000-of-00002`), or `path` alone.
fn shards_of(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match shard_name(&name) {
        Some((prefix, count)) => (0..count)
            .map(|shard| path.with_file_name(format!("{prefix}-{shard:05}-of-{count:05}")))
            .collect(),
        None => vec![path.to_owned()],
    }
}

/// `P` and 2 of `P-00001-of-00002`.
pub fn shard_name(name: &str) -> Option<(&str, u32)> {
    let (rest, count) = name.rsplit_once("-of-")?;
    let (prefix, number) = rest.rsplit_once('-')?;
    // A state file writes `?????` for all numbers.
    let digits =
        |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'?');
    let count = count.parse().ok().filter(|&count| digits(number) && (1..=SHARDS).contains(&count))?;
    Some((prefix, count))
}

/// A variable as the first entries of the tables describe it.
struct Described {
    name: String,
    dtype: Dtype,
    shape: Shape,
    slices: Vec<Vec<Extent>>,
}

/// Where the value of one key is.
struct Place {
    source: ByteSource,
    block: u64,
    size: u64,
}

/// The variables of all shards.
#[derive(Default)]
struct Variables {
    found: Vec<Described>,
    by_name: HashMap<String, usize>,
    places: HashMap<Vec<u8>, Place>,
    slices: usize,
}

impl Variables {
    /// Adds what one shard holds; returns its size and what was found wrong with it.
    fn read(&mut self, source: &ByteSource) -> Result<(u64, Vec<Problem>), ReadError> {
        let mut table = Table::open(source)?;
        table.visit(&mut |entry| {
            if !entry.key.is_empty() {
                let place =
                    Place { source: source.clone(), block: entry.block, size: entry.value.len() as u64 };
                self.places.insert(entry.key.to_vec(), place);
                return Ok(());
            }
            for field in Message::new(entry.value, entry.offset.unwrap_or(0)) {
                let field = field?;
                if field.number != 1 {
                    continue;
                }
                for part in field.message()? {
                    let part = part?;
                    if part.number == 1 {
                        self.add(describe(&part)?)?;
                    }
                }
            }
            Ok(())
        })?;
        Ok((source.len(), table.problems().to_vec()))
    }

    fn add(&mut self, variable: Described) -> Result<(), ReadError> {
        self.slices += variable.slices.len();
        if self.found.len() >= limits::TENSORS || self.slices > limits::TENSORS {
            return Err(ReadError::OverLimit {
                what: "the number of variables".into(),
                value: self.slices as u64,
                limit: limits::TENSORS as u64,
            });
        }
        // The pieces of one variable may lie in several shards.
        if let Some(known) = self.by_name.get(&variable.name).and_then(|&index| self.found.get_mut(index)) {
            known.slices.extend(variable.slices);
        } else {
            self.by_name.insert(variable.name.clone(), self.found.len());
            self.found.push(variable);
        }
        Ok(())
    }

    /// Where the pieces of a variable are, and the bytes that they take.
    fn locate(&self, variable: &Described) -> Result<(Location, u64), ReadError> {
        let malformed = |reason: String| ReadError::malformed("a variable", 0, reason);
        let (mut entries, mut stored, mut covered) = (Vec::new(), 0u64, 0u64);
        for extents in &variable.slices {
            let (start, length) = place(extents, variable.shape.dims())
                .ok_or_else(|| malformed("a piece does not lie within the whole".to_owned()))?;
            let key = slice_key(variable.name.as_bytes(), extents);
            let place = self
                .places
                .get(&key)
                .ok_or_else(|| malformed("its values are not in the file, or not all of them".to_owned()))?;
            stored = stored.saturating_add(place.size);
            covered = covered.saturating_add(Shape::from(length.clone()).elements());
            entries.push(Entry { start, length, source: place.source.clone(), block: place.block, key });
        }
        let elements = variable.shape.checked_elements();
        if elements != Some(covered) {
            let elements = elements.map_or_else(|| "more".to_owned(), |count| count.to_string());
            return Err(malformed(format!("its pieces have {covered} elements, the whole has {elements}")));
        }
        let (dtype, shape) = (variable.dtype.clone(), variable.shape.clone());
        Ok((Location::TableEntries { entries, dtype, shape }, stored))
    }
}

/// A `SavedSliceMeta`: `name = 1, shape = 2, type = 3, slice = 4`.
fn describe(field: &Field<'_>) -> Result<Described, ReadError> {
    let (mut name, mut dims, mut dtype, mut slices) = (String::new(), None, 0, Vec::new());
    for part in field.message()? {
        let part = part?;
        match part.number {
            1 => name = part.text(),
            2 => dims = types::shape_field(&part)?,
            3 => dtype = part.number_value(),
            4 => slices.push(parse_slice(&part)?),
            _ => {}
        }
    }
    let dims: Vec<u64> = dims.unwrap_or_default().into_iter().flatten().collect();
    Ok(Described { name, dtype: types::dtype(dtype), shape: Shape::from(dims), slices })
}

/// One piece of a variable, as an entry of a table.
#[derive(Debug, Clone)]
pub struct Entry {
    /// First index per dimension.
    pub start: Vec<u64>,
    /// Indices per dimension.
    pub length: Vec<u64>,
    /// The whole table.
    pub source: ByteSource,
    /// Where its block begins.
    pub block: u64,
    /// Its key there.
    pub key: Vec<u8>,
}

/// The location of a variable's values, with its blocks unpacked into memory.
pub fn unpack(entries: &[Entry], dtype: &Dtype, shape: &Shape) -> Result<Location, ReadError> {
    let whole = |entry: &Entry| entry.length == shape.dims();
    if let [entry] = entries
        && whole(entry)
    {
        return unpack_entry(entry, dtype, shape);
    }
    let bytes = dtype.bytes_for(shape.elements()).unwrap_or(u64::MAX);
    if bytes > limits::INFLATED_BYTES {
        return Err(ReadError::OverLimit {
            what: "the size of a variable in pieces".into(),
            value: bytes,
            limit: limits::INFLATED_BYTES,
        });
    }
    let mut pieces = Vec::with_capacity(entries.len());
    for entry in entries {
        let length = Shape::from(entry.length.clone());
        let mut bytes = Vec::new();
        unpack_entry(entry, dtype, &length)?.read(&Progress::new(), &mut |piece| {
            bytes.extend_from_slice(piece);
            ControlFlow::Continue(())
        })?;
        pieces.push(Piece {
            start: entry.start.clone(),
            length: entry.length.clone(),
            source: ByteSource::from_vec(bytes),
        });
    }
    Ok(Location::Pieces {
        dtype: dtype.clone(),
        shape: shape.clone(),
        big_endian: false,
        pieces,
        crcs: Vec::new(),
    })
}

fn unpack_entry(entry: &Entry, dtype: &Dtype, shape: &Shape) -> Result<Location, ReadError> {
    let gone = || ReadError::malformed("a variable", entry.block, "its entry is not in its block");
    let value = Table::open(&entry.source)?.find_in_block(entry.block, &entry.key)?.ok_or_else(gone)?;
    let value = ByteSource::from_vec(value);
    let bytes = value.read_all("a variable", value.len())?;
    for field in Message::new(&bytes, 0) {
        let field = field?;
        if field.number != 2 {
            continue;
        }
        for part in field.message()? {
            let part = part?;
            if part.number == 3 {
                let len = part.bytes().len() as u64;
                // The proto of a slice repeats neither the dtype nor the shape reliably; the catalogue's hold.
                return TensorProto::read_as(&value, part.offset, len, types::number(dtype))?
                    .locate(dtype, shape, &value, 0);
            }
        }
    }
    Err(gone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::containers::sstable::testing::{block, table, table_of};

    fn nested(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, content.len() as u8];
        bytes.extend(content);
        bytes
    }

    /// One int32 variable `w` of shape [2] with values 5 and -1.
    fn entries() -> Vec<(Vec<u8>, Vec<u8>)> {
        let shape = nested(2, &nested(2, &[8, 2]));
        let slice = nested(4, &nested(1, &[]));
        let meta = [nested(1, b"w"), shape, vec![0x18, 3], slice].concat();
        let values = nested(7, &[5, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        let data = [nested(1, b"w"), nested(3, &values)].concat();
        vec![
            (Vec::new(), nested(1, &nested(1, &meta))),
            (slice_key(b"w", &[Extent { start: 0, length: None }]), nested(2, &data)),
        ]
    }

    fn opened(bytes: &[u8]) -> (tempfile::TempDir, Bundle) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.ckpt");
        std::fs::write(&path, bytes).expect("written");
        assert!(is_v1(&ByteSource::open(&path).expect("there")));
        let bundle = open(&path).expect("opens");
        (folder, bundle)
    }

    #[test]
    fn values_are_read_from_their_block_packed_or_not() {
        let entries = entries();
        let pairs: Vec<(&[u8], &[u8])> = entries.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
        let packed = snap::raw::Encoder::new().compress_vec(&block(&pairs)).expect("fits");
        for bytes in [table(&pairs), table_of(packed, 1)] {
            let (_folder, bundle) = opened(&bytes);
            let mut all = Vec::new();
            let location = &bundle.variables[0].location;
            let read = location.read(&Progress::new(), &mut |bytes| {
                all.extend_from_slice(bytes);
                ControlFlow::Continue(())
            });
            read.expect("readable");
            assert_eq!(all, [5, 0, 0, 0, 255, 255, 255, 255]);
        }
    }

    #[test]
    fn a_variable_without_values_is_still_listed() {
        let entries = entries();
        let (_folder, bundle) = opened(&table(&[(&entries[0].0, &entries[0].1)]));
        assert_eq!((bundle.variables[0].shape.dims(), bundle.problems.len()), (&[2][..], 1));
    }

    #[test]
    fn shards_are_known_by_their_numbers() {
        assert_eq!(shard_name("m.ckpt-7-00001-of-00002"), Some(("m.ckpt-7", 2)));
        assert_eq!(shard_name("m-?????-of-00003"), Some(("m", 3)));
        assert_eq!(
            (shard_name("m-1-of-2"), shard_name("m-00000-of-00000"), shard_name("m")),
            (None, None, None)
        );
    }
}
