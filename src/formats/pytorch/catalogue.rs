//! Tensors with their names: the catalogue as it grows, ties between tensors, and the reader of their values.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::rebuild::Rebuilt;
use super::storage::{Place, Storage, swap_unit};
use crate::formats::places::Places;
use crate::model::{
    Dtype, Problem, Progress, ReadError, Severity, Shape, TensorId, TensorInfo, TensorReader, TensorRole,
};
use crate::raw::{ByteSource, Strided, limits, read_strided, read_strided_at};

/// What a tensor is called and what it is for.
#[derive(Debug, Clone)]
pub struct Naming {
    /// See [`TensorInfo::name`].
    pub name: String,
    /// See [`TensorInfo::path`].
    pub path: Vec<String>,
    /// See [`TensorInfo::stored_name`].
    pub stored_name: Option<String>,
    /// See [`TensorInfo::layer`].
    pub layer: String,
    /// See [`TensorInfo::role`].
    pub role: TensorRole,
    /// See [`TensorInfo::trainable`].
    pub trainable: Option<bool>,
}

/// The catalogue so far.
#[derive(Default)]
pub struct Catalogue {
    /// In file order.
    pub tensors: Vec<TensorInfo>,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
    values: Places<Values>,
    ties: HashMap<(usize, u64, u64, u64, u32), TensorId>,
    /// Per storage: the tensor that counts its bytes, and the end of the last element that any tensor uses.
    used: HashMap<usize, (TensorId, u64)>,
}

/// Where the values of one tensor are.
struct Values {
    storage: Option<usize>,
    offset: u64,
    shape: Shape,
    strides: Option<Box<[u64]>>,
    item_bytes: u32,
    swap_unit: u32,
}

impl Values {
    /// The elements, which lie in `source`.
    fn array(&self, source: ByteSource) -> Strided {
        Strided {
            source,
            offset: self.offset,
            shape: self.shape.clone(),
            strides: self.strides.clone(),
            item_bytes: self.item_bytes,
            swap_unit: self.swap_unit,
        }
    }
}

impl Catalogue {
    /// Adds a tensor; `None` when there are too many.
    pub fn add(&mut self, made: Rebuilt, naming: Naming, storages: &[Storage]) -> Option<TensorId> {
        if self.tensors.len() >= limits::TENSORS {
            return None;
        }
        let id = TensorId(self.tensors.len() as u32);
        let bits = made.dtype.bits();
        let item_bytes = bits.div_ceil(8);
        let mut fault = made.fault;
        if fault.is_none() && item_bytes == 0 {
            fault = Some(format!("elements of type {} have no known size", made.dtype));
        }
        if made.shape.checked_elements().is_none() {
            fault.get_or_insert_with(|| "its size overflows".to_owned());
        }
        let storage = made.storage.and_then(|index| storages.get(index).map(|storage| (index, storage)));
        let offset = made.offset.checked_mul(u64::from(item_bytes));
        if offset.is_none() {
            fault.get_or_insert_with(|| "its offset overflows".to_owned());
        }
        let offset = offset.unwrap_or(0);
        let mut info = TensorInfo {
            name: naming.name,
            path: naming.path.into(),
            stored_name: naming.stored_name,
            layer: naming.layer,
            dtype: made.dtype.clone(),
            shape: made.shape.clone(),
            role: naming.role,
            trainable: naming.trainable,
            tied_to: None,
            slot_of: None,
            stored_bytes: 0,
            offset: None,
        };
        let mut unit = 1;
        if let Some((index, storage)) = storage {
            unit = swap_unit(&made.dtype, storage.big_endian);
            let end = last_byte(&made.shape, made.strides.as_deref(), offset, item_bytes);
            match end {
                Some(end) if fault.is_none() && end > storage.place.len() => {
                    fault = Some(format!(
                        "it needs {end} bytes of its storage, which has {}",
                        storage.place.len()
                    ));
                }
                None => {
                    fault.get_or_insert_with(|| "its size overflows".to_owned());
                }
                _ => {}
            }
            if fault.is_none() {
                self.place(id, &mut info, index, &storage.place, offset, end.unwrap_or(offset), bits);
                let logical = info.bytes();
                if logical > storage.place.len() && logical > limits::EXPANDED_BYTES {
                    let text = format!(
                        "it repeats {} stored bytes to {logical}: too many to go through",
                        storage.place.len()
                    );
                    self.problems.push(Problem::warning("expanded", text).on(id));
                }
            }
        }
        for (severity, code, message) in made.notes {
            self.problems.push(Problem { severity, code, message, tensor: Some(id), offset: None });
        }
        if let Some(fault) = &fault {
            // A tensor that never had values is not a damaged one.
            let severity = if made.storage.is_none() && looks_intended(fault) {
                Severity::Info
            } else {
                Severity::Error
            };
            let code = if severity == Severity::Info { "no-values" } else { "tensor" };
            self.problems.push(Problem {
                severity,
                code,
                message: fault.clone(),
                tensor: Some(id),
                offset: None,
            });
            if info.shape.checked_elements().is_none() {
                info.role = TensorRole::Unknown;
            }
        }
        self.values.push(match fault {
            Some(fault) => Err(fault),
            None => Ok(Values {
                storage: made.storage,
                offset,
                shape: made.shape,
                strides: made.strides,
                item_bytes,
                swap_unit: unit,
            }),
        });
        self.tensors.push(info);
        Some(id)
    }

