//! What an export will write: names, dtypes, sizes, files, and what to know beforehand. Nothing is written and no values
//! are read; of the target's place only what an earlier export left there.

use std::collections::HashMap;
use std::path::PathBuf;

use super::request::{ExportFormat, ExportRequest};
use super::{ExportError, cast::Cast, dtypes, hdf5, numpy, pytorch, superseded};
use crate::model::{Checkpoint, Dtype, RenameRule, Severity, Shape, TensorId};
use crate::text;

/// What happens to a tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conversion {
    /// They are copied, byte for byte.
    None,
    /// Another dtype that holds each of them exactly.
    Exact,
    /// Another dtype that may round them, or loses what they stand for.
    Rounding,
}

/// One tensor of the new file.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTensor {
    /// Which tensor of the checkpoint it is.
    pub id: TensorId,
    /// Its name in the new file.
    pub name: String,
    /// The keys that lead to it there: dictionaries of a PyTorch file, groups of an HDF5 file; otherwise its name.
    pub keys: Vec<String>,
    /// Its dtype in the checkpoint.
    pub from: Dtype,
    /// Its dtype in the new file.
    pub dtype: Dtype,
    /// Its shape in the new file.
    pub shape: Shape,
    /// Bytes of its values in the new file; 0 where another tensor's values are its own.
    pub bytes: u64,
    /// What happens to its values.
    pub conversion: Conversion,
    /// The tensor of the plan whose values it shares.
    pub alias_of: Option<usize>,
}

/// A tensor that was asked for and cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which.
    pub id: TensorId,
    /// Why, as one clause.
    pub reason: String,
}

/// One file that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Where.
    pub path: PathBuf,
    /// What is in it, by place in [`ExportPlan::tensors`] and in the order in which it is written.
    pub tensors: Vec<usize>,
}

/// What an export will write.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportPlan {
    /// What was asked for.
    pub request: ExportRequest,
    /// What will be written, in the order of the request.
    pub tensors: Vec<PlannedTensor>,
    /// What will not.
    pub left_out: Vec<LeftOut>,
    /// The files; for sharded safetensors without their index.
    pub files: Vec<PlannedFile>,
    /// Bytes of values in all files.
    pub bytes: u64,
    /// What to know beforehand, as sentences.
    pub warnings: Vec<String>,
}

/// How the format can say that tensors are tied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ties {
    /// Several names for one array.
    Shared,
    /// The second name is left out; the metadata keeps it.
    Recorded,
    /// The second name is left out.
    Dropped,
    /// The values are written twice.
    Copied,
}

impl ExportPlan {
    /// Plans an export. The error says why it cannot be.
    pub fn new(checkpoint: &Checkpoint, request: ExportRequest) -> Result<Self, ExportError> {
        if let Some(cast) = request.cast.as_ref().filter(|cast| !dtypes::CASTS.contains(cast)) {
            return Err(ExportError::refused(format!("values cannot be cast to {cast}")));
        }
        let mut plan = Self {
            request,
            tensors: Vec::new(),
            left_out: Vec::new(),
            files: Vec::new(),
            bytes: 0,
            warnings: Vec::new(),
        };
        let mut seen = vec![false; checkpoint.tensors().len()];
        for id in plan.request.tensors.clone() {
            match seen.get_mut(id.index()) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            match plan.tensor(checkpoint, id) {
                Ok(tensor) => plan.tensors.push(tensor),
                Err(reason) => plan.left_out.push(LeftOut { id, reason }),
            }
        }
        if plan.tensors.is_empty() {
            return Err(ExportError::refused(match plan.left_out.first() {
                Some(first) => {
                    format!("nothing can be exported: {}: {}", checkpoint.tensor(first.id).name, first.reason)
                }
                None => "no tensor is selected".to_owned(),
            }));
        }
        plan.tie(checkpoint);
        match plan.request.format {
            ExportFormat::Hdf5 => hdf5::place(checkpoint, &mut plan),
            ExportFormat::PyTorch => pytorch::place(checkpoint, &mut plan),
            ExportFormat::Csv => super::csv::check(&plan)?,
            ExportFormat::Safetensors | ExportFormat::Npz | ExportFormat::NpyFolder => {}
        }
        plan.check_names(checkpoint)?;
        plan.lay_out();
        plan.warn(checkpoint);
        Ok(plan)
    }

    /// Files that will be there afterwards, the index of a sharded set included.
    pub fn targets(&self) -> Vec<PathBuf> {
        let mut targets: Vec<PathBuf> = self.files.iter().map(|file| file.path.clone()).collect();
        targets.extend(self.index_path());
        if self.request.format == ExportFormat::NpyFolder {
            targets = vec![self.request.target.clone()];
        }
        targets
    }

    /// Where the index of a sharded set goes; `None` for one file.
    pub fn index_path(&self) -> Option<PathBuf> {
        (self.files.len() > 1 && self.request.format == ExportFormat::Safetensors)
            .then(|| superseded::index_of(&self.request.target))
    }

