//! V2 tensor bundles: from a prefix to the catalogue of its variables.
//!
//! Finds where every variable's bytes are; what the variables mean is decided by `variables`.
//! Source: `tensorflow/core/util/tensor_bundle/tensor_bundle.h` and `tensorflow/core/protobuf/tensor_bundle.proto`.
//!
//! ```text
//! P.index                table: "" → BundleHeaderProto, name → BundleEntryProto, slice key → BundleEntryProto
//! P.data-00000-of-00002  tensor bytes, one after the other
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::ordered_code::{Extent, slice_key};
use super::types::{self, DT_STRING};
use super::values::Location;
use crate::formats::containers::protobuf::{Field, Message};
use crate::formats::containers::sstable::Table;
use crate::model::{Dtype, Problem, ReadError, Shape, TensorId};
use crate::raw::pieces::Piece;
use crate::raw::{ByteSource, limits};

/// One variable of a bundle.
#[derive(Debug)]
pub struct Variable {
    /// The key in the table.
    pub key: String,
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions.
    pub shape: Shape,
    /// Bytes in the shards.
    pub stored_bytes: u64,
    /// Where its bytes begin in its shard; `None` for one in pieces.
    pub offset: Option<u64>,
    /// Checksum of its bytes, where one was written for the whole.
    pub crc: Option<u32>,
    /// Where its values are.
    pub location: Location,
}

/// An opened bundle.
#[derive(Debug)]
pub struct Bundle {
    /// In key order, which is file order.
    pub variables: Vec<Variable>,
    /// About variables and about the whole. Tensor ids count from 0 in [`Self::variables`].
    pub problems: Vec<Problem>,
    /// Shards that the header tells of.
    pub shards: u64,
    /// Whether tensor bytes are big-endian.
    pub big_endian: bool,
    /// `VersionDef.producer`: the version of the bundle format.
    pub producer: u64,
    /// Bytes of the index and of all shards found.
    pub file_bytes: u64,
}

/// Shards a header may claim. TensorFlow names them with five digits.
const SHARDS: u64 = 100_000;

/// Pieces of all partitioned variables together.
const PIECES: usize = 1_000_000;

#[derive(Debug, Clone, Default)]
struct Entry {
    dtype: u64,
    dims: Vec<u64>,
    unknown_shape: bool,
    shard: u64,
    offset: u64,
    size: u64,
    crc: Option<u32>,
    slices: Vec<Vec<Extent>>,
}

struct Header {
    shards: u64,
    big_endian: bool,
    producer: u64,
}

/// Whether the value of a table's first entry, whose key is empty, is that of a V1 checkpoint (`SavedTensorSlices`,
/// whose only fields are messages), not a bundle header (whose first fields are numbers).
pub fn is_v1_header(value: &[u8]) -> bool {
    value.first() == Some(&0x0a)
}

impl Bundle {
    /// Of a model without variables.
    pub fn empty() -> Self {
        Self {
            variables: Vec::new(),
            problems: Vec::new(),
            shards: 0,
            big_endian: false,
            producer: 0,
            file_bytes: 0,
        }
    }

