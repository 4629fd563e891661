//! `torch.export` programs (`.pt2`): a graph as JSON, and its weights beside it in one of several ways.
//!
//! ```text
//! <root>/archive_format                       "pt2"                                     (torch ≥ 2.7)
//! <root>/models/<model>.json                  the program: graph, signature, versions
//! <root>/data/weights/<model>_weights_config.json    name → file and tensor description  (torch ≥ 2.9)
//! <root>/data/weights/weight_<n>              raw bytes of a storage, or a torch file
//! <root>/data/constants/…                     the same for constants
//! <root>/data/weights/<model>.pt, data/constants/<model>.pt     torch files              (torch 2.7, 2.8)
//! <root>/data/sample_inputs/<model>.pt        a torch file
//! <root>/data/aotinductor/<model>/weights_config.json           name → [file, shape, stride, offset]
//! serialized_exported_program.json, serialized_state_dict.pt, serialized_constants.pt    (torch < 2.7)
//! ```
//!
//! Sources: <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/export/pt2_archive/_package.py>,
//! <https://github.com/pytorch/pytorch/blob/v2.6.0/torch/export/__init__.py> (`save`).

use std::collections::HashMap;

use serde_json::Value as Json;

use super::catalogue::Naming;
use super::export_program::{Program, scalar_type};
use super::gathered::Gathered;
use super::nested;
use super::rebuild::Rebuilt;
use super::state_dict::Section;
use super::storage::{Storage, StorageMap as _};
use super::zip_layout::{members, note, root_of, texts};
use crate::formats::containers::zip::{ZipArchive, ZipEntry};
use crate::model::{Dtype, Problem, Progress, ReadError, Shape, TensorRole, Value};
use crate::raw::limits;

/// The program of torch < 2.7.
const OLD_PROGRAM: &str = "serialized_exported_program.json";

/// Bytes of one JSON document. Parsed it takes up to ten times as much; large models have some megabytes of graph.
const JSON_BYTES: u64 = 48 << 20;

/// Whether the archive is an exported program.
pub fn detect(archive: &ZipArchive) -> bool {
    root_of(archive, OLD_PROGRAM).is_some()
        || root_of(archive, "archive_format")
            .is_some_and(|root| note(archive, root, "archive_format").as_deref() == Some("pt2"))
}

/// Gathers weights and constants; gives the metadata and the version of torch.
pub fn read(
    archive: &ZipArchive,
    gathered: &mut Gathered,
    progress: &Progress,
) -> Result<(Value, Option<String>), ReadError> {
    let mut reader = Reader { archive, gathered, progress };
    if let Some(root) = root_of(archive, OLD_PROGRAM) {
        reader.before_2_7(root)
    } else {
        reader.since_2_7(root_of(archive, "archive_format").unwrap_or_default())
    }
}

struct Reader<'a> {
    archive: &'a ZipArchive,
    gathered: &'a mut Gathered,
    progress: &'a Progress,
}

