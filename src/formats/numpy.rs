//! Numpy arrays: `.npy` files, and `.npz` archives of them.
//!
//! Each array is a tensor under its name in the archive; a structured array is one tensor per field. Arrays of Python
//! objects stand in the file as pickles, which are named and not read. Small arrays of text are shown as metadata.

use std::ops::ControlFlow;

use super::containers::npy::{self, Element, Field, Header};
use super::containers::zip::{ZipArchive, ZipEntry};
use super::places::Places;
use super::{Format, Probe};
use crate::model::{
    CheckpointParts, Dtype, Problem, Progress, PythonTypes, ReadError, Shape, TensorId, TensorInfo,
    TensorReader, Value,
};
use crate::raw::{ByteSource, Strided, limits, read_strided, read_strided_at};

/// Files of numpy's.
pub struct Numpy;

/// Bytes of an array of text that is shown as metadata.
const TEXT_SHOWN: u64 = 64 << 10;

impl Format for Numpy {
    fn name(&self) -> &'static str {
        "numpy"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["npy", "npz"]
    }

    fn detect(&self, probe: &Probe) -> bool {
        match probe.zip() {
            Some(Ok(archive)) => is_npz(archive, &probe.file_name()),
            Some(Err(_)) => begins_with_npy(probe.head()),
            None => probe.head().starts_with(npy::MAGIC),
        }
    }

    fn open(&self, probe: &Probe, progress: &Progress) -> Result<CheckpointParts, ReadError> {
        let source = probe.source().ok_or_else(|| ReadError::unsupported("not a file"))?;
        let mut catalogue = Catalogue::default();
        match probe.zip() {
            Some(Ok(archive)) => {
                catalogue.problems.extend(archive.problems().iter().cloned());
                for entry in archive.entries().iter().filter(|entry| !entry.name.ends_with('/')) {
                    progress.advance(0)?;
                    catalogue.add_member(archive, entry);
                }
            }
            // The directory was read when the file was probed; reading it again gives the error itself.
            Some(Err(_)) => return Err(ZipArchive::open(source).err().unwrap_or(ReadError::FileChanged)),
            None => {
                let header = Header::read(|len| source.read_up_to("the numpy header", 0, len))?;
                let data = source.len().saturating_sub(header.data_start);
                if header.data_bytes().is_some_and(|bytes| bytes < data) && !header.has_objects() {
                    let text = "bytes follow the array; they are not shown";
                    catalogue.problems.push(Problem::warning("trailing-bytes", text));
                }
                catalogue.add("", &header, &Place::Source(source.clone()), source.len());
            }
        }
        Ok(CheckpointParts {
            format: "numpy",
            framework: None,
            tensors: catalogue.tensors,
            layers: Vec::new(),
            metadata: Value::Map(catalogue.metadata),
            problems: catalogue.problems,
            file_bytes: source.len(),
            counts_known: false,
            versioned_modules: Vec::new(),
            python_types: PythonTypes::default(),
            reader: Box::new(Reader { arrays: catalogue.arrays }),
        })
    }
}

/// Whether the archive holds arrays: nothing else in it, or some under the name of one that does.
fn is_npz(archive: &ZipArchive, file_name: &str) -> bool {
    let mut files = archive.entries().iter().filter(|entry| !entry.name.ends_with('/'));
    let is_npy = |entry: &ZipEntry| entry.name.strip_suffix(".npy").is_some();
    if file_name.to_ascii_lowercase().ends_with(".npz") {
        files.any(is_npy)
    } else {
        files.clone().next().is_some() && files.all(is_npy)
    }
}

/// Whether the first member of a damaged zip is an array.
fn begins_with_npy(head: &[u8]) -> bool {
    // Local file header: name length at 26, name at 30 (APPNOTE 4.3.7).
    let Some(&[low, high]) = head.get(26..28) else { return false };
    let len = usize::from(u16::from_le_bytes([low, high]));
    head.get(30..30 + len).is_some_and(|name| name.ends_with(b".npy"))
}

