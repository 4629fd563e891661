//! One dataset: its type, where its bytes are, and how they are read.

use std::ops::ControlFlow;

use hdf5::{ChunkIndex, Datatype, DatatypeByteOrder, Layout, VlenStringReadOptions};

use super::chunk_values::ChunkedValues;
use super::header::Widths;
use super::{attributes, chunk_tree, chunk_values};
use crate::model::{Dtype, Progress, ReadError, Shape, Value};
use crate::raw::{ByteSource, Strided, limits, read_strided, read_strided_at};

/// A dataset, its header read and its values not.
#[derive(Debug)]
pub struct Dataset {
    /// Absolute path in the file.
    pub path: String,
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions.
    pub shape: Shape,
    /// Bytes its values take in the file, compressed ones as such.
    pub stored_bytes: u64,
    /// Where its bytes begin in the file, where that is one place.
    pub offset: Option<u64>,
    /// Attributes, sorted by name.
    pub attributes: Vec<(String, Value)>,
    /// Its values, where they are a few texts.
    pub texts: Option<Value>,
    /// Why its values cannot be read, or what is odd about it.
    pub defect: Option<String>,
    /// Where its values are, if not here.
    pub outside: Option<Outside>,
    swap_unit: u32,
    storage: Storage,
}

/// Places outside of the dataset, or of the file, where values can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// In other datasets, perhaps of other files.
    Virtual,
    /// In another file, as raw bytes.
    External,
}

#[derive(Debug)]
enum Storage {
    /// One range of the source.
    Range { source: ByteSource, offset: u64 },
    /// Read through the library: compact, chunked, or never written.
    Library { dataset: Box<hdf5::Dataset>, chunk_rows: Option<u64>, source_len: u64 },
    /// Chunks of an index that the library does not read.
    Chunks(Box<ChunkedValues>),
    /// Not read; [`Dataset::defect`] says why.
    Refused,
}

/// Bytes of one window of rows read through the library.
const WINDOW_BYTES: u64 = 16 << 20;

/// Bytes of one chunk: the library holds the chunk and the window it is copied to.
const CHUNK_BYTES: u64 = 200 << 20;

/// How much larger than its file a compressed dataset may be before it is refused (a bomb).
const EXPANSION: u64 = 64;

impl Dataset {
    /// Reads the header's facts. Failures become [`Self::defect`]: one broken dataset costs not the file.
    /// `header` is where the object header is, for datasets whose chunks are found without the library.
    pub(super) fn new(
        handle: hdf5::Dataset,
        path: String,
        source: &ByteSource,
        in_file: bool,
        header: Option<(u64, Widths)>,
    ) -> Self {
        let mut dataset = Self {
            path,
            dtype: Dtype::Other("unknown".into(), 0),
            shape: Shape::default(),
            stored_bytes: 0,
            offset: None,
            attributes: attributes::of_dataset(&handle).0,
            texts: None,
            defect: None,
            outside: None,
            swap_unit: 1,
            storage: Storage::Refused,
        };
        if let Err(reason) = dataset.describe(handle, source, in_file, header) {
            dataset.storage = Storage::Refused;
            dataset.defect = Some(reason);
        }
        dataset
    }

