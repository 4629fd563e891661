//! Where in an unpickled object the tensors are, what they are called and for, and what the rest says.
//!
//! One walk over the object: tensors go to the catalogue under the keys that lead to them, everything else
//! becomes metadata. Dictionaries that hold nothing but tensors leave no trace in the metadata, for the
//! catalogue already says it all. Bounded: cycles are marked, and values that a pickle shares are repeated
//! only up to a limit.

use std::collections::HashSet;

use super::catalogue::{Catalogue, Naming};
use super::metadata::{key_text, simple};
use super::names::Known;
use super::python_type;
use super::rebuild::{Declared, Part, Rebuilder, Rebuilt};
use super::script_code::ScriptCode;
pub use super::sections::Section;
use super::sections::{is_model_word, is_parameter_name};
use crate::formats::containers::pickle::{Node, NodeId};
use crate::model::{
    Keys, LayerInfo, Problem, PythonType, PythonTypes, RoleEvidence, TensorId, TensorRole, Value, role,
};
use crate::raw::limits;

/// What a node came to.
pub enum Found {
    /// Something for the metadata.
    Value(Value),
    /// A tensor, now in the catalogue.
    Tensor(TensorId),
    /// A container of nothing but tensors.
    Tensors,
}

/// Values that may be written out again because a pickle shares them.
const REPEATED_VALUES: usize = 50_000;

/// Bytes of all byte strings together that are kept whole, such as states of random generators; of others, the first few.
const BYTES_KEPT: u64 = 4 << 20;

/// The walk and what it gathered.
pub struct Walk<'a> {
    /// Makes tensors.
    pub rebuilder: Rebuilder<'a>,
    /// Tensors found.
    pub catalogue: Catalogue,
    /// Modules found.
    pub layers: Vec<LayerInfo>,
    /// Whether a part was found that is clearly a model's.
    pub found_model: bool,
    /// See [`crate::model::CheckpointParts::versioned_modules`].
    pub versioned_modules: Vec<String>,
    /// Classes of TorchScript; empty for other files.
    pub code: ScriptCode,
    /// Buffers of the model, where the file lists them, as `DeepSpeed` does under `buffer_names`.
    buffer_names: Option<HashSet<String>>,
    /// Types that the metadata does not tell.
    pub python_types: PythonTypes,
    /// Bytes of byte strings that may still be kept whole.
    spare_bytes: u64,
    /// The keys that lead to the current node.
    pub(super) path: Vec<String>,
    /// How many of them lead to the root.
    root_depth: usize,
    active: HashSet<NodeId>,
    seen: HashSet<NodeId>,
    values: usize,
    repeated: usize,
    repeating: u32,
}

impl<'a> Walk<'a> {
    /// Over the rebuilder's pickle.
    pub fn new(rebuilder: Rebuilder<'a>, code: ScriptCode) -> Self {
        Self {
            rebuilder,
            code,
            root_depth: 0,
            catalogue: Catalogue::default(),
            layers: Vec::new(),
            found_model: false,
            versioned_modules: Vec::new(),
            buffer_names: None,
            python_types: PythonTypes::default(),
            spare_bytes: BYTES_KEPT,
            path: Vec::new(),
            active: HashSet::new(),
            seen: HashSet::new(),
            values: 0,
            repeated: 0,
            repeating: 0,
        }
    }

    /// Walks everything under `root`, whose tensors' names begin with `prefix`; gives the metadata.
    pub fn run(&mut self, root: NodeId, prefix: &[String], section: Section) -> Value {
        self.path = prefix.to_vec();
        self.root_depth = prefix.len();
        match self.find(root, section) {
            Found::Value(value) => value,
            Found::Tensor(_) | Found::Tensors => Value::empty(),
        }
    }

