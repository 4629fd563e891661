//! Folders of `torch.distributed.checkpoint`: what `.metadata` says is in the `.distcp` files.
//!
//! ```text
//! .metadata          pickle of Metadata:
//!   state_dict_metadata  name → TensorStorageMetadata(properties, size, chunks) | BytesStorageMetadata
//!   planner_data         name → keys that lead to it in the nested dictionary that was saved
//!   storage_data         MetadataIndex(fqn, offset) → _StorageInfo(relative_path, offset, length)
//! __<rank>_<n>.distcp    items one after the other, each a whole file of torch.save
//! ```
//!
//! Source: `torch/distributed/checkpoint/{metadata,filesystem}.py`,
//! <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/distributed/checkpoint/filesystem.py>.
//! Values that are not tensors are unpickled into the metadata; tensors stay where they are ([`super::chunked`]).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::chunked::{Chunk, Chunked, DataFile};
use super::joined::Joined;
use super::metadata::key_text;
use super::names::Known;
use super::sections::Section;
use super::storage::NoStorages;
use super::storage_data::{Item, Stored, dimensions};
use super::view::View;
use super::{catalogue_of, zip_layout};
use crate::formats::Probe;
use crate::formats::containers::pickle::{self, NodeId};
use crate::formats::containers::zip::ZipArchive;
use crate::model::{
    CheckpointParts, Dtype, Problem, Progress, ReadError, RoleEvidence, Shape, TensorId, TensorInfo,
    TensorRole, Value, role,
};
use crate::raw::{ByteSource, limits};

/// Whether it is such a folder, its `.metadata`, or one of its `.distcp` files.
pub fn detect(probe: &Probe) -> bool {
    metadata_of(probe).is_some()
}

/// The `.metadata` that the path stands for.
fn metadata_of(probe: &Probe) -> Option<PathBuf> {
    if let Some(entries) = probe.folder() {
        let has = |matches: &dyn Fn(&str) -> bool| entries.iter().any(|name| matches(name));
        let found = has(&|name| name == ".metadata") && has(&|name| name.ends_with(".distcp"));
        return found.then(|| probe.path().join(".metadata"));
    }
    let head = probe.head();
    let names = |text: &[u8]| head.windows(text.len()).any(|window| window == text);
    if head.first() == Some(&0x80) && names(b"state_dict_metadata") && names(b"distributed") {
        return Some(probe.path().to_owned());
    }
    let is_archive = head.starts_with(b"PK\x03\x04");
    (is_archive && probe.file_name().ends_with(".distcp")).then(|| probe.path().with_file_name(".metadata"))
}

/// Opens the checkpoint.
pub fn open(probe: &Probe, progress: &Progress) -> Result<CheckpointParts, ReadError> {
    let path = metadata_of(probe).ok_or_else(|| ReadError::unsupported("not a distributed checkpoint"))?;
    if !path.exists() {
        return Err(ReadError::unsupported(
            "a part of a distributed checkpoint, whose .metadata file is not beside it",
        ));
    }
    let source = ByteSource::open(&path)?;
    let view = View::new(pickle::parse(&source, 0, progress)?, source.clone());
    let fields = view.attributes(view.root).unwrap_or_default();
    let field = |name: &str| view.entry(&fields, name);
    let Some(entries) = field("state_dict_metadata").and_then(|id| view.mapping(id)) else {
        return Err(ReadError::malformed("the .metadata file", 0, "it has no state_dict_metadata"));
    };
    if entries.len() > limits::TENSORS {
        return Err(ReadError::OverLimit {
            what: "the number of values in the checkpoint".into(),
            value: entries.len() as u64,
            limit: limits::TENSORS as u64,
        });
    }
    let stored = Stored::read(&view, field("storage_data"), &path);
    let paths = paths(&view, field("planner_data"));
    let mut joined =
        Joined::new(stored.files.iter().fold(source.len(), |sum, file| sum.saturating_add(file.len)));
    joined.framework = Some("torch".to_owned());
    joined.problems = stored.problems;
    let mut folder = Folder {
        view: &view,
        items: stored.items,
        files: Arc::new(stored.files),
        joined,
        metadata: Vec::new(),
        values: 0,
        value_bytes: 0,
    };
    for (name, described) in entries {
        progress.advance(0)?;
        let name = key_text(&view, name);
        let path = paths.get(&name).cloned().unwrap_or_else(|| vec![name.clone()]);
        let attributes = view.attributes(described).unwrap_or_default();
        if let Some(size) = view.entry(&attributes, "size") {
            folder.tensor(name, path, &attributes, size);
        } else {
            folder.value(&name, &path, progress)?;
        }
    }
    let about = about(&view, &fields);
    if !about.is_empty() {
        folder.metadata.push((".metadata".to_owned(), Value::Map(about)));
    }
    let Folder { joined, metadata, .. } = folder;
    let has_model = joined.tensors.iter().any(|tensor| tensor.role == TensorRole::Parameter);
    Ok(joined.finish("pytorch-distributed", Value::Map(metadata), has_model))
}