    fn describe(
        &mut self,
        handle: hdf5::Dataset,
        source: &ByteSource,
        in_file: bool,
        header: Option<(u64, Widths)>,
    ) -> Result<(), String> {
        let datatype = handle.datatype().map_err(|error| error.to_string())?;
        let (dtype, swap_unit, inner) = element_type(&datatype, &self.attributes);
        self.dtype = dtype;
        self.swap_unit = swap_unit;
        let mut dims = handle.shape().map_err(|error| error.to_string())?;
        if dims.len() + inner.len() > limits::RANK {
            return Err(format!("it has {} dimensions", dims.len()));
        }
        let layout = handle.layout().map_err(|error| error.to_string())?;
        if dims.is_empty()
            && matches!(layout, Layout::Contiguous { size: 0, .. } | Layout::Compact { size: 0 })
        {
            // A null dataspace: no elements, and no dimensions to say so.
            dims.push(0);
        }
        let outer = Shape::from(dims.clone());
        dims.extend(inner);
        self.shape = Shape::from(dims);
        let Some(elements) = self.shape.checked_elements() else {
            return Err("the product of its dimensions overflows".to_owned());
        };
        let item_bytes = handle.element_size().map_err(|error| error.to_string())?;
        let Some(bytes) = elements.checked_mul(item_bytes) else {
            return Err("its size overflows".to_owned());
        };
        if self.dtype == Dtype::String {
            self.texts = texts(&handle, elements, bytes, !self.shape.dims().is_empty());
        }
        let source_len = source.len();
        let through_library = |handle: hdf5::Dataset, chunk_rows| Storage::Library {
            dataset: Box::new(handle),
            chunk_rows,
            source_len,
        };
        match layout {
            Layout::Virtual => {
                self.outside = Some(Outside::Virtual);
                Err("it is a virtual dataset: its values are in other datasets, which are not opened"
                    .to_owned())
            }
            Layout::Contiguous { address: Some(address), size } => {
                self.stored_bytes = size;
                if in_file {
                    self.offset = Some(source.file_offset() + address);
                }
                self.storage = Storage::Range { source: source.clone(), offset: address };
                if self.dtype == Dtype::String {
                    return Ok(());
                }
                if bytes > size {
                    return Err(format!("its {bytes} bytes of values have {size} bytes of storage"));
                }
                source.check("the values of a dataset", address, bytes).map_err(|error| error.to_string())
            }
            Layout::Contiguous { address: None, .. } => {
                // Asking for no rows reads nothing, but tells whether the values are outside the file.
                if let Err(error) = handle.read_raw_rows(0, 0) {
                    if matches!(error, hdf5::Error::Format(hdf5::FormatError::UnsupportedExternalStorage)) {
                        self.outside = Some(Outside::External);
                    }
                    return Err(error.to_string());
                }
                self.storage = through_library(handle, None);
                Ok(())
            }
            Layout::Compact { size } => {
                self.stored_bytes = size;
                self.storage = through_library(handle, None);
                Ok(())
            }
            Layout::Chunked { index: ChunkIndex::BTreeV2, .. } if header.is_some() => {
                let Some((at, widths)) = header else { return Err("its header was not found".to_owned()) };
                let filters = handle.filter_pipeline();
                if let Some(filter) = filters.iter().find(|filter| !chunk_values::is_supported(filter.id)) {
                    return Err(format!("its filter is not supported: {filter}"));
                }
                let chunks = chunk_tree::read(source, at, widths).map_err(|error| error.to_string())?;
                let chunk_bytes =
                    chunks.shape.iter().try_fold(item_bytes, |product, &dim| product.checked_mul(dim));
                if chunks.shape.len() != outer.rank() || chunk_bytes.is_none_or(|bytes| bytes > CHUNK_BYTES) {
                    return Err("the shape of its chunks does not fit".to_owned());
                }
                let filters = filters.into_iter().map(|filter| (filter.id, filter.client_data)).collect();
                let values =
                    ChunkedValues { source: source.clone(), chunks, shape: outer, item_bytes, filters };
                self.stored_bytes = values.stored_bytes();
                self.storage = Storage::Chunks(Box::new(values));
                Ok(())
            }
            Layout::Chunked { chunk_shape, .. } => {
                let chunk_bytes =
                    chunk_shape.iter().try_fold(item_bytes, |product, &dim| product.checked_mul(dim));
                // The library allocates what a chunk claims to take before it looks for the bytes.
                for chunk in handle.chunks().map_err(|error| error.to_string())? {
                    source
                        .check("a chunk of a dataset", chunk.address, chunk.storage_size)
                        .map_err(|error| error.to_string())?;
                    self.stored_bytes = self.stored_bytes.saturating_add(chunk.storage_size).min(source_len);
                }
                if chunk_bytes.is_none_or(|bytes| bytes > CHUNK_BYTES) {
                    return Err(format!("one of its chunks is larger than the limit of {CHUNK_BYTES} bytes"));
                }
                if let Some(filter) = handle.filter_pipeline().iter().find(|filter| !is_supported(filter.id))
                {
                    return Err(format!("its filter is not supported: {filter}"));
                }
                self.storage = through_library(handle, chunk_shape.first().copied());
                Ok(())
            }
            _ => Err("its storage layout is not known".to_owned()),
        }
    }

