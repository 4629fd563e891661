//! What a file would do when a program loads it, gathered without loading it.
//!
//! ```text
//! path ─▶ Examiner ─┬ pickles   one after the other, and in bytes that belong to nothing
//!                   │ ├ calls   imports, calls with their arguments
//!                   │ └ embedded   pickles inside byte strings
//!                   ├ archives  records that contradict each other, members; each member by its own bytes
//!                   ├ hdf5      links and values outside the file, Keras configurations
//!                   ├ configs   Keras: lambdas, functions and classes by module
//!                   ├ graphs    TensorFlow operations that reach outside, ONNX files elsewhere
//!                   └ sources   TorchScript, chat templates
//! ```
//! Beside [`super::open`] and independent of it: files that open as no checkpoint are looked at all the same, since what
//! is broken for one program can run in another. What the findings mean is judged by `analysis::safety`.

mod archives;
mod calls;
mod compressed;
mod configs;
mod embedded;
mod expression;
mod files;
mod graphs;
mod hdf5;
mod pickles;
mod sources;

use std::collections::HashMap;
use std::path::Path;

use super::containers::{hdf5 as hdf5_container, npy, tar, zip_records};
use super::pytorch::joblib_follows;
use super::tensorflow::{graph_def, saved_model, text_form};
use super::{OpenError, Probe, recognise};
use crate::model::{Checkpoint, Evidence, Oddity, Progress, ReadError, Severity};
use crate::raw::ByteSource;

/// How deep archives and pickles inside one another are followed.
const NESTING: usize = 6;

/// Files and members that are looked at.
const PARTS: u64 = 1_000_000;

/// Bytes that compressed members and files may take unpacked, all together.
const UNPACKED: u64 = 1 << 30;

/// Bytes looked at to tell what something is.
const HEAD_BYTES: u64 = 4096;

/// Looks at a file, a folder or a TensorFlow prefix. `checksums`: also read the data of archives, to check it.
///
/// Fails where the path cannot be looked at, or holds nothing of a kind that this knows.
pub fn examine(path: &Path, checksums: bool, progress: &Progress) -> Result<Evidence, OpenError> {
    let mut examiner = Examiner::new(checksums, progress);
    let inaccessible = |source| OpenError::Inaccessible { source, path: path.to_owned() };
    let probe = Probe::new(path).map_err(inaccessible)?;
    match examiner.path(&probe) {
        Err(source) => Err(inaccessible(source)),
        Ok(()) if examiner.evidence.kind.is_empty() => {
            Err(OpenError::Unrecognised { looks_like: recognise::looks_like(&probe), path: path.to_owned() })
        }
        Ok(()) => Ok(examiner.evidence),
    }
}

/// The same for bytes that are no file of their own.
pub fn examine_bytes(source: &ByteSource, progress: &Progress) -> Result<Evidence, ReadError> {
    let mut examiner = Examiner::new(true, progress);
    let kind = examiner.source(source, "", Part::File)?;
    kind.unwrap_or_default().clone_into(&mut examiner.evidence.kind);
    Ok(examiner.evidence)
}

/// What was found, with what opening the path as a checkpoint adds: what cannot be read is damage.
///
/// Fails where neither knows what it is.
pub fn with_opened(
    examined: Result<Evidence, OpenError>,
    opened: Result<&Checkpoint, &OpenError>,
) -> Result<Evidence, OpenError> {
    let mut evidence = match examined {
        Ok(evidence) => evidence,
        Err(OpenError::Unrecognised { .. }) if !matches!(opened, Err(OpenError::Unrecognised { .. })) => {
            Evidence::default()
        }
        Err(error) => return Err(error),
    };
    let checkpoint = match opened {
        Ok(checkpoint) => checkpoint,
        Err(OpenError::Failed { format, source, .. }) => {
            evidence.observe(Oddity::Unreadable, "", None, format!("it does not open as {format}: {source}"));
            return Ok(evidence);
        }
        Err(_) => return Ok(evidence),
    };
    if evidence.kind.is_empty() {
        checkpoint.format().clone_into(&mut evidence.kind);
    }
    for problem in checkpoint.problems().iter().filter(|problem| problem.severity == Severity::Error) {
        let named = problem.tensor.map(|id| checkpoint.tensor(id));
        // Values that are elsewhere on purpose are no damage, and nothing is told twice.
        let is_told = evidence.observations.iter().any(|known| {
            known.detail == problem.message
                || known.names.iter().any(|name| {
                    problem.message.contains(name) || named.is_some_and(|tensor| tensor.stored_name() == name)
                })
        });
        if !is_told {
            let message = match named {
                Some(tensor) => format!("{:?}: {}", tensor.name, problem.message),
                None => problem.message.clone(),
            };
            evidence.observe(Oddity::Unreadable, "", problem.offset, message);
        }
    }
    Ok(evidence)
}

/// What a source is a part of, which decides what an ordinary part looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A file by itself.
    File,
    /// A member of an archive that its name, or its neighbours, say is a pickle.
    Pickle,
    /// A member of an archive, or bytes, of which nothing is known.
    Other,
    /// Bytes that nothing refers to.
    Stray,
}

/// Gathers evidence.
struct Examiner<'a> {
    evidence: Evidence,
    progress: &'a Progress,
    checksums: bool,
    /// Archives and streams that the current one is inside of.
    depth: usize,
    unpacked: u64,
    /// Positions in the evidence of what was imported, by module, name and place.
    imported: HashMap<(String, String, String), usize>,
}

