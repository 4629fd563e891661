//! From calls of torch's rebuild functions to tensors: storage, dtype, shape and strides.
//!
//! Source: `torch/_utils.py` and `torch/_tensor.py` (`_reduce_ex_internal`),
//! <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/_utils.py>. Reads no values. Whatever is
//! wrong with one tensor stays its own fault; the others are not touched by it.

mod composite;
mod storage_ref;

use std::collections::HashMap;

pub use composite::{Factors, Resolve};
pub use storage_ref::stored;

use super::joblib;
use super::names::Known;
use super::numpy;
use super::storage::{Storage, StorageMap};
use super::view::View;
use crate::formats::containers::pickle::{Node, NodeId};
use crate::model::{Dtype, Severity, Shape};
use crate::raw::limits;

/// A tensor before it has a name.
#[derive(Debug, Clone)]
pub struct Rebuilt {
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions, as far as they make sense.
    pub shape: Shape,
    /// Elements from one index to the next; `None` for row-major.
    pub strides: Option<Box<[u64]>>,
    /// Elements before the first one in the storage.
    pub offset: u64,
    /// Which storage of [`Rebuilder::storages`]; `None` where it has no values of its own.
    pub storage: Option<usize>,
    /// How its stored elements become its values.
    pub resolve: Resolve,
    /// Whether it is marked as trained.
    pub requires_grad: Option<bool>,
    /// Whether the file says that it is a parameter or a buffer.
    pub declared: Option<Declared>,
    /// Why its values cannot be read.
    pub fault: Option<String>,
    /// What should be known about it.
    pub notes: Vec<(Severity, &'static str, String)>,
    /// Tensors that it is made of, with their names.
    pub parts: Vec<(&'static str, Part)>,
    /// Its class, where that is not torch's own, and the node that holds its attributes.
    pub attributes: Option<(String, NodeId)>,
}

/// A tensor inside a tensor.
#[derive(Debug, Clone)]
pub enum Part {
    /// To be made of a node.
    Node(NodeId),
    /// Made already: another view of the same storage.
    Made(Box<Rebuilt>),
}

/// What a tensor is declared to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// An `nn.Parameter`.
    Parameter,
    /// An `nn.Buffer`.
    Buffer,
}

impl Rebuilt {
    /// A tensor over a storage, row-major from its first element.
    pub fn over(storage: usize, dtype: Dtype, shape: Shape) -> Self {
        Self { storage: Some(storage), fault: None, ..Self::without_values(dtype, shape, "") }
    }

    /// Without values, for the reason given.
    pub fn without_values(dtype: Dtype, shape: Shape, fault: impl Into<String>) -> Self {
        Self {
            dtype,
            shape,
            strides: None,
            offset: 0,
            storage: None,
            resolve: Resolve::AsStored,
            requires_grad: None,
            declared: None,
            fault: Some(fault.into()),
            notes: Vec::new(),
            parts: Vec::new(),
            attributes: None,
        }
    }

    /// The type of the elements as they are stored.
    pub fn stored_dtype(&self) -> &Dtype {
        match &self.resolve {
            Resolve::Dequantize(affine) => &affine.stored,
            Resolve::AsStored | Resolve::Signs { .. } => &self.dtype,
        }
    }
}

/// Makes tensors of calls; keeps the storages that they refer to.
pub struct Rebuilder<'a> {
    /// The pickle.
    pub view: &'a View,
    map: &'a dyn StorageMap,
    /// Storages found so far.
    pub storages: Vec<Storage>,
    /// Those that have a key, by it.
    pub by_key: HashMap<String, usize>,
    /// Storages whose bytes stand inside the pickle, by the node that holds them.
    by_node: HashMap<NodeId, (usize, Option<Dtype>)>,
}

/// Tensors inside a tensor: subclasses of parameters of subclasses.
pub const NESTING: u32 = 16;

impl<'a> Rebuilder<'a> {
    /// Over one pickle and its storages.
    pub fn new(view: &'a View, map: &'a dyn StorageMap) -> Self {
        Self { view, map, storages: Vec::new(), by_key: HashMap::new(), by_node: HashMap::new() }
    }

    /// The tensor that a node stands for; `None` when it is none.
    pub fn tensor(&mut self, id: NodeId) -> Option<Rebuilt> {
        self.nested(id, NESTING)
    }

