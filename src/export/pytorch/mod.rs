//! PyTorch: the archive that `torch.save` writes and `torch.load(weights_only=True)` reads.
//!
//! ```text
//! archive/data.pkl    the object, pickled: tensors by the number of their storage
//! archive/byteorder   little
//! archive/data/N      the values of storage N, not compressed, at a multiple of 64 bytes
//! archive/version     3
//! ```
//! Source: `_save` in `torch/serialization.py`; `Tensor.__reduce_ex__` for what stands for a tensor.

mod pickle;
mod structure;

use std::collections::HashMap;
use std::io::Write;

use zip::ZipWriter;

use super::numpy::{stored, zip_error};
use super::plan::PlannedFile;
use super::unbroken::Unbroken;
use super::values::Values;
use super::write::Out;
use super::{ExportError, ExportPlan};
use crate::model::{Checkpoint, Dtype, TensorInfo, Value};
use pickle::Pickler;
use structure::{Key, Object};

/// Where `torch.save` puts the values: aligned for every element type and for direct reads.
const ALIGNMENT: u16 = 64;

/// Gives each tensor the keys that lead to it in the new file.
pub(super) fn place(checkpoint: &Checkpoint, plan: &mut ExportPlan) {
    let is_structured = structure::is_structured(checkpoint);
    for tensor in &mut plan.tensors {
        let source = checkpoint.tensor(tensor.id);
        let keys = if is_structured { keys(checkpoint, source) } else { vec![source.name.clone()] };
        tensor.keys = renamed(keys, &tensor.name);
    }
    // A bare tensor has no keys; beside others it needs one.
    if plan.tensors.len() > 1 {
        for tensor in plan.tensors.iter_mut().filter(|tensor| tensor.keys.is_empty()) {
            tensor.keys.push(tensor.name.clone());
        }
    }
}

/// The keys of a tensor in its checkpoint. The tensors of a module are those of its `state_dict`, where the way through
/// modules inside is one key.
fn keys(checkpoint: &Checkpoint, tensor: &TensorInfo) -> Vec<String> {
    let holds = |segments: &[String]| tensor.path.starts_with(segments);
    let module = checkpoint
        .layers()
        .iter()
        .map(|layer| layer.segments.as_slice())
        .filter(|segments| holds(segments))
        .min_by_key(|segments| segments.len());
    match module {
        Some(outer) => {
            let inside = tensor.path.get(outer.len()..).unwrap_or_default().join(".");
            outer.iter().cloned().chain([inside]).collect()
        }
        None => tensor.path.to_vec(),
    }
}

/// The keys after renaming: those of the containers stay as long as the new name begins with them, the rest is one key.
fn renamed(keys: Vec<String>, name: &str) -> Vec<String> {
    if keys.join(".") == name {
        return keys;
    }
    let mut rest = name;
    let mut kept = Vec::new();
    for key in keys.iter().take(keys.len().saturating_sub(1)) {
        match rest.strip_prefix(key.as_str()).and_then(|rest| rest.strip_prefix('.')) {
            Some(after) if !after.is_empty() => {
                kept.push(key.clone());
                rest = after;
            }
            _ => break,
        }
    }
    kept.push(rest.to_owned());
    kept
}

/// What of the checkpoint's structure does not survive.
pub(super) fn warnings(checkpoint: &Checkpoint, plan: &ExportPlan) -> Vec<String> {
    let (_, losses) = structure::object(checkpoint, plan);
    let mut warnings = Vec::new();
    if losses.objects > 0 {
        warnings.push(format!(
            "{} objects of Python classes become dictionaries of their fields, which load without the classes",
            losses.objects
        ));
    }
    if losses.texts > 0 {
        warnings.push(format!(
            "{} classes, functions and dictionaries with other keys than text or integers are told as text",
            losses.texts
        ));
    }
    if losses.dropped > 0 {
        warnings.push(format!("{} values of the metadata are not kept", losses.dropped));
    }
    warnings
}

/// Writes the file.
pub(super) fn write(
    checkpoint: &Checkpoint,
    file: &PlannedFile,
    values: &mut Values<'_>,
    out: &mut dyn Out,
) -> Result<(), ExportError> {
    let plan = values.plan();
    let own: Vec<usize> = file
        .tensors
        .iter()
        .copied()
        .filter(|&index| plan.tensors.get(index).is_some_and(|tensor| tensor.alias_of.is_none()))
        .collect();
    let storages: HashMap<usize, usize> = own.iter().copied().zip(0..).collect();
    let (object, _) = structure::object(checkpoint, plan);
    let mut writer = Writer { plan, storages, pickler: Pickler::new(), made: HashMap::new() };
    writer.object(&object)?;
    let pickle = writer.pickler.finish();

    let mut archive = ZipWriter::new(Unbroken::new(out));
    let mut member = |name: &str, bytes: &[u8]| -> Result<(), ExportError> {
        archive
            .start_file(format!("archive/{name}"), stored(bytes.len() as u64).with_alignment(ALIGNMENT))
            .map_err(zip_error)?;
        Ok(archive.write_all(bytes)?)
    };
    member("data.pkl", &pickle)?;
    member("byteorder", b"little")?;
    member("version", b"3\n")?;
    for (storage, index) in own.into_iter().enumerate() {
        let options = stored(values.tensor(index)?.bytes).with_alignment(ALIGNMENT);
        archive.start_file(format!("archive/data/{storage}"), options).map_err(zip_error)?;
        values.copy(index, &mut archive)?;
    }
    archive.finish().map_err(zip_error)?;
    Ok(())
}