/// What `.metadata` says of itself: the version of its layout and who saved it.
fn about(view: &View, fields: &[(NodeId, NodeId)]) -> Vec<(String, Value)> {
    let mut about = Vec::new();
    let mut take = |fields: &[(NodeId, NodeId)], name: &str| {
        let text = view.entry(fields, name).and_then(|id| view.graph.text(id));
        about.extend(text.map(|text| (name.to_owned(), Value::Text(text.to_owned()))));
    };
    take(fields, "version");
    let meta = view.entry(fields, "storage_meta").and_then(|id| view.attributes(id)).unwrap_or_default();
    for name in ["checkpoint_id", "save_id"] {
        take(&meta, name);
    }
    about
}

/// `planner_data`: the keys that lead to each value. Without it a value's name is its only key.
fn paths(view: &View, planner: Option<NodeId>) -> HashMap<String, Vec<String>> {
    let entries = planner.and_then(|id| view.mapping(id)).unwrap_or_default();
    let path = |keys: NodeId| {
        let keys = view.sequence(keys).filter(|keys| (1..limits::METADATA_DEPTH).contains(&keys.len()))?;
        Some(keys.into_iter().map(|key| key_text(view, key)).collect())
    };
    entries.into_iter().filter_map(|(name, keys)| Some((key_text(view, name), path(keys)?))).collect()
}

/// What a tensor is for, and its layer. Where the nesting was not kept, its name begins with the outer keys.
fn give_role(tensor: &mut TensorInfo) {
    let (path, dtype) = (&tensor.path[..], &tensor.dtype);
    let outer: Vec<&str> = match path {
        [name] => name.split('.').take(1).collect(),
        [outer @ .., _] => outer.iter().map(String::as_str).collect(),
        [] => Vec::new(),
    };
    let mut base = 0;
    let mut section = Section::Outer;
    for key in outer {
        section = Section::of_key(key);
        base += usize::from(path.len() > 1);
        if section != Section::Outer {
            break;
        }
    }
    if section == Section::Outer {
        base = 0;
    }
    let last = path.last().map(String::as_str).unwrap_or_default();
    let inside = path.get(base..).unwrap_or_default().join(".");
    let layer = inside.rsplit_once('.').map(|(layer, _)| layer.to_owned()).unwrap_or_default();
    let by_keys = |role| (role, RoleEvidence::Keys);
    let (role, evidence) = match section {
        Section::Optimizer => by_keys(TensorRole::Optimizer),
        Section::Ema => by_keys(TensorRole::Ema),
        // A tensor of its own right beside the model; a name without dots is not a part of any module.
        Section::Other if path.len() > 1 => by_keys(TensorRole::Other),
        Section::Outer | Section::Other if path.len() == 1 && !last.contains('.') && !dtype.is_float() => {
            by_keys(TensorRole::Other)
        }
        Section::Model { .. } | Section::Outer | Section::Other => {
            role::of_state_dict(last, dtype, &tensor.shape)
        }
    };
    let has_layer = matches!(role, TensorRole::Parameter | TensorRole::Buffer | TensorRole::Ema);
    tensor.layer = if has_layer { layer } else { String::new() };
    (tensor.role, tensor.role_evidence) = (role, Some(evidence));
}