    /// What to open to see the result.
    pub fn result_path(&self) -> PathBuf {
        self.index_path().unwrap_or_else(|| self.request.target.clone())
    }

    /// Whether values change their dtype.
    pub fn converts(&self) -> bool {
        self.tensors.iter().any(|tensor| tensor.conversion != Conversion::None)
    }

    /// Whether the tensor's name is in the new file.
    pub fn is_written(&self, tensor: &PlannedTensor) -> bool {
        tensor.alias_of.is_none() || self.ties() == Ties::Shared
    }

    pub(super) fn ties(&self) -> Ties {
        match self.request.format {
            ExportFormat::PyTorch | ExportFormat::Hdf5 => Ties::Shared,
            _ if !self.request.drop_duplicates => Ties::Copied,
            ExportFormat::Safetensors => Ties::Recorded,
            _ => Ties::Dropped,
        }
    }

    fn tensor(&self, checkpoint: &Checkpoint, id: TensorId) -> Result<PlannedTensor, String> {
        let tensor = checkpoint.tensor(id);
        let fault = checkpoint
            .problems_of(id)
            .find(|problem| problem.severity == Severity::Error || problem.code == "no-values");
        if let Some(fault) = fault {
            return Err(format!("its values cannot be read: {}", fault.message));
        }
        if tensor.dtype == Dtype::String {
            return Err("text is not exported".to_owned());
        }
        let format = self.request.format;
        let wanted = dtypes::after_cast(&tensor.dtype, self.request.cast.as_ref());
        let not_held = || format!("nothing in {} holds {} values", format.name(), tensor.dtype);
        let shape = dtypes::reshaped(&tensor.dtype, &wanted, &tensor.shape).ok_or_else(not_held)?;
        let target = dtypes::target(format, &wanted, &shape).ok_or_else(not_held)?;
        if Cast::new(&tensor.dtype, &target.dtype).is_none() {
            return Err(not_held());
        }
        let bytes = target.shape.checked_elements().and_then(|elements| target.dtype.bytes_for(elements));
        let bytes = bytes.ok_or_else(|| "its size overflows".to_owned())?;
        let mut name = RenameRule::apply_all(&self.request.rules, &tensor.name).into_owned();
        if name.is_empty() && format != ExportFormat::PyTorch {
            "tensor".clone_into(&mut name); // a bare tensor
        }
        let conversion = if tensor.dtype == target.dtype {
            Conversion::None
        } else if dtypes::is_exact(&tensor.dtype, &target.dtype) {
            Conversion::Exact
        } else {
            Conversion::Rounding
        };
        let (dtype, shape) = (target.dtype, target.shape);
        let keys = vec![name.clone()];
        Ok(PlannedTensor {
            id,
            name,
            keys,
            from: tensor.dtype.clone(),
            dtype,
            shape,
            bytes,
            conversion,
            alias_of: None,
        })
    }

    /// Finds tensors that share their values, where the format or the request makes use of it.
    fn tie(&mut self, checkpoint: &Checkpoint) {
        if self.ties() == Ties::Copied {
            return;
        }
        let mut first_of: HashMap<TensorId, usize> = HashMap::new();
        for index in 0..self.tensors.len() {
            let Some(tensor) = self.tensors.get(index) else { continue };
            let root = checkpoint.tensor(tensor.id).tied_to.unwrap_or(tensor.id);
            let first = *first_of.entry(root).or_insert(index);
            let same = self
                .tensors
                .get(first)
                .is_some_and(|other| other.from == tensor.from && other.shape == tensor.shape);
            if let Some(tensor) = self.tensors.get_mut(index).filter(|_| first != index && same) {
                tensor.alias_of = Some(first);
            }
        }
    }

    fn check_names(&self, checkpoint: &Checkpoint) -> Result<(), ExportError> {
        let mut taken: HashMap<&[String], TensorId> = HashMap::with_capacity(self.tensors.len());
        for tensor in &self.tensors {
            if tensor.name == "__metadata__" && self.request.format == ExportFormat::Safetensors {
                return Err(ExportError::refused("safetensors allow no tensor of the name __metadata__"));
            }
            if let Some(other) = taken.insert(&tensor.keys, tensor.id) {
                return Err(ExportError::refused(format!(
                    "two tensors would be called {:?}: {:?} and {:?}",
                    tensor.name,
                    checkpoint.tensor(other).name,
                    checkpoint.tensor(tensor.id).name
                )));
            }
        }
        Ok(())
    }