struct Writer<'a> {
    plan: &'a ExportPlan,
    /// The storage of each tensor that has values of its own.
    storages: HashMap<usize, usize>,
    pickler: Pickler,
    /// Tensors that were written, by the number under which the pickle remembers them.
    made: HashMap<usize, u32>,
}

impl Writer<'_> {
    /// The structure is bounded in depth by whoever built it.
    fn object(&mut self, object: &Object) -> Result<(), ExportError> {
        match object {
            Object::Plain(value) => self.plain(value),
            Object::Tensor(index) => self.tensor(*index)?,
            Object::List(items) => {
                self.pickler.empty_list();
                if !items.is_empty() {
                    self.pickler.mark();
                    for item in items {
                        self.object(item)?;
                    }
                    self.pickler.appends();
                }
            }
            Object::Tuple(items) => self.tuple(items)?,
            Object::Call { module, class, args } => {
                self.pickler.global(module, class);
                self.tuple(args)?;
                self.pickler.reduce();
            }
            Object::Torch(name) => self.pickler.global("torch", name),
            Object::Dict { entries, ordered } => {
                if *ordered {
                    self.pickler.ordered_dict();
                } else {
                    self.pickler.empty_dict();
                }
                if !entries.is_empty() {
                    self.pickler.mark();
                    for (key, value) in entries {
                        match key {
                            Key::Text(text) => self.pickler.text(text),
                            Key::Int(number) => self.pickler.int(*number),
                        }
                        self.object(value)?;
                    }
                    self.pickler.set_items();
                }
            }
        }
        Ok(())
    }

    fn tuple(&mut self, items: &[Object]) -> Result<(), ExportError> {
        self.pickler.mark();
        for item in items {
            self.object(item)?;
        }
        self.pickler.tuple();
        Ok(())
    }

    fn plain(&mut self, value: &Value) {
        match value {
            Value::Bool(flag) => self.pickler.bool(*flag),
            Value::Int(number) => self.pickler.int(*number),
            Value::BigInt(digits) => {
                if !self.pickler.big_int(digits) {
                    self.pickler.text(digits);
                }
            }
            Value::Float(number) => self.pickler.float(*number),
            Value::Text(text) => self.pickler.text(text),
            Value::Bytes { preview, .. } => {
                // As Python 3 writes bytes for protocol 2; `weights_only` knows this function.
                self.pickler.global("_codecs", "encode");
                self.pickler.mark();
                let text: String = preview.iter().copied().map(char::from).collect();
                self.pickler.text(&text);
                self.pickler.text("latin1");
                self.pickler.tuple();
                self.pickler.reduce();
            }
            _ => self.pickler.none(),
        }
    }

    /// `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`, or `_rebuild_tensor_v3` with the dtype
    /// for those that have no storage class of their own.
    fn tensor(&mut self, index: usize) -> Result<(), ExportError> {
        let missing = || ExportError::refused("the plan has no such tensor");
        let tensor = self.plan.tensors.get(index).ok_or_else(missing)?;
        let own = tensor.alias_of.unwrap_or(index);
        // Several names of one tensor are one object, as where a parameter is used twice.
        if let Some(&number) = self.made.get(&own) {
            self.pickler.get(number);
            return Ok(());
        }
        let values = self.plan.tensors.get(own).ok_or_else(missing)?;
        let storage = *self.storages.get(&own).ok_or_else(missing)?;
        let class = storage_class(&tensor.dtype);
        let pickler = &mut self.pickler;
        pickler.global(
            "torch._utils",
            if class.is_some() { "_rebuild_tensor_v2" } else { "_rebuild_tensor_v3" },
        );
        pickler.mark();
        pickler.mark();
        pickler.text("storage");
        match class {
            Some(class) => pickler.global("torch", class),
            None => pickler.global("torch.storage", "UntypedStorage"),
        }
        pickler.text(&storage.to_string());
        pickler.text("cpu");
        // Typed storages count elements, untyped ones bytes.
        let size = if class.is_some() { tensor.shape.elements() } else { values.bytes };
        pickler.int(size as i64);
        pickler.tuple();
        pickler.persistent();
        pickler.int(0);
        let dims = tensor.shape.dims();
        pickler.mark();
        for &dim in dims {
            pickler.int(dim as i64);
        }
        pickler.tuple();
        pickler.mark();
        for stride in strides(dims) {
            pickler.int(stride as i64);
        }
        pickler.tuple();
        pickler.bool(false);
        pickler.ordered_dict();
        if class.is_none() {
            pickler.global("torch", tensor.dtype.name());
        }
        pickler.tuple();
        pickler.reduce();
        let number = pickler.put();
        self.made.insert(own, number);
        Ok(())
    }
}

/// Of a row-major tensor. An empty dimension counts as one, as torch has it.
fn strides(dims: &[u64]) -> Vec<u64> {
    let mut strides = vec![1u64; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(dims[axis].max(1));
    }
    strides
}

/// The classes of typed storages (`torch.storage._dtype_to_storage_type_map`).
fn storage_class(dtype: &Dtype) -> Option<&'static str> {
    Some(match dtype {
        Dtype::Float64 => "DoubleStorage",
        Dtype::Float32 => "FloatStorage",
        Dtype::Float16 => "HalfStorage",
        Dtype::Bfloat16 => "BFloat16Storage",
        Dtype::Int64 => "LongStorage",
        Dtype::Int32 => "IntStorage",
        Dtype::Int16 => "ShortStorage",
        Dtype::Int8 => "CharStorage",
        Dtype::Uint8 => "ByteStorage",
        Dtype::Bool => "BoolStorage",
        Dtype::Complex128 => "ComplexDoubleStorage",
        Dtype::Complex64 => "ComplexFloatStorage",
        _ => return None,
    })
}
