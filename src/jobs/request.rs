//! Everything that can run in the background, and what it brings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compare::{CompareOptions, Compared, ComparisonKey, Paired};
use super::curves::{GatherOptions, Gathered};
use super::export::{ExportPlan, ExportRequest, Exported};
use super::look::{LookKey, Looked};
use super::prepare::{Preparation, Prepared, Purpose};
use crate::analysis::compatibility::Compatibility;
use crate::analysis::diff::PairDiff;
use crate::analysis::drift::Drift;
use crate::analysis::safety::Safety;
use crate::analysis::scan::TensorStatistics;
use crate::analysis::{Statistics, ValueTable};
use crate::export::report::ReportFormat;
use crate::model::{Checkpoint, NodeId, TensorId};

/// Identifies one opening of a checkpoint. Reloading makes a new one, so that late results of the old one find no home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckpointId(pub u64);

/// What statistics are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// One tensor.
    Tensor(TensorId),
    /// All tensors below a group, tied ones once.
    Group(NodeId),
}

/// Names the result of a statistics job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatisticsKey {
    /// Of which opening.
    pub checkpoint: CheckpointId,
    /// Of which of its parts.
    pub subject: Subject,
}

/// What a job works for; a newer job for the same purpose replaces the older one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JobKey {
    /// Opening a checkpoint.
    Open(CheckpointId),
    /// Statistics of what is selected.
    Statistics(StatisticsKey),
    /// Statistics of every tensor of an opening.
    Scan(CheckpointId),
    /// What the file of an opening would do when it is loaded.
    Examine(CheckpointId),
    /// A closer look at a tensor.
    Look(LookKey),
    /// What an export would write.
    PlanExport(CheckpointId),
    /// An export.
    Export(CheckpointId),
    /// Putting together what was read before.
    Prepare(CheckpointId, Purpose),
    /// Comparing two checkpoints.
    Compare(ComparisonKey),
    /// Whether the first would load into the second.
    Compatibility(CheckpointId, CheckpointId),
    /// Writing a comparison to a file.
    SaveReport(ComparisonKey),
    /// Gathering curves; the number counts requests.
    Curves(u64),
    /// How layers moved over the checkpoints of the curves of that number.
    Drift(u64),
}

impl JobKey {
    /// Whether a job for `self` makes one for `other` pointless: statistics follow the selection, which is one.
    pub fn replaces(&self, other: &Self) -> bool {
        self == other
            || match (self, other) {
                (Self::Statistics(_), Self::Statistics(_))
                | (Self::Compare(_), Self::Compare(_))
                | (Self::Compatibility(..), Self::Compatibility(..))
                | (Self::Curves(_), Self::Curves(_))
                | (Self::Drift(_), Self::Drift(_)) => true,
                (Self::Look(own), Self::Look(other)) => own.look.is_instead_of(&other.look),
                _ => false,
            }
    }

    /// The opening it works for.
    pub fn checkpoint(&self) -> CheckpointId {
        match self {
            Self::Open(id)
            | Self::Scan(id)
            | Self::Examine(id)
            | Self::Compatibility(id, _)
            | Self::PlanExport(id)
            | Self::Export(id)
            | Self::Prepare(id, _) => *id,
            Self::Statistics(key) => key.checkpoint,
            Self::Look(key) => key.checkpoint,
            Self::Compare(key) | Self::SaveReport(key) => key.left,
            // Of no opening: closing one leaves them alone.
            Self::Curves(_) | Self::Drift(_) => CheckpointId(0),
        }
    }

    /// The opening that the first one is compared with.
    pub fn other(&self) -> Option<CheckpointId> {
        match self {
            Self::Look(key) => key.look.against().map(|against| against.checkpoint),
            Self::Compare(key) | Self::SaveReport(key) => Some(key.right),
            Self::Compatibility(_, model) => Some(*model),
            Self::Open(_)
            | Self::Scan(_)
            | Self::Examine(_)
            | Self::Statistics(_)
            | Self::PlanExport(_)
            | Self::Export(_)
            | Self::Curves(_)
            | Self::Drift(_)
            | Self::Prepare(..) => None,
        }
    }
}

/// A checkpoint embedded in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// File name.
    pub name: &'static str,
    /// What it shows, in a few words.
    pub about: &'static str,
    /// The file.
    pub bytes: &'static [u8],
}

/// The examples in the program.
pub static EXAMPLES: &[Example] = &[
    Example {
        name: "small_resnet.safetensors",
        about: "A small convolutional network",
        bytes: include_bytes!("../../assets/examples/small_resnet.safetensors"),
    },
    Example {
        name: "training_checkpoint.ckpt",
        about: "PyTorch: model, optimizer state and losses",
        bytes: include_bytes!("../../assets/examples/training_checkpoint.ckpt"),
    },
    Example {
        name: "small_cnn.keras",
        about: "Keras: layers with their configuration",
        bytes: include_bytes!("../../assets/examples/small_cnn.keras"),
    },
];