    fn nested(&mut self, id: NodeId, depth: u32) -> Option<Rebuilt> {
        let view = self.view;
        if depth == 0 || !view.is_tensor(id) {
            return None;
        }
        if let Some(listed) = view.listed(id) {
            return Some(self.listed(listed));
        }
        let Some((call, known)) = view.call(id) else { return Some(self.bare_storage(id)) };
        match known {
            Known::NumpyArray | Known::NumpyBuffer => Some(numpy::array(self, id)),
            Known::LoadFromBytes => Some(self.bare_storage(id)),
            // `Tensor.__setstate__` of the first releases: storage, offset, size, strides.
            Known::TensorClass => Some(self.strided(view.graph.tuple(call.state?)?, None)),
            Known::Variable => {
                let mut made = self.made_by(known, view.args(call), depth);
                let state = call.state.and_then(|state| view.graph.tuple(state)).unwrap_or_default();
                if let Some(Node::Bool(flag)) = state.first().map(|&id| view.graph.node(id)) {
                    made.requires_grad = Some(flag);
                }
                Some(made)
            }
            Known::JoblibArray => Some(joblib::array(self, id)),
            _ => Some(self.made_by(known, view.args(call), depth)),
        }
    }

    fn made_by(&mut self, known: &Known, args: &[NodeId], depth: u32) -> Rebuilt {
        let view = self.view;
        let arg = |index: usize| args.get(index).copied();
        let flag = |index: usize| match arg(index).map(|id| view.graph.node(id)) {
            Some(Node::Bool(flag)) => Some(flag),
            _ => None,
        };
        match known {
            Known::Tensor => {
                let mut made = self.strided(args, None);
                made.requires_grad = flag(4);
                self.lazy_bits(arg(6), &mut made);
                made
            }
            Known::TensorV3 => {
                let mut made = if let Some(Known::Dtype(dtype)) = arg(6).map(|id| view.known(id)) {
                    self.strided(args, Some(dtype.clone()))
                } else {
                    let name = arg(6).and_then(|id| view.graph.global(id)).map(|global| global.name.clone());
                    let mut made = self.strided(args, None);
                    made.fault.get_or_insert_with(|| {
                        format!("its dtype {} is not known", name.as_deref().unwrap_or("of no name"))
                    });
                    made
                };
                made.requires_grad = flag(4);
                self.lazy_bits(arg(7), &mut made);
                made
            }
            Known::Parameter => {
                let mut made = self.inner(arg(0), depth, "a parameter without a tensor");
                made.requires_grad = flag(1).or(made.requires_grad);
                made.declared = Some(Declared::Parameter);
                made.attributes = arg(3).map(|state| (String::new(), state)).or(made.attributes);
                made
            }
            Known::Variable => self.inner(arg(0), depth, "a variable without a tensor"),
            Known::FromType => {
                let known = arg(0).map_or(&Known::Unknown, |id| view.known(id));
                let inner = arg(2).and_then(|id| view.graph.items(id)).unwrap_or_default();
                let mut made = if known.makes_tensor() && depth > 1 {
                    self.made_by(known, inner, depth - 1)
                } else {
                    broken("its rebuild function is not known")
                };
                let class = arg(1).and_then(|id| view.class_name(id)).unwrap_or_default();
                if class.ends_with(".Parameter") {
                    made.declared = Some(Declared::Parameter);
                }
                if let Some(state) = arg(3) {
                    let is_buffer = view.mapping(state).and_then(|state| view.entry(&state, "_is_buffer"));
                    if is_buffer.is_some_and(|flag| view.graph.node(flag) == Node::Bool(true)) {
                        made.declared = Some(Declared::Buffer);
                    }
                    made.attributes = Some((class, state));
                }
                made
            }
            // data, dtype, device, requires_grad
            Known::OfDevice => {
                let mut made = self.inner(arg(0), depth, "it has no values");
                made.requires_grad = flag(3);
                if let Some(Known::Dtype(dtype)) = arg(1).map(|id| view.known(id))
                    && *dtype != made.dtype
                {
                    let text = format!("stored as {}, for a tensor of {dtype}", made.dtype);
                    made.notes.push((Severity::Info, "stored-dtype", text));
                }
                made
            }
            Known::Meta => {
                self.shapeless(arg(0), arg(1), flag(3), "a tensor on the meta device has no values")
            }
            Known::Wrapper => self.shapeless(
                arg(1),
                arg(2),
                flag(7),
                "a wrapper subclass keeps its values in its attributes",
            ),
            Known::Quantized => self.quantized(args, flag(5)),
            Known::Sparse => self.sparse(args, depth),
            Known::Nested => {
                let mut made = self.inner(arg(0), depth, "a nested tensor without its buffer");
                made.notes.push((
                    Severity::Info,
                    "nested-tensor",
                    "a nested tensor: the values of all its tensors in one row".to_owned(),
                ));
                made.parts = parts(&["nested_sizes", "nested_strides", "storage_offsets"], args.get(1..));
                made
            }
            _ => broken("its rebuild function is not known to this program"),
        }
    }

