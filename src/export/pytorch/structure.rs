//! The object that a PyTorch file will hold: dictionaries and lists around tensors and plain values.
//!
//! A catalogue keeps the keys that lead to each tensor, and its metadata what is no tensor; together they give back the
//! structure of the checkpoint. What they do not keep is decided here: keys of an optimizer's `state` are integers
//! (`torch.optim.Optimizer.state_dict`), tuples come back as lists, and dictionaries of a model's tensors are ordered.

use std::collections::{HashMap, HashSet};

use crate::export::ExportPlan;
use crate::export::plan::PlannedTensor;
use crate::model::{Checkpoint, TensorRole, Value};

/// One object of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    /// A plain value, without containers.
    Plain(Value),
    /// A list.
    List(Vec<Object>),
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
    /// Values that are not there to be written: long bytes, what was elided.
    pub dropped: u64,
}

/// Levels of nesting. The metadata of a checkpoint has fewer.
const DEPTH: usize = 256;

/// A container on the way to becoming an [`Object`].
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude each other")]
struct Branch {
    entries: Vec<(String, Node)>,
    places: HashMap<String, usize>,
    is_list: bool,
    /// Holds tensors of a model directly.
    holds_model: bool,
    /// Was there before any tensor: in the metadata.
    is_known: bool,
    is_root: bool,
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
        modules: checkpoint.layers().iter().map(|layer| layer.segments.as_slice()).collect(),
        path: Vec::new(),
        losses: Losses::default(),
    };
    let has_optimizer =
        plan.tensors.iter().any(|tensor| checkpoint.tensor(tensor.id).role == TensorRole::Optimizer);
    let mut root = Branch::default();
    if is_structured(checkpoint)
        && let Value::Map(entries) = checkpoint.metadata()
    {
        for (key, value) in entries.iter().filter(|(key, _)| plan.request.metadata.keeps(key)) {
            // An optimizer's settings are of no use without its state.
            if has_optimizer || value.get("param_groups").is_none() {
                walk.entry(key, value, &mut root);
            }
        }
    }
    root.is_known = !root.entries.is_empty();
    for (index, tensor) in plan.tensors.iter().enumerate() {
        let is_model = matches!(
            checkpoint.tensor(tensor.id).role,
            TensorRole::Parameter | TensorRole::Buffer | TensorRole::Ema
        );
        insert(&mut root, tensor, index, is_model);
    }
    root.is_root = true;
    (finish(root, false), walk.losses)
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
}

fn finish(branch: Branch, int_keys: bool) -> Object {
    let is_optimizer = ["state", "param_groups"].iter().all(|key| branch.places.contains_key(*key));
    let counted = branch.entries.iter().enumerate().all(|(index, (key, _))| *key == index.to_string());
    // A container that left no trace in the metadata held nothing but tensors: a list, where its keys count them.
    let is_list = branch.is_list
        || !branch.is_known
            && !branch.is_root
            && !int_keys
            && !branch.holds_model
            && counted
            && !branch.entries.is_empty();
    let ordered = branch.holds_model && !branch.is_known;
    let entries = branch.entries.into_iter().map(|(key, node)| {
        let object = match node {
            Node::Value(value) => Object::Plain(value),
            Node::Tensor(index) => Object::Tensor(index),
            Node::Branch(inner) => finish(inner, is_optimizer && key == "state"),
        };
        (key, object)
    });
    if is_list {
        return Object::List(entries.map(|(_, object)| object).collect());
    }
    let key = |key: String| match key.parse::<i64>() {
        Ok(number) if int_keys && number.to_string() == key => Key::Int(number),
        _ => Key::Text(key),
    };
    Object::Dict { entries: entries.map(|(name, object)| (key(name), object)).collect(), ordered }
}
