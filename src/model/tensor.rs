//! One tensor of the catalogue: everything but its values.

use super::role::RoleEvidence;
use super::{Dtype, Shape};

/// Position of a tensor in its checkpoint's catalogue (file order).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub u32);

impl TensorId {
    /// As an index into the catalogue.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorRole {
    /// A value of the model that counts as one of its parameters. Keras's non-trainable weights
    /// (`moving_mean`) are parameters too, as Keras's own summary counts them.
    Parameter,
    /// Saved with a PyTorch module but not trained: `running_mean`.
    Buffer,
    /// Optimizer state: momenta, step counters.
    Optimizer,
    /// An averaged copy of the parameters.
    Ema,
    /// Saved beside the model: random generator states, metrics, seeds.
    Other,
    /// The file does not tell.
    Unknown,
}

impl TensorRole {
    /// The word used in JSON and in the window.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parameter => "parameter",
            Self::Buffer => "buffer",
            Self::Optimizer => "optimizer",
            Self::Ema => "ema",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }
}

/// Catalogue entry of one tensor.
#[derive(Debug, Clone)]
pub struct TensorInfo {
    /// The keys that lead to it, joined by `.`; for module trees what `state_dict()` would call it.
    pub name: String,
    /// The keys themselves: unique within the checkpoint, even where two names join to the same text.
    pub path: Box<[String]>,
    /// As the format stores it, where that differs from `name`.
    pub stored_name: Option<String>,
    /// Path of the layer or module that holds it, such as `fc1`; empty when it hangs in none.
    pub layer: String,
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions.
    pub shape: Shape,
    /// What it is for.
    pub role: TensorRole,
    /// Why it has that role; `None` where the format leaves no doubt, or the role is unknown.
    pub role_evidence: Option<RoleEvidence>,
    /// `None` where the file does not say.
    pub trainable: Option<bool>,
    /// The first tensor that shares all its values' storage.
    pub tied_to: Option<TensorId>,
    /// The variable whose optimizer state or average this is, where the file tells.
    pub slot_of: Option<TensorId>,
    /// Bytes this tensor takes in the file; 0 for one that is tied to another. May be less than
    /// [`Self::bytes`] (compressed, expanded views).
    pub stored_bytes: u64,
    /// Where its bytes begin in the file, where that is one place.
    pub offset: Option<u64>,
}

impl TensorInfo {
    /// A tensor whose path is its name; role unknown, nothing tied.
    pub fn new(name: impl Into<String>, dtype: Dtype, shape: Shape, stored_bytes: u64) -> Self {
        let name = name.into();
        Self {
            path: Box::new([name.clone()]),
            stored_name: None,
            layer: name.rsplit_once('.').map(|(layer, _)| layer.to_owned()).unwrap_or_default(),
            name,
            dtype,
            shape,
            role: TensorRole::Unknown,
            role_evidence: None,
            trainable: None,
            tied_to: None,
            slot_of: None,
            stored_bytes,
            offset: None,
        }
    }

    /// As the format stores it, e.g. `/model_weights/conv_1/conv_1/kernel:0`.
    pub fn stored_name(&self) -> &str {
        self.stored_name.as_deref().unwrap_or(&self.name)
    }

    /// Elements, saturating.
    pub fn elements(&self) -> u64 {
        self.shape.elements()
    }

    /// Bytes of its values in memory, row-major and packed; 0 for strings, whose size is not fixed.
    pub fn bytes(&self) -> u64 {
        self.dtype.bytes_for(self.elements()).unwrap_or(0)
    }
}