    /// Distributes the tensors over files.
    pub(super) fn lay_out(&mut self) {
        let ties = self.ties();
        for index in 0..self.tensors.len() {
            if self.tensors.get(index).is_some_and(|tensor| tensor.alias_of.is_some())
                && let Some(tensor) = self.tensors.get_mut(index)
            {
                tensor.bytes = 0;
            }
        }
        let present = |tensor: &PlannedTensor| tensor.alias_of.is_none() || ties == Ties::Shared;
        let all = self.tensors.iter().enumerate().filter(|(_, tensor)| present(tensor));
        self.bytes = self.tensors.iter().map(|tensor| tensor.bytes).fold(0, u64::saturating_add);
        let target = &self.request.target;
        self.files = match (self.request.format, self.request.shard_bytes) {
            (ExportFormat::NpyFolder, _) => all
                .map(|(index, tensor)| PlannedFile {
                    path: target.join(numpy::file_name(&tensor.name)),
                    tensors: vec![index],
                })
                .collect(),
            (ExportFormat::Safetensors, Some(limit)) => {
                let mut shards: Vec<(Vec<usize>, u64)> = Vec::new();
                for (index, tensor) in all {
                    match shards.last_mut().filter(|(_, size)| size.saturating_add(tensor.bytes) <= limit) {
                        Some((tensors, size)) => {
                            tensors.push(index);
                            *size += tensor.bytes;
                        }
                        None => shards.push((vec![index], tensor.bytes)),
                    }
                }
                let count = shards.len();
                let stem = target.file_stem().unwrap_or_default().to_string_lossy();
                let name = |number: usize| match count {
                    0 | 1 => target.clone(),
                    _ => target.with_file_name(superseded::shard_name(&stem, number, count)),
                };
                shards
                    .into_iter()
                    .zip(1..)
                    .map(|((tensors, _), number)| PlannedFile { path: name(number), tensors })
                    .collect()
            }
            _ => vec![PlannedFile { path: target.clone(), tensors: all.map(|(index, _)| index).collect() }],
        };
        if self.request.format == ExportFormat::Safetensors {
            let tensors = &self.tensors;
            let bits = |&index: &usize| tensors.get(index).map_or(0, |tensor| tensor.dtype.bits());
            // Readers take views of their buffer, which must be aligned to the elements; the library sorts so too.
            for file in &mut self.files {
                file.tensors.sort_by_key(|index| std::cmp::Reverse(bits(index)));
            }
        }
    }

    fn warn(&mut self, checkpoint: &Checkpoint) {
        let mut groups: HashMap<(Dtype, Dtype, Conversion), u64> = HashMap::new();
        for tensor in self.tensors.iter().filter(|tensor| tensor.conversion != Conversion::None) {
            let key = (tensor.from.clone(), tensor.dtype.clone(), tensor.conversion);
            *groups.entry(key).or_default() += 1;
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort();
        for ((from, to, conversion), count) in groups {
            let what = if conversion == Conversion::Exact { "exactly" } else { loss(&from, &to) };
            let plural = if count == 1 { "tensor becomes" } else { "tensors become" };
            self.warnings.push(format!("{} {from} {plural} {to}: {what}", text::count(count)));
        }
        let cast = self.request.cast.as_ref().filter(|cast| {
            let is_cast = |tensor: &PlannedTensor| dtypes::after_cast(&tensor.from, Some(cast)) == **cast;
            self.tensors.iter().any(|tensor| is_cast(tensor) && tensor.dtype != **cast)
        });
        if let Some(cast) = cast {
            self.warnings
                .push(format!("not cast: nothing in {} holds {cast} values", self.request.format.name()));
        }
        let mut reasons: Vec<(&str, u64, TensorId)> = Vec::new();
        for left in &self.left_out {
            match reasons.iter_mut().find(|(reason, ..)| *reason == left.reason) {
                Some((_, count, _)) => *count += 1,
                None => reasons.push((&left.reason, 1, left.id)),
            }
        }
        for (reason, count, id) in reasons.into_iter().take(REASONS) {
            let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
            let name = &checkpoint.tensor(id).name;
            self.warnings.push(format!("left out: {name}{more}: {reason}"));
        }
        let aliases = self.tensors.iter().filter(|tensor| tensor.alias_of.is_some()).count() as u64;
        match self.ties() {
            Ties::Recorded if aliases > 0 => self.warnings.push(format!(
                "{} names of tied tensors are left out; __metadata__ says which tensor each of them is",
                text::count(aliases)
            )),
            Ties::Dropped if aliases > 0 => self.warnings.push(format!(
                "{} names of tied tensors are left out; {} cannot record them",
                text::count(aliases),
                self.request.format.name()
            )),
            _ => {}
        }
        if self.request.format == ExportFormat::PyTorch {
            self.warnings.extend(pytorch::warnings(checkpoint, self));
        }
        if self.request.format == ExportFormat::Hdf5 {
            self.warnings.extend(hdf5::warning(checkpoint, self));
        }
        self.warnings.extend(superseded::find(self).warnings);
    }
}

/// Reasons for leaving tensors out that are told.
const REASONS: usize = 8;

/// What a conversion that is not exact costs.
fn loss(from: &Dtype, to: &Dtype) -> &'static str {
    match from {
        Dtype::Qint8 | Dtype::Quint8 | Dtype::Qint32 => "the integers without their scales",
        _ if from.is_float() && to.is_float() => "rounded to the nearest",
        _ => "cut to what fits",
    }
}
