//! Tensors whose values are more than elements of a storage: quantised, sparse, conjugated.

use super::{Part, Rebuilder, Rebuilt, parts};
use crate::formats::containers::pickle::{Node, NodeId};
use crate::model::{Dtype, Severity, Shape};

/// How stored elements become values.
#[derive(Debug, Clone, Default)]
pub enum Resolve {
    /// They are the values.
    #[default]
    AsStored,
    /// The sign of the real parts, of the imaginary parts, or of both changes: PyTorch's conj and neg bits.
    Signs {
        /// Of real numbers and real parts.
        real: bool,
        /// Of imaginary parts.
        imaginary: bool,
    },
    /// Integers to `float32`: (integer − zero point) × scale.
    Dequantize(Box<Affine>),
}

/// Scale and zero point of a quantised tensor.
#[derive(Debug, Clone)]
pub struct Affine {
    /// The type of the integers.
    pub stored: Dtype,
    /// One, or one per index of `axis`.
    pub scales: Factors,
    /// As many as scales.
    pub zero_points: Factors,
    /// The dimension along which they change; 0 where there is one of each.
    pub axis: usize,
}

/// Numbers that belong to a tensor.
#[derive(Debug, Clone)]
pub enum Factors {
    /// Written in the pickle.
    Listed(Vec<f64>),
    /// A tensor of their own.
    Tensor(Box<Rebuilt>),
}

impl Rebuilder<'_> {
    /// Source: `torch._C._get_tensor_metadata`, a dictionary of truth values.
    pub(super) fn lazy_bits(&self, metadata: Option<NodeId>, made: &mut Rebuilt) {
        let Some(entries) = metadata.and_then(|id| self.view.mapping(id)) else { return };
        let is_set = |bit: &str| {
            let flag = self.view.entry(&entries, bit);
            flag.is_some_and(|flag| self.view.graph.node(flag) == Node::Bool(true))
        };
        let (conj, neg) = (is_set("conj") && made.dtype.is_complex(), is_set("neg"));
        if conj || neg {
            made.resolve = Resolve::Signs { real: neg, imaginary: neg != conj };
            let bits = if conj && neg {
                "conjugate and negative bits are"
            } else if conj {
                "conjugate bit is"
            } else {
                "negative bit is"
            };
            let text = format!("its {bits} set: values are shown as they are meant, not as they are stored");
            made.notes.push((Severity::Info, "lazy-bit", text));
        }
    }

    /// Storage, offset, size, strides, (scheme, scale, zero point[, axis]).
    pub(super) fn quantized(&mut self, args: &[NodeId], requires_grad: Option<bool>) -> Rebuilt {
        let view = self.view;
        let mut made = self.strided(args, None);
        made.requires_grad = requires_grad;
        let params = args.get(4).and_then(|&id| view.graph.items(id)).unwrap_or_default();
        let scheme =
            params.first().and_then(|&id| view.graph.global(id)).map_or("unknown", |g| g.name.as_str());
        let axis = params.get(3).and_then(|&id| view.graph.unsigned(id)).unwrap_or(0);
        let factors = match scheme {
            "per_tensor_affine" => {
                let one = |index: usize| Some(Factors::Listed(vec![self.number(*params.get(index)?)?]));
                one(1).zip(one(2))
            }
            _ => self.factors(params.get(1)).zip(self.factors(params.get(2))),
        };
        let said = match &factors {
            Some((Factors::Listed(scales), Factors::Listed(zeros)))
                if scales.len() == 1 && zeros.len() == 1 =>
            {
                format!("quantised ({scheme}): value = (integer − {}) × {}", zeros[0], scales[0])
            }
            _ => format!("quantised ({scheme}): scales and zero points along dimension {axis} are its parts"),
        };
        made.notes.push((Severity::Info, "quantised", said));
        if scheme.starts_with("per_channel") {
            made.parts = parts(&["scales", "zero_points"], params.get(1..));
        }
        let known = matches!(made.dtype, Dtype::Qint8 | Dtype::Quint8 | Dtype::Qint32);
        if let Some((scales, zero_points)) = factors
            && known
            && made.fault.is_none()
        {
            let affine = Affine { stored: made.dtype.clone(), scales, zero_points, axis: axis as usize };
            let mut values = Rebuilt::without_values(Dtype::Float32, made.shape.clone(), "");
            values.fault = None;
            values.strides.clone_from(&made.strides);
            values.offset = made.offset;
            values.storage = made.storage;
            values.resolve = Resolve::Dequantize(Box::new(affine));
            made.parts.push(("dequantized", Part::Made(Box::new(values))));
        }
        made
    }

    /// A tensor of numbers, or a list of them.
    fn factors(&mut self, id: Option<&NodeId>) -> Option<Factors> {
        let &id = id?;
        if let Some(made) = self.tensor(id) {
            return Some(Factors::Tensor(Box::new(made)));
        }
        let items = self.view.sequence(id)?;
        items.into_iter().map(|item| self.number(item)).collect::<Option<_>>().map(Factors::Listed)
    }

    fn number(&self, id: NodeId) -> Option<f64> {
        match self.view.graph.node(id) {
            Node::Float(value) => Some(value),
            Node::Int(value) => Some(value as f64),
            _ => None,
        }
    }

    /// Layout, then (indices, values, size, …) or (compressed indices, plain indices, values, size).
    pub(super) fn sparse(&mut self, args: &[NodeId], depth: u32) -> Rebuilt {
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