    /// Reads the index at `prefix` + `.index` and opens the shards that it names.
    pub fn open(prefix: &Path) -> Result<Self, ReadError> {
        let index = ByteSource::open(&with_suffix(prefix, ".index"))?;
        let mut table = Table::open(&index)?;
        let mut header = None;
        let mut named: Vec<(String, Result<Entry, ReadError>)> = Vec::new();
        let mut sliced: HashMap<Vec<u8>, Entry> = HashMap::new();
        table.visit(&mut |entry| {
            match entry.key {
                b"" if header.is_none() => {
                    if is_v1_header(entry.value) {
                        return Err(ReadError::unsupported(
                            "this is a TensorFlow V1 checkpoint under the name of a V2 index",
                        ));
                    }
                    header = Some(parse_header(Message::new(entry.value, entry.offset.unwrap_or(0)))?);
                }
                [0, ..] => {
                    // Names never begin with a zero byte: this is the key of a slice.
                    if let Ok(parsed) = parse_entry(Message::new(entry.value, entry.offset.unwrap_or(0))) {
                        sliced.insert(entry.key.to_vec(), parsed);
                    }
                }
                key => {
                    if named.len() >= limits::TENSORS {
                        return Err(ReadError::OverLimit {
                            what: "the number of variables".into(),
                            value: named.len() as u64 + 1,
                            limit: limits::TENSORS as u64,
                        });
                    }
                    let parsed = parse_entry(Message::new(entry.value, entry.offset.unwrap_or(0)));
                    named.push((String::from_utf8_lossy(key).into_owned(), parsed));
                }
            }
            Ok(())
        })?;
        let mut problems = table.problems().to_vec();
        if named.is_empty() && header.is_none() {
            if let Some(problem) = problems.first() {
                let offset = problem.offset.unwrap_or(0);
                return Err(ReadError::malformed("the index", offset, problem.message.clone()));
            }
            return Err(ReadError::malformed("the index", 0, "it has no entries at all"));
        }
        let header = header.unwrap_or_else(|| {
            problems.push(Problem::warning(
                "missing-header",
                "the index has no header; one little-endian shard is assumed",
            ));
            Header { shards: 1, big_endian: false, producer: 0 }
        });
        let mut shards = Shards::new(prefix, header.shards);
        let mut variables = Vec::with_capacity(named.len());
        let mut pieces = 0;
        for (key, entry) in named {
            let id = TensorId(variables.len() as u32);
            let (entry, broken) = match entry {
                Ok(entry) => (entry, None),
                Err(error) => (Entry::default(), Some(error)),
            };
            let dtype = types::dtype(entry.dtype);
            let shape = Shape::from(entry.dims.clone());
            let located = match broken {
                Some(error) => Err(error),
                None if entry.slices.is_empty() => shards
                    .locate(&entry, &dtype, &shape, header.big_endian)
                    .map(|location| (location, entry.size)),
                None => {
                    pieces += entry.slices.len();
                    assemble(&key, &entry, &dtype, &shape, header.big_endian, &sliced, &mut shards, pieces)
                }
            };
            let (location, stored_bytes) = located.unwrap_or_else(|error| {
                let reason = error.to_string();
                let code =
                    if matches!(error, ReadError::Io(_)) { "missing-shard" } else { "unreadable-tensor" };
                problems.push(Problem::error(code, reason.clone()).on(id));
                (Location::Unreadable(reason), 0)
            });
            let offset = (entry.slices.is_empty() && !matches!(location, Location::Unreadable(_)))
                .then_some(entry.offset);
            let crc = entry.crc.filter(|_| entry.slices.is_empty());
            variables.push(Variable { key, dtype, shape, stored_bytes, offset, crc, location });
        }
        problems.extend(shards.problems());
        Ok(Self {
            variables,
            problems,
            shards: header.shards,
            big_endian: header.big_endian,
            producer: header.producer,
            file_bytes: index.len() + shards.bytes(),
        })
    }
}

