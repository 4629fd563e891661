//! Carries out a plan: checks that it may be, stages the files, and gives them their names once they are complete.

use std::collections::HashSet;
use std::fs;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use super::request::ExportFormat;
use super::staged::{self, StagedFile};
use super::values::{Values, with_values};
use super::{ExportError, ExportPlan, csv, hdf5, numpy, pytorch, safetensors, superseded, ties};
use crate::model::{Checkpoint, Progress};
use crate::text;

/// What the writers write to.
pub(super) trait Out: Write + Seek {}
impl<T: Write + Seek> Out for T {}

/// What became of one tensor of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenTensor {
    /// Its place in [`ExportPlan::tensors`].
    pub index: usize,
    /// Finite numbers that became infinite, or integers that were cut.
    pub overflowed: u64,
    /// Numbers other than zero that became zero.
    pub vanished: u64,
    /// SHA-256 of its values in the new file, where it was asked for.
    pub sha256: Option<[u8; 32]>,
}

/// A complete new file or set of files, on the disk and not yet under its name. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Written {
    /// The plan that was carried out. Tensors that turned out not to be tied have values of their own in it.
    pub plan: ExportPlan,
    /// What became of the tensors that have values of their own.
    pub tensors: Vec<WrittenTensor>,
    files: Vec<StagedFile>,
    folder: Option<tempfile::TempDir>,
    /// Shards of an earlier export that nothing lists any more afterwards.
    superseded: Vec<PathBuf>,
}

/// Writes everything that the plan says, and flushes it to the disk. The target is untouched until [`Written::commit`].
/// `hashes` asks for the SHA-256 of each tensor's values. `progress` counts bytes of values.
pub fn write(
    checkpoint: &Checkpoint,
    plan: &ExportPlan,
    hashes: bool,
    progress: &Progress,
) -> Result<Written, ExportError> {
    let mut plan = plan.clone();
    check(checkpoint, &plan)?;
    ties::confirm(checkpoint, &mut plan, progress)?;
    let mut folder = None;
    let mut files = Vec::new();
    if plan.request.format == ExportFormat::NpyFolder {
        let beside = staged::folder_of(&plan.request.target);
        folder = Some(tempfile::Builder::new().prefix(staged::PREFIX).tempdir_in(beside)?);
    } else {
        for target in plan.targets() {
            files.push(StagedFile::create(&target)?);
        }
    }
    let order = plan.files.iter().flat_map(|file| &file.tensors).copied();
    let has_values = |index: &usize| plan.tensors.get(*index).is_some_and(|tensor| tensor.alias_of.is_none());
    let order: Vec<usize> = order.filter(has_values).collect();
    let tensors = with_values(checkpoint, &plan, order, hashes, progress, |values| {
        match &folder {
            Some(folder) => write_folder(folder.path(), values)?,
            None => write_files(checkpoint, &mut files, values)?,
        }
        Ok(std::mem::take(&mut values.written))
    })?;
    if progress.is_cancelled() {
        return Err(ExportError::Cancelled);
    }
    let sources = sources(checkpoint);
    let mut superseded = superseded::find(&plan).ours;
    superseded.retain(|path| !sources.contains(&identity(path)));
    Ok(Written { plan, tensors, files, folder, superseded })
}

fn write_files(
    checkpoint: &Checkpoint,
    staged: &mut [StagedFile],
    values: &mut Values<'_>,
) -> Result<(), ExportError> {
    let plan = values.plan();
    for (place, file) in plan.files.iter().enumerate() {
        let Some(out) = staged.get_mut(place) else { continue };
        match plan.request.format {
            ExportFormat::Safetensors => safetensors::write(checkpoint, file, values, out)?,
            ExportFormat::PyTorch => pytorch::write(checkpoint, file, values, out)?,
            ExportFormat::Npz => numpy::write_archive(file, values, out)?,
            ExportFormat::Hdf5 => hdf5::write(checkpoint, file, values, out)?,
            ExportFormat::Csv => csv::write(file, values, out)?,
            ExportFormat::NpyFolder => return Err(ExportError::refused("a folder is not one file")),
        }
        out.sync()?;
    }
    if let (Some(_), Some(out)) = (plan.index_path(), staged.last_mut()) {
        safetensors::write_index(plan, out)?;
        out.sync()?;
    }
    Ok(())
}

fn write_folder(folder: &Path, values: &mut Values<'_>) -> Result<(), ExportError> {
    for file in &values.plan().files {
        let (Some(name), Some(&index)) = (file.path.file_name(), file.tensors.first()) else { continue };
        let mut out = fs::File::create_new(folder.join(name))?;
        numpy::write_array(index, values, &mut out)?;
        out.sync_all()?;
    }
    Ok(staged::sync_folder(folder)?)
}