    /// Ties, and bytes once per storage.
    #[expect(clippy::too_many_arguments, reason = "one place that calls it, with everything at hand")]
    fn place(
        &mut self,
        id: TensorId,
        info: &mut TensorInfo,
        index: usize,
        place: &Place,
        start: u64,
        end: u64,
        bits: u32,
    ) {
        info.offset = place.offset().map(|from| from + start);
        let used = self.used.entry(index).or_insert((id, 0));
        used.1 = used.1.max(end);
        if used.0 == id {
            info.stored_bytes = place.len();
        }
        if end > start {
            let key = (index, start, end, info.elements(), bits);
            let first = *self.ties.entry(key).or_insert(id);
            if first != id {
                info.tied_to = Some(first);
            }
        }
    }

    /// Says which storages hold much that no tensor uses, then gives what was gathered.
    pub fn finish(mut self, storages: Vec<Storage>) -> (Vec<TensorInfo>, Vec<Problem>, TorchReader) {
        /// Less is padding or chance.
        const WASTE: u64 = 64 << 10;
        let mut wasteful: Vec<_> = self
            .used
            .iter()
            .filter_map(|(&index, &(id, end))| {
                let bytes = storages.get(index)?.place.len();
                (bytes - end.min(bytes) > WASTE && bytes / 2 > end).then_some((id, bytes, end))
            })
            .collect();
        wasteful.sort_unstable();
        for (id, bytes, end) in wasteful {
            let text =
                format!("its storage has {bytes} bytes, of which {} after the last used one", bytes - end);
            self.problems.push(Problem::info("wasted-bytes", text).on(id));
        }
        (self.tensors, self.problems, TorchReader { values: self.values, storages })
    }
}

/// Whether the fault is the nature of the tensor rather than damage; see the texts in [`super::rebuild`].
fn looks_intended(fault: &str) -> bool {
    fault.starts_with("a tensor on the meta device")
        || fault.starts_with("a sparse tensor")
        || fault.starts_with("a wrapper subclass")
        || fault.starts_with("an array of")
}

/// Where the last element ends, in bytes from the start of the storage; `None` when that overflows.
fn last_byte(shape: &Shape, strides: Option<&[u64]>, offset: u64, item_bytes: u32) -> Option<u64> {
    let elements = shape.checked_elements()?;
    if elements == 0 {
        return Some(offset);
    }
    let last = match strides {
        None => elements - 1,
        Some(strides) => {
            let mut last = 0u64;
            for (&dim, &stride) in shape.dims().iter().zip(strides) {
                last = last.checked_add((dim - 1).checked_mul(stride)?)?;
            }
            last
        }
    };
    last.checked_add(1)?.checked_mul(u64::from(item_bytes))?.checked_add(offset)
}

/// Reads values of a PyTorch file's tensors.
pub struct TorchReader {
    values: Places<Values>,
    storages: Vec<Storage>,
}

impl TorchReader {
    fn storage(&self, index: usize) -> Result<ByteSource, ReadError> {
        match self.storages.get(index) {
            Some(storage) => storage.place.open(),
            None => Err(ReadError::unsupported("the tensor's storage is not known")),
        }
    }
}

impl TensorReader for TorchReader {
    fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let values = self.values.get(id)?;
        if values.shape.elements() == 0 {
            return Ok(());
        }
        let source = match values.storage {
            Some(index) => self.storage(index)?,
            None => return Err(ReadError::unsupported("the tensor has no values")),
        };
        read_strided(&values.array(source), progress, sink)
    }

    fn read_at(&self, id: TensorId, offset: u64, buffer: &mut [u8]) -> Option<Result<(), ReadError>> {
        let values = self.values.get(id).ok()?;
        // A compressed member would be inflated whole for each request.
        let Place::Range(source) = &self.storages.get(values.storage?)?.place else { return None };
        read_strided_at(&values.array(source.clone()), offset, buffer)
    }
}

/// The role of a tensor in a `state_dict`, where the file does not mark buffers.
///
/// PyTorch's parameters are floating-point (only these can have gradients); quantised ones keep integers.
pub fn role_by_name(name: &str, dtype: &Dtype) -> TensorRole {
    let quantised = matches!(dtype, Dtype::Qint8 | Dtype::Quint8 | Dtype::Qint32 | Dtype::Other(..));
    if crate::model::role::is_known_buffer(name) || !(dtype.is_float() || quantised) {
        TensorRole::Buffer
    } else {
        TensorRole::Parameter
    }
}