    /// What one node comes to.
    pub(super) fn find(&mut self, id: NodeId, section: Section) -> Found {
        let view = self.rebuilder.view;
        if self.values >= limits::METADATA_NODES {
            return Found::Value(Value::Elided("more values than are kept"));
        }
        self.values += 1;
        if self.repeating > 0 {
            self.repeated += 1;
            if self.repeated > REPEATED_VALUES {
                return Found::Value(Value::Elided("the same as an earlier value"));
            }
        }
        let made = self.rebuilder.tensor(id);
        match made {
            // One with attributes is a container too: they can hold tensors, and the tensor itself.
            Some(ref made) if made.attributes.is_some() => {}
            Some(made) => return self.tensor(made, section),
            None => {
                if let Some(value) = simple(view, id) {
                    if let Some(of) = python_type::of_value(view, id) {
                        self.python_types.insert(&self.path, of);
                    }
                    return Found::Value(self.whole(id, value));
                }
            }
        }
        if self.path.len() >= limits::METADATA_DEPTH {
            return Found::Value(Value::Elided("nested too deeply"));
        }
        if !self.active.insert(id) {
            return Found::Value(Value::Elided("a cycle: it holds itself"));
        }
        let repeats = !self.seen.insert(id);
        self.repeating += u32::from(repeats);
        let found = match made {
            Some(made) => self.tensor(made, section),
            None => self.container(id, section),
        };
        self.repeating -= u32::from(repeats);
        self.active.remove(&id);
        found
    }

    fn container(&mut self, id: NodeId, section: Section) -> Found {
        let view = self.rebuilder.view;
        if let Some(entries) = view.mapping(id) {
            let found = self.dictionary(&entries, section);
            self.note_type(python_type::of_mapping(view, id, &entries), &found);
            return self.with_attributes(id, found);
        }
        if let Some(items) = view.sequence(id) {
            let found = self.list(&items, section);
            self.note_type(python_type::of_sequence(view, id), &found);
            return found;
        }
        if let Some(found) = self.module(id, section) {
            return found;
        }
        Found::Value(self.object(id, section))
    }

    /// Notes the type of a container, unless what it came to tells it.
    fn note_type(&mut self, of: PythonType, found: &Found) {
        let is_told =
            matches!((of, found), (PythonType::Dict { ordered: false, keys: Keys::Text }, Found::Value(_)));
        if !is_told {
            self.python_types.insert(&self.path, of);
        }
    }

    /// A value with all of its bytes, where it is a byte string and there is room.
    fn whole(&mut self, id: NodeId, value: Value) -> Value {
        let Value::Bytes { len, preview } = &value else { return value };
        if *len <= preview.len() as u64 || *len > self.spare_bytes {
            return value;
        }
        let source = self.rebuilder.view.bytes(id, self.spare_bytes);
        let Some(Ok(bytes)) = source.map(|source| source?.read_vec("bytes in a pickle", 0, *len, *len))
        else {
            return value;
        };
        self.spare_bytes -= *len;
        Value::Bytes { len: *len, preview: bytes }
    }

    /// Adds the attributes of a dictionary of a foreign class to what its entries came to.
    fn with_attributes(&mut self, id: NodeId, found: Found) -> Found {
        let view = self.rebuilder.view;
        self.note_versions(id);
        // Those of `OrderedDict` are torch's bookkeeping (`_metadata`).
        let is_foreign = view.call(id).is_some_and(|(_, known)| *known != Known::Mapping);
        let attributes = view.attributes(id).filter(|_| is_foreign).unwrap_or_default();
        if attributes.is_empty() {
            return found;
        }
        let mut fields = match found {
            Found::Value(Value::Map(fields)) => fields,
            _ => Vec::new(),
        };
        for (key, value) in attributes {
            self.field(key_text(view, key), value, Section::Other, &mut fields);
        }
        Found::Value(Value::Object { class: view.class(id).unwrap_or_default(), fields })
    }

    /// Keeps which modules of a state dictionary have a version of at least 2.
    /// Source: `state_dict` in `torch/nn/modules/module.py`: `_metadata[prefix] = {"version": n}`.
    fn note_versions(&mut self, id: NodeId) {
        let view = self.rebuilder.view;
        let attributes = view.attributes(id).unwrap_or_default();
        let Some(modules) = view.entry(&attributes, "_metadata").and_then(|node| view.mapping(node)) else {
            return;
        };
        for (key, value) in modules {
            let version = view.mapping(value).and_then(|entries| view.entry(&entries, "version"));
            if version.and_then(|node| view.graph.int(node)).is_some_and(|version| version >= 2)
                && self.versioned_modules.len() < limits::TENSORS
            {
                let keys = self.path.iter().cloned().chain([key_text(view, key)]);
                self.versioned_modules.push(keys.filter(|key| !key.is_empty()).collect::<Vec<_>>().join("."));
            }
        }
    }

