//! The graph of an ONNX model: its initializers and constants as tensors, its operations counted.
//!
//! Walks the messages in the file and skips what holds values, so that a model of gigabytes costs its structure only.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::tensor::{self, Part, Tensor, Values, entry, fields, text, value_info};
use crate::formats::containers::protobuf::SourcePayload;
use crate::model::{
    Dtype, LayerInfo, Problem, Progress, ReadError, Shape, TensorId, TensorInfo, TensorRole, Value,
};
use crate::raw::{ByteSource, limits};

/// Graphs inside the nodes of graphs: branches and loop bodies.
const DEPTH: usize = 16;

/// What a node's input is used as.
struct Use {
    op: String,
    index: usize,
}

/// Collects what a model holds.
pub struct Walk<'a> {
    source: &'a ByteSource,
    folder: PathBuf,
    progress: &'a Progress,
    pub infos: Vec<TensorInfo>,
    pub tensors: Vec<Tensor>,
    pub problems: Vec<Problem>,
    /// Bytes of the files that hold external values.
    external: HashMap<String, Result<(PathBuf, u64), String>>,
    uses: HashMap<String, Use>,
}

impl<'a> Walk<'a> {
    /// Over a model whose file lies in `folder`.
    pub fn new(source: &'a ByteSource, folder: &Path, progress: &'a Progress) -> Self {
        Self {
            source,
            folder: folder.to_owned(),
            progress,
            infos: Vec::new(),
            tensors: Vec::new(),
            problems: Vec::new(),
            external: HashMap::new(),
            uses: HashMap::new(),
        }
    }

    /// Bytes of all files with external values.
    pub fn external_bytes(&self) -> u64 {
        self.external.values().flatten().map(|(_, size)| size).fold(0, |sum, size| sum.saturating_add(*size))
    }

    /// A `GraphProto`; returns what is shown of it as metadata. `path`: the keys that lead to it.
    pub fn graph(
        &mut self,
        payload: SourcePayload,
        path: &[String],
    ) -> Result<Vec<(String, Value)>, ReadError> {
        let source = self.source;
        let first = self.infos.len();
        let (mut name, mut doc) = (String::new(), String::new());
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        let mut operators = Operators::default();
        for field in fields(source, payload)? {
            let field = field?;
            self.progress.advance(0)?;
            match field.number {
                1 => self.node(field.payload, path, &mut operators)?,
                2 => name = text(source, field.payload)?,
                5 => self.tensor(field.payload, path, None, TensorRole::Unknown)?,
                10 => doc = text(source, field.payload)?,
                11 => inputs.push(value_info(source, field.payload)?),
                12 => outputs.push(value_info(source, field.payload)?),
                15 => self.sparse(field.payload, path, None)?,
                _ => {}
            }
        }
        // Before version 4 of the representation, every initializer is an input too.
        let added = self.infos.get(first..).unwrap_or_default();
        let own: std::collections::HashSet<&str> =
            added.iter().filter_map(|info| info.path.last().map(String::as_str)).collect();
        inputs.retain(|(name, _)| !own.contains(name.as_str()));
        let map = |pairs: Vec<(String, String)>| {
            Value::Map(pairs.into_iter().map(|(key, value)| (key, Value::Text(value))).collect())
        };
        let mut shown = vec![("name".to_owned(), Value::Text(name))];
        if !doc.is_empty() {
            shown.push(("doc_string".to_owned(), Value::Text(doc)));
        }
        shown.push(("inputs".to_owned(), map(inputs)));
        shown.push(("outputs".to_owned(), map(outputs)));
        shown.extend(operators.finish());
        Ok(shown)
    }

    /// A `FunctionProto`: its name, and its constants as tensors.
    pub fn function(&mut self, payload: SourcePayload) -> Result<Value, ReadError> {
        let source = self.source;
        let (mut name, mut domain) = (String::new(), String::new());
        let mut nodes = Vec::new();
        for field in fields(source, payload)? {
            let field = field?;
            match field.number {
                1 => name = text(source, field.payload)?,
                7 => nodes.push(field.payload),
                10 => domain = text(source, field.payload)?,
                _ => {}
            }
        }
        let mut operators = Operators::default();
        let path = ["functions".to_owned(), name.clone()];
        for node in nodes {
            self.progress.advance(0)?;
            self.node(node, &path, &mut operators)?;
        }
        let name = if domain.is_empty() { name } else { format!("{domain}.{name}") };
        let mut shown = vec![("name".to_owned(), Value::Text(name))];
        shown.extend(operators.finish());
        Ok(Value::Map(shown))
    }

