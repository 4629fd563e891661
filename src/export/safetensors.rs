//! Safetensors: the header by the reference library, the values streamed behind it.
//!
//! Tensors lie in the order of their element sizes, the largest first, as the library lays them out: its users take views of
//! the buffer, which must be aligned. Source: `prepare` in `safetensors/src/tensor.rs` (0.8).

use std::collections::HashMap;

use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::json;

use super::plan::{PlannedFile, PlannedTensor, Ties};
use super::superseded::WRITER;
use super::values::Values;
use super::write::Out;
use super::{ExportError, ExportPlan};
use crate::model::{Checkpoint, Dtype, Value};

/// The library refuses larger headers (`MAX_HEADER_SIZE`).
const HEADER_BYTES: usize = 100_000_000;

/// Bytes of one metadata entry that is not text, as JSON. Larger ones are lists of tokens and the like.
const ENTRY_BYTES: usize = 1 << 20;

/// What the index of a set says of itself, which is not so of another file.
const INDEX_KEYS: [&str; 3] = ["total_size", "total_parameters", "written_by"];

/// Writes one file.
pub(super) fn write(
    checkpoint: &Checkpoint,
    file: &PlannedFile,
    values: &mut Values<'_>,
    out: &mut dyn Out,
) -> Result<(), ExportError> {
    let plan = values.plan();
    let mut entries = Vec::with_capacity(file.tensors.len());
    let mut offset = 0usize;
    for &index in &file.tensors {
        let tensor = values.tensor(index)?;
        let end = offset.checked_add(tensor.bytes as usize);
        let end = end.ok_or_else(|| ExportError::refused("the file would be too large"))?;
        let shape = tensor.shape.dims().iter().map(|&dim| dim as usize).collect();
        entries.push((
            tensor.name.clone(),
            TensorInfo { dtype: dtype(tensor)?, shape, data_offsets: (offset, end) },
        ));
        offset = end;
    }
    let metadata = metadata(checkpoint, plan);
    let header = Metadata::new((!metadata.is_empty()).then_some(metadata), entries)
        .map_err(|error| ExportError::refused(error.to_string()))?;
    let mut header = serde_json::to_vec(&header).map_err(std::io::Error::from)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() > HEADER_BYTES {
        return Err(ExportError::refused("the header would be larger than the safetensors library reads"));
    }
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    for &index in &file.tensors {
        values.copy(index, out)?;
    }
    Ok(())
}

/// Writes the index of a sharded set, as `transformers` reads it: `metadata.total_size` and `weight_map`.
pub(super) fn write_index(plan: &ExportPlan, out: &mut dyn Out) -> Result<(), ExportError> {
    let mut map = serde_json::Map::new();
    for file in &plan.files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        for tensor in file.tensors.iter().filter_map(|&index| plan.tensors.get(index)) {
            map.insert(tensor.name.clone(), json!(name));
        }
    }
    let index = json!({ "metadata": { "total_size": plan.bytes, "written_by": WRITER }, "weight_map": map });
    serde_json::to_writer_pretty(&mut *out, &index).map_err(std::io::Error::from)?;
    Ok(())
}

/// What goes to `__metadata__`, which holds text only: numbers as text, what is nested as JSON.
fn metadata(checkpoint: &Checkpoint, plan: &ExportPlan) -> HashMap<String, String> {
    let mut kept = HashMap::new();
    let name_of = |id| checkpoint.tensor(id).name.clone();
    if let Value::Map(entries) = checkpoint.metadata() {
        for (key, value) in entries.iter().filter(|(key, _)| plan.request.metadata.keeps(key)) {
            if checkpoint.format() == "safetensors-sharded" && INDEX_KEYS.contains(&key.as_str()) {
                continue;
            }
            let text = match value {
                Value::Text(text) => text.clone(),
                Value::Null | Value::Tensor(_) | Value::Elided(_) | Value::Bytes { .. } => continue,
                // The settings of an optimizer without its state say nothing about what is in the file.
                value if value.get("param_groups").is_some() => continue,
                value => value.to_json(&name_of).to_string(),
            };
            if text.len() <= ENTRY_BYTES {
                kept.insert(key.clone(), text);
            }
        }
    }
    // `transformers` refuses a file that does not say which framework's layout its tensors have.
    if checkpoint.framework().is_some_and(|framework| framework.starts_with("torch")) {
        kept.entry("format".to_owned()).or_insert_with(|| "pt".to_owned());
    }
    if plan.ties() == Ties::Recorded {
        // As `safetensors.torch.save_model` records it: the name that is left out, and the one that is kept.
        for tensor in &plan.tensors {
            if let Some(first) = tensor.alias_of.and_then(|first| plan.tensors.get(first)) {
                kept.insert(tensor.name.clone(), first.name.clone());
            }
        }
    }
    kept
}

fn dtype(tensor: &PlannedTensor) -> Result<safetensors::Dtype, ExportError> {
    use safetensors::Dtype as Name;
    Ok(match tensor.dtype {
        Dtype::Bool => Name::BOOL,
        Dtype::Uint8 => Name::U8,
        Dtype::Int8 => Name::I8,
        Dtype::Uint16 => Name::U16,
        Dtype::Int16 => Name::I16,
        Dtype::Uint32 => Name::U32,
        Dtype::Int32 => Name::I32,
        Dtype::Uint64 => Name::U64,
        Dtype::Int64 => Name::I64,
        Dtype::Float16 => Name::F16,
        Dtype::Bfloat16 => Name::BF16,
        Dtype::Float32 => Name::F32,
        Dtype::Float64 => Name::F64,
        Dtype::Complex64 => Name::C64,
        Dtype::Float8E4m3fn => Name::F8_E4M3,
        Dtype::Float8E5m2 => Name::F8_E5M2,
        Dtype::Float8E4m3fnuz => Name::F8_E4M3FNUZ,
        Dtype::Float8E5m2fnuz => Name::F8_E5M2FNUZ,
        Dtype::Float8E8m0fnu => Name::F8_E8M0,
        Dtype::Float4E2m1 => Name::F4,
        Dtype::Float6E2m3 => Name::F6_E2M3,
        Dtype::Float6E3m2 => Name::F6_E3M2,
        ref other => return Err(ExportError::refused(format!("safetensors hold no {other} values"))),
    })
}