    fn dictionary(&mut self, entries: &[(NodeId, NodeId)], section: Section) -> Found {
        let section = self.enter(entries, section);
        if section == Section::Outer
            && let Some(names) = self.rebuilder.view.entry(entries, "buffer_names")
            && let Some(names) = self.rebuilder.view.sequence(names)
        {
            let names = names.iter().map(|&name| key_text(self.rebuilder.view, name));
            self.buffer_names = Some(names.collect());
        }
        let has_student = self.rebuilder.view.entry(entries, "student").is_some();
        let mut kept = Vec::new();
        let mut tensors = Vec::new();
        let mut only_tensors = !entries.is_empty();
        for (index, key) in self.keys(entries).into_iter().enumerate() {
            let Some(&(_, value)) = entries.get(index) else { break };
            let inner = match self.section_of(&key, value, section) {
                // An average of the student or another model: either way not the one that is trained.
                Section::Model { .. } if has_student && key == "teacher" => Section::Other,
                inner => inner,
            };
            self.path.push(key);
            let found = self.find(value, inner);
            let key = self.path.pop().unwrap_or_default();
            match found {
                Found::Value(value) => {
                    only_tensors = false;
                    kept.push((key, value));
                }
                // Scores and other tensors beside plain values are worth seeing there.
                Found::Tensor(id) if matches!(inner, Section::Outer | Section::Other) => {
                    tensors.push(kept.len());
                    kept.push((key, Value::Tensor(id)));
                }
                Found::Tensor(_) | Found::Tensors => {}
            }
        }
        let plain = kept.iter().filter(|(_, value)| !matches!(value, Value::Tensor(_))).count();
        if plain > 0 && plain < entries.len() {
            let keys = self.keys(entries);
            self.python_types.insert_order(&self.path, keys);
        }
        if only_tensors { Found::Tensors } else { Found::Value(Value::Map(kept)) }
    }

    /// The keys of a dictionary as names, each once. An object has no name: its place stands for it, as it does in
    /// `optimizer.state_dict()` for the parameters that an optimizer's state is kept under.
    fn keys(&self, entries: &[(NodeId, NodeId)]) -> Vec<String> {
        let view = self.rebuilder.view;
        let is_text = |&(key, _): &(NodeId, NodeId)| matches!(view.graph.node(key), Node::Text(_));
        if entries.iter().all(is_text) {
            return entries.iter().map(|&(key, _)| key_text(view, key)).collect();
        }
        let mut taken = HashSet::new();
        let mut keys = Vec::with_capacity(entries.len());
        for (index, &(key, _)) in entries.iter().enumerate() {
            let is_object = matches!(view.graph.node(key), Node::Call(_)) && simple(view, key).is_none();
            let mut name = if is_object { index.to_string() } else { key_text(view, key) };
            if taken.contains(&name) {
                name = format!("{name} ({index})");
            }
            taken.insert(name.clone());
            keys.push(name);
        }
        keys
    }

    fn list(&mut self, items: &[NodeId], section: Section) -> Found {
        let mut kept = Vec::with_capacity(items.len().min(1024));
        let mut only_tensors = !items.is_empty();
        for (index, &item) in items.iter().enumerate() {
            self.path.push(index.to_string());
            let found = self.find(item, section);
            self.path.pop();
            kept.push(match found {
                Found::Value(value) => {
                    only_tensors = false;
                    value
                }
                Found::Tensor(id) => Value::Tensor(id),
                Found::Tensors => Value::Elided("tensors"),
            });
        }
        if only_tensors { Found::Tensors } else { Found::Value(Value::List(kept)) }
    }

    /// An object of a class without a meaning here: its attributes, or what it was made with.
    pub(super) fn object(&mut self, id: NodeId, section: Section) -> Value {
        let view = self.rebuilder.view;
        let class = view.class(id).unwrap_or_else(|| "object".to_owned());
        let mut fields = Vec::new();
        let Some((call, known)) = view.call(id) else { return Value::Elided("not a value") };
        let section = if section == Section::Outer { Section::Other } else { section };
        if let Some(attributes) = view.attributes(id) {
            for (key, value) in attributes {
                let key = key_text(view, key);
                self.field(key, value, section, &mut fields);
            }
        } else if let Some(state) = call.state {
            self.field("state".to_owned(), state, section, &mut fields);
        }
        let made_with = if *known == Known::MakeObject { &[] } else { view.args(call) };
        if !made_with.is_empty() {
            self.field("args".to_owned(), call.args, section, &mut fields);
        }
        if let Some(keywords) = call.keywords {
            self.field("kwargs".to_owned(), keywords, section, &mut fields);
        }
        if !call.items.is_empty() {
            let items = call.items.clone();
            if let Found::Value(value) = self.list(&items, section) {
                fields.push(("items".to_owned(), value));
            }
        }
        Value::Object { class, fields }
    }