    fn node(
        &mut self,
        payload: SourcePayload,
        path: &[String],
        operators: &mut Operators,
    ) -> Result<(), ReadError> {
        let source = self.source;
        let (mut inputs, mut output) = (Vec::new(), None);
        let (mut name, mut op, mut domain) = (String::new(), String::new(), String::new());
        let mut attributes = Vec::new();
        for field in fields(source, payload)? {
            let field = field?;
            match field.number {
                1 => inputs.push(text(source, field.payload)?),
                2 if output.is_none() => output = Some(text(source, field.payload)?),
                3 => name = text(source, field.payload)?,
                4 => op = text(source, field.payload)?,
                5 => attributes.push(field.payload),
                7 => domain = text(source, field.payload)?,
                _ => {}
            }
        }
        for (index, input) in inputs.into_iter().enumerate().filter(|(_, input)| !input.is_empty()) {
            if self.uses.len() < limits::TENSORS {
                self.uses.entry(input).or_insert_with(|| Use { op: op.clone(), index });
            }
        }
        let output = output.unwrap_or_default();
        let is_constant = op == "Constant" && matches!(domain.as_str(), "" | "ai.onnx");
        let label = if name.is_empty() { output.clone() } else { name };
        operators.count(if matches!(domain.as_str(), "" | "ai.onnx") {
            op
        } else {
            format!("{domain}.{op}")
        });
        for attribute in attributes {
            self.attribute(attribute, path, &label, is_constant.then_some(output.as_str()))?;
        }
        Ok(())
    }

    /// An `AttributeProto`: graphs are walked; the value of a constant becomes a tensor of the name `constant`.
    fn attribute(
        &mut self,
        payload: SourcePayload,
        path: &[String],
        node: &str,
        constant: Option<&str>,
    ) -> Result<(), ReadError> {
        let source = self.source;
        let mut name = String::new();
        let mut graphs = Vec::new();
        let mut list: Vec<(u32, Part)> = Vec::new();
        let mut texts = 0;
        for field in fields(source, payload)? {
            let field = field?;
            match (field.number, constant, field.payload) {
                (1, ..) => name = text(source, field.payload)?,
                (5, Some(constant), payload) => {
                    self.tensor(payload, path, Some(constant), TensorRole::Other)?
                }
                (22, Some(constant), payload) => self.sparse(payload, path, Some(constant))?,
                (6 | 11, _, payload) => graphs.push(payload),
                (4 | 9, Some(_), SourcePayload::Range { offset, len }) => {
                    texts += 1;
                    list.push((6, Part::Range(offset, len)));
                }
                (number @ (2 | 3 | 7 | 8), Some(_), payload) if list.len() < 1 << 20 => {
                    list.push((
                        number,
                        match payload {
                            SourcePayload::Range { offset, len } => Part::Range(offset, len),
                            SourcePayload::Number(number) => Part::Single(number),
                        },
                    ));
                }
                _ => {}
            }
        }
        for (index, graph) in graphs.into_iter().enumerate() {
            let mut inner = path.to_vec();
            inner.push(node.to_owned());
            inner.push(if index == 0 { name.clone() } else { format!("{name}.{index}") });
            if inner.len() > 2 * DEPTH {
                let text = format!(
                    "graphs are nested more than {DEPTH} deep in {node:?}; the inner ones are not shown"
                );
                self.problems.push(Problem::warning("nesting", text));
                continue;
            }
            self.graph(graph, &inner)?;
        }
        if let (Some(constant), false) = (constant, list.is_empty()) {
            self.listed(constant, &name, list, texts, path)?;
        }
        Ok(())
    }

