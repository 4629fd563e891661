//! TorchScript of torch 1.0 to 1.3: the module as JSON, its tensors as members.
//!
//! ```text
//! <root>/model.json        ModelDef: {protoVersion, producerName, producerVersion, mainModule, tensors}
//!                          module: {name, submodules, parameters: [{name, isBuffer, tensorId}], attributes}
//!                          tensor: {dims, strides, offset, requiresGrad, dataType, data: {key}}
//! <root>/tensors/<n>       one storage each, under the key that the tensor names
//! <root>/code/…            sources; tensors that no module names are their CONSTANTS.c<position>
//! ```
//!
//! JSON as protobuf writes it: 64-bit integers are text, and what is 0, false or empty is left out. Source:
//! <https://github.com/pytorch/pytorch/blob/v1.3.0/caffe2/proto/torch.proto>, and
//! <https://github.com/pytorch/pytorch/blob/v2.0.0/torch/csrc/jit/serialization/import_legacy.cpp>.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::catalogue::Naming;
use super::gathered::Gathered;
use super::rebuild::Rebuilt;
use super::storage::{Members, Storage, StorageMap as _};
use super::zip_layout::{members, root_of, texts};
use crate::formats::containers::zip::ZipArchive;
use crate::model::{Dtype, LayerInfo, ReadError, Shape, TensorRole, Value};
use crate::raw::limits;

/// What the archive has and no other has.
const MODEL: &str = "model.json";

/// Bytes of `model.json`. Parsed it takes up to ten times as much; it has some 300 bytes per tensor.
const JSON_BYTES: u64 = 48 << 20;

/// Whether the archive is TorchScript of this age.
pub fn detect(archive: &ZipArchive) -> bool {
    root_of(archive, MODEL).is_some_and(|root| {
        let has = |name: &str| {
            let start = format!("{root}{name}");
            archive.entries().iter().any(|entry| entry.name.starts_with(&start))
        };
        has("version") && (has("tensors/") || has("code/"))
    })
}

/// Gathers the modules; gives the metadata and the version of torch.
pub fn read(archive: &ZipArchive, gathered: &mut Gathered) -> Result<(Value, Option<String>), ReadError> {
    let root = root_of(archive, MODEL).unwrap_or_default();
    let entry = archive
        .entry(&format!("{root}{MODEL}"))
        .ok_or_else(|| ReadError::unsupported("the archive has no model.json"))?;
    let bytes = archive.read(entry, JSON_BYTES)?;
    let json: Json = serde_json::from_slice(&bytes)
        .map_err(|error| ReadError::malformed(MODEL, entry.data_start, error.to_string()))?;
    let tensors = array(&json, "tensors");
    let mut tree = Tree {
        map: members(archive, root, "", ""),
        tensors,
        used: vec![false; tensors.len()],
        files: HashMap::new(),
        gathered,
    };
    if let Some(main) = json.get("mainModule") {
        tree.gathered.found_model = true;
        tree.module(main, &mut Vec::new());
    }
    tree.constants();
    let mut metadata = Vec::new();
    for key in ["producerName", "producerVersion", "protoVersion"] {
        if let Some(value) = json.get(key) {
            metadata.push((key.to_owned(), Value::from_json(value.clone())));
        }
    }
    for (key, folder, ending) in [("extra", "extra/", ""), ("code", "code/", ".py"), ("code", "libs/", ".py")]
    {
        let files = texts(archive, &format!("{root}{folder}"), |name| name.ends_with(ending));
        if !files.is_empty() {
            metadata.push((key.to_owned(), Value::Map(files)));
        }
    }
    let version = json.get("producerVersion").and_then(Json::as_str).map(str::to_owned);
    Ok((Value::Map(metadata), version))
}

struct Tree<'a> {
    map: Members,
    tensors: &'a [Json],
    /// Which tensors a module names.
    used: Vec<bool>,
    /// Storages by the member that holds them.
    files: HashMap<&'a str, usize>,
    gathered: &'a mut Gathered,
}

impl<'a> Tree<'a> {
    /// One module and those inside. The depth is that of the JSON, which its parser bounds.
    fn module(&mut self, module: &'a Json, path: &mut Vec<String>) {
        self.gathered.layers.push(LayerInfo {
            path: path.join("."),
            segments: path.clone(),
            ..LayerInfo::default()
        });
        for parameter in array(module, "parameters") {
            let index = number(parameter.get("tensorId")).unwrap_or(0);
            let is_buffer = parameter.get("isBuffer").and_then(Json::as_bool) == Some(true);
            let role = if is_buffer { TensorRole::Buffer } else { TensorRole::Parameter };
            let layer = path.join(".");
            path.push(text(parameter, "name"));
            self.tensor(index, path.clone(), layer, role);
            path.pop();
        }
        for child in array(module, "submodules") {
            path.push(text(child, "name"));
            self.module(child, path);
            path.pop();
        }
    }