/// Work for the background.
#[derive(Debug, Clone)]
pub enum JobRequest {
    /// Reads the catalogue of a file or folder.
    Open {
        /// For which place in the session.
        id: CheckpointId,
        /// What to open.
        path: PathBuf,
    },
    /// Writes an embedded checkpoint to the temporary folder and opens it.
    OpenExample {
        /// For which place in the session.
        id: CheckpointId,
        /// Which one.
        example: Example,
    },
    /// Statistics and value counts of one tensor or of many together.
    Statistics {
        /// Names the result.
        key: StatisticsKey,
        /// Read from here.
        checkpoint: Arc<Checkpoint>,
        /// Name of the tensor or group, for the status line.
        label: String,
    },
    /// Statistics of every tensor, reported in portions.
    Scan {
        /// Of which opening.
        id: CheckpointId,
        /// Read from here.
        checkpoint: Arc<Checkpoint>,
    },
    /// What a file would do when it is loaded.
    Examine {
        /// Of which opening.
        id: CheckpointId,
        /// Which file or folder.
        path: PathBuf,
        /// What it opened as; `None` where it did not.
        checkpoint: Option<Arc<Checkpoint>>,
    },
    /// A closer look at one tensor.
    Look {
        /// Names the result.
        key: LookKey,
        /// Read from here.
        checkpoint: Arc<Checkpoint>,
        /// What the look compares it with, where it does.
        other: Option<Arc<Checkpoint>>,
    },
    /// Compares two checkpoints; results are reported in portions.
    Compare {
        /// Names the result.
        key: ComparisonKey,
        /// Read from here.
        left: Arc<Checkpoint>,
        /// And from here.
        right: Arc<Checkpoint>,
        /// How.
        options: CompareOptions,
    },
    /// Whether a checkpoint would load into a model.
    Compatibility {
        /// Both openings.
        ids: (CheckpointId, CheckpointId),
        /// What would be loaded.
        checkpoint: Arc<Checkpoint>,
        /// Into this.
        model: Arc<Checkpoint>,
    },
    /// Writes a comparison to a file.
    SaveReport {
        /// Which one.
        key: ComparisonKey,
        /// The left checkpoint.
        left: Arc<Checkpoint>,
        /// The right checkpoint.
        right: Arc<Checkpoint>,
        /// What was found.
        compared: Arc<Compared>,
        /// As what.
        format: ReportFormat,
        /// Where.
        path: PathBuf,
    },
    /// Gathers curves of files and folders.
    Curves {
        /// Counts requests.
        serial: u64,
        /// From where.
        paths: Vec<PathBuf>,
        /// How.
        options: GatherOptions,
    },
    /// Reads the weights of the checkpoints that were gathered.
    Drift {
        /// Of which request.
        serial: u64,
        /// What was gathered.
        gathered: Arc<Gathered>,
    },
    /// Finds out what an export would write.
    PlanExport {
        /// Of which opening.
        id: CheckpointId,
        /// Its catalogue.
        checkpoint: Arc<Checkpoint>,
        /// What is asked for.
        request: Box<ExportRequest>,
    },
    /// Writes tensors to other files.
    Export {
        /// Of which opening.
        id: CheckpointId,
        /// Read from here.
        checkpoint: Arc<Checkpoint>,
        /// What to write.
        plan: Arc<ExportPlan>,
    },
    /// Something to put together from what was read before.
    Prepare {
        /// Of which opening.
        id: CheckpointId,
        /// What it is.
        purpose: Purpose,
        /// How it is made.
        work: Preparation,
    },
}

impl JobRequest {
    /// Whether nobody waits for it, so that it must leave room for other jobs.
    pub fn is_background(&self) -> bool {
        matches!(self, Self::Scan { .. } | Self::Examine { .. })
    }

    /// Whether it takes a moment only and reads nothing, so that it need not wait for jobs that read.
    pub fn is_quick(&self) -> bool {
        matches!(self, Self::Prepare { .. } | Self::Compatibility { .. })
    }

    /// What it works for.
    pub fn key(&self) -> JobKey {
        match self {
            Self::Open { id, .. } | Self::OpenExample { id, .. } => JobKey::Open(*id),
            Self::Statistics { key, .. } => JobKey::Statistics(*key),
            Self::Scan { id, .. } => JobKey::Scan(*id),
            Self::Examine { id, .. } => JobKey::Examine(*id),
            Self::Look { key, .. } => JobKey::Look(key.clone()),
            Self::PlanExport { id, .. } => JobKey::PlanExport(*id),
            Self::Export { id, .. } => JobKey::Export(*id),
            Self::Prepare { id, purpose, .. } => JobKey::Prepare(*id, *purpose),
            Self::Compare { key, .. } => JobKey::Compare(*key),
            Self::Compatibility { ids, .. } => JobKey::Compatibility(ids.0, ids.1),
            Self::SaveReport { key, .. } => JobKey::SaveReport(*key),
            Self::Curves { serial, .. } => JobKey::Curves(*serial),
            Self::Drift { serial, .. } => JobKey::Drift(*serial),
        }
    }