    /// A constant whose value is a number, a text, or a list of them.
    fn listed(
        &mut self,
        constant: &str,
        attribute: &str,
        list: Vec<(u32, Part)>,
        texts: u64,
        path: &[String],
    ) -> Result<(), ReadError> {
        let parts: Vec<Part> = list.into_iter().map(|(_, part)| part).collect();
        let (dtype, count, values) = match attribute {
            "value_float" | "value_floats" => {
                let bytes: u64 =
                    parts.iter().map(|part| if let Part::Range(_, len) = part { *len } else { 0 }).sum();
                (Dtype::Float32, bytes / 4, Values::Plain(parts))
            }
            "value_int" | "value_ints" => {
                let mut count = 0;
                for part in &parts {
                    count += match *part {
                        Part::Single(_) => 1,
                        Part::Range(offset, len) => self.count_varints(offset, len)?,
                    };
                }
                (Dtype::Int64, count, Values::Varints(parts))
            }
            "value_string" | "value_strings" => (Dtype::String, texts, Values::Plain(parts)),
            _ => return Ok(()),
        };
        let shape = if attribute.ends_with('s') { vec![count] } else { Vec::new() };
        let (name, shape) = (constant.to_owned(), Shape::from(shape));
        let tensor = Tensor { name: name.clone(), dtype, shape, packed: 1, values: Ok(values) };
        self.push(tensor, path, name, TensorRole::Other)
    }

    fn count_varints(&self, offset: u64, len: u64) -> Result<u64, ReadError> {
        let bytes = self.source.read_vec("the integers of a constant", offset, len, limits::TEXT_BYTES)?;
        Ok(bytes.iter().filter(|&&byte| byte < 0x80).count() as u64)
    }

    fn tensor(
        &mut self,
        payload: SourcePayload,
        path: &[String],
        name: Option<&str>,
        role: TensorRole,
    ) -> Result<(), ReadError> {
        let tensor = self.read(payload)?;
        let name = name.map_or_else(|| tensor.name.clone(), str::to_owned);
        self.push(tensor, path, name, role)
    }