    fn constants(&mut self) {
        for index in 0..self.tensors.len() {
            if self.used.get(index) == Some(&false) {
                let path = vec!["CONSTANTS".to_owned(), format!("c{index}")];
                self.tensor(index as u64, path, String::new(), TensorRole::Other);
            }
        }
    }

    fn tensor(&mut self, index: u64, path: Vec<String>, layer: String, role: TensorRole) {
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        let made = match self.tensors.get(position) {
            Some(definition) => self.made(definition),
            None => {
                let why = format!("tensor {index} is not in the list of tensors");
                Rebuilt::without_values(Dtype::Other("unknown".into(), 0), Shape::default(), why)
            }
        };
        if let Some(used) = self.used.get_mut(position) {
            *used = true;
        }
        let trainable = made.requires_grad.filter(|_| role == TensorRole::Parameter);
        let naming = Naming { name: path.join("."), path, stored_name: None, layer, role, trainable };
        self.gathered.tensor(made, naming);
    }

    fn made(&mut self, definition: &'a Json) -> Rebuilt {
        let numbers = |key: &str| -> Option<Vec<u64>> {
            array(definition, key).iter().map(|item| number(Some(item))).collect()
        };
        let dtype = definition.get("dataType").and_then(Json::as_str).unwrap_or("UNDEFINED");
        let is_quantized = definition.get("isQuantized").and_then(Json::as_bool) == Some(true);
        let (sizes, strides) = (numbers("dims"), numbers("strides"));
        let mut made = Rebuilt::without_values(
            data_type(dtype, is_quantized),
            Shape::from(sizes.clone().filter(|sizes| sizes.len() <= limits::RANK).unwrap_or_default()),
            "",
        );
        made.fault = None;
        match (sizes, strides) {
            (Some(sizes), Some(strides)) if sizes.len() == strides.len() && sizes.len() <= limits::RANK => {
                made.strides = Some(strides.into());
            }
            _ => made.fault = Some("its sizes and strides do not fit".to_owned()),
        }
        made.offset = number(definition.get("offset")).unwrap_or(0);
        made.requires_grad = Some(definition.get("requiresGrad").and_then(Json::as_bool).unwrap_or(false));
        let key = definition.get("data").and_then(|data| data.get("key")?.as_str()).unwrap_or_default();
        let (map, gathered) = (&self.map, &mut *self.gathered);
        let storage = *self.files.entry(key).or_insert_with(|| {
            gathered.storage(Storage { place: map.find(key), big_endian: map.big_endian })
        });
        made.storage = Some(storage);
        made
    }
}

fn array<'a>(json: &'a Json, key: &str) -> &'a [Json] {
    json.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(json: &Json, key: &str) -> String {
    json.get(key).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// An integer, which protobuf writes as text.
fn number(json: Option<&Json>) -> Option<u64> {
    match json? {
        Json::String(text) => text.parse().ok(),
        other => other.as_u64(),
    }
}

/// Source: `DataType` in <https://github.com/pytorch/pytorch/blob/v1.3.0/caffe2/proto/caffe2.proto>.
fn data_type(name: &str, is_quantized: bool) -> Dtype {
    match (name, is_quantized) {
        ("FLOAT", _) => Dtype::Float32,
        ("DOUBLE", _) => Dtype::Float64,
        ("FLOAT16", _) => Dtype::Float16,
        ("BFLOAT16", _) => Dtype::Bfloat16,
        ("INT8", true) => Dtype::Qint8,
        ("UINT8", true) => Dtype::Quint8,
        ("INT32", true) => Dtype::Qint32,
        ("INT64", _) => Dtype::Int64,
        ("INT32", _) => Dtype::Int32,
        ("INT16", _) => Dtype::Int16,
        ("INT8", _) => Dtype::Int8,
        ("UINT16", _) => Dtype::Uint16,
        ("UINT8", _) => Dtype::Uint8,
        ("BOOL", _) => Dtype::Bool,
        _ => Dtype::Other(name.to_ascii_lowercase().into(), 0),
    }
}