    fn field(&mut self, key: String, value: NodeId, section: Section, fields: &mut Vec<(String, Value)>) {
        self.path.push(key);
        let found = self.find(value, section);
        let key = self.path.pop().unwrap_or_default();
        match found {
            Found::Value(value) => fields.push((key, value)),
            Found::Tensor(id) => fields.push((key, Value::Tensor(id))),
            Found::Tensors => {}
        }
    }

    /// What a dictionary is for, seen from inside.
    fn enter(&mut self, entries: &[(NodeId, NodeId)], section: Section) -> Section {
        let view = self.rebuilder.view;
        let has = |key: &str| view.entry(entries, key).is_some();
        match section {
            Section::Outer | Section::Model { base: None } if has("param_groups") && has("state") => {
                Section::Optimizer
            }
            Section::Outer | Section::Model { base: None } => {
                let tensors = entries.iter().filter(|(_, value)| view.is_tensor(*value)).count();
                let nested = entries
                    .iter()
                    .filter(|(key, value)| {
                        // Such a key leads to a part of its own.
                        view.graph.text(*key).is_some_and(|key| !is_model_word(key))
                            && view.mapping(*value).is_some()
                    })
                    .count();
                let all = entries.len();
                let named_model = matches!(section, Section::Model { .. });
                let is_state_dict =
                    tensors > 0 && tensors * 2 >= all || named_model && all > 0 && tensors + nested == all;
                let expected = named_model
                    || self.path.len() == self.root_depth
                    || entries.iter().any(|(key, _)| view.graph.text(*key).is_some_and(is_parameter_name));
                if is_state_dict && expected {
                    self.found_model = true;
                    Section::Model { base: Some(self.path.len()) }
                } else if is_state_dict {
                    Section::Other
                } else {
                    Section::Outer
                }
            }
            decided => decided,
        }
    }

    /// What the value of a key is for.
    fn section_of(&self, key: &str, value: NodeId, around: Section) -> Section {
        // Averages that a training library keeps inside its optimizer or a callback.
        let is_average = Section::of_key(key) == Section::Ema
            && match around {
                Section::Optimizer => key.eq_ignore_ascii_case("ema"),
                Section::Other => self.path.first().is_some_and(|first| first == "callbacks"),
                _ => false,
            };
        if is_average {
            return Section::Ema;
        }
        if around != Section::Outer {
            return around;
        }
        if self.rebuilder.view.is_tensor(value) {
            return Section::Other;
        }
        Section::of_key(key)
    }

    /// Names a tensor by the keys that lead to it.
    fn tensor(&mut self, made: Rebuilt, section: Section) -> Found {
        let name = self.path.join(".");
        let declared = made.declared;
        let base = match section {
            Section::Model { base: Some(base) } => base,
            _ => self.path.len().saturating_sub(1),
        };
        let inside = self.path.get(base..).unwrap_or_default().join(".");
        let (role, evidence) = match (section, declared) {
            (Section::Model { .. }, Some(Declared::Buffer)) => {
                (TensorRole::Buffer, Some(RoleEvidence::Declared))
            }
            (Section::Model { .. }, Some(Declared::Parameter)) => {
                (TensorRole::Parameter, Some(RoleEvidence::Declared))
            }
            (Section::Model { .. }, None) => {
                let (role, evidence) = self.role_by_name(&inside, &made);
                (role, Some(evidence))
            }
            (Section::Ema, _) => (TensorRole::Ema, Some(RoleEvidence::Keys)),
            (Section::Optimizer, _) => (TensorRole::Optimizer, Some(RoleEvidence::Keys)),
            (Section::Other, _) => (TensorRole::Other, Some(RoleEvidence::Keys)),
            (Section::Outer, _) => (TensorRole::Unknown, None),
        };
        let layer = match section {
            Section::Model { .. } | Section::Ema => {
                inside.rsplit_once('.').map(|(layer, _)| layer.to_owned()).unwrap_or_default()
            }
            _ => String::new(),
        };
        let trainable = match (role, declared) {
            (TensorRole::Parameter, Some(Declared::Parameter)) => made.requires_grad,
            _ => None,
        };
        let naming = Naming { name, path: self.path.clone(), stored_name: None, layer, role, trainable };
        let found = self.add(made, naming);
        self.note_evidence(&found, evidence);
        found
    }