#[derive(Default)]
struct Catalogue {
    tensors: Vec<TensorInfo>,
    arrays: Places<Array>,
    metadata: Vec<(String, Value)>,
    problems: Vec<Problem>,
}

impl Catalogue {
    fn add_member(&mut self, archive: &ZipArchive, entry: &ZipEntry) {
        let Some(name) = entry.name.strip_suffix(".npy") else {
            let text = format!("zip member {:?} is no array and is not shown", entry.name);
            self.problems.push(Problem::info("other-member", text).at(entry.data_start));
            return;
        };
        match Header::read(|len| archive.head(entry, len)) {
            Ok(header) => {
                let place = Place::Member(archive.clone(), entry.clone());
                self.add(name, &header, &place, entry.size);
            }
            Err(error) => {
                let dtype = Dtype::Other("unknown".into(), 0);
                let tensor = TensorInfo::new(name, dtype, Shape::from(vec![0]), 0);
                self.push(tensor, Err(error.to_string()));
            }
        }
    }

    /// Adds the fields of an array. `len`: bytes of the whole `.npy`.
    fn add(&mut self, name: &str, header: &Header, place: &Place, len: u64) {
        let fault = match header.data_bytes() {
            _ if header.has_objects() => {
                Some("it holds Python objects as a pickle, which is not read".to_owned())
            }
            None => Some(format!("its shape {} overflows", header.shape)),
            Some(_) if header.record_bytes > limits::RECORD_BYTES => Some(format!(
                "its elements of {} bytes are larger than the limit of {}",
                header.record_bytes,
                limits::RECORD_BYTES
            )),
            Some(bytes) if header.data_start.checked_add(bytes).is_none_or(|end| end > len) => Some(format!(
                "its elements take {bytes} bytes, but {} are there; the file may be cut off",
                len.saturating_sub(header.data_start)
            )),
            Some(_) => None,
        };
        for field in &header.fields {
            let parts = [name].into_iter().filter(|name| !name.is_empty());
            let path: Vec<String> = parts.map(str::to_owned).chain(field.path.iter().cloned()).collect();
            let dims: Vec<u64> = header.shape.dims().iter().chain(&field.shape).copied().collect();
            let shape = Shape::from(dims);
            let fault = match (&fault, shape.rank() > limits::RANK) {
                (None, true) => Some(format!("it has more than {} dimensions", limits::RANK)),
                (fault, _) => fault.clone(),
            };
            let records = header.shape.checked_elements().unwrap_or(0);
            let stored = if fault.is_none() { records.saturating_mul(field.bytes) } else { 0 };
            let mut tensor = TensorInfo::new(path.join("."), field.element.dtype.clone(), shape, stored);
            tensor.layer =
                tensor.name.rsplit_once(['.', '/']).map(|(layer, _)| layer.to_owned()).unwrap_or_default();
            if !path.is_empty() {
                tensor.path = path.into();
            }
            tensor.offset =
                place.offset().and_then(|start| start.checked_add(header.data_start + field.offset));
            let array = match fault {
                None => Ok(Array { place: place.clone(), header: header.clone(), field: field.clone() }),
                Some(fault) => Err(fault),
            };
            self.push(tensor, array);
        }
    }

    fn push(&mut self, tensor: TensorInfo, array: Result<Array, String>) {
        let id = TensorId(self.tensors.len() as u32);
        match &array {
            Err(fault) => {
                let text = format!("{:?}: {fault}", tensor.name);
                self.problems.push(Problem::error("bad-tensor", text).on(id));
            }
            Ok(array) if tensor.dtype == Dtype::String => {
                if let Some(texts) = array.texts() {
                    self.metadata.push((tensor.name.clone(), texts));
                }
            }
            Ok(_) => {
                if let Dtype::Other(name, _) = &tensor.dtype {
                    let text = if name.starts_with("void") {
                        format!(
                            "{:?} is raw bytes to numpy ({name}), as which it saves types that it does not know, such as bfloat16",
                            tensor.name
                        )
                    } else {
                        format!("{:?} is of type {name}, whose values are not shown as numbers", tensor.name)
                    };
                    self.problems.push(Problem::info("no-numbers", text).on(id));
                }
            }
        }
        self.tensors.push(tensor);
        self.arrays.push(array);
    }
}