/// `P` → `P.index`.
pub fn with_suffix(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn parse_header(message: Message<'_>) -> Result<Header, ReadError> {
    let mut header = Header { shards: 0, big_endian: false, producer: 0 };
    for field in message {
        let field = field?;
        match field.number {
            1 => header.shards = field.number_value(),
            2 => header.big_endian = field.number_value() == 1,
            3 => {
                for part in field.message()? {
                    let part = part?;
                    if part.number == 1 {
                        header.producer = part.number_value();
                    }
                }
            }
            _ => {}
        }
    }
    if header.shards > SHARDS {
        return Err(ReadError::OverLimit {
            what: "the number of shards".into(),
            value: header.shards,
            limit: SHARDS,
        });
    }
    Ok(header)
}

fn parse_entry(message: Message<'_>) -> Result<Entry, ReadError> {
    let mut entry = Entry::default();
    for field in message {
        let field = field?;
        match field.number {
            1 => entry.dtype = field.number_value(),
            2 => match types::shape_field(&field)? {
                Some(dims) if dims.iter().all(Option::is_some) => {
                    entry.dims = dims.into_iter().flatten().collect();
                }
                _ => entry.unknown_shape = true,
            },
            3 => entry.shard = field.number_value(),
            4 => entry.offset = field.number_value(),
            5 => entry.size = field.number_value(),
            6 => entry.crc = Some(field.number_value() as u32),
            7 => {
                if entry.slices.len() >= PIECES {
                    return Err(too_many_pieces(entry.slices.len()));
                }
                entry.slices.push(parse_slice(&field)?);
            }
            _ => {}
        }
    }
    Ok(entry)
}

/// A `TensorSliceProto`: an extent per dimension. Source: `tensorflow/core/framework/tensor_slice.proto`.
pub fn parse_slice(field: &Field<'_>) -> Result<Vec<Extent>, ReadError> {
    let mut extents = Vec::new();
    for part in field.message()? {
        let part = part?;
        if part.number != 1 || extents.len() >= limits::RANK {
            continue;
        }
        let mut extent = Extent { start: 0, length: None };
        for number in part.message()? {
            let number = number?;
            match number.number {
                1 => extent.start = number.number_value(),
                2 => extent.length = Some(number.number_value()),
                _ => {}
            }
        }
        extents.push(extent);
    }
    Ok(extents)
}

fn too_many_pieces(count: usize) -> ReadError {
    ReadError::OverLimit {
        what: "the number of pieces of partitioned variables".into(),
        value: count as u64,
        limit: PIECES as u64,
    }
}

#[expect(clippy::too_many_arguments, reason = "one variable's facts, used once")]
fn assemble(
    key: &str,
    entry: &Entry,
    dtype: &Dtype,
    shape: &Shape,
    big_endian: bool,
    sliced: &HashMap<Vec<u8>, Entry>,
    shards: &mut Shards<'_>,
    total_pieces: usize,
) -> Result<(Location, u64), ReadError> {
    if total_pieces > PIECES {
        return Err(too_many_pieces(total_pieces));
    }
    let malformed = |reason: String| ReadError::malformed("a partitioned variable", 0, reason);
    let elements = shape.checked_elements().ok_or_else(|| malformed("its size overflows".to_owned()))?;
    let mut pieces = Vec::with_capacity(entry.slices.len());
    let mut crcs = Vec::with_capacity(entry.slices.len());
    let (mut stored, mut covered) = (0u64, 0u64);
    for extents in &entry.slices {
        let (start, length) = place(extents, shape.dims())
            .ok_or_else(|| malformed("a piece does not lie within the whole".to_owned()))?;
        let piece = sliced
            .get(&slice_key(key.as_bytes(), extents))
            .ok_or_else(|| malformed(format!("its piece at {start:?} is not in the index")))?;
        let piece_shape = Shape::from(length.clone());
        let bytes = dtype
            .bytes_for(piece_shape.elements())
            .ok_or_else(|| malformed(format!("pieces of {dtype} cannot be put together")))?;
        if piece.size != bytes {
            return Err(malformed(format!("a piece has {} bytes, but its shape needs {bytes}", piece.size)));
        }
        covered = covered.saturating_add(piece_shape.elements());
        stored = stored.saturating_add(bytes);
        pieces.push(Piece { start, length, source: shards.range(piece)? });
        crcs.push(piece.crc);
    }
    if covered != elements {
        return Err(malformed(format!("its pieces have {covered} elements, the whole has {elements}")));
    }
    Ok((Location::Pieces { dtype: dtype.clone(), shape: shape.clone(), big_endian, pieces, crcs }, stored))
}

/// Start and length per dimension, if they lie within `dims`.
pub fn place(extents: &[Extent], dims: &[u64]) -> Option<(Vec<u64>, Vec<u64>)> {
    if extents.len() != dims.len() {
        return None;
    }
    let mut start = Vec::with_capacity(dims.len());
    let mut length = Vec::with_capacity(dims.len());
    for (extent, &dim) in extents.iter().zip(dims) {
        let count = extent.length.unwrap_or(dim);
        if extent.start.checked_add(count).is_none_or(|end| end > dim) {
            return None;
        }
        start.push(extent.start);
        length.push(count);
    }
    Some((start, length))
}

/// The data files of a bundle, each opened at its first use.
struct Shards<'a> {
    prefix: &'a Path,
    count: u64,
    open: HashMap<u64, Result<ByteSource, String>>,
}

impl<'a> Shards<'a> {
    fn new(prefix: &'a Path, count: u64) -> Self {
        Self { prefix, count, open: HashMap::new() }
    }

