//! The export dialog: what is chosen, the preview of it, and what became of the export.

use std::path::PathBuf;
use std::sync::Arc;

use crate::jobs::export::{Choice, ExportFormat, ExportPlan, ExportRequest, MetadataChoice, Verify};
use crate::jobs::{CheckpointId, Loadable};
use crate::model::{Checkpoint, Dtype, RenameRule, TensorId};

/// Which tensors are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those that are selected in the tree.
    Selection,
    /// All.
    Everything,
    /// What a model needs.
    Model,
    /// All but optimizer state and gradients.
    WithoutOptimizer,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Selection, Self::Everything, Self::Model, Self::WithoutOptimizer];

    /// What it is called.
    pub fn label(self) -> &'static str {
        match self {
            Self::Selection => "Selected tensors",
            Self::Everything => "All tensors",
            Self::Model => "Parameters and buffers",
            Self::WithoutOptimizer => "All but the optimizer",
        }
    }
}

/// What the dialog asks.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a box to tick")]
pub struct ExportForm {
    /// Which tensors.
    pub scope: Scope,
    /// As what.
    pub format: ExportFormat,
    /// Dtype for floating-point tensors.
    pub cast: Option<Dtype>,
    /// Taken away from the beginning of names.
    pub strip: String,
    /// Put before names.
    pub add: String,
    /// Rules for renaming, one a line.
    pub rules: String,
    /// Whether the metadata goes along.
    pub metadata: bool,
    /// Whether tied tensors are written once where the format cannot share them.
    pub drop_duplicates: bool,
    /// Largest size of one file in GB; empty for one file.
    pub shard: String,
    /// Whether the new file is read back even when nothing is converted.
    pub verify: bool,
    /// Where to.
    pub target: String,
    /// Whether an existing file is replaced.
    pub replace: bool,
}

/// The dialog of one checkpoint.
#[derive(Debug)]
pub struct ExportDialog {
    /// Of which opening.
    pub checkpoint: CheckpointId,
    /// What is chosen.
    pub form: ExportForm,
    /// What would be written, and the sum of it; the previous one stays while a new one is made.
    pub preview: Loadable<Arc<ExportPlan>>,
    /// What is wrong with the choices, before a preview can be made.
    pub fault: Option<String>,
    /// Why the last attempt failed.
    pub failure: Option<String>,
    /// Whether the export runs; the dialog is away meanwhile.
    pub running: bool,
}

impl ExportForm {
    /// What is offered at first: the selection, or everything where nothing is selected, in a format that many programs read.
    pub fn new(checkpoint: &Checkpoint, has_selection: bool) -> Self {
        let format = match checkpoint.format() {
            format if format.starts_with("keras") => ExportFormat::Hdf5,
            _ => ExportFormat::Safetensors,
        };
        let mut form = Self {
            scope: if has_selection { Scope::Selection } else { Scope::Everything },
            format,
            cast: None,
            strip: String::new(),
            add: String::new(),
            rules: String::new(),
            metadata: true,
            drop_duplicates: false,
            shard: String::new(),
            verify: false,
            target: String::new(),
            replace: false,
        };
        form.target = suggested(checkpoint, format).to_string_lossy().into_owned();
        form
    }

    /// The same for a checkpoint whose tensors are to be called otherwise, by rules.
    pub fn renamed(checkpoint: &Checkpoint, rules: &[RenameRule]) -> Self {
        let lines: Vec<String> = rules.iter().map(ToString::to_string).collect();
        Self { scope: Scope::Model, rules: lines.join("\n"), metadata: false, ..Self::new(checkpoint, false) }
    }

    /// Changes the format, and the ending of the target with it.
    pub fn set_format(&mut self, format: ExportFormat) {
        self.format = format;
        let target = PathBuf::from(self.target.replace(".weights.h5", ".h5"));
        self.target = target.with_extension(format.extension()).to_string_lossy().into_owned();
    }

    /// What is asked for. `selected` are the tensors that are selected in the tree. The error is one sentence.
    pub fn request(&self, checkpoint: &Checkpoint, selected: Vec<TensorId>) -> Result<ExportRequest, String> {
        let mut rules = Vec::new();
        if !self.strip.is_empty() {
            rules.push(RenameRule::replace_prefix(&self.strip, "")?);
        }
        for line in self.rules.lines().map(str::trim).filter(|line| !line.is_empty()) {
            rules.push(RenameRule::parse(line)?);
        }
        if !self.add.is_empty() {
            rules.push(RenameRule::replace_prefix("", &self.add)?);
        }
        let shard_bytes = match self.shard.trim() {
            "" => None,
            text => match text.parse::<f64>() {
                Ok(size) if size > 0.0 => Some((size * 1e9) as u64),
                _ => return Err(format!("\"{text}\" is not a size in GB")),
            },
        };
        if self.target.trim().is_empty() {
            return Err("Choose where to save".to_owned());
        }
        Ok(ExportRequest {
            tensors: match self.scope {
                Scope::Selection => selected,
                Scope::Everything => Choice::default().of(checkpoint),
                Scope::Model => Choice::slim().of(checkpoint),
                Scope::WithoutOptimizer => Choice::without_optimizer().of(checkpoint),
            },
            cast: self.cast.clone(),
            rules,
            drop_duplicates: self.drop_duplicates,
            metadata: if self.metadata { MetadataChoice::All } else { MetadataChoice::None },
            shard_bytes: shard_bytes.filter(|_| self.format == ExportFormat::Safetensors),
            verify: if self.verify { Verify::Always } else { Verify::WhenConverted },
            replace: self.replace,
            ..ExportRequest::new(checkpoint, self.format, self.target.trim())
        })
    }
}

/// A name beside the checkpoint that is not its own.
fn suggested(checkpoint: &Checkpoint, format: ExportFormat) -> PathBuf {
    let path = checkpoint.path();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stem = stem.strip_suffix(".safetensors.index").unwrap_or(&stem).trim_end_matches(".weights");
    // Keras tells its newer layout from the older one by the name.
    let is_newer = checkpoint.format().starts_with("keras")
        && checkpoint.tensors().any(|(_, tensor)| tensor.stored_name().contains("/vars/"));
    let extension = match format {
        ExportFormat::Hdf5 if is_newer => "weights.h5",
        format => format.extension(),
    };
    path.with_file_name(format!("{stem}-export")).with_extension(extension)
}
