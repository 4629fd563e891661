//! The object that a PyTorch file will hold: dictionaries and lists around tensors and plain values.
//!
//! A catalogue keeps the keys that lead to each tensor, and its metadata what is no tensor; together with the types of the
//! containers ([`PythonType`]) they give back the structure of the checkpoint. What they do not keep is decided here: the
//! tensors of a module are an `OrderedDict`, as its `state_dict` is, and in a distributed checkpoint, which has keys only,
//! those of an optimizer's `state` are integers (`torch.optim.Optimizer.state_dict`).

use std::collections::{HashMap, HashSet};

use crate::export::plan::PlannedTensor;
use crate::export::{ExportPlan, MetadataChoice};
use crate::model::{Checkpoint, Keys, PythonType, PythonTypes, TensorRole, Value};

/// One object of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    /// A plain value, without containers.
    Plain(Value),
    /// A list.
    List(Vec<Object>),
    /// A tuple.
    Tuple(Vec<Object>),
    /// What a class gives for arguments.
    Call { module: &'static str, class: &'static str, args: Vec<Object> },
    /// Something of torch, by its name.
    Torch(String),
    /// A dictionary. `ordered` asks for an `OrderedDict`.
    Dict { entries: Vec<(Key, Object)>, ordered: bool },
    /// A tensor of the plan.
    Tensor(usize),
}

/// A key of a dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Text(String),
    Int(i64),
}

/// What could not be carried over as it was.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// Objects of classes, now dictionaries of their fields.
    pub objects: u64,
    /// Classes and functions, now their names, and dictionaries whose keys are now text.
    pub texts: u64,
    /// Values that are not there to be written: long bytes, what was elided.
    pub dropped: u64,
}

/// Levels of nesting. The metadata of a checkpoint has fewer.
const DEPTH: usize = 256;

/// Items of one list. The metadata of a checkpoint has fewer values.
const ITEMS: usize = 1 << 22;

/// A container on the way to becoming an [`Object`].
#[derive(Default)]
struct Branch {
    entries: Vec<(String, Node)>,
    places: HashMap<String, usize>,
    is_list: bool,
    /// Holds tensors of a model directly.
    holds_model: bool,
    /// Was there before any tensor: in the metadata.
    is_known: bool,
}

enum Node {
    Value(Value),
    Tensor(usize),
    Branch(Branch),
}

impl Branch {
    fn child(&mut self, key: &str) -> &mut Node {
        let place = if let Some(&place) = self.places.get(key) {
            place
        } else {
            self.insert(key.to_owned(), Node::Branch(Self::default()));
            self.entries.len() - 1
        };
        // `place` is in bounds: entries are only added.
        &mut self.entries[place].1
    }

    fn insert(&mut self, key: String, node: Node) {
        self.entries.push((key.clone(), node));
        self.places.insert(key, self.entries.len() - 1);
    }
}

/// The object for a plan: its tensors at their keys, the chosen metadata around them.
pub(super) fn object(checkpoint: &Checkpoint, plan: &ExportPlan) -> (Object, Losses) {
    if let [tensor] = plan.tensors.as_slice()
        && tensor.keys.is_empty()
    {
        return (Object::Tensor(0), Losses::default());
    }
    let mut walk = Walk {
        types: checkpoint.python_types(),
        // What a distributed checkpoint says of its containers is how their keys look.
        guesses: checkpoint.format() == "pytorch-distributed",
        modules: checkpoint.layers().iter().map(|layer| layer.segments.as_slice()).collect(),
        path: Vec::new(),
        losses: Losses::default(),
    };
    let has_optimizer =
        plan.tensors.iter().any(|tensor| checkpoint.tensor(tensor.id).role == TensorRole::Optimizer);
    let mut root = match checkpoint.metadata() {
        Value::Map(entries) if is_structured(checkpoint) => {
            let mut root = Branch::default();
            for (key, value) in entries.iter().filter(|(key, _)| plan.request.metadata.keeps(key)) {
                // An optimizer's settings are of no use without its state.
                if has_optimizer || value.get("param_groups").is_none() {
                    walk.entry(key, value, &mut root);
                }
            }
            root
        }
        list @ Value::List(_)
            if is_structured(checkpoint) && plan.request.metadata == MetadataChoice::All =>
        {
            match walk.node(list) {
                Some(Node::Branch(root)) => root,
                _ => Branch::default(),
            }
        }
        _ => Branch::default(),
    };
    root.is_known = !root.entries.is_empty();
    for (index, tensor) in plan.tensors.iter().enumerate() {
        let is_model = matches!(
            checkpoint.tensor(tensor.id).role,
            TensorRole::Parameter | TensorRole::Buffer | TensorRole::Ema
        );
        insert(&mut root, tensor, index, is_model);
    }
    let object = walk.finish(root, false);
    (object, walk.losses)
}

