//! Values of a PyTorch file's tensors: elements of storages, and what they become when they are read.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::rebuild::{Factors, Rebuilt, Resolve};
use super::storage::{Place, Storage, swap_unit};
use crate::formats::places::Places;
use crate::model::{Dtype, Progress, ReadError, Shape, TensorId, TensorReader};
use crate::raw::{ByteSource, Strided, limits, read_strided, read_strided_at};

/// Where the values of one tensor are.
pub struct Values {
    storage: Option<usize>,
    /// In bytes.
    offset: u64,
    shape: Shape,
    strides: Option<Box<[u64]>>,
    item_bytes: u32,
    swap_unit: u32,
    resolve: Option<Box<Meaning>>,
}

/// What elements become.
#[expect(clippy::large_enum_variant, reason = "kept in a box, and only by tensors that need it")]
enum Meaning {
    Signs { unit: usize, real: bool, imaginary: bool, complex: bool },
    Dequantize { stored: Dtype, scales: Numbers, zero_points: Numbers, axis: usize },
}

enum Numbers {
    Listed(Arc<[f64]>),
    Tensor(Dtype, Result<Values, String>),
}

impl Values {
    /// Of a tensor without a fault that reaches into `storages`.
    pub fn of(made: &Rebuilt, storages: &[Storage]) -> Self {
        let stored = made.stored_dtype();
        let item_bytes = stored.bits().div_ceil(8);
        let big_endian =
            made.storage.and_then(|index| storages.get(index)).is_some_and(|storage| storage.big_endian);
        let resolve = match &made.resolve {
            Resolve::AsStored => None,
            Resolve::Signs { real, imaginary } => {
                let complex = stored.is_complex();
                let unit = (item_bytes / if complex { 2 } else { 1 }) as usize;
                Some(Meaning::Signs { unit, real: *real, imaginary: *imaginary, complex })
            }
            Resolve::Dequantize(affine) => Some(Meaning::Dequantize {
                stored: stored.clone(),
                scales: Numbers::of(&affine.scales, storages),
                zero_points: Numbers::of(&affine.zero_points, storages),
                axis: affine.axis,
            }),
        };
        // Elements of less than a byte are read as the bytes that hold them.
        let (start, end) = made.extent().unwrap_or_default();
        let is_packed = !stored.bits().is_multiple_of(8);
        let shape = if is_packed { Shape::from(vec![end - start]) } else { made.shape.clone() };
        Self {
            storage: made.storage,
            offset: start,
            shape,
            strides: made.strides.clone().filter(|_| !is_packed),
            item_bytes,
            swap_unit: swap_unit(stored, big_endian),
            resolve: resolve.map(Box::new),
        }
    }

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

impl Numbers {
    fn of(factors: &Factors, storages: &[Storage]) -> Self {
        match factors {
            Factors::Listed(values) => Self::Listed(Arc::clone(values)),
            Factors::Tensor(made) => {
                let values = made.fault.clone().map_or_else(|| Ok(Values::of(made, storages)), Err);
                Self::Tensor(made.dtype.clone(), values)
            }
        }
    }
}

/// Reads values of a PyTorch file's tensors.
pub struct TorchReader {
    /// By tensor.
    pub values: Places<Values>,
    /// What they reach into.
    pub storages: Vec<Storage>,
}

impl TorchReader {
    /// Elements as they are stored.
    fn elements(
        &self,
        values: &Values,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        if values.shape.elements() == 0 {
            return Ok(());
        }
        let source = match values.storage {
            Some(index) => match self.storages.get(index) {
                Some(storage) => storage.place.open()?,
                None => return Err(ReadError::unsupported("the tensor's storage is not known")),
            },
            None => return Err(ReadError::unsupported("the tensor has no values")),
        };
        read_strided(&values.array(source), progress, sink)
    }

    /// Scales or zero points in memory: one, or `count` of them.
    fn numbers<'a>(&self, numbers: &'a Numbers, count: u64) -> Result<Cow<'a, [f64]>, ReadError> {
        let found: Cow<'a, [f64]> = match numbers {
            Numbers::Listed(values) => Cow::Borrowed(values),
            Numbers::Tensor(_, Err(fault)) => return Err(ReadError::unsupported(fault.clone())),
            Numbers::Tensor(dtype, Ok(values)) => {
                let elements = values.shape.elements();
                if elements > limits::FACTORS {
                    let what = "the number of scales of a quantised tensor".into();
                    return Err(ReadError::OverLimit { what, value: elements, limit: limits::FACTORS });
                }
                let mut found = Vec::new();
                self.elements(values, &Progress::new(), &mut |piece| {
                    dtype.decode(piece, &mut found);
                    ControlFlow::Continue(())
                })?;
                Cow::Owned(found)
            }
        };
        if found.len() as u64 != count {
            let text = format!("{count} scales are needed, but there are {}", found.len());
            return Err(ReadError::unsupported(text));
        }
        Ok(found)
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
        match values.resolve.as_deref() {
            None => self.elements(values, progress, sink),
            Some(&Meaning::Signs { unit, real, imaginary, complex }) => {
                let mut resolved = Vec::new();
                self.elements(values, progress, &mut |piece| {
                    resolved.clear();
                    resolved.extend_from_slice(piece);
                    for (index, number) in resolved.chunks_exact_mut(unit.max(1)).enumerate() {
                        let flip = if complex && index % 2 == 1 { imaginary } else { real };
                        // The sign is the highest bit of the last byte: little-endian.
                        if let (true, Some(last)) = (flip, number.last_mut()) {
                            *last ^= 0x80;
                        }
                    }
                    sink(&resolved)
                })
            }
            Some(Meaning::Dequantize { stored, scales, zero_points, axis }) => {
                let dims = values.shape.dims();
                let single = matches!(scales, Numbers::Listed(values) if values.len() == 1);
                let channels = if single { 1 } else { dims.get(*axis).copied().unwrap_or(0) };
                // Elements from one channel to the next, in the order in which they come.
                let step = if single { u64::MAX } else { dims.iter().skip(axis + 1).product::<u64>().max(1) };
                let scales = self.numbers(scales, channels)?;
                let zero_points = self.numbers(zero_points, channels)?;
                let (mut integers, mut resolved, mut position) = (Vec::new(), Vec::new(), 0u64);
                self.elements(values, progress, &mut |piece| {
                    integers.clear();
                    resolved.clear();
                    stored.decode(piece, &mut integers);
                    for integer in &integers {
                        let channel = (position / step % channels.max(1)) as usize;
                        position += 1;
                        let scale = scales.get(channel).copied().unwrap_or(f64::NAN);
                        let zero = zero_points.get(channel).copied().unwrap_or(f64::NAN);
                        // In single precision, as torch computes it.
                        let value = (integer - zero) as f32 * scale as f32;
                        resolved.extend_from_slice(&value.to_le_bytes());
                    }
                    sink(&resolved)
                })
            }
        }
    }

    fn read_at(&self, id: TensorId, offset: u64, buffer: &mut [u8]) -> Option<Result<(), ReadError>> {
        let values = self.values.get(id).ok().filter(|values| values.resolve.is_none())?;
        // A compressed member would be inflated whole for each request.
        let Place::Range(source) = &self.storages.get(values.storage?)?.place else { return None };
        read_strided_at(&values.array(source.clone()), offset, buffer)
    }
}
