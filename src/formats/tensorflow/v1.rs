//! V1 checkpoints: one table file that holds both the catalogue and the values.
//!
//! Values stand inside compressed blocks, so one is read by unpacking its block. Sources:
//! `tensorflow/core/util/saved_tensor_slice.proto`, `tensorflow/core/util/tensor_slice_writer.h`.
//!
//! ```text
//! "" → SavedTensorSlices { meta = 1 { tensor = 1 { name = 1, shape = 2, type = 3, slice = 4 } } }
//! slice key → SavedTensorSlices { data = 2 { name = 1, slice = 2, data = 3 TensorProto } }
//! ```

use std::collections::HashMap;

use super::bundle::{Bundle, Variable, is_v1_header, parse_slice, place};
use super::graph_def::TensorProto;
use super::ordered_code::slice_key;
use super::types;
use super::values::Location;
use crate::formats::containers::protobuf::{Field, Message};
use crate::formats::containers::sstable::Table;
use crate::model::{Problem, ReadError, Shape, TensorId};
use crate::raw::{ByteSource, limits};

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

/// Reads the catalogue, and where each variable's block is.
pub fn open(source: &ByteSource) -> Result<Bundle, ReadError> {
    let mut table = Table::open(source)?;
    let mut variables: Vec<(Variable, Option<Vec<u8>>)> = Vec::new();
    let mut blocks: HashMap<Vec<u8>, (u64, u64)> = HashMap::new();
    let mut problems = Vec::new();
    table.visit(&mut |entry| {
        if !entry.key.is_empty() {
            blocks.insert(entry.key.to_vec(), (entry.block, entry.value.len() as u64));
            return Ok(());
        }
        for field in Message::new(entry.value, entry.offset.unwrap_or(0)) {
            let field = field?;
            if field.number != 1 {
                continue;
            }
            for part in field.message()? {
                let part = part?;
                if part.number == 1 && variables.len() < limits::TENSORS {
                    variables.push(parse_variable(&part)?);
                }
            }
        }
        Ok(())
    })?;
    problems.extend(table.problems().iter().cloned());
    let mut catalogue = Vec::with_capacity(variables.len());
    for (mut variable, key) in variables {
        let id = TensorId(catalogue.len() as u32);
        let entry = key.and_then(|key| blocks.get(&key).map(|&(block, size)| (key, block, size)));
        if let Some((key, block, size)) = entry {
            variable.stored_bytes = size;
            variable.location = Location::TableEntry {
                source: source.clone(),
                block,
                key,
                dtype: variable.dtype.clone(),
                shape: variable.shape.clone(),
            };
        } else {
            let reason =
                "its values are not in the file, or in pieces, which V1 checkpoints are not read for";
            variable.location = Location::Unreadable(reason.to_owned());
            problems.push(Problem::error("unreadable-tensor", reason).on(id));
        }
        catalogue.push(variable);
    }
    Ok(Bundle { variables: catalogue, problems, file_bytes: source.len(), ..Bundle::empty() })
}

/// A `SavedSliceMeta`, with the key of its only slice.
fn parse_variable(field: &Field<'_>) -> Result<(Variable, Option<Vec<u8>>), ReadError> {
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
    let key = match slices.as_slice() {
        [extents] if place(extents, &dims).is_some_and(|(_, length)| length == dims) => {
            Some(slice_key(name.as_bytes(), extents))
        }
        _ => None,
    };
    let variable = Variable {
        key: name,
        dtype: types::dtype(dtype),
        shape: Shape::from(dims),
        stored_bytes: 0,
        offset: None,
        location: Location::Memory(Vec::new()),
    };
    Ok((variable, key))
}

/// The location of a value, with its block unpacked into memory.
pub fn unpack(
    source: &ByteSource,
    block: u64,
    key: &[u8],
    dtype: &crate::model::Dtype,
    shape: &Shape,
) -> Result<Location, ReadError> {
    let gone = || ReadError::malformed("a variable", block, "its entry is not in its block");
    let value = Table::open(source)?.find_in_block(block, key)?.ok_or_else(gone)?;
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
    use crate::formats::tensorflow::ordered_code::Extent;
    use crate::model::Progress;
    use std::ops::ControlFlow;

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

    fn read(source: &ByteSource) -> Vec<u8> {
        let bundle = open(source).expect("opens");
        let mut all = Vec::new();
        bundle.variables[0]
            .location
            .read(&Progress::new(), &mut |bytes| {
                all.extend_from_slice(bytes);
                ControlFlow::Continue(())
            })
            .expect("readable");
        all
    }

    #[test]
    fn values_are_read_from_their_block_packed_or_not() {
        let entries = entries();
        let pairs: Vec<(&[u8], &[u8])> = entries.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
        let plain = ByteSource::from_vec(table(&pairs));
        let packed = snap::raw::Encoder::new().compress_vec(&block(&pairs)).expect("fits");
        let packed = ByteSource::from_vec(table_of(packed, 1));
        for source in [plain, packed] {
            assert!(is_v1(&source));
            assert_eq!(read(&source), [5, 0, 0, 0, 255, 255, 255, 255]);
        }
    }

    #[test]
    fn a_variable_without_values_is_still_listed() {
        let entries = entries();
        let source = ByteSource::from_vec(table(&[(&entries[0].0, &entries[0].1)]));
        let bundle = open(&source).expect("opens");
        assert_eq!((bundle.variables[0].shape.dims(), bundle.problems.len()), (&[2][..], 1));
    }
}