/// Where an `.npy` is.
#[derive(Clone)]
enum Place {
    Source(ByteSource),
    Member(ZipArchive, ZipEntry),
}

impl Place {
    /// Where it begins in the file, where its bytes stand there as they are.
    fn offset(&self) -> Option<u64> {
        match self {
            Self::Source(source) => Some(source.file_offset()),
            Self::Member(_, entry) => entry.stored.then_some(entry.data_start),
        }
    }
}

/// One field of an array whose bytes are there.
struct Array {
    place: Place,
    header: Header,
    field: Field,
}

impl Array {
    /// The field's bytes, record by record in row-major order.
    fn read(
        &self,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut picked = Vec::new();
        let mut sink = |records: &[u8]| {
            if self.pick(records, &mut picked) { sink(&picked) } else { sink(records) }
        };
        if self.header.record_bytes == 0 {
            return Ok(());
        }
        let source = match &self.place {
            Place::Source(source) => source.clone(),
            Place::Member(archive, entry)
                if self.records(ByteSource::from_vec(Vec::new())).is_contiguous() =>
            {
                return self.stream(archive, entry, progress, &mut sink);
            }
            Place::Member(archive, entry) => archive.unpacked(entry, limits::UNPACKED_BYTES, progress)?,
        };
        read_strided(&self.records(source), progress, &mut sink)
    }

    /// The records of the array, as they stand in its `.npy`.
    fn records(&self, source: ByteSource) -> Strided {
        Strided {
            source,
            offset: self.header.data_start,
            shape: self.header.shape.clone(),
            strides: self.header.strides(),
            item_bytes: self.header.record_bytes as u32,
            swap_unit: 1,
        }
    }

    /// Whether the records are the field's elements as they are delivered.
    fn is_plain(&self) -> bool {
        self.field.bytes == self.header.record_bytes && self.field.element.swap_unit == 1
    }

    /// The same of a member whose records stand in order: read as it comes, which checks its checksum too.
    fn stream(
        &self,
        archive: &ZipArchive,
        entry: &ZipEntry,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let record = self.header.record_bytes as usize;
        let mut skip = self.header.data_start as usize;
        let mut left = self.header.data_bytes().unwrap_or(0);
        let mut cut: Vec<u8> = Vec::new();
        archive.stream(entry, progress, &mut |piece| {
            let skipped = skip.min(piece.len());
            skip -= skipped;
            let mut piece = piece.get(skipped..).unwrap_or_default();
            piece = piece.get(..(left.min(piece.len() as u64)) as usize).unwrap_or_default();
            left -= piece.len() as u64;
            // A record can be cut between two pieces.
            if !cut.is_empty() {
                let missing = (record - cut.len()).min(piece.len());
                let (end, rest) = piece.split_at(missing);
                cut.extend_from_slice(end);
                piece = rest;
                if cut.len() < record {
                    return ControlFlow::Continue(());
                }
                sink(&cut)?;
                cut.clear();
            }
            let (whole, rest) = piece.split_at(piece.len() / record * record);
            cut.extend_from_slice(rest);
            if whole.is_empty() { ControlFlow::Continue(()) } else { sink(whole) }
        })
    }

    /// Takes the field out of whole records, little-endian, into `picked`. `false`: the records are that already.
    fn pick(&self, records: &[u8], picked: &mut Vec<u8>) -> bool {
        let Field { element: Element { swap_unit, .. }, offset, bytes, .. } = &self.field;
        let record = self.header.record_bytes as usize;
        let (from, to) = (*offset as usize, (offset + bytes) as usize);
        if self.is_plain() {
            return false;
        }
        picked.clear();
        picked
            .extend(records.chunks_exact(record).flat_map(|record| record.get(from..to).unwrap_or_default()));
        if *swap_unit > 1 {
            picked.chunks_exact_mut(*swap_unit as usize).for_each(<[u8]>::reverse);
        }
        true
    }

