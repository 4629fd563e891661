//! Tensors of a distributed checkpoint: chunks in several files, put together while they are read.
//!
//! Every chunk is a whole PyTorch archive of one tensor, embedded in a `.distcp` file: it is read inside its own range, never
//! from the end of the file. Opening a checkpoint opens none of them.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::rebuild::Rebuilder;
use super::storage::swap_unit;
use super::zip_layout;
use crate::formats::containers::zip::ZipArchive;
use crate::model::{Dtype, Progress, ReadError, Shape};
use crate::raw::pieces::{Piece, Whole, read_pieces};
use crate::raw::{ByteSource, Strided, limits, read_strided};

/// A file of the checkpoint. It is opened for each read: a folder can hold more files than a process may have open.
#[derive(Debug)]
pub struct DataFile {
    path: PathBuf,
    /// Bytes when the checkpoint was opened.
    pub len: u64,
    modified: Option<SystemTime>,
}

impl DataFile {
    /// Looks at a file without opening it.
    pub fn find(path: &Path) -> Result<Self, ReadError> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(ReadError::unsupported("not a regular file"));
        }
        Ok(Self { path: path.to_owned(), len: metadata.len(), modified: metadata.modified().ok() })
    }

    /// Its bytes, if they are still those that were found.
    pub fn open(&self) -> Result<ByteSource, ReadError> {
        let modified = std::fs::metadata(&self.path)?.modified().ok();
        let source = ByteSource::open(&self.path)?;
        if source.len() == self.len && modified == self.modified {
            Ok(source)
        } else {
            Err(ReadError::FileChanged)
        }
    }
}

/// One box of a tensor.
#[derive(Debug)]
pub struct Chunk {
    /// First index per dimension.
    pub start: Vec<u64>,
    /// Indices per dimension.
    pub length: Vec<u64>,
    /// Which of the files.
    pub file: usize,
    /// Where its archive stands in the file, and its bytes.
    pub range: (u64, u64),
}

/// A tensor in chunks that fill it.
#[derive(Debug)]
pub struct Chunked {
    /// The files of the checkpoint.
    pub files: Arc<Vec<DataFile>>,
    /// Element type of the tensor and of every chunk.
    pub dtype: Dtype,
    /// Dimensions of the whole.
    pub shape: Shape,
    /// Sorted by their first index.
    pub chunks: Vec<Chunk>,
}

impl Chunked {
    /// Passes all elements to `sink`; see [`crate::model::TensorReader::read_chunks`].
    pub fn read(
        &self,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        if self.shape.elements() == 0 {
            return Ok(());
        }
        let mut files = HashMap::new();
        if self.is_stacked() {
            let mut ended = false;
            for chunk in self.chunks.iter().filter(|chunk| !chunk.length.contains(&0)) {
                // Only the file that is read from stays open.
                files.retain(|&file, _| file == chunk.file);
                read_strided(&self.array(chunk, &mut files, progress)?, progress, &mut |bytes| {
                    let flow = sink(bytes);
                    ended = flow.is_break();
                    flow
                })?;
                if ended {
                    break;
                }
            }
            return Ok(());
        }
        let mut pieces = Vec::with_capacity(self.chunks.len());
        let mut held = 0;
        for chunk in &self.chunks {
            let source = packed(&self.array(chunk, &mut files, progress)?, &mut held)?;
            pieces.push(Piece { start: chunk.start.clone(), length: chunk.length.clone(), source });
        }
        let item_bytes = self.dtype.bits().div_ceil(8);
        read_pieces(&Whole { shape: &self.shape, item_bytes, swap_unit: 1 }, &pieces, progress, sink)
    }

    /// Whether the chunks lie one after the other in the whole: cut along the first dimension only.
    fn is_stacked(&self) -> bool {
        let inner = self.shape.dims().get(1..).unwrap_or_default();
        let mut end = 0;
        let follow = self.chunks.iter().all(|chunk| {
            let follows = chunk.start.first().is_none_or(|&start| start == end);
            end += chunk.length.first().copied().unwrap_or(0);
            follows && chunk.length.get(1..).unwrap_or_default() == inner
        });
        follow && (self.shape.rank() > 0 || self.chunks.len() == 1)
    }

    /// Where the elements of a chunk are.
    fn array(
        &self,
        chunk: &Chunk,
        files: &mut HashMap<usize, ByteSource>,
        progress: &Progress,
    ) -> Result<Strided, ReadError> {
        progress.advance(0)?;
        let file = if let Some(file) = files.get(&chunk.file) {
            file.clone()
        } else {
            let found = self.files.get(chunk.file).ok_or_else(|| ReadError::unsupported("no such file"))?;
            let file = found.open()?;
            files.insert(chunk.file, file.clone());
            file
        };
        let (offset, len) = chunk.range;
        let item = file.slice("a part of a tensor", offset, len)?;
        let wrong = |reason: String| ReadError::malformed("a part of a tensor", offset, reason);
        let archive = ZipArchive::open(&item)?;
        let zip = zip_layout::open(&archive, progress)?;
        let storages = zip.storages;
        let mut rebuilder = Rebuilder::new(&zip.view, &storages);
        let made = rebuilder.tensor(zip.view.root).ok_or_else(|| wrong("it is no tensor".to_owned()))?;
        if let Some(fault) = made.fault {
            return Err(ReadError::unsupported(fault));
        }
        if made.dtype != self.dtype || made.shape.dims() != chunk.length {
            let found = format!("{} {}", made.dtype, made.shape);
            let expected = format!("{} {}", self.dtype, Shape::new(chunk.length.as_slice()));
            return Err(wrong(format!("it holds {found} where {expected} should be")));
        }
        let storage = made.storage.and_then(|index| rebuilder.storages.get(index));
        let storage = storage.ok_or_else(|| wrong("it has no values".to_owned()))?;
        let item_bytes = self.dtype.bits().div_ceil(8);
        let offset = made.offset.checked_mul(u64::from(item_bytes));
        Ok(Strided {
            source: storage.place.open()?,
            offset: offset.ok_or_else(|| wrong("its offset overflows".to_owned()))?,
            shape: made.shape,
            strides: made.strides,
            item_bytes,
            swap_unit: swap_unit(&self.dtype, storage.big_endian),
        })
    }
}

/// The elements of a chunk, row-major: where they are, or copied when they are stored in another order.
fn packed(array: &Strided, held: &mut u64) -> Result<ByteSource, ReadError> {
    array.check("a part of a tensor")?;
    let bytes = array.shape.elements().saturating_mul(u64::from(array.item_bytes));
    if array.is_contiguous() && array.swap_unit == 1 {
        return array.source.slice("a part of a tensor", array.offset, bytes);
    }
    *held = held.saturating_add(bytes);
    if *held > limits::INFLATED_BYTES {
        return Err(ReadError::OverLimit {
            what: "the size of a tensor whose parts must be turned".into(),
            value: *held,
            limit: limits::INFLATED_BYTES,
        });
    }
    let mut elements = Vec::with_capacity(bytes as usize);
    read_strided(array, &Progress::new(), &mut |piece| {
        elements.extend_from_slice(piece);
        ControlFlow::Continue(())
    })?;
    Ok(ByteSource::from_vec(elements))
}