    /// Exactly the bytes of an entry.
    fn range(&mut self, entry: &Entry) -> Result<ByteSource, ReadError> {
        if entry.shard >= self.count {
            return Err(ReadError::malformed(
                "an entry of the index",
                0,
                format!("it lies in shard {}, but there are {}", entry.shard.cast_signed(), self.count),
            ));
        }
        let path = with_suffix(self.prefix, &format!(".data-{:05}-of-{:05}", entry.shard, self.count));
        let shard = self.open.entry(entry.shard).or_insert_with(|| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            ByteSource::open(&path).map_err(|error| match error {
                ReadError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    format!("its values are in {name}, which is missing")
                }
                error => format!("its values are in {name}, which cannot be opened: {error}"),
            })
        });
        match shard {
            Ok(source) => source.slice("the tensor's data", entry.offset, entry.size),
            Err(reason) => Err(ReadError::Io(std::io::Error::other(reason.clone()))),
        }
    }

    fn locate(
        &mut self,
        entry: &Entry,
        dtype: &Dtype,
        shape: &Shape,
        big_endian: bool,
    ) -> Result<Location, ReadError> {
        let malformed = |reason: String| ReadError::malformed("an entry of the index", 0, reason);
        if entry.unknown_shape {
            return Err(malformed("it has no definite shape".to_owned()));
        }
        let elements = shape
            .checked_elements()
            .ok_or_else(|| malformed("the size of its shape overflows".to_owned()))?;
        if entry.dtype == DT_STRING {
            return Ok(Location::Strings { source: self.range(entry)?, elements, crc: entry.crc });
        }
        let Some(bytes) = dtype.bytes_for(elements) else {
            return Err(ReadError::unsupported(format!("values of type {dtype} cannot be read")));
        };
        if bytes != entry.size {
            return Err(malformed(format!(
                "its shape {shape} needs {bytes} bytes, but it claims {}",
                entry.size.cast_signed()
            )));
        }
        Ok(Location::Plain {
            source: self.range(entry)?,
            dtype: dtype.clone(),
            shape: shape.clone(),
            big_endian,
            // A writer that leaves checksums out writes no field at all.
            crc: entry.crc,
        })
    }

    /// One finding per shard that is missing, for the checkpoint as a whole.
    fn problems(&self) -> Vec<Problem> {
        let mut missing: Vec<u64> =
            self.open.iter().filter(|(_, source)| source.is_err()).map(|(&shard, _)| shard).collect();
        missing.sort_unstable();
        missing
            .into_iter()
            .map(|shard| {
                Problem::error(
                    "missing-shard",
                    format!(
                        "shard {:05} of {:05} is missing; put the .data file beside the .index file to read its values",
                        shard, self.count
                    ),
                )
            })
            .collect()
    }

    fn bytes(&self) -> u64 {
        self.open.values().flatten().map(ByteSource::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::containers::sstable::testing::{put_varint, table};
    use crate::model::Progress;
    use std::ops::ControlFlow;

    fn entry(dtype: u64, dims: &[u64], offset: u64, size: u64) -> Vec<u8> {
        let mut shape = Vec::new();
        for &dim in dims {
            let mut message = vec![0x08];
            put_varint(&mut message, dim);
            shape.extend([0x12, message.len() as u8]);
            shape.extend(message);
        }
        let mut bytes = vec![0x08, dtype as u8, 0x12, shape.len() as u8];
        bytes.extend(shape);
        bytes.push(0x20);
        put_varint(&mut bytes, offset);
        bytes.push(0x28);
        put_varint(&mut bytes, size);
        bytes
    }

    const HEADER: &[u8] = &[0x08, 1, 0x1a, 2, 0x08, 1];

    fn bundle(
        entries: &[(&[u8], &[u8])],
        data: Option<&[u8]>,
    ) -> (tempfile::TempDir, Result<Bundle, ReadError>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let prefix = folder.path().join("model");
        std::fs::write(with_suffix(&prefix, ".index"), table(entries)).expect("written");
        if let Some(data) = data {
            std::fs::write(with_suffix(&prefix, ".data-00000-of-00001"), data).expect("written");
        }
        let opened = Bundle::open(&prefix);
        (folder, opened)
    }

    fn values(variable: &Variable) -> Result<Vec<u8>, ReadError> {
        let mut all = Vec::new();
        variable.location.read(&Progress::new(), &mut |bytes| {
            all.extend_from_slice(bytes);
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }

    #[test]
    fn a_variable_is_found_in_its_shard() {
        let (_folder, opened) = bundle(&[(b"", HEADER), (b"w", &entry(4, &[3], 1, 3))], Some(&[9, 1, 2, 3]));
        let bundle = opened.expect("opens");
        assert_eq!(values(&bundle.variables[0]).expect("readable"), [1, 2, 3]);
        assert_eq!((bundle.variables[0].offset, bundle.problems.len()), (Some(1), 0));
    }

    #[test]
    fn a_missing_shard_leaves_names_and_shapes() {
        let (_folder, opened) = bundle(&[(b"", HEADER), (b"w", &entry(4, &[3], 0, 3))], None);
        let bundle = opened.expect("opens");
        assert_eq!(bundle.variables[0].shape, Shape::new([3]));
        assert!(bundle.problems.iter().any(|p| p.tensor.is_some() && p.message.contains("missing")));
        assert!(bundle.problems.iter().any(|p| p.tensor.is_none()));
    }

    #[test]
    fn a_shard_that_is_too_short_costs_only_the_variables_past_its_end() {
        let entries: [(&[u8], &[u8]); 3] =
            [(b"", HEADER), (b"a", &entry(4, &[2], 0, 2)), (b"b", &entry(4, &[2], 2, 2))];
        let (_folder, opened) = bundle(&entries, Some(&[1, 2, 3]));
        let bundle = opened.expect("opens");
        assert!(values(&bundle.variables[0]).is_ok() && values(&bundle.variables[1]).is_err());
        assert_eq!(bundle.problems.len(), 1);
    }

    #[test]
    fn big_endian_elements_are_turned_around() {
        let header = [0x08, 1, 0x10, 1];
        let (_folder, opened) = bundle(&[(b"", &header), (b"w", &entry(5, &[2], 0, 4))], Some(&[0, 1, 0, 2]));
        assert_eq!(values(&opened.expect("opens").variables[0]).expect("readable"), [1, 0, 2, 0]);
    }

    #[test]
    fn a_partitioned_variable_is_assembled() {
        let mut whole = entry(4, &[2, 2], 0, 0);
        // slices: rows 0..1 and 1..2, all columns
        whole.extend([0x3a, 6, 0x0a, 2, 0x10, 1, 0x0a, 0]);
        whole.extend([0x3a, 8, 0x0a, 4, 0x08, 1, 0x10, 1, 0x0a, 0]);
        let key =
            |start| slice_key(b"w", &[Extent { start, length: Some(1) }, Extent { start: 0, length: None }]);
        let (first, second) = (entry(4, &[1, 2], 2, 2), entry(4, &[1, 2], 0, 2));
        let entries: [(&[u8], &[u8]); 4] =
            [(b"", HEADER), (&key(0), &first), (&key(1), &second), (b"w", &whole)];
        let (_folder, opened) = bundle(&entries, Some(&[3, 4, 1, 2]));
        let bundle = opened.expect("opens");
        assert_eq!(bundle.variables.len(), 1);
        assert_eq!(values(&bundle.variables[0]).expect("readable"), [1, 2, 3, 4]);
        let (_folder, opened) = bundle_without_second(&entries);
        assert!(matches!(opened.expect("opens").variables[0].location, Location::Unreadable(_)));
    }

    fn bundle_without_second(entries: &[(&[u8], &[u8])]) -> (tempfile::TempDir, Result<Bundle, ReadError>) {
        bundle(&[entries[0], entries[1], entries[3]], Some(&[3, 4, 1, 2]))
    }

    #[test]
    fn sizes_that_do_not_fit_are_problems_of_their_tensor() {
        let (_folder, opened) = bundle(
            &[
                (b"", HEADER),
                (b"a", &entry(1, &[1 << 40, 1 << 40], 0, 4)),
                (b"b", &entry(1, &[1], 0, 1 << 62)),
            ],
            Some(&[0; 4]),
        );
        let bundle = opened.expect("opens");
        assert_eq!((bundle.variables.len(), bundle.problems.len()), (2, 2));
    }
}