    fn inner(&mut self, id: Option<NodeId>, depth: u32, otherwise: &str) -> Rebuilt {
        id.and_then(|id| self.nested(id, depth - 1)).unwrap_or_else(|| broken(otherwise))
    }

    /// Storage, offset, size, strides.
    fn strided(&mut self, args: &[NodeId], dtype: Option<Dtype>) -> Rebuilt {
        let view = self.view;
        let mut made = broken("");
        made.fault = None;
        let mut fault = |text: String| {
            made.fault.get_or_insert(text);
        };
        let (sizes, sizes_fault) = self.dimensions(args.get(2).copied());
        if let Some(text) = sizes_fault {
            fault(format!("its size {text}"));
        }
        let (strides, strides_fault) = self.dimensions(args.get(3).copied());
        if let Some(text) = strides_fault {
            fault(format!("its strides: one {text}"));
        }
        let offset = args.get(1).and_then(|&id| view.graph.unsigned(id));
        if offset.is_none() {
            fault("its storage offset is not a number".to_owned());
        }
        if strides.len() != sizes.len() {
            fault(format!("it has {} dimensions, but {} strides", sizes.len(), strides.len()));
        }
        made.shape = Shape::from(sizes);
        made.strides = Some(strides.into());
        made.offset = offset.unwrap_or(0);
        match args.first().map(|&id| self.storage(id)) {
            Some(Ok(found)) => {
                made.storage = Some(found.index);
                made.offset = made.offset.saturating_add(found.before);
                made.dtype = dtype.or(found.dtype).unwrap_or_else(|| Dtype::Other("untyped".into(), 8));
                made.notes.extend(found.note);
            }
            Some(Err((text, typed))) => {
                made.dtype = dtype.or(typed).unwrap_or_else(|| Dtype::Other("unknown".into(), 0));
                made.fault.get_or_insert(text);
            }
            None => made.fault = Some("it names no storage".to_owned()),
        }
        made
    }

    /// Dimensions or strides, and what is wrong with them.
    fn dimensions(&self, id: Option<NodeId>) -> (Vec<u64>, Option<String>) {
        let Some(items) = id.and_then(|id| self.view.sequence(id)) else {
            return (Vec::new(), Some("is not a list of numbers".to_owned()));
        };
        if items.len() > limits::RANK {
            return (Vec::new(), Some(format!("has {} dimensions", items.len())));
        }
        let mut fault = None;
        let dims = items
            .iter()
            .map(|&item| {
                self.view.graph.unsigned(item).unwrap_or_else(|| {
                    fault.get_or_insert_with(|| "is not a number of elements".to_owned());
                    0
                })
            })
            .collect();
        (dims, fault)
    }

    fn shapeless(
        &mut self,
        dtype: Option<NodeId>,
        size: Option<NodeId>,
        requires_grad: Option<bool>,
        why: &'static str,
    ) -> Rebuilt {
        let dtype = match dtype.map(|id| self.view.known(id)) {
            Some(Known::Dtype(dtype)) => dtype.clone(),
            _ => Dtype::Other("unknown".into(), 0),
        };
        let (dims, _) = self.dimensions(size);
        let mut made = Rebuilt::without_values(dtype, Shape::from(dims), why);
        made.requires_grad = requires_grad;
        made
    }
}

fn parts(names: &[&'static str], ids: Option<&[NodeId]>) -> Vec<(&'static str, Part)> {
    names.iter().copied().zip(ids.unwrap_or_default().iter().map(|&id| Part::Node(id))).collect()
}

fn broken(why: &str) -> Rebuilt {
    Rebuilt::without_values(Dtype::Other("unknown".into(), 0), Shape::default(), why)
}
