//! What is to be exported, and how: the same for the command line and the window.

use std::path::{Path, PathBuf};

use crate::model::{
    Checkpoint, Dtype, NameFilter, RenameRule, RoleEvidence, TensorId, TensorInfo, TensorRole,
};

/// The formats that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExportFormat {
    /// One file, or shards with their index.
    Safetensors,
    /// A zip archive as `torch.save` writes it.
    PyTorch,
    /// A zip archive of `.npy` files, as `numpy.savez` writes it.
    Npz,
    /// A folder with one `.npy` file per tensor.
    NpyFolder,
    /// Groups and contiguous datasets; for a Keras source the layout that `load_weights` reads.
    Hdf5,
    /// Numbers as text, for small tensors.
    Csv,
}

impl ExportFormat {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Safetensors, Self::PyTorch, Self::Npz, Self::NpyFolder, Self::Hdf5, Self::Csv];

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::PyTorch => "PyTorch",
            Self::Npz => "NumPy archive",
            Self::NpyFolder => "folder of NumPy files",
            Self::Hdf5 => "HDF5",
            Self::Csv => "CSV",
        }
    }

    /// The word that names it on the command line.
    pub fn id(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::PyTorch => "pytorch",
            Self::Npz => "npz",
            Self::NpyFolder => "npy",
            Self::Hdf5 => "hdf5",
            Self::Csv => "csv",
        }
    }

    /// The ending of its files, without the dot; empty for a folder.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::PyTorch => "pt",
            Self::Npz => "npz",
            Self::NpyFolder => "",
            Self::Hdf5 => "h5",
            Self::Csv => "csv",
        }
    }

    /// The format for a file of this name.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_string_lossy().to_lowercase();
        Some(match extension.as_str() {
            "safetensors" => Self::Safetensors,
            "pt" | "pth" | "bin" | "ckpt" => Self::PyTorch,
            "npz" => Self::Npz,
            "h5" | "hdf5" => Self::Hdf5,
            "csv" => Self::Csv,
            _ => return None,
        })
    }
}

/// Which metadata goes along, as far as the format can hold it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MetadataChoice {
    /// All of it.
    #[default]
    All,
    /// None.
    None,
    /// These entries of the outermost level.
    Keys(Vec<String>),
}

impl MetadataChoice {
    /// Whether an entry of the outermost level is kept.
    pub fn keeps(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Keys(keys) => keys.iter().any(|kept| kept == key),
        }
    }
}

/// Whether the new file is read back and compared before it takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// When values were converted.
    #[default]
    WhenConverted,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// One export.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportRequest {
    /// What to export, in this order.
    pub tensors: Vec<TensorId>,
    /// As what.
    pub format: ExportFormat,
    /// Where to: a file, or the folder for [`ExportFormat::NpyFolder`].
    pub target: PathBuf,
    /// Dtype for the tensors of its kind: a floating-point one for those of floating-point numbers, an integer one for integers.
    pub cast: Option<Dtype>,
    /// Renaming, applied in order to each tensor's name.
    pub rules: Vec<RenameRule>,
    /// Write the values of tied tensors once even where the format cannot say that they are shared.
    pub drop_duplicates: bool,
    /// Which metadata goes along.
    pub metadata: MetadataChoice,
    /// Largest size of one file of safetensors, in bytes of values; `None` for one file.
    pub shard_bytes: Option<u64>,
    /// Whether to read the result back.
    pub verify: Verify,
    /// Replace an existing target.
    pub replace: bool,
}

impl ExportRequest {
    /// Everything in a checkpoint, as it is.
    pub fn new(checkpoint: &Checkpoint, format: ExportFormat, target: impl Into<PathBuf>) -> Self {
        Self {
            tensors: checkpoint.tensors().map(|(id, _)| id).collect(),
            format,
            target: target.into(),
            cast: None,
            rules: Vec::new(),
            drop_duplicates: false,
            metadata: MetadataChoice::All,
            shard_bytes: None,
            verify: Verify::default(),
            replace: false,
        }
    }

    /// What a model needs of a checkpoint, under other names: for the rules of
    /// [`crate::analysis::compatibility::Compatibility::export_rules`], so that the result loads where the checkpoint does
    /// not. Optimizer state, averages and gradients stay behind; so does the metadata, for the names it goes by change.
    pub fn renamed(
        checkpoint: &Checkpoint,
        rules: Vec<RenameRule>,
        format: ExportFormat,
        target: impl Into<PathBuf>,
    ) -> Self {
        Self {
            tensors: Choice::slim().of(checkpoint),
            rules,
            metadata: MetadataChoice::None,
            ..Self::new(checkpoint, format, target)
        }
    }
}

/// Which tensors of a checkpoint are chosen: by role, then by name.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only tensors of these roles; empty for every role.
    pub roles: Vec<TensorRole>,
    /// Leave out gradients that were saved along.
    pub without_gradients: bool,
    /// No buffers that `state_dict()` leaves out: strict loading would not expect them.
    pub only_saved: bool,
    /// Only tensors that one of these matches; empty for every name.
    pub select: Vec<NameFilter>,
    /// No tensor that one of these matches.
    pub exclude: Vec<NameFilter>,
}

impl Choice {
    /// What a model needs: no optimizer state, averaged copies, gradients or other things saved beside it.
    pub fn slim() -> Self {
        Self {
            roles: vec![TensorRole::Parameter, TensorRole::Buffer, TensorRole::Unknown],
            without_gradients: true,
            only_saved: true,
            ..Self::default()
        }
    }

    /// All but the state of the optimizer and gradients.
    pub fn without_optimizer() -> Self {
        use TensorRole::{Buffer, Ema, Other, Parameter, Unknown};
        Self { roles: vec![Parameter, Buffer, Ema, Other, Unknown], only_saved: false, ..Self::slim() }
    }

    /// The chosen tensors, in file order.
    pub fn of(&self, checkpoint: &Checkpoint) -> Vec<TensorId> {
        checkpoint.tensors().filter(|(_, tensor)| self.includes(tensor)).map(|(id, _)| id).collect()
    }

    fn includes(&self, tensor: &TensorInfo) -> bool {
        (self.roles.is_empty() || self.roles.contains(&tensor.role))
            && !(self.without_gradients && is_gradient(tensor))
            && !(self.only_saved && tensor.role_evidence == Some(RoleEvidence::NotSaved))
            && (self.select.is_empty() || self.select.iter().any(|filter| filter.matches(&tensor.name)))
            && !self.exclude.iter().any(|filter| filter.matches(&tensor.name))
    }
}

/// Whether the keys that lead to a tensor call it a gradient.
fn is_gradient(tensor: &TensorInfo) -> bool {
    let is_word = |part: &str| matches!(part, "grad" | "grads" | "gradients");
    tensor.path.iter().flat_map(|key| key.split('.')).any(is_word)
}