impl Written {
    /// Where the new files can be read now, with their places in [`ExportPlan::files`].
    pub fn reading_paths(&self) -> Vec<(usize, PathBuf)> {
        match &self.folder {
            Some(folder) => {
                let named = |(place, file): (usize, &super::PlannedFile)| {
                    Some((place, folder.path().join(file.path.file_name()?)))
                };
                self.plan.files.iter().enumerate().filter_map(named).collect()
            }
            None => (0..self.plan.files.len()).zip(self.files.iter().map(StagedFile::reading_path)).collect(),
        }
    }

    /// Gives the new files their names, the index of a set last.
    pub fn commit(self) -> Result<(), ExportError> {
        let replace = self.plan.request.replace;
        for file in self.files {
            file.commit(replace)?;
        }
        for path in self.superseded {
            let _ = fs::remove_file(path); // the new files are whole without
        }
        let Some(folder) = self.folder else { return Ok(()) };
        let target = &self.plan.request.target;
        let beside = staged::folder_of(target);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Temporary folders are for their owner only; this one becomes like those that are made beside it.
            let like = fs::metadata(beside)?.permissions().mode() & 0o777;
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(like))?;
        }
        staged::rename_folder(folder, target)?;
        Ok(staged::sync_folder(beside)?)
    }
}

/// Everything that can be known to be in the way.
fn check(checkpoint: &Checkpoint, plan: &ExportPlan) -> Result<(), ExportError> {
    let request = &plan.request;
    let folder = staged::folder_of(&request.target);
    if !folder.is_dir() {
        return Err(ExportError::refused(format!("there is no folder {}", folder.display())));
    }
    let sources = sources(checkpoint);
    for target in plan.targets() {
        let Ok(metadata) = fs::metadata(&target) else { continue };
        if sources.contains(&identity(&target)) {
            return Err(is_source());
        }
        if !request.replace {
            return Err(ExportError::refused(format!("{} exists already", target.display())));
        }
        if metadata.permissions().readonly() {
            return Err(ExportError::refused(format!("{} may not be changed", target.display())));
        }
        let is_folder = request.format == ExportFormat::NpyFolder;
        if metadata.is_dir() != is_folder {
            let what = if is_folder { "is not a folder" } else { "is a folder" };
            return Err(ExportError::refused(format!("{} {what}", target.display())));
        }
        if is_folder && !holds_only_arrays(&target) {
            return Err(ExportError::refused(format!(
                "{} holds other files than .npy, so it is not replaced",
                target.display()
            )));
        }
    }
    // What the formats add to the values: names, shapes, padding.
    let needed = plan.bytes.saturating_add(1024 * plan.tensors.len() as u64);
    if let Some(free) = staged::free_bytes(folder)
        && free < needed
    {
        return Err(ExportError::refused(format!(
            "there is not enough space: {} are needed, {} are free",
            text::bytes(needed),
            text::bytes(free)
        )));
    }
    Ok(())
}

fn is_source() -> ExportError {
    ExportError::refused("the target is the checkpoint that is exported; choose another name")
}

/// An error where the target is a file that values are read from.
pub(super) fn refuse_source(checkpoint: &Checkpoint, target: &Path) -> Result<(), ExportError> {
    let is_there = fs::metadata(target).is_ok();
    if is_there && sources(checkpoint).contains(&identity(target)) { Err(is_source()) } else { Ok(()) }
}

fn holds_only_arrays(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().all(|entry| {
            entry.path().extension().is_some_and(|extension| extension == "npy")
                && entry.file_type().is_ok_and(|kind| kind.is_file())
        })
    })
}

/// Folders inside folders that are looked at: `SavedModel` and distributed checkpoints have two.
const DEPTH: usize = 3;

/// The files that values are read from, as far as the path tells: the file itself, and what lies beside the index of a set
/// or inside a folder.
fn sources(checkpoint: &Checkpoint) -> HashSet<Identity> {
    let path = checkpoint.path();
    let mut sources = HashSet::from([identity(path)]);
    let of_several = ["sharded", "distributed", "tf-"].iter().any(|word| checkpoint.format().contains(word));
    let folder = if path.is_dir() {
        path
    } else if of_several || !path.exists() {
        staged::folder_of(path)
    } else {
        return sources;
    };
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if depth < DEPTH
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
                && path.starts_with(checkpoint.path())
            {
                folders.push((path, depth + 1));
            } else {
                sources.insert(identity(&path));
            }
        }
    }
    sources
}

/// What tells a file from others under whatever name.
#[cfg(unix)]
type Identity = Option<(u64, u64)>;
#[cfg(not(unix))]
type Identity = Option<PathBuf>;

fn identity(path: &Path) -> Identity {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        fs::canonicalize(path).ok()
    }
}