    /// Passes the values to `sink`, row-major, little-endian, in whole elements.
    pub fn read_chunks(
        &self,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        if let (Storage::Refused, Some(reason)) = (&self.storage, &self.defect) {
            return Err(ReadError::unsupported(format!("dataset {}: {reason}", self.path)));
        }
        if self.dtype.bits() == 0 {
            return Err(ReadError::unsupported("text and lists of any length are not read as values"));
        }
        match &self.storage {
            Storage::Refused => Err(ReadError::unsupported("its values are not read")),
            Storage::Range { source, offset } => {
                read_strided(&self.contiguous(source, *offset), progress, sink)
            }
            Storage::Chunks(values) => {
                self.check_size(values.source.len())?;
                let unit = self.swap_unit as usize;
                values.read(limits::HDF5_DATASET_BYTES, progress, |piece| {
                    if unit > 1 {
                        piece.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
                    }
                    sink(piece)
                })
            }
            Storage::Library { dataset, chunk_rows, source_len } => {
                self.read_windows(dataset, *chunk_rows, *source_len, progress, sink)
            }
        }
    }

    fn over_limit(&self, value: u64, limit: u64) -> ReadError {
        ReadError::OverLimit { what: format!("the size of dataset {}", self.path).into(), value, limit }
    }

    /// Refuses a dataset that is far larger than its file: a bomb.
    fn check_size(&self, source_len: u64) -> Result<(), ReadError> {
        let total = self.shape.elements().saturating_mul(u64::from(self.dtype.bits() / 8));
        let limit = limits::HDF5_DATASET_BYTES.max(source_len.saturating_mul(EXPANSION));
        if total > limit { Err(self.over_limit(total, limit)) } else { Ok(()) }
    }