/// Whether the keys of a checkpoint's tensors and its metadata are those of one pickled object.
pub(super) fn is_structured(checkpoint: &Checkpoint) -> bool {
    matches!(
        checkpoint.format(),
        "pytorch-zip" | "pytorch-legacy" | "pytorch-tar" | "pytorch-pickle" | "pytorch-distributed"
    )
}

fn insert(root: &mut Branch, tensor: &PlannedTensor, index: usize, is_model: bool) {
    let mut branch = root;
    let mut keys = tensor.keys.as_slice();
    while let [key, rest @ ..] = keys
        && !rest.is_empty()
    {
        match branch.child(key) {
            // What a tensor is made of, such as its scales, stands beside it.
            Node::Tensor(_) => break,
            // A placeholder of the metadata stands where the container of the tensors was.
            value @ Node::Value(_) => *value = Node::Branch(Branch::default()),
            Node::Branch(_) => {}
        }
        let Node::Branch(next) = branch.child(key) else { return };
        branch = next;
        keys = rest;
    }
    branch.holds_model |= is_model;
    *branch.child(&keys.join(".")) = Node::Tensor(index);
}

/// The metadata as branches.
struct Walk<'a> {
    types: &'a PythonTypes,
    /// Whether lists and integers as keys are told by how the keys look.
    guesses: bool,
    /// The keys of modules, whose settings are not what their `state_dict` holds.
    modules: HashSet<&'a [String]>,
    path: Vec<String>,
    losses: Losses,
}