impl<'a> Examiner<'a> {
    fn new(checksums: bool, progress: &'a Progress) -> Self {
        Self {
            evidence: Evidence::default(),
            progress,
            checksums,
            depth: 0,
            unpacked: 0,
            imported: HashMap::new(),
        }
    }

    /// Looks at bytes and goes by what they are. Returns what that is; `None` where it is nothing known.
    ///
    /// Damage is an observation; only a system's error or a cancellation is returned.
    fn source(
        &mut self,
        source: &ByteSource,
        place: &str,
        part: Part,
    ) -> Result<Option<&'static str>, ReadError> {
        self.progress.advance(0)?;
        if self.evidence.parts >= PARTS {
            return Ok(None);
        }
        self.evidence.parts += 1;
        if self.depth >= NESTING {
            let text = format!("it is inside {NESTING} others and was not looked into");
            self.evidence.observe(Oddity::NestedTooDeep, place, None, text);
            return Ok(None);
        }
        let head = source.read_up_to("the start of the file", 0, HEAD_BYTES)?;
        self.depth += 1;
        let found = self.by_content(source, &head, place, part);
        self.depth -= 1;
        match found {
            Err(error @ (ReadError::Io(_) | ReadError::Cancelled | ReadError::FileChanged)) => Err(error),
            Err(error) => {
                self.evidence.observe(Oddity::Unreadable, place, None, error.to_string());
                Ok(Some("a damaged file"))
            }
            Ok(kind) => Ok(kind),
        }
    }

    fn by_content(
        &mut self,
        source: &ByteSource,
        head: &[u8],
        place: &str,
        part: Part,
    ) -> Result<Option<&'static str>, ReadError> {
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            self.zip(source, place)?;
            return Ok(Some("a zip archive"));
        }
        if pickles::begins_like_one(head) || part == Part::Pickle {
            let is_any = self.pickles(source, place, part)?;
            if is_any {
                self.appended(source, place)?;
                return Ok(Some("a pickle"));
            }
        }
        if head.starts_with(npy::MAGIC) {
            self.npy(source, place)?;
            return Ok(Some("a numpy array"));
        }
        if hdf5_container::has_signature(source, head) {
            self.hdf5(source, head, place)?;
            return Ok(Some("an HDF5 file"));
        }
        if tar::first_name(head).is_some() {
            self.tar(source, place)?;
            return Ok(Some("a tar archive"));
        }
        if let Some(kind) = self.compressed(source, head, place, part)? {
            return Ok(Some(kind));
        }
        if head.starts_with(b"GGUF") {
            self.gguf(source, place)?;
            return Ok(Some("a GGUF file"));
        }
        if matches!(part, Part::Other | Part::Stray) {
            // Data of tensors: nothing more to be told from the bytes alone.
            return Ok(self.json(source, head, place)?.or(self.native(head, place)));
        }
        if let Some(kind) = self.safetensors(source, head, place)? {
            return Ok(Some(kind));
        }
        if let Some(kind) = self.json(source, head, place)?.or(self.native(head, place)) {
            self.appended(source, place)?;
            return Ok(Some(kind));
        }
        if let Some(root) = text_form::looks_like(head) {
            let binary = text_form::binary(source, root)?;
            self.graph_file(&binary, place, root)?;
            return Ok(Some("a TensorFlow graph in text form"));
        }
        if saved_model::looks_like(head) {
            self.graph_file(source, place, text_form::Root::SavedModel)?;
            return Ok(Some("a TensorFlow SavedModel"));
        }
        if graph_def::looks_like_graph(head) {
            self.graph_file(source, place, text_form::Root::Graph)?;
            return Ok(Some("a TensorFlow graph"));
        }
        if graph_def::looks_like_meta_graph(source, head) {
            self.graph_file(source, place, text_form::Root::MetaGraph)?;
            return Ok(Some("a TensorFlow meta graph"));
        }
        if self.onnx(source, head, place)? {
            return Ok(Some("an ONNX model"));
        }
        // The text protocols have no mark of their own: such a stream is one if it can be read as one.
        if pickles::may_begin_one(head) && self.pickles(source, place, part)? {
            self.appended(source, place)?;
            return Ok(Some("a pickle"));
        }
        if zip_records::find_end(source).is_some() {
            self.zip(source, place)?;
            return Ok(Some("a zip archive behind other bytes"));
        }
        Ok(None)
    }

    /// A file of another kind in a file that begins otherwise: readers of archives search for their end, and HDF5 can
    /// stand behind anything.
    fn appended(&mut self, source: &ByteSource, place: &str) -> Result<(), ReadError> {
        if zip_records::find_end(source).is_some() {
            self.zip(source, place)?;
        }
        if hdf5_container::has_signature(source, &[]) {
            self.hdf5(source, &[], place)?;
        }
        Ok(())
    }

    /// Whether so many more bytes may be unpacked.
    fn may_unpack(&mut self, bytes: u64, place: &str) -> bool {
        let total = self.unpacked.saturating_add(bytes);
        if total > UNPACKED {
            let text = format!(
                "more than {UNPACKED} bytes would have to be unpacked; this part was not looked into"
            );
            self.evidence.observe(Oddity::Incomplete, place, None, text);
            return false;
        }
        self.unpacked = total;
        true
    }
}

/// The name of a part inside another: `archive.zip/data.pkl`, or the part's own name where the outer one has none.
fn inside(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}/{name}") }
}