/// The checkpoint as it grows.
struct Folder<'a> {
    view: &'a View,
    items: HashMap<String, Vec<Item>>,
    files: Arc<Vec<DataFile>>,
    joined: Joined,
    metadata: Vec<(String, Value)>,
    /// Plain values read, and their bytes.
    values: usize,
    value_bytes: u64,
}

impl Folder<'_> {
    fn tensor(&mut self, name: String, path: Vec<String>, attributes: &[(NodeId, NodeId)], size: NodeId) {
        let view = self.view;
        let dtype = view.entry(attributes, "properties").and_then(|id| dtype(view, id));
        let shape = dimensions(view, size).map(Shape::from);
        let mut fault = None;
        if dtype.is_none() {
            fault = Some("its dtype is not known".to_owned());
        }
        if shape.as_ref().is_none_or(|shape| shape.checked_elements().is_none()) {
            fault = Some("its size is not a list of numbers, or it overflows".to_owned());
        }
        let dtype = dtype.unwrap_or_else(|| Dtype::Other("unknown".into(), 0));
        let shape = shape.unwrap_or_default();
        let chunks = match fault {
            Some(fault) => Err(fault),
            None => self.chunks(&name, &shape, view.entry(attributes, "chunks")),
        };
        let id = TensorId(self.joined.tensors.len() as u32);
        let mut info = TensorInfo::new(name, dtype.clone(), shape.clone(), 0);
        info.path = path.into();
        give_role(&mut info);
        match &chunks {
            Ok(_) => info.stored_bytes = info.bytes(),
            Err(fault) => {
                let text = format!("{:?}: {fault}", info.name);
                self.joined.problems.push(Problem::error("missing-tensor", text).on(id));
                if shape.checked_elements().is_none() {
                    (info.role, info.role_evidence) = (TensorRole::Unknown, None);
                }
            }
        }
        let files = Arc::clone(&self.files);
        self.joined.add_chunked(info, chunks.map(|chunks| Chunked { files, dtype, shape, chunks }));
    }

    /// The chunks that make a tensor, or why they do not.
    fn chunks(&self, name: &str, shape: &Shape, described: Option<NodeId>) -> Result<Vec<Chunk>, String> {
        let view = self.view;
        let described = described.and_then(|id| view.sequence(id)).ok_or("it has no list of chunks")?;
        let items = self.items.get(name).map(Vec::as_slice).unwrap_or_default();
        let by_offsets: HashMap<&[u64], &Item> =
            items.iter().map(|item| (item.offsets.as_slice(), item)).collect();
        let mut chunks = Vec::with_capacity(described.len());
        let mut elements = 0u64;
        for chunk in described {
            let fields = view.attributes(chunk).unwrap_or_default();
            let field = |key: &str| view.entry(&fields, key).and_then(|id| dimensions(view, id));
            let (Some(start), Some(length)) = (field("offsets"), field("sizes")) else {
                return Err("a chunk of it has no offsets or sizes".to_owned());
            };
            let inside =
                start.len() == shape.rank()
                    && length.len() == shape.rank()
                    && start.iter().zip(&length).zip(shape.dims()).all(|((&start, &length), &dim)| {
                        start.checked_add(length).is_some_and(|end| end <= dim)
                    });
            if !inside {
                return Err(format!("a chunk of it does not lie inside {shape}"));
            }
            // A process without a share of the tensor has an empty chunk of it.
            if length.contains(&0) {
                continue;
            }
            let held = Shape::new(length.as_slice()).checked_elements().unwrap_or(u64::MAX);
            elements = elements.saturating_add(held);
            let place = match by_offsets.get(start.as_slice()) {
                Some(item) => item.place.clone()?,
                None => return Err(format!("its chunk at {start:?} is in none of the files")),
            };
            chunks.push(Chunk { start, length, file: place.0, range: place.1 });
        }
        if elements != shape.elements() {
            return Err(format!("its chunks hold {elements} elements, but {shape} has {}", shape.elements()));
        }
        chunks.sort_by(|a, b| a.start.cmp(&b.start));
        Ok(chunks)
    }

    /// A value that is not a tensor: unpickled into the metadata.
    fn value(&mut self, name: &str, path: &[String], progress: &Progress) -> Result<(), ReadError> {
        let item = self.items.get(name).and_then(|items| items.first());
        let place = match item.map(|item| &item.place) {
            Some(Ok(place)) => *place,
            Some(Err(why)) => {
                self.refuse(name, path, &why.clone());
                return Ok(());
            }
            None => {
                self.refuse(name, path, "it is in none of the files");
                return Ok(());
            }
        };
        let (file, (offset, len)) = place;
        self.values += 1;
        self.value_bytes = self.value_bytes.saturating_add(len);
        if self.values > limits::PICKLED_VALUES || self.value_bytes > limits::PICKLED_VALUE_BYTES {
            insert(&mut self.metadata, path, Value::Elided("more values than are read"));
            return Ok(());
        }
        let Some(file) = self.files.get(file) else { return Ok(()) };
        let opened =
            file.open().and_then(|source| item_parts(&source.slice(name.to_owned(), offset, len)?, progress));
        let parts = match opened {
            Ok(parts) => parts,
            Err(ReadError::Cancelled) => return Err(ReadError::Cancelled),
            Err(error) => {
                self.refuse(name, path, &error.to_string());
                return Ok(());
            }
        };
        let mut value = parts.metadata.clone();
        self.joined.python_types.extend(path, &parts.python_types);
        let ids = self.joined.add(&format!("value {name:?}"), parts, |tensor| {
            tensor.path = path.iter().chain(&tensor.path).filter(|key| !key.is_empty()).cloned().collect();
            tensor.name = tensor.path.join(".");
            give_role(tensor);
            true
        });
        renumber(&mut value, &ids);
        insert(&mut self.metadata, path, value);
        Ok(())
    }

    fn refuse(&mut self, name: &str, path: &[String], why: &str) {
        self.joined.problems.push(Problem::error("missing-value", format!("{name:?}: {why}")));
        insert(&mut self.metadata, path, Value::Elided("it cannot be read"));
    }
}