impl Reader<'_> {
    /// torch < 2.7: everything at the root.
    fn before_2_7(&mut self, root: &str) -> Result<(Value, Option<String>), ReadError> {
        let json = self.json(&format!("{root}{OLD_PROGRAM}"))?;
        let program = Program::read(&json);
        let mut metadata = program.metadata.clone();
        if let Some(version) = note(self.archive, root, "version") {
            metadata.push(("archive_version".to_owned(), Value::Text(version)));
        }
        // The first releases named their torch files like JSON.
        for (name, section) in [("state_dict", Section::Model { base: None }), ("constants", Section::Other)]
        {
            let entry = [".pt", ".json"]
                .iter()
                .find_map(|ending| self.archive.entry(&format!("{root}serialized_{name}{ending}")));
            match entry {
                Some(entry) => self.file(entry, &[], section, &program),
                None => self.missing(&format!("serialized_{name}.pt")),
            };
        }
        if let Some(entry) = self.archive.entry(&format!("{root}serialized_example_inputs.pt")) {
            let inputs = self.file(entry, &["example_inputs".to_owned()], Section::Other, &program);
            metadata.push(("example_inputs".to_owned(), inputs));
        }
        self.extra(&format!("{root}extra_files/"), &mut metadata);
        self.layers(&program, &[]);
        Ok((Value::Map(metadata), program.torch_version))
    }

    /// torch 2.7 and later, and programs compiled by `torch._inductor`.
    fn since_2_7(&mut self, root: &str) -> Result<(Value, Option<String>), ReadError> {
        let models: Vec<String> = self.names(&format!("{root}models/"), ".json");
        let mut torch_version = None;
        let mut metadata = Vec::new();
        for model in &models {
            // One model is the checkpoint; several are parts of it.
            let prefix: Vec<String> = if models.len() > 1 { vec![model.clone()] } else { Vec::new() };
            let program = match self.json(&format!("{root}models/{model}.json")) {
                Ok(json) => Program::read(&json),
                Err(error) => {
                    let text = format!("the program of {model:?} cannot be read: {error}");
                    self.gathered.problems.push(Problem::error("program", text));
                    Program::default()
                }
            };
            let mut said = program.metadata.clone();
            for kind in ["weights", "constants"] {
                self.payload(root, kind, model, &prefix, &program, &mut said);
            }
            let inputs = format!("{root}data/sample_inputs/{model}.pt");
            if let Some(entry) = self.archive.entry(&inputs) {
                let at = [&prefix[..], &["sample_inputs".to_owned()]].concat();
                let inputs = self.file(entry, &at, Section::Other, &program);
                said.push(("sample_inputs".to_owned(), inputs));
            }
            self.layers(&program, &prefix);
            torch_version = torch_version.or(program.torch_version);
            if models.len() > 1 {
                metadata.push((model.clone(), Value::Map(said)));
            } else {
                metadata.append(&mut said);
            }
        }
        self.compiled(root, &mut metadata);
        for name in ["archive_version", ".data/version"] {
            if let Some(version) = note(self.archive, root, name) {
                let key = if name == "archive_version" { name } else { "container_version" };
                metadata.push((key.to_owned(), Value::Text(version)));
            }
        }
        self.extra(&format!("{root}extra/"), &mut metadata);
        Ok((Value::Map(metadata), torch_version))
    }

    /// Weights or constants of one model, in whichever way they are stored.
    fn payload(
        &mut self,
        root: &str,
        kind: &str,
        model: &str,
        prefix: &[String],
        program: &Program,
        metadata: &mut Vec<(String, Value)>,
    ) {
        let folder = format!("{root}data/{kind}/");
        if let Some(entry) = self.archive.entry(&format!("{folder}{model}.pt")) {
            let section = if kind == "weights" { Section::Model { base: None } } else { Section::Other };
            let value = self.file(entry, prefix, section, program);
            if !value.is_empty() {
                metadata.push((kind.to_owned(), value));
            }
            return;
        }
        let name = format!("{folder}{model}_{kind}_config.json");
        let config = match self.json(&name) {
            Ok(config) => config,
            Err(error) => {
                let text = format!("the list of {kind} of {model:?} cannot be read: {error}");
                self.gathered.problems.push(Problem::error("weights", text));
                return;
            }
        };
        let map = members(self.archive, root, &format!("data/{kind}/"), "");
        let mut others = Vec::new();
        // Tensors that share a storage name the same file.
        let mut files: HashMap<&str, usize> = HashMap::new();
        for (name, meta) in config.get("config").and_then(Json::as_object).into_iter().flatten() {
            let file = meta.get("path_name").and_then(Json::as_str).unwrap_or_default();
            let path: Vec<String> = prefix.iter().cloned().chain([name.clone()]).collect();
            let entry = self.archive.entry(&format!("{folder}{file}"));
            if meta.get("use_pickle").and_then(Json::as_bool) == Some(true) {
                let Some(entry) = entry else {
                    self.missing(file);
                    continue;
                };
                let before = self.gathered.tensors().len();
                let value = self.file(entry, &path, Section::Model { base: Some(prefix.len()) }, program);
                if before == self.gathered.tensors().len() && !value.is_empty() {
                    others.push((name.clone(), value));
                }
                continue;
            }
            let mut made = raw_tensor(meta.get("tensor_meta").unwrap_or(&Json::Null));
            let storage = match (files.get(file), entry) {
                (Some(&storage), _) => Some(storage),
                (None, Some(_)) => {
                    let storage = Storage { place: map.find(file), big_endian: map.big_endian };
                    let index = self.gathered.storage(storage);
                    files.insert(file, index);
                    Some(index)
                }
                (None, None) => {
                    made.fault.get_or_insert_with(|| format!("its file {file:?} is not in the archive"));
                    None
                }
            };
            made.storage = storage;
            let is_param = meta.get("is_param").and_then(Json::as_bool);
            let role = program.roles.get(name.as_str()).copied().unwrap_or(match is_param {
                Some(true) => TensorRole::Parameter,
                _ if kind == "constants" => TensorRole::Other,
                _ => TensorRole::Buffer,
            });
            let naming = Naming {
                name: path.join("."),
                path,
                stored_name: None,
                layer: name.rsplit_once('.').map(|(layer, _)| layer.to_owned()).unwrap_or_default(),
                role,
                trainable: made.requires_grad.filter(|_| role == TensorRole::Parameter),
            };
            self.gathered.tensor(made, naming);
        }
        if !others.is_empty() {
            metadata.push((kind.to_owned(), Value::Map(others)));
        }
    }

    /// Weights of compiled programs: each a torch file of one tensor, over which the named ones are views.
    fn compiled(&mut self, root: &str, metadata: &mut Vec<(String, Value)>) {
        let folder = format!("{root}data/aotinductor/");
        let configs: Vec<String> = self.names(&folder, "/weights_config.json");
        for model in &configs {
            let Ok(config) = self.json(&format!("{folder}{model}/weights_config.json")) else { continue };
            for (name, view) in config.as_object().into_iter().flatten() {
                let Some([file, shape, strides, offset]) =
                    view.as_array().and_then(|view| view.first_chunk::<4>())
                else {
                    continue;
                };
                let file = file.as_str().unwrap_or_default();
                let Some(entry) = self.archive.entry(&format!("{root}data/weights/{file}")) else {
                    self.missing(file);
                    continue;
                };
                // The file holds the whole storage; the named tensor is a view of it.
                let whole = self
                    .archive
                    .member(entry, limits::INFLATED_BYTES)
                    .and_then(|source| nested::tensor(&source, self.gathered, self.progress));
                let mut made = whole.unwrap_or_else(|error| {
                    Rebuilt::without_values(
                        Dtype::Other("unknown".into(), 0),
                        Shape::default(),
                        error.to_string(),
                    )
                });
                let numbers = |dims: &Json| -> Vec<u64> {
                    dims.as_array().into_iter().flatten().filter_map(Json::as_u64).collect()
                };
                made.shape = Shape::from(numbers(shape));
                made.strides = Some(numbers(strides).into());
                made.offset = offset.as_u64().unwrap_or(0);
                if made.strides.as_ref().is_none_or(|strides| strides.len() != made.shape.rank()) {
                    made.fault.get_or_insert_with(|| "its shape and strides do not fit".to_owned());
                }
                let path = vec![model.clone(), name.clone()];
                let naming = Naming {
                    name: path.join("."),
                    path,
                    stored_name: None,
                    layer: String::new(),
                    role: TensorRole::Unknown,
                    trainable: None,
                };
                self.gathered.tensor(made, naming);
            }
        }
        let files = self.names(&folder, "");
        if !files.is_empty() {
            metadata.push(("compiled".to_owned(), Value::List(files.into_iter().map(Value::Text).collect())));
        }
    }

    /// A torch file inside the archive. Tensors take the roles that the program gives them.
    fn file(&mut self, entry: &ZipEntry, prefix: &[String], section: Section, program: &Program) -> Value {
        let before = self.gathered.tensors().len();
        let opened = self
            .archive
            .member(entry, limits::INFLATED_BYTES)
            .and_then(|source| nested::read(&source, self.gathered, prefix, section, self.progress));
        let value = opened.unwrap_or_else(|error| {
            let text = format!("{:?} inside the archive cannot be read: {error}", entry.name);
            self.gathered.problems.push(Problem::error("weights", text));
            Value::Null
        });
        for tensor in self.gathered.tensors().iter_mut().skip(before) {
            // Names in the signature are without the model's.
            if let Some(&role) = tensor.path.last().and_then(|name| program.roles.get(name)) {
                tensor.role = role;
                tensor.layer = tensor
                    .path
                    .last()
                    .and_then(|name| name.rsplit_once('.'))
                    .map(|(layer, _)| layer.to_owned())
                    .unwrap_or_default();
                if role != TensorRole::Parameter {
                    tensor.trainable = None;
                }
            }
        }
        value
    }

    fn layers(&mut self, program: &Program, prefix: &[String]) {
        self.gathered.found_model = true;
        self.gathered.layers.extend(program.layers.iter().cloned().map(|mut layer| {
            layer.segments.splice(0..0, prefix.iter().cloned());
            layer
        }));
    }

    fn json(&self, name: &str) -> Result<Json, ReadError> {
        let entry = self
            .archive
            .entry(name)
            .ok_or_else(|| ReadError::unsupported(format!("{name:?} is not in the archive")))?;
        let bytes = self.archive.read(entry, JSON_BYTES)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ReadError::malformed("JSON in the archive", entry.data_start, error.to_string()))
    }

    /// Names of members in a folder, without folder and ending.
    fn names(&self, folder: &str, ending: &str) -> Vec<String> {
        let within = |entry: &ZipEntry| {
            let name = entry.name.strip_prefix(folder)?.strip_suffix(ending)?;
            (!name.is_empty()).then(|| name.to_owned())
        };
        self.archive.entries().iter().filter_map(within).collect()
    }

    fn extra(&self, folder: &str, metadata: &mut Vec<(String, Value)>) {
        let files = texts(self.archive, folder, |_| true);
        if !files.is_empty() {
            metadata.push(("extra_files".to_owned(), Value::Map(files)));
        }
    }

    fn missing(&mut self, name: &str) -> Value {
        let text = format!("{name:?} is not in the archive");
        self.gathered.problems.push(Problem::error("missing-member", text));
        Value::Null
    }
}

