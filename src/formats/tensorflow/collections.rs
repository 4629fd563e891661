//! Collections of a TF1 graph: which of its variables are trained.
//!
//! Source: `CollectionDef` in `tensorflow/core/protobuf/meta_graph.proto`, whose lists of variables hold
//! `tensorflow/core/framework/variable.proto`, and the names in `tensorflow/python/framework/ops.py`, `GraphKeys`.

use std::collections::HashSet;

use crate::formats::containers::protobuf::{Field, Message, SourceFields, SourcePayload};
use crate::model::ReadError;
use crate::raw::{ByteSource, limits};

/// Names of variables, as a checkpoint knows them.
#[derive(Debug, Default)]
pub struct Collections {
    /// Of `trainable_variables`.
    pub trainable: HashSet<String>,
    /// Of `variables`: all that are saved.
    pub variables: HashSet<String>,
    /// Of `model_variables`: those that layers made, trained or not.
    pub model: HashSet<String>,
}

/// Bytes of one collection; a variable takes some hundred.
const COLLECTION_BYTES: u64 = 64 << 20;

impl Collections {
    /// Notes what one entry of `MetaGraphDef.collection_def` (`key = 1, value = 2`) says. Others than those of variables are skipped.
    pub fn read(&mut self, source: &ByteSource, offset: u64, len: u64) -> Result<(), ReadError> {
        let (mut key, mut value) = (Vec::new(), None);
        for field in SourceFields::new(source, offset, len)? {
            let field = field?;
            match (field.number, field.payload) {
                (1, SourcePayload::Range { offset, len }) => {
                    key = source.read_vec("a collection's name", offset, len, 1 << 16)?;
                }
                (2, SourcePayload::Range { offset, len }) => value = Some((offset, len)),
                _ => {}
            }
        }
        let names = match key.as_slice() {
            b"trainable_variables" => &mut self.trainable,
            b"variables" => &mut self.variables,
            b"model_variables" => &mut self.model,
            _ => return Ok(()),
        };
        let Some((offset, len)) = value else { return Ok(()) };
        let bytes = source.read_vec("a collection", offset, len, COLLECTION_BYTES)?;
        for list in Message::new(&bytes, offset) {
            let list = list?;
            // bytes_list { value = 1 }
            if list.number != 2 {
                continue;
            }
            for item in list.message()? {
                let item = item?;
                if item.number == 1 && names.len() < limits::TENSORS {
                    names.extend(variable_name(&item)?);
                }
            }
        }
        Ok(())
    }
}

/// The name under which a `VariableDef` is saved: `variable_name = 1`, or of what it is a piece: `save_slice_info_def = 4 { full_name = 1 }`.
fn variable_name(field: &Field<'_>) -> Result<Option<String>, ReadError> {
    let (mut name, mut whole) = (None, None);
    for part in field.message()? {
        let part = part?;
        match part.number {
            1 => name = part.text().split(':').next().map(str::to_owned),
            4 => {
                for part in part.message()? {
                    let part = part?;
                    if part.number == 1 {
                        whole = Some(part.text());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(whole.filter(|name| !name.is_empty()).or(name))
}