    /// Fills `buffer` with the values from byte `offset` on; `None` unless they lie in the file as they are.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Option<Result<(), ReadError>> {
        match &self.storage {
            Storage::Range { source, offset: start } if self.dtype.bits() > 0 => {
                read_strided_at(&self.contiguous(source, *start), offset, buffer)
            }
            _ => None,
        }
    }

    fn contiguous(&self, source: &ByteSource, offset: u64) -> Strided {
        Strided {
            source: source.clone(),
            offset,
            shape: self.shape.clone(),
            strides: None,
            item_bytes: self.dtype.bits() / 8,
            swap_unit: self.swap_unit,
        }
    }

    /// Reads rows (indices of the first dimension) a window at a time, so that memory does not grow with the dataset.
    fn read_windows(
        &self,
        dataset: &hdf5::Dataset,
        chunk_rows: Option<u64>,
        source_len: u64,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let total = self.shape.elements().saturating_mul(u64::from(self.dtype.bits() / 8));
        if total == 0 {
            return Ok(());
        }
        self.check_size(source_len)?;
        let over = |value, limit| self.over_limit(value, limit);
        let rows = self.shape.dims().first().copied().unwrap_or(1).max(1);
        let row_bytes = total / rows;
        let per_window = (WINDOW_BYTES / row_bytes.max(1)).clamp(1, rows);
        let per_window =
            match chunk_rows {
                // Whole bands of chunks, so that none is decoded twice, unless a band is too much to hold.
                Some(band) if band > 0 && band.saturating_mul(row_bytes) <= CHUNK_BYTES => {
                    if per_window < band { band.min(rows) } else { per_window - per_window % band }
                }
                _ => per_window,
            };
        if per_window.saturating_mul(row_bytes) > limits::HDF5_DATASET_BYTES {
            return Err(over(per_window.saturating_mul(row_bytes), limits::HDF5_DATASET_BYTES));
        }
        let mut row = 0;
        while row < rows {
            let count = per_window.min(rows - row);
            let mut bytes =
                dataset.read_raw_rows(row, count).map_err(|error| super::broken(&self.path, &error))?;
            if bytes.len() as u64 != count * row_bytes {
                return Err(ReadError::malformed(
                    format!("HDF5 object {}", self.path),
                    0,
                    format!("{} bytes were read where {} were expected", bytes.len(), count * row_bytes),
                ));
            }
            if self.swap_unit > 1 {
                for element in bytes.chunks_exact_mut(self.swap_unit as usize) {
                    element.reverse();
                }
            }
            let item = self.dtype.group_bytes().max(1);
            for piece in bytes.chunks((limits::CHUNK_BYTES / item).max(1) * item) {
                progress.advance(piece.len() as u64)?;
                if sink(piece).is_break() {
                    return Ok(());
                }
            }
            row += count;
        }
        Ok(())
    }
}

/// Texts of one dataset that are shown as metadata, and bytes of them.
const TEXTS: u64 = 1000;
const TEXT_BYTES: u64 = 1 << 20;

/// The values of a dataset of a few texts: one, or a list.
fn texts(handle: &hdf5::Dataset, elements: u64, bytes: u64, is_list: bool) -> Option<Value> {
    if elements > TEXTS || bytes > TEXT_BYTES || handle.is_chunked() {
        return None;
    }
    let options = VlenStringReadOptions::new()
        .with_max_elements(TEXTS as usize)
        .with_max_payload_bytes(TEXT_BYTES as usize);
    let fixed = matches!(handle.datatype(), Ok(Datatype::String { .. }));
    let texts = if fixed { handle.read_string() } else { handle.read_vlen_strings(options) };
    let mut values: Vec<Value> = texts.ok()?.into_iter().map(Value::Text).collect();
    if is_list { Some(Value::List(values)) } else { values.pop() }
}

/// Whether the library cannot list a dataset's chunks: it may grow in several dimensions.
pub(super) fn has_chunk_tree(dataset: &hdf5::Dataset) -> bool {
    matches!(dataset.chunk_index(), Ok(Some(ChunkIndex::BTreeV2)))
}

/// Deflate, shuffle, Fletcher-32, scale-offset and LZF: the filters that the library decodes.
fn is_supported(filter: u16) -> bool {
    matches!(filter, 1 | 2 | 3 | 6 | 32000)
}