/// A tensor of `TensorMeta`.
/// Source: <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/_export/serde/schema.py>.
fn raw_tensor(meta: &Json) -> Rebuilt {
    let numbers = |key: &str| -> Option<Vec<u64>> {
        meta.get(key)?.as_array()?.iter().map(|item| item.get("as_int")?.as_u64()).collect()
    };
    let dtype = meta.get("dtype").and_then(Json::as_u64).and_then(scalar_type);
    let fault = match (&dtype, numbers("sizes"), numbers("strides")) {
        (None, ..) => Some("its dtype is not known"),
        (_, None, _) => Some("its sizes are not numbers"),
        (_, _, None) => Some("its strides are not numbers"),
        _ => None,
    };
    let dtype = dtype.unwrap_or_else(|| Dtype::Other("unknown".into(), 0));
    let shape = Shape::from(numbers("sizes").filter(|sizes| sizes.len() <= limits::RANK).unwrap_or_default());
    let strides = numbers("strides").unwrap_or_default();
    let mut made = Rebuilt::without_values(dtype, shape, "");
    made.fault = fault.map(str::to_owned);
    if strides.len() == made.shape.rank() {
        made.strides = Some(strides.into());
    } else {
        made.fault.get_or_insert_with(|| "it has as many strides as dimensions".to_owned());
    }
    made.offset = meta.get("storage_offset").and_then(|offset| offset.get("as_int")?.as_u64()).unwrap_or(0);
    made.requires_grad = meta.get("requires_grad").and_then(Json::as_bool);
    // Layout 7 is strided; see `Layout` in the schema.
    if meta.get("layout").and_then(Json::as_u64).is_some_and(|layout| layout != 7) {
        made.fault.get_or_insert_with(|| "it is not a strided tensor".to_owned());
    }
    made
}