    /// The elements of an array of text, where they are few.
    fn texts(&self) -> Option<Value> {
        let records = self.header.shape.checked_elements()?;
        let len = records.checked_mul(self.field.bytes)?;
        let record = self.header.record_bytes.checked_mul(records)?;
        if len == 0 || len.max(record) > TEXT_SHOWN {
            return None;
        }
        let mut bytes = Vec::new();
        self.read(&Progress::new(), &mut |piece| {
            bytes.extend_from_slice(piece);
            ControlFlow::Continue(())
        })
        .ok()?;
        let wide = self.field.element.kind == 'U';
        let texts = bytes.chunks_exact(self.field.element.bytes as usize).map(|text| {
            let text: String = if wide {
                let codes = text.as_chunks::<4>().0.iter().map(|&code| u32::from_le_bytes(code));
                codes.map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            } else {
                String::from_utf8_lossy(text).into_owned()
            };
            Value::Text(text.trim_end_matches('\0').to_owned())
        });
        let mut texts: Vec<Value> = texts.collect();
        Some(if self.header.shape.rank() == 0 && texts.len() == 1 {
            texts.pop()?
        } else {
            Value::List(texts)
        })
    }
}

struct Reader {
    arrays: Places<Array>,
}

impl TensorReader for Reader {
    fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.arrays.get(id)?.read(progress, sink)
    }

    fn read_at(&self, id: TensorId, offset: u64, buffer: &mut [u8]) -> Option<Result<(), ReadError>> {
        let array = self.arrays.get(id).ok()?;
        let Place::Source(source) = &array.place else { return None };
        array.is_plain().then(|| read_strided_at(&array.records(source.clone()), offset, buffer))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(descr: &str, shape: &str, data: &[u8]) -> CheckpointParts {
        let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n");
        let mut bytes = b"\x93NUMPY\x01\0".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        let probe = Probe::of_source("array.npy".into(), ByteSource::from_vec(bytes)).expect("a probe");
        Numpy.open(&probe, &Progress::new()).expect("opens")
    }

    fn read(parts: &CheckpointParts) -> Result<Vec<u8>, ReadError> {
        let mut all = Vec::new();
        parts.reader.read_chunks(TensorId(0), &Progress::new(), &mut |piece| {
            all.extend_from_slice(piece);
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }

    #[test]
    fn an_array_of_objects_is_named_and_its_pickle_never_read() {
        let parts = opened("'|O'", "(1,)", b"\x80\x04cos\nsystem\n.");
        assert_eq!((parts.tensors.len(), parts.problems.len()), (1, 1));
        assert!(parts.problems[0].message.contains("pickle"), "{:?}", parts.problems);
        assert!(read(&parts).is_err());
    }

    #[test]
    fn an_array_that_is_cut_off_is_shown_without_values() {
        let parts = opened("'<f4'", "(3,)", &[0; 8]);
        assert_eq!(parts.tensors[0].shape.dims(), [3]);
        assert!(parts.problems[0].message.contains("cut off") && read(&parts).is_err());
    }

    #[test]
    fn bytes_behind_the_array_are_mentioned() {
        let parts = opened("'>i2'", "(2,)", &[0, 1, 2, 3, 9]);
        assert_eq!(read(&parts).expect("values"), [1, 0, 3, 2]);
        assert_eq!(parts.problems[0].code, "trailing-bytes");
    }

    #[test]
    fn elements_of_no_bytes_and_of_too_many_are_survived() {
        assert_eq!(read(&opened("'<U0'", "(5,)", b"")).expect("nothing"), [0; 0]);
        let large = opened("'|S99999999'", "(1,)", b"");
        assert!(read(&large).is_err());
    }
}
