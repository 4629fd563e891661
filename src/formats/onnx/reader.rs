//! Values of ONNX tensors, piece by piece.

use std::ops::ControlFlow;

use super::tensor::{Part, Tensor, Values};
use crate::formats::containers::protobuf;
use crate::model::{Dtype, Progress, ReadError, TensorId, TensorReader};
use crate::raw::{ByteSource, limits, read_range};

/// Reads the tensors of one model.
pub struct Reader {
    pub source: ByteSource,
    pub tensors: Vec<Tensor>,
}

type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> ControlFlow<()>;

impl TensorReader for Reader {
    fn read_chunks(&self, id: TensorId, progress: &Progress, sink: Sink<'_>) -> Result<(), ReadError> {
        let tensor = self.tensors.get(id.index()).ok_or_else(|| ReadError::unsupported("no such tensor"))?;
        let values = tensor.values.as_ref().map_err(|fault| ReadError::unsupported(fault.clone()))?;
        let elements = tensor.shape.elements();
        if tensor.packed == 1 {
            let expected = tensor.dtype.bytes_for(elements);
            return self.stored(tensor, values, expected, progress, sink);
        }
        let mut left = elements;
        let mut unpacked = Vec::new();
        let expected = Some(elements.div_ceil(tensor.packed));
        self.stored(tensor, values, expected, progress, &mut |piece| {
            unpacked.clear();
            for &byte in piece {
                unpack(byte, &tensor.dtype, &mut unpacked);
            }
            // The last byte can have room for more elements than there are.
            unpacked.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= unpacked.len() as u64;
            sink(&unpacked)
        })
    }

    fn read_at(&self, id: TensorId, offset: u64, buffer: &mut [u8]) -> Option<Result<(), ReadError>> {
        let tensor = self.tensors.get(id.index())?;
        match tensor.values.as_ref().ok()? {
            Values::Plain(parts) if tensor.packed == 1 => match parts[..] {
                [Part::Range(start, len)] => Some(self.source.check_unchanged().and_then(|()| {
                    let bytes = self.source.slice("tensor data", start, len)?;
                    bytes.read_at("tensor data", offset, buffer)
                })),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The elements that share a byte, the lowest bits first, each as a byte of its own.
fn unpack(byte: u8, dtype: &Dtype, out: &mut Vec<u8>) {
    let signed = |value: u8, bits: u32| (value << (8 - bits)).cast_signed() >> (8 - bits);
    match dtype {
        Dtype::Uint4 => out.extend([byte & 15, byte >> 4]),
        Dtype::Int4 => out.extend([byte, byte >> 4].map(|code| signed(code, 4).cast_unsigned())),
        Dtype::Uint2 => out.extend([0, 2, 4, 6].map(|shift| byte >> shift & 3)),
        _ => out.extend([0, 2, 4, 6].map(|shift| signed(byte >> shift, 2).cast_unsigned())),
    }
}

impl Reader {
    /// Passes on the bytes as stored: `expected` of them, where their number is known.
    fn stored(
        &self,
        tensor: &Tensor,
        values: &Values,
        expected: Option<u64>,
        progress: &Progress,
        sink: Sink<'_>,
    ) -> Result<(), ReadError> {
        let group = tensor.dtype.group_bytes();
        match values {
            Values::Plain(parts) => {
                let mut stopped = false;
                for part in parts {
                    let &Part::Range(offset, len) = part else { continue };
                    read_range(&self.source, offset, len, group, progress, &mut |piece| {
                        let flow = sink(piece);
                        stopped = flow.is_break();
                        flow
                    })?;
                    if stopped {
                        break;
                    }
                }
                Ok(())
            }
            Values::Varints(parts) => {
                // Elements that share bytes stand a byte each, as do the 8-bit types.
                let item = (tensor.dtype.bits() as usize).div_ceil(8);
                self.varints(parts, item, expected, progress, sink)
            }
            Values::External { path, offset, .. } => {
                // Opened anew each time: a model can have a file for each of thousands of tensors.
                let source = ByteSource::open(path)?;
                let len = expected.unwrap_or(0);
                read_range(&source, *offset, len, group, progress, &mut |piece| sink(piece))
            }
        }
    }

    fn varints(
        &self,
        parts: &[Part],
        item: usize,
        expected: Option<u64>,
        progress: &Progress,
        sink: Sink<'_>,
    ) -> Result<(), ReadError> {
        let expected = expected.unwrap_or(0);
        let too_many =
            || ReadError::malformed("a tensor", 0, "it has another number of values than its shape");
        let mut out: Vec<u8> = Vec::with_capacity(limits::CHUNK_BYTES.min(expected as usize));
        let mut seen = 0u64;
        let mut push = |value: u64, out: &mut Vec<u8>| -> Result<ControlFlow<()>, ReadError> {
            out.extend(value.to_le_bytes().into_iter().take(item));
            seen += item as u64;
            if seen > expected {
                return Err(too_many());
            }
            if out.len() + item <= limits::CHUNK_BYTES {
                return Ok(ControlFlow::Continue(()));
            }
            progress.advance(out.len() as u64)?;
            let flow = sink(out);
            out.clear();
            Ok(flow)
        };
        for part in parts {
            match *part {
                Part::Single(value) => {
                    if push(value, &mut out)?.is_break() {
                        return Ok(());
                    }
                }
                Part::Range(start, len) => {
                    // A window at a time: a varint that it cuts is read again at the start of the next.
                    let (mut position, end) = (start, start + len);
                    while position < end {
                        let window =
                            self.source.read_up_to("values", position, (end - position).min(64 << 10))?;
                        let is_last = position + window.len() as u64 == end;
                        let mut at = 0;
                        while at < window.len() && (is_last || window.len() - at >= 10) {
                            let value = protobuf::varint(&window, &mut at, position)?;
                            if push(value, &mut out)?.is_break() {
                                return Ok(());
                            }
                        }
                        position += at as u64;
                    }
                }
            }
        }
        if seen != expected {
            return Err(too_many());
        }
        if !out.is_empty() {
            progress.advance(out.len() as u64)?;
            let _ = sink(&out);
        }
        Ok(())
    }
}