    /// What it does, for the status line.
    pub fn label(&self) -> String {
        match self {
            Self::Open { path, .. } => format!("Opening {}", file_name(path)),
            Self::Scan { checkpoint, .. } => format!("Scanning {}", file_name(checkpoint.path())),
            Self::Examine { path, .. } => format!("Looking for code in {}", file_name(path)),
            Self::OpenExample { example, .. } => format!("Opening {}", example.name),
            Self::Look { key, checkpoint, .. } => {
                format!("{} of {}", key.look.label(), checkpoint.tensor(key.tensor).name)
            }
            Self::Compare { left, right, .. } => {
                format!("Comparing {} with {}", file_name(left.path()), file_name(right.path()))
            }
            Self::Compatibility { checkpoint, model, .. } => {
                format!("Fitting {} into {}", file_name(checkpoint.path()), file_name(model.path()))
            }
            Self::SaveReport { path, .. } => format!("Saving {}", file_name(path)),
            Self::Curves { paths, .. } => {
                format!("Reading curves of {}", paths.first().map(|path| file_name(path)).unwrap_or_default())
            }
            Self::Drift { .. } => "Reading how layers moved".to_owned(),
            Self::Statistics { label, .. } => format!("Statistics of {label}"),
            Self::PlanExport { .. } => "Preparing the export".to_owned(),
            Self::Export { plan, .. } => format!("Exporting {}", file_name(&plan.request.target)),
            Self::Prepare { purpose, .. } => purpose.label().to_owned(),
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into_owned()
}

/// Statistics and value counts, with what they leave out.
#[derive(Debug, Clone, Default)]
pub struct ValueSummary {
    /// Moments, extremes, counts.
    pub statistics: Statistics,
    /// From which histograms and quantiles are made.
    pub values: ValueTable,
    /// Tensors that were read.
    pub tensors: u64,
    /// Tensors that could not be read or have no numbers, as sentences; at most a few.
    pub left_out: Vec<String>,
}

impl ValueSummary {
    /// About how much memory it takes.
    pub fn memory_bytes(&self) -> usize {
        std::mem::size_of::<Self>() + self.values.buckets.len() * std::mem::size_of::<(f64, f64, u64)>()
    }
}

/// What a job brought.
#[derive(Debug, Clone)]
pub enum JobOutput {
    /// The catalogue, and what is around the file.
    Opened(Arc<Checkpoint>, Surroundings),
    /// Statistics and value counts.
    Summarised(Arc<ValueSummary>),
    /// Statistics of some tensors of a scan.
    Scanned(Vec<ScannedTensor>),
    /// What a file would do when it is loaded.
    Examined(Arc<Safety>),
    /// A closer look at a tensor.
    Looked(Arc<Looked>),
    /// What an export would write.
    Planned(Arc<ExportPlan>),
    /// What was exported.
    Exported(Arc<Exported>),
    /// What was put together.
    Prepared(Prepared),
    /// Which tensors will be compared.
    Paired(Arc<Paired>),
    /// Some pairs of a comparison, by their index.
    PairsCompared(Arc<Vec<(usize, PairDiff)>>),
    /// A whole comparison.
    Compared(Arc<Compared>),
    /// Whether a checkpoint would load.
    Fitted(Arc<Compatibility>),
    /// Something was written to this file.
    Saved(PathBuf),
    /// Curves; also of a path that was to be opened and is a log or a folder of checkpoints.
    Gathered(Arc<Gathered>),
    /// How layers moved.
    Moved(Arc<Drift>),
}

/// One tensor of a scan: its statistics, or why there are none.
pub type ScannedTensor = (TensorId, Result<TensorStatistics, String>);

/// Path, size and time of change of a file, or of the files directly in a folder. `None` where that cannot be found out.
pub type FileIdentity = Option<u64>;

/// What is around a file that was opened.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// What it is recognised by when it is opened again.
    pub identity: FileIdentity,
    /// Other files of its folder that are named like it but for their numbers, in natural order.
    pub series: Vec<PathBuf>,
}

/// Why a job failed: what, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// What went wrong and why, as sentences for people.
    pub message: String,
    /// What to do about it, where that is known.
    pub advice: Option<String>,
}

impl JobError {
    /// A failure with these words.
    pub fn new(message: impl Into<String>, advice: Option<&str>) -> Self {
        Self { message: message.into(), advice: advice.map(str::to_owned) }
    }
}

/// How a job ended.
#[derive(Debug, Clone)]
pub enum JobOutcome {
    /// Not yet: a part of the result, before the end.
    Partial(JobOutput),
    /// With a result.
    Finished(JobOutput),
    /// With a reason.
    Failed(JobError),
    /// Because someone asked it to stop, or a newer job replaced it.
    Cancelled,
}

/// News of a job.
#[derive(Debug, Clone)]
pub struct JobEvent {
    /// What it worked for.
    pub key: JobKey,
    /// How it ended.
    pub outcome: JobOutcome,
}
