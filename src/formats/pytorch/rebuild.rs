//! From calls of torch's rebuild functions to tensors: storage, dtype, shape and strides.
//!
//! Source: `torch/_utils.py` and `torch/_tensor.py` (`_reduce_ex_internal`). Reads no values. Whatever is
//! wrong with one tensor stays its own fault; the others are not touched by it.

use std::collections::HashMap;

use super::joblib;
use super::legacy_layout;
use super::names::Known;
use super::numpy;
use super::storage::{Place, Storage, StorageMap};
use super::view::View;
use crate::formats::containers::pickle::{Node, NodeId};
use crate::model::{Dtype, Progress, ReadError, Severity, Shape};
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
    /// Whether it is marked as trained.
    pub requires_grad: Option<bool>,
    /// Whether the file says that it is a parameter or a buffer.
    pub declared: Option<Declared>,
    /// Why its values cannot be read.
    pub fault: Option<String>,
    /// What should be known about it.
    pub notes: Vec<(Severity, &'static str, String)>,
    /// Tensors that it is made of, with their names.
    pub parts: Vec<(&'static str, NodeId)>,
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
    /// Without values, for the reason given.
    pub fn without_values(dtype: Dtype, shape: Shape, fault: impl Into<String>) -> Self {
        Self {
            dtype,
            shape,
            strides: None,
            offset: 0,
            storage: None,
            requires_grad: None,
            declared: None,
            fault: Some(fault.into()),
            notes: Vec::new(),
            parts: Vec::new(),
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
    by_key: HashMap<String, usize>,
    /// Storages whose bytes stand inside the pickle, by the node that holds them.
    by_node: HashMap<NodeId, (usize, Option<Dtype>)>,
}

/// Tensors inside a tensor: subclasses of parameters of subclasses.
const NESTING: u32 = 16;

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
        let (call, known) = view.call(id)?;
        if !known.makes_tensor() || depth == 0 {
            return None;
        }
        match known {
            Known::NumpyArray | Known::NumpyBuffer => Some(numpy::array(self, id)),
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
                self.note_bits(arg(6), &mut made);
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
                self.note_bits(arg(7), &mut made);
                made
            }
            Known::Parameter => {
                let inner = arg(0).and_then(|id| self.nested(id, depth - 1));
                let mut made = inner.unwrap_or_else(|| broken("a parameter without a tensor"));
                made.requires_grad = flag(1).or(made.requires_grad);
                made.declared = Some(Declared::Parameter);
                made
            }
            Known::FromType => {
                let known = arg(0).map_or(&Known::Unknown, |id| view.known(id));
                let inner = arg(2).and_then(|id| view.graph.items(id)).unwrap_or_default();
                let mut made = if known.makes_tensor() && depth > 1 {
                    self.made_by(known, inner, depth - 1)
                } else {
                    broken("its rebuild function is not known")
                };
                let attributes = arg(3).and_then(|id| view.mapping(id)).unwrap_or_default();
                if let Some(flag) = view.entry(&attributes, "_is_buffer")
                    && view.graph.node(flag) == Node::Bool(true)
                {
                    made.declared = Some(Declared::Buffer);
                }
                made
            }
            Known::DeviceFromNumpy => {
                let mut made = arg(0)
                    .and_then(|id| self.nested(id, depth - 1))
                    .unwrap_or_else(|| broken("it has no array"));
                made.requires_grad = flag(3);
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
                let mut made = arg(0)
                    .and_then(|id| self.nested(id, depth - 1))
                    .unwrap_or_else(|| broken("a nested tensor without its buffer"));
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
            Some(Ok((index, typed, before, note))) => {
                made.storage = Some(index);
                made.offset = made.offset.saturating_add(before);
                made.dtype = dtype.or(typed).unwrap_or_else(|| Dtype::Other("untyped".into(), 8));
                made.notes.extend(note);
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

    /// The storage of a persistent id, or one inside the pickle: its index, the dtype that its class names, elements before its first, and
    /// what should be known. On failure why, with the dtype as far as it is known.
    #[expect(clippy::type_complexity, reason = "used once, taken apart at once")]
    fn storage(
        &mut self,
        id: NodeId,
    ) -> Result<(usize, Option<Dtype>, u64, Option<(Severity, &'static str, String)>), (String, Option<Dtype>)>
    {
        let view = self.view;
        if let Some((call, Known::LoadFromBytes)) = view.call(id) {
            let holder = call.args;
            if let Some((index, dtype)) = self.by_node.get(&holder) {
                return Ok((*index, dtype.clone(), 0, None));
            }
            let inner = view.args(call).first().copied().unwrap_or(id);
            let (storage, dtype) = view
                .bytes(inner, limits::INFLATED_BYTES)
                .unwrap_or_else(|| Err(ReadError::unsupported("its storage is not written as bytes")))
                .and_then(|bytes| legacy_layout::single_storage(&bytes, &Progress::new()))
                .map_err(|error| (format!("the storage inside the pickle cannot be read: {error}"), None))?;
            self.storages.push(storage);
            self.by_node.insert(holder, (self.storages.len() - 1, dtype.clone()));
            return Ok((self.storages.len() - 1, dtype, 0, None));
        }
        let (key, dtype, count, before) = stored(view, id).map_err(|text| (text, None))?;
        let index = if let Some(&index) = self.by_key.get(&key) {
            index
        } else {
            let place = self.map.find(&key);
            self.storages.push(Storage { place, big_endian: self.map.big_endian() });
            self.by_key.insert(key.clone(), self.storages.len() - 1);
            self.storages.len() - 1
        };
        let held = match self.storages.get(index).map(|storage| &storage.place) {
            Some(Place::Missing(why)) => return Err((why.clone(), dtype)),
            Some(place) => place.len(),
            None => 0,
        };
        let claimed =
            count.and_then(|count| dtype.as_ref().map_or(Some(count), |dtype| dtype.bytes_for(count)));
        let note = (claimed != Some(held)).then(|| {
            let claimed =
                claimed.map_or_else(|| "an impossible number of".to_owned(), |bytes| bytes.to_string());
            let text = format!("its storage {key:?} should have {claimed} bytes, but has {held}");
            (Severity::Warning, "storage-size", text)
        });
        Ok((index, dtype, before, note))
    }

    fn note_bits(&self, metadata: Option<NodeId>, made: &mut Rebuilt) {
        let Some(entries) = metadata.and_then(|id| self.view.mapping(id)) else { return };
        for (bit, meaning) in [("conj", "conjugates"), ("neg", "negatives")] {
            if let Some(flag) = self.view.entry(&entries, bit)
                && self.view.graph.node(flag) == Node::Bool(true)
            {
                let text = format!("its {bit} bit is set: its values are the {meaning} of what is shown");
                made.notes.push((Severity::Warning, "lazy-bit", text));
            }
        }
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

    fn quantized(&mut self, args: &[NodeId], requires_grad: Option<bool>) -> Rebuilt {
        let view = self.view;
        let mut made = self.strided(args, None);
        made.requires_grad = requires_grad;
        let params = args.get(4).and_then(|&id| view.graph.items(id)).unwrap_or_default();
        let scheme =
            params.first().and_then(|&id| view.graph.global(id)).map_or("unknown", |g| g.name.as_str());
        if scheme == "per_tensor_affine" {
            let scale = match params.get(1).map(|&id| view.graph.node(id)) {
                Some(Node::Float(scale)) => scale.to_string(),
                _ => "unknown".to_owned(),
            };
            let zero = params.get(2).and_then(|&id| view.graph.int(id)).unwrap_or(0);
            let text = format!("quantised ({scheme}): value = (integer − {zero}) × {scale}");
            made.notes.push((Severity::Info, "quantised", text));
        } else {
            let axis = params.get(3).and_then(|&id| view.graph.int(id)).unwrap_or(0);
            let text =
                format!("quantised ({scheme}): scales and zero points along dimension {axis} are its parts");
            made.notes.push((Severity::Info, "quantised", text));
            made.parts = parts(&["scales", "zero_points"], params.get(1..));
        }
        made
    }

    /// Layout, then (indices, values, size, …) or (compressed indices, plain indices, values, size).
    fn sparse(&mut self, args: &[NodeId], depth: u32) -> Rebuilt {
        let view = self.view;
        let layout = args.first().and_then(|&id| match view.call(id) {
            Some((call, _)) => view.args(call).first().and_then(|&name| view.graph.text(name)),
            None => view.graph.text(id),
        });
        let layout = layout.unwrap_or("torch.sparse_csr").trim_start_matches("torch.").to_owned();
        let data = args.get(1).and_then(|&id| view.graph.items(id)).unwrap_or_default();
        let names: &[&'static str] = match layout.as_str() {
            "sparse_coo" => &["indices", "values"],
            "sparse_csc" | "sparse_bsc" => &["ccol_indices", "row_indices", "values"],
            _ => &["crow_indices", "col_indices", "values"],
        };
        let values = data.get(names.len() - 1).and_then(|&id| self.nested(id, depth - 1));
        let (dims, fault) = self.dimensions(data.get(names.len()).copied());
        let dtype = values.as_ref().map_or(Dtype::Other("unknown".into(), 0), |values| values.dtype.clone());
        let why = fault.map_or_else(
            || format!("a sparse tensor ({layout}): its values and indices are listed as its parts"),
            |fault| format!("its size {fault}"),
        );
        let mut made = Rebuilt::without_values(dtype, Shape::from(dims), why);
        made.requires_grad = values.and_then(|values| values.requires_grad);
        made.parts = parts(names, Some(data));
        made
    }
}

fn parts(names: &[&'static str], ids: Option<&[NodeId]>) -> Vec<(&'static str, NodeId)> {
    names.iter().copied().zip(ids.unwrap_or_default().iter().copied()).collect()
}

fn broken(why: &str) -> Rebuilt {
    Rebuilt::without_values(Dtype::Other("unknown".into(), 0), Shape::default(), why)
}

/// Takes apart `('storage', class, key, location, count[, view])`: key, dtype, elements, elements before the view.
pub fn stored(view: &View, id: NodeId) -> Result<(String, Option<Dtype>, Option<u64>, u64), String> {
    let wrong = || "its storage is not a reference to one".to_owned();
    let Node::Persistent(inner) = view.graph.node(id) else { return Err(wrong()) };
    let parts = view.graph.tuple(inner).ok_or_else(wrong)?;
    let &[kind, class, key, _location, count, ref rest @ ..] = parts else { return Err(wrong()) };
    if view.graph.text(kind) != Some("storage") {
        return Err(wrong());
    }
    let Known::Storage(dtype) = view.known(class) else {
        let name = view.class_name(class).unwrap_or_else(|| "of no class".to_owned());
        return Err(format!("its storage class {name} is not known"));
    };
    let dtype = dtype.clone();
    let key = match view.graph.text(key) {
        Some(key) => key.to_owned(),
        None => view.graph.int(key).map(|key| key.to_string()).ok_or_else(wrong)?,
    };
    // (key of the view, elements before it, elements in it): torch < 0.4.
    let before = rest
        .first()
        .and_then(|&view_of| view.graph.tuple(view_of))
        .and_then(|parts| parts.get(1).copied())
        .and_then(|before| view.graph.unsigned(before));
    Ok((key, dtype, view.graph.unsigned(count), before.unwrap_or(0)))
}