    /// The role of a tensor that its file does not mark, by its name in the `state_dict`.
    fn role_by_name(&self, name: &str, made: &Rebuilt) -> (TensorRole, RoleEvidence) {
        match &self.buffer_names {
            Some(buffers) if buffers.contains(name) => (TensorRole::Buffer, RoleEvidence::Declared),
            Some(_) if made.dtype.is_float() => (TensorRole::Parameter, RoleEvidence::Declared),
            _ => role::of_state_dict(name, &made.dtype, &made.shape),
        }
    }

    /// Keeps with a tensor why it has its role.
    pub(super) fn note_evidence(&mut self, found: &Found, evidence: Option<RoleEvidence>) {
        if let Found::Tensor(id) = found
            && let Some(tensor) = self.catalogue.tensors.get_mut(id.index())
        {
            tensor.role_evidence = evidence;
        }
    }

    /// Adds a tensor, its parts and what its attributes hold to the catalogue. The current path must be the tensor's.
    pub(super) fn add(&mut self, mut made: Rebuilt, naming: Naming) -> Found {
        let parts = std::mem::take(&mut made.parts);
        let attributes = made.attributes.take();
        let around = naming.clone();
        let Some(id) = self.catalogue.add(&made, naming, &self.rebuilder.storages) else {
            if self.catalogue.problems.last().is_none_or(|problem| problem.code != "too-many") {
                let text = format!("more than {} tensors; the rest is not listed", limits::TENSORS);
                self.catalogue.problems.push(Problem::error("too-many", text));
            }
            return Found::Value(Value::Elided("more tensors than are kept"));
        };
        for (part, made) in parts {
            let made = match made {
                Part::Node(node) => self.rebuilder.tensor(node),
                Part::Made(made) => Some(*made),
            };
            if let Some(mut made) = made {
                made.parts.clear();
                let mut naming = around.clone();
                naming.name =
                    if naming.name.is_empty() { part.to_owned() } else { format!("{}.{part}", naming.name) };
                naming.path.push(part.to_owned());
                naming.stored_name = None;
                naming.role = TensorRole::Other;
                naming.trainable = None;
                self.catalogue.add(&made, naming, &self.rebuilder.storages);
            }
        }
        let Some((class, state)) = attributes else { return Found::Tensor(id) };
        let mut fields = vec![("tensor".to_owned(), Value::Tensor(id))];
        match self.rebuilder.view.state(state) {
            Some(entries) => {
                for (key, value) in entries {
                    if !self.is_none(value) {
                        let key = key_text(self.rebuilder.view, key);
                        self.field(key, value, Section::Other, &mut fields);
                    }
                }
            }
            None if self.is_none(state) => {}
            None => self.field("state".to_owned(), state, Section::Other, &mut fields),
        }
        if fields.len() == 1 {
            return Found::Tensor(id);
        }
        let class = if class.is_empty() { "torch.nn.parameter.Parameter".to_owned() } else { class };
        Found::Value(Value::Object { class, fields })
    }

    /// Whether a node is a plain `None`.
    pub(super) fn is_none(&self, id: NodeId) -> bool {
        self.rebuilder.view.graph.node(id) == Node::None
    }

    /// Marks a node as being walked; `false` when it is already, or when too much has been walked: modules that
    /// share their children can stand for 2^100 of them.
    pub(super) fn activate(&mut self, id: NodeId) -> bool {
        self.values += 1;
        self.repeated += usize::from(!self.seen.insert(id));
        self.values < limits::METADATA_NODES && self.repeated <= REPEATED_VALUES && self.active.insert(id)
    }

    /// Ends what [`Self::activate`] began.
    pub(super) fn deactivate(&mut self, id: NodeId) {
        self.active.remove(&id);
    }
}