/// One saved object.
fn item_parts(source: &ByteSource, progress: &Progress) -> Result<CheckpointParts, ReadError> {
    if source.read_up_to("a value", 0, 4)?.starts_with(b"PK\x03\x04") {
        let archive = ZipArchive::open(source)?;
        let zip = zip_layout::open(&archive, progress)?;
        return Ok(catalogue_of(&zip.view, &zip.storages, "pytorch-zip", zip.problems, source));
    }
    let view = View::new(pickle::parse(source, 0, progress)?, source.clone());
    Ok(catalogue_of(&view, &NoStorages, "pytorch-pickle", Vec::new(), source))
}

/// `TensorProperties`: its state is a tuple that begins with the dtype, or a dictionary.
fn dtype(view: &View, properties: NodeId) -> Option<Dtype> {
    let (call, _) = view.call(properties)?;
    let node = match view.graph.tuple(call.state?) {
        Some(fields) => *fields.first()?,
        None => view.entry(&view.attributes(properties)?, "dtype")?,
    };
    if let Known::Dtype(dtype) = view.known(node) { Some(dtype.clone()) } else { None }
}

/// Puts a value where its keys lead. The last entry of a map is the likeliest, for neighbours follow each other.
fn insert(map: &mut Vec<(String, Value)>, path: &[String], value: Value) {
    let Some((key, rest)) = path.split_first() else { return };
    let position = map.iter().rposition(|(name, _)| name == key).unwrap_or_else(|| {
        map.push((key.clone(), Value::empty()));
        map.len() - 1
    });
    let Some((_, entry)) = map.get_mut(position) else { return };
    match entry {
        Value::Map(inner) if !rest.is_empty() => insert(inner, rest, value),
        entry => *entry = value,
    }
}

/// Tensors inside a value are those of the whole catalogue. Values are bounded in depth by whoever builds them.
fn renumber(value: &mut Value, ids: &HashMap<TensorId, TensorId>) {
    match value {
        Value::Tensor(id) => match ids.get(id) {
            Some(new) => *id = *new,
            None => *value = Value::Elided("a tensor that is not listed"),
        },
        Value::List(items) => items.iter_mut().for_each(|item| renumber(item, ids)),
        Value::Map(entries) | Value::Object { fields: entries, .. } => {
            for (_, item) in entries {
                renumber(item, ids);
            }
        }
        _ => {}
    }
}
