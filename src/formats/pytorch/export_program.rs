//! The program of `torch.export`: versions, what its tensors are for, its modules.
//!
//! Source of the fields: `ExportedProgram` in
//! <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/_export/serde/schema.py>.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value as Json;

use crate::model::{Dtype, LayerInfo, TensorRole, Value};

/// Modules that are listed.
const LAYERS: usize = 100_000;

/// What is taken from a program.
#[derive(Default)]
pub struct Program {
    /// Of the torch that wrote it.
    pub torch_version: Option<String>,
    /// Roles of parameters, buffers and constants by their names.
    pub roles: HashMap<String, TensorRole>,
    /// Modules in the order in which the graph meets them.
    pub layers: Vec<LayerInfo>,
    /// Versions, inputs and outputs, how often each operator is used.
    pub metadata: Vec<(String, Value)>,
}

impl Program {
    /// From parsed JSON, which is bounded in depth.
    pub fn read(json: &Json) -> Self {
        let module = json.get("graph_module").unwrap_or(&Json::Null);
        let graph = module.get("graph").unwrap_or(&Json::Null);
        let signature = module.get("signature").unwrap_or(&Json::Null);
        let torch_version = json.get("torch_version").and_then(Json::as_str).map(str::to_owned);
        let mut metadata = Vec::new();
        for key in [
            "torch_version",
            "schema_version",
            "opset_version",
            "dialect",
            "verifiers",
            "range_constraints",
            "guards_code",
        ] {
            if let Some(value) = json.get(key) {
                metadata.push((key.to_owned(), Value::from_json(value.clone())));
            }
        }
        for (key, specs) in [("inputs", "input_specs"), ("outputs", "output_specs")] {
            let specs = signature.get(specs).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
            let listed = specs.iter().filter_map(|spec| argument(spec, graph)).collect();
            metadata.push((key.to_owned(), Value::List(listed)));
        }
        let mut operators: BTreeMap<&str, i64> = BTreeMap::new();
        let nodes = graph.get("nodes").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        for node in nodes {
            if let Some(target) = node.get("target").and_then(Json::as_str) {
                *operators.entry(target).or_default() += 1;
            }
        }
        let operators = operators.into_iter().map(|(name, count)| (name.to_owned(), Value::Int(count)));
        metadata.push(("operators".to_owned(), Value::Map(operators.collect())));
        Self { torch_version, roles: roles(signature), layers: layers(nodes), metadata }
    }
}

/// What the signature says that named tensors are.
fn roles(signature: &Json) -> HashMap<String, TensorRole> {
    let mut roles = HashMap::new();
    for spec in signature.get("input_specs").and_then(Json::as_array).into_iter().flatten() {
        for (kind, key, role) in [
            ("parameter", "parameter_name", TensorRole::Parameter),
            ("buffer", "buffer_name", TensorRole::Buffer),
            ("tensor_constant", "tensor_constant_name", TensorRole::Other),
        ] {
            if let Some(name) = spec.get(kind).and_then(|inner| inner.get(key)?.as_str()) {
                roles.insert(name.to_owned(), role);
            }
        }
    }
    roles
}

/// An input or output of the user's: its name, and dtype and shape where it is a tensor.
fn argument(spec: &Json, graph: &Json) -> Option<Value> {
    let argument = spec.get("user_input").or_else(|| spec.get("user_output"))?.get("arg")?;
    let (kind, inner) = argument.as_object()?.iter().next()?;
    let Some(name) = inner.get("name").and_then(Json::as_str).filter(|_| kind == "as_tensor") else {
        return Some(Value::Map(vec![(kind.clone(), Value::from_json(inner.clone()))]));
    };
    let mut fields = vec![("name".to_owned(), Value::Text(name.to_owned()))];
    if let Some(meta) = graph.get("tensor_values").and_then(|values| values.get(name)) {
        if let Some(dtype) = meta.get("dtype").and_then(Json::as_u64).and_then(scalar_type) {
            fields.push(("dtype".to_owned(), Value::Text(dtype.name().to_owned())));
        }
        let dims = meta.get("sizes").and_then(Json::as_array).into_iter().flatten().map(dimension).collect();
        fields.push(("shape".to_owned(), Value::List(dims)));
    }
    Some(Value::Map(fields))
}

/// A dimension: a number, or a symbol such as `s0`.
fn dimension(size: &Json) -> Value {
    if let Some(number) = size.get("as_int").and_then(Json::as_i64) {
        return Value::Int(number);
    }
    let symbol = size.get("as_expr").and_then(|expression| expression.get("expr_str")?.as_str());
    Value::Text(symbol.unwrap_or("?").to_owned())
}

/// Modules by the stack that each node of the graph carries: `key,path,class;key,path,class`.
fn layers(nodes: &[Json]) -> Vec<LayerInfo> {
    let mut seen = HashSet::new();
    let mut layers = Vec::new();
    let stacks = nodes.iter().filter_map(|node| node.get("metadata")?.get("nn_module_stack")?.as_str());
    for module in stacks.flat_map(|stack| stack.split(';')) {
        let mut parts = module.splitn(3, ',');
        let (Some(_), Some(path), Some(class)) = (parts.next(), parts.next(), parts.next()) else { continue };
        // A module that is called again has `@1` behind its path; the first releases wrote expressions.
        let path = path.split('@').next().unwrap_or(path);
        if path.contains('[') || layers.len() >= LAYERS || !seen.insert(path) {
            continue;
        }
        let class = class.trim_end_matches(['\'', '>']).rsplit('.').next().unwrap_or(class);
        layers.push(LayerInfo {
            path: path.to_owned(),
            segments: if path.is_empty() { Vec::new() } else { path.split('.').map(str::to_owned).collect() },
            class: Some(class.to_owned()),
            ..LayerInfo::default()
        });
    }
    layers
}

/// Source: `ScalarType` in the schema.
pub fn scalar_type(code: u64) -> Option<Dtype> {
    Some(match code {
        1 => Dtype::Uint8,
        2 => Dtype::Int8,
        3 => Dtype::Int16,
        4 => Dtype::Int32,
        5 => Dtype::Int64,
        6 => Dtype::Float16,
        7 => Dtype::Float32,
        8 => Dtype::Float64,
        9 => Dtype::Complex32,
        10 => Dtype::Complex64,
        11 => Dtype::Complex128,
        12 => Dtype::Bool,
        13 => Dtype::Bfloat16,
        28 => Dtype::Uint16,
        29 => Dtype::Float8E4m3fn,
        30 => Dtype::Float8E5m2,
        31 => Dtype::Float8E4m3fnuz,
        32 => Dtype::Float8E5m2fnuz,
        33 => Dtype::Float8E8m0fnu,
        34 => Dtype::Uint32,
        35 => Dtype::Uint64,
        _ => return None,
    })
}