    /// A `SparseTensorProto`: its values and their indices, as two tensors.
    fn sparse(
        &mut self,
        payload: SourcePayload,
        path: &[String],
        name: Option<&str>,
    ) -> Result<(), ReadError> {
        let (mut values, mut indices) = (None, None);
        let mut dims = Vec::new();
        for field in fields(self.source, payload)? {
            let field = field?;
            match field.number {
                1 => values = Some(self.read(field.payload)?),
                2 => indices = Some(self.read(field.payload)?),
                3 => tensor::numbers(self.source, field.payload, &mut dims)?,
                _ => {}
            }
        }
        let own = values.as_ref().map(|values| values.name.clone()).unwrap_or_default();
        let name = name.map_or(own, str::to_owned);
        let text = format!(
            "{name:?} is sparse, of shape {}; its values and their indices are shown",
            Shape::from(dims)
        );
        let problem = Problem::info("sparse", text);
        self.problems.push(problem.on(TensorId(self.infos.len() as u32)));
        for (part, tensor) in [("values", values), ("indices", indices)] {
            if let Some(tensor) = tensor {
                self.push(tensor, path, format!("{name}.{part}"), TensorRole::Unknown)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, payload: SourcePayload) -> Result<Tensor, ReadError> {
        let Self { source, folder, external, .. } = self;
        tensor::read(source, payload, &mut |location| {
            let found = external.entry(location.to_owned()).or_insert_with(|| locate(folder, location));
            found.clone()
        })
    }

    fn push(
        &mut self,
        tensor: Tensor,
        path: &[String],
        name: String,
        role: TensorRole,
    ) -> Result<(), ReadError> {
        let id = TensorId(self.infos.len() as u32);
        if self.infos.len() >= limits::TENSORS {
            let (what, limit) = ("the number of tensors".into(), limits::TENSORS as u64);
            return Err(ReadError::OverLimit { what, value: limit + 1, limit });
        }
        let elements = tensor.shape.elements();
        let stored = match &tensor.values {
            Ok(Values::Plain(parts) | Values::Varints(parts)) => parts
                .iter()
                .map(|part| if let Part::Range(_, len) = part { *len } else { 1 })
                .fold(0, u64::saturating_add),
            Ok(Values::External { .. }) => {
                tensor.dtype.bytes_for(elements).unwrap_or(0).div_ceil(tensor.packed)
            }
            Err(_) => 0,
        };
        let keys: Box<[String]> = path.iter().cloned().chain([name]).collect();
        let mut info = TensorInfo::new(keys.join("."), tensor.dtype.clone(), tensor.shape.clone(), stored);
        info.layer = info.name.rsplit_once(['.', '/']).map(|(layer, _)| layer.to_owned()).unwrap_or_default();
        info.path = keys;
        info.role = role;
        info.offset = match &tensor.values {
            Ok(Values::Plain(parts)) => match parts[..] {
                [Part::Range(offset, _)] => Some(offset),
                _ => None,
            },
            _ => None,
        };
        if let Err(fault) = &tensor.values {
            let text = format!("{:?}: {fault}", info.name);
            self.problems.push(Problem::error("bad-tensor", text).on(id));
        }
        self.infos.push(info);
        self.tensors.push(tensor);
        Ok(())
    }

    /// Roles that the operations tell, and layers with the operation that uses their tensors.
    pub fn layers(&mut self) -> Vec<LayerInfo> {
        let mut layers: Vec<LayerInfo> = Vec::new();
        let mut known = std::collections::HashSet::new();
        for info in self.infos.iter_mut().filter(|info| info.path.len() == 1) {
            let Some(used) = info.path.first().and_then(|name| self.uses.get(name)) else { continue };
            // Source: the inputs of <https://onnx.ai/onnx/operators/onnx__BatchNormalization.html>.
            if used.op == "BatchNormalization" && used.index >= 3 {
                info.role = TensorRole::Buffer;
                info.trainable = Some(false);
            }
            if !info.layer.is_empty() && info.role != TensorRole::Other && known.insert(info.layer.clone()) {
                layers.push(LayerInfo {
                    path: info.layer.clone(),
                    segments: vec![info.layer.clone()],
                    class: Some(used.op.clone()),
                    ..LayerInfo::default()
                });
            }
        }
        layers
    }
}

/// The file that an external location names, if it lies in the model's folder, and its size.
/// Source: <https://onnx.ai/onnx/repo-docs/ExternalData.html>.
fn locate(folder: &Path, location: &str) -> Result<(PathBuf, u64), String> {
    let relative = Path::new(location);
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside || location.is_empty() || location.contains('\\') {
        return Err(format!(
            "its values are in {location:?}, outside the model's folder, which is not opened"
        ));
    }
    let path = folder.join(relative);
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok((path, metadata.len())),
        Ok(_) => Err(format!("its values are in {location:?}, which is not a regular file")),
        Err(error) => Err(format!("its values are in {location:?}, which cannot be read: {error}")),
    }
}

/// How often each operation occurs, in order of appearance.
#[derive(Default)]
struct Operators {
    total: i64,
    counts: Vec<(String, i64)>,
    index: HashMap<String, usize>,
}

impl Operators {
    fn count(&mut self, op: String) {
        self.total += 1;
        let next = self.counts.len();
        let index = *self.index.entry(op.clone()).or_insert(next);
        match self.counts.get_mut(index) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((op, 1)),
        }
    }

    fn finish(self) -> [(String, Value); 2] {
        let counts = self.counts.into_iter().map(|(op, count)| (op, Value::Int(count))).collect();
        [("nodes".to_owned(), Value::Int(self.total)), ("operators".to_owned(), Value::Map(counts))]
    }
}

/// `opset_import`: domain and version.
pub fn opset(source: &ByteSource, payload: SourcePayload) -> Result<(String, Value), ReadError> {
    let (mut domain, mut version) = (String::new(), 0);
    for field in fields(source, payload)? {
        let field = field?;
        match (field.number, field.payload) {
            (1, payload) => domain = text(source, payload)?,
            (2, SourcePayload::Number(number)) => version = number.cast_signed(),
            _ => {}
        }
    }
    Ok((if domain.is_empty() { "ai.onnx".to_owned() } else { domain }, Value::Int(version)))
}

/// `metadata_props`: a key and its text.
pub fn property(source: &ByteSource, payload: SourcePayload) -> Result<(String, Value), ReadError> {
    entry(source, payload).map(|(key, value)| (key, Value::Text(value)))
}