/// The dtype, the size of the units whose bytes must be reversed (1: none), and further dimensions of an array type.
fn element_type(datatype: &Datatype, attributes: &[(String, Value)]) -> (Dtype, u32, Vec<u64>) {
    let other =
        |name: String| (Dtype::Other(name.into(), datatype.type_size().saturating_mul(8)), 1, Vec::new());
    if let Some((dtype, swap)) = number_type(datatype) {
        return (dtype, swap, Vec::new());
    }
    match datatype {
        Datatype::String { .. } | Datatype::VariableLength { is_string: true, .. } => {
            (Dtype::String, 1, Vec::new())
        }
        Datatype::VariableLength { base_type, .. } => {
            let inner = number_type(base_type).map(|(dtype, _)| dtype.name().to_owned());
            // Lists of any length; their place in the file is what an element holds.
            (
                Dtype::Other(format!("list of {}", inner.as_deref().unwrap_or("values")).into(), 0),
                1,
                Vec::new(),
            )
        }
        // Keras stores bfloat16 so: HDF5 libraries have no such type. Source: keras/src/saving/saving_lib.py, `H5Entry`.
        Datatype::Opaque { size: 2, .. }
            if attributes
                .iter()
                .any(|(name, value)| name == "dtype" && value.as_text() == Some("bfloat16")) =>
        {
            (Dtype::Bfloat16, 1, Vec::new())
        }
        // numpy's name for bytes without a meaning.
        Datatype::Opaque { size, .. } => other(format!("|V{size}")),
        Datatype::Array { base_type, dimensions } => match number_type(base_type) {
            Some((dtype, swap)) => (dtype, swap, dimensions.iter().map(|&dim| u64::from(dim)).collect()),
            None => other("array".to_owned()),
        },
        Datatype::Compound { .. } => other("compound".to_owned()),
        Datatype::Reference { .. } => other("reference".to_owned()),
        Datatype::BitField { .. } => other("bitfield".to_owned()),
        Datatype::Time { .. } => other("time".to_owned()),
        _ => other("unknown".to_owned()),
    }
}

/// Types whose elements are numbers.
fn number_type(datatype: &Datatype) -> Option<(Dtype, u32)> {
    let swap = |order: DatatypeByteOrder, unit: u32| match order {
        DatatypeByteOrder::LittleEndian => Some(1),
        DatatypeByteOrder::BigEndian => Some(unit),
        DatatypeByteOrder::Vax => None,
    };
    match datatype {
        Datatype::FixedPoint { size, byte_order, layout }
            if layout.bit_offset == 0 && u32::from(layout.bit_precision) == size.saturating_mul(8) =>
        {
            let dtype = match (size, layout.signed) {
                (1, true) => Dtype::Int8,
                (2, true) => Dtype::Int16,
                (4, true) => Dtype::Int32,
                (8, true) => Dtype::Int64,
                (1, false) => Dtype::Uint8,
                (2, false) => Dtype::Uint16,
                (4, false) => Dtype::Uint32,
                (8, false) => Dtype::Uint64,
                _ => return None,
            };
            Some((dtype, swap(*byte_order, *size)?))
        }
        Datatype::FloatingPoint { size, byte_order, layout } if layout.bit_offset == 0 => {
            let dtype = match (size, layout.exponent_size, layout.mantissa_size, layout.exponent_bias) {
                (8, 11, 52, 1023) => Dtype::Float64,
                (4, 8, 23, 127) => Dtype::Float32,
                (2, 5, 10, 15) => Dtype::Float16,
                (2, 8, 7, 127) => Dtype::Bfloat16,
                (1, 4, 3, 7) => Dtype::Float8E4m3fn,
                (1, 5, 2, 15) => Dtype::Float8E5m2,
                _ => return None,
            };
            Some((dtype, swap(*byte_order, *size)?))
        }
        Datatype::Enumeration { base_type, .. } => {
            if attributes::is_boolean(datatype) {
                return Some((Dtype::Bool, 1));
            }
            number_type(base_type)
        }
        // h5py writes complex numbers as the pair (r, i).
        Datatype::Compound { size, members } => match members.as_slice() {
            [re, im]
                if matches!((re.name.as_str(), im.name.as_str()), ("r", "i") | ("real", "imag"))
                    && re.byte_offset == 0
                    && im.byte_offset.checked_mul(2) == Some(u64::from(*size))
                    && re.datatype == im.datatype =>
            {
                let (part, swap) = number_type(&re.datatype)?;
                let dtype = match (part, size) {
                    (Dtype::Float64, 16) => Dtype::Complex128,
                    (Dtype::Float32, 8) => Dtype::Complex64,
                    (Dtype::Float16, 4) => Dtype::Complex32,
                    _ => return None,
                };
                Some((dtype, swap))
            }
            _ => None,
        },
        _ => None,
    }
}