impl Walk<'_> {
    /// Adds an entry to a container, if it can be written.
    fn entry(&mut self, key: &str, value: &Value, branch: &mut Branch) {
        self.path.push(key.to_owned());
        let node = self.node(value);
        self.path.pop();
        if let Some(node) = node {
            branch.insert(key.to_owned(), node);
        } else if branch.is_list {
            branch.insert(key.to_owned(), Node::Value(Value::Null));
        }
    }

    /// `None` for what cannot be written, and for tensors, which come by their keys.
    fn node(&mut self, value: &Value) -> Option<Node> {
        let mut branch = Branch { is_known: true, ..Branch::default() };
        match value {
            Value::Tensor(_) => return None,
            Value::Elided("tensors") => return Some(Node::Branch(Branch::default())),
            Value::Object { .. } if self.modules.contains(self.path.as_slice()) => {
                return Some(Node::Branch(Branch::default()));
            }
            Value::Elided(_) => {
                self.losses.dropped += 1;
                return None;
            }
            Value::Bytes { len, preview } if *len > preview.len() as u64 => {
                self.losses.dropped += 1;
                return None;
            }
            Value::List(_) | Value::Map(_) | Value::Object { .. } if self.path.len() > DEPTH => {
                self.losses.dropped += 1;
                return None;
            }
            Value::List(items) => {
                branch.is_list = true;
                for (index, item) in items.iter().enumerate() {
                    self.entry(&index.to_string(), item, &mut branch);
                }
            }
            Value::Map(entries) | Value::Object { fields: entries, .. } => {
                self.losses.objects += u64::from(matches!(value, Value::Object { .. }));
                for (key, value) in entries {
                    self.entry(key, value, &mut branch);
                }
            }
            plain => return Some(Node::Value(plain.clone())),
        }
        Some(Node::Branch(branch))
    }

    /// A container as it was in the checkpoint. `int_keys` guesses that its keys were integers.
    fn finish(&mut self, branch: Branch, int_keys: bool) -> Object {
        let of = self.types.get(&self.path).unwrap_or_else(|| self.likely(&branch, int_keys));
        let is_optimizer =
            self.guesses && ["state", "param_groups"].iter().all(|key| branch.places.contains_key(*key));
        let mut entries = Vec::with_capacity(branch.entries.len());
        for (key, node) in branch.entries {
            let is_state = is_optimizer && key == "state";
            self.path.push(key);
            let object = match node {
                Node::Value(value) => self.plain(value),
                Node::Tensor(index) => Object::Tensor(index),
                Node::Branch(inner) => self.finish(inner, is_state),
            };
            entries.push((self.path.pop().unwrap_or_default(), object));
        }
        let order = self.types.order(&self.path);
        if !order.is_empty() {
            let places: HashMap<&str, usize> = order.iter().map(String::as_str).zip(0..).collect();
            entries.sort_by_key(|(key, _)| places.get(key.as_str()).copied().unwrap_or(usize::MAX));
        }
        let (ordered, keys) = match of {
            PythonType::Dict { ordered, keys } => (ordered, keys),
            of => match in_order(entries) {
                Ok(items) => return sequence(of, items),
                Err(renamed) => {
                    entries = renamed;
                    (false, Keys::Text)
                }
            },
        };
        self.losses.texts += u64::from(keys == Keys::Other);
        let key = |key: String| match key.parse::<i64>() {
            Ok(number) if keys == Keys::Int && number.to_string() == key => Key::Int(number),
            _ => Key::Text(key),
        };
        Object::Dict {
            entries: entries.into_iter().map(|(name, object)| (key(name), object)).collect(),
            ordered,
        }
    }

    /// The type of a container of which only the keys are known.
    fn likely(&self, branch: &Branch, int_keys: bool) -> PythonType {
        let is_counted =
            || branch.entries.iter().enumerate().all(|(index, (key, _))| *key == index.to_string());
        let holds_list = self.guesses
            && !branch.is_known
            && !self.path.is_empty()
            && !int_keys
            && !branch.holds_model
            && !branch.entries.is_empty()
            && is_counted();
        if branch.is_list || holds_list {
            return PythonType::List;
        }
        let keys = if int_keys { Keys::Int } else { Keys::Text };
        PythonType::Dict { ordered: branch.holds_model && !branch.is_known, keys }
    }

    fn plain(&mut self, value: Value) -> Object {
        let float = |number| Object::Plain(Value::Float(number));
        let builtin = |class, args| Object::Call { module: "builtins", class, args };
        match (self.types.get(&self.path), value) {
            (Some(PythonType::Dtype), Value::Text(name)) => {
                Object::Torch(name.strip_prefix("torch.").unwrap_or(&name).to_owned())
            }
            (Some(PythonType::Device), Value::Text(text)) => {
                let (kind, index) = text.split_once(':').unwrap_or((&text, ""));
                let index = index.parse().ok().map(Value::Int);
                let args = [Some(Value::Text(kind.to_owned())), index].into_iter().flatten();
                Object::Call { module: "torch", class: "device", args: args.map(Object::Plain).collect() }
            }
            (Some(PythonType::Complex { re, im }), _) => builtin("complex", vec![float(re), float(im)]),
            (Some(PythonType::ByteArray), bytes) => builtin("bytearray", vec![Object::Plain(bytes)]),
            (of, value) => {
                self.losses.texts += u64::from(of == Some(PythonType::Global));
                Object::Plain(value)
            }
        }
    }
}

/// Items in the order of their indices, with `None` for those that were left out; the entries themselves where keys are no
/// indices.
fn in_order(entries: Vec<(String, Object)>) -> Result<Vec<Object>, Vec<(String, Object)>> {
    let index =
        |key: &str| key.parse::<usize>().ok().filter(|index| *index < ITEMS && index.to_string() == key);
    let end = entries.iter().try_fold(0, |end, (key, _)| Some(end.max(index(key)? + 1)));
    let Some(end) = end else { return Err(entries) };
    let mut items = vec![Object::Plain(Value::Null); end];
    for (key, object) in entries {
        if let Some(item) = index(&key).and_then(|index| items.get_mut(index)) {
            *item = object;
        }
    }
    Ok(items)
}

fn sequence(of: PythonType, items: Vec<Object>) -> Object {
    let call = |module, class, argument| Object::Call { module, class, args: vec![argument] };
    match of {
        PythonType::Tuple => Object::Tuple(items),
        PythonType::Set => call("builtins", "set", Object::List(items)),
        PythonType::Size => call("torch", "Size", Object::Tuple(items)),
        _ => Object::List(items),
    }
}
