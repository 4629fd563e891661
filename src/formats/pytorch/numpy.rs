//! Numpy arrays and scalars inside pickles.
//!
//! Source: `numpy/core/src/multiarray/methods.c` (`array_reduce`, `array_setstate`) and `descriptor.c` (`arraydescr_setstate`).

use super::names::Known;
use super::rebuild::{Rebuilder, Rebuilt};
use super::storage::{Place, Storage};
use super::view::View;
use crate::formats::containers::pickle::{Node, NodeId};
use crate::model::{Dtype, Shape, Value};
use crate::raw::limits;

/// A numpy dtype: ours, bytes per element, and whether elements are big-endian.
struct Element {
    dtype: Dtype,
    bytes: u64,
    big_endian: bool,
    /// Python objects: values are pickled one by one.
    objects: bool,
}

/// The array that a `_reconstruct` or `_frombuffer` node stands for.
pub fn array(rebuilder: &mut Rebuilder<'_>, id: NodeId) -> Rebuilt {
    let view = rebuilder.view;
    let unknown = |why: &str| {
        Rebuilt::without_values(Dtype::Other("unknown".into(), 0), Shape::default(), why.to_owned())
    };
    let Some((call, known)) = view.call(id) else { return unknown("not an array") };
    let (shape, dtype, fortran, data) = if *known == Known::NumpyBuffer {
        let &[data, dtype, shape, ref rest @ ..] = view.args(call) else {
            return unknown("a buffer without a shape");
        };
        let fortran = rest.first().and_then(|&order| view.graph.text(order)) == Some("F");
        (shape, dtype, fortran, data)
    } else {
        let state = call.state.and_then(|state| view.graph.tuple(state));
        // (version, shape, dtype, is_fortran, data); the oldest have no version.
        match state {
            Some(&[_, shape, dtype, fortran, data] | &[shape, dtype, fortran, data]) => {
                let flag = view.graph.node(fortran);
                (shape, dtype, matches!(flag, Node::Bool(true) | Node::Int(1)), data)
            }
            _ => return unknown("an array without values"),
        }
    };
    of_parts(rebuilder, shape, dtype, fortran, data)
}

/// An array of a shape and a dtype whose elements are the bytes of `data`.
pub fn of_parts(
    rebuilder: &mut Rebuilder<'_>,
    shape: NodeId,
    dtype: NodeId,
    fortran: bool,
    data: NodeId,
) -> Rebuilt {
    let view = rebuilder.view;
    let unknown = |why: &str| {
        Rebuilt::without_values(Dtype::Other("unknown".into(), 0), Shape::default(), why.to_owned())
    };
    let dims: Option<Vec<u64>> = view
        .sequence(shape)
        .filter(|items| items.len() <= limits::RANK)
        .and_then(|items| items.iter().map(|&item| view.graph.unsigned(item)).collect());
    let Some(dims) = dims else { return unknown("its shape is not a list of sizes") };
    let Some(element) = element(view, dtype) else { return unknown("its dtype is not known") };
    let shape = Shape::from(dims);
    let strides = fortran.then(|| {
        let mut step = 1u64;
        let strides: Vec<u64> = shape
            .dims()
            .iter()
            .map(|&dim| {
                let stride = step;
                step = step.saturating_mul(dim);
                stride
            })
            .collect();
        strides.into()
    });
    if element.objects {
        return Rebuilt::without_values(
            element.dtype,
            shape,
            "an array of Python objects has no numbers to read",
        );
    }
    let mut made = Rebuilt::without_values(element.dtype, shape, "");
    made.fault = None;
    made.strides = strides;
    match view.bytes(data, limits::INFLATED_BYTES) {
        Some(Ok(source)) => {
            let wanted = made.shape.checked_elements().and_then(|count| count.checked_mul(element.bytes));
            if wanted != Some(source.len()) {
                made.fault =
                    Some(format!("its values should fill {wanted:?} bytes, but there are {}", source.len()));
            }
            rebuilder.storages.push(Storage { place: Place::Range(source), big_endian: element.big_endian });
            made.storage = Some(rebuilder.storages.len() - 1);
        }
        Some(Err(error)) => made.fault = Some(error.to_string()),
        None => made.fault = Some("its values are not written as bytes".to_owned()),
    }
    if made.dtype == Dtype::String {
        made.fault = Some("an array of text has no numbers to read".to_owned());
        made.storage = None;
    }
    made
}

/// The dtype that a `numpy.dtype` node stands for.
fn element(view: &View, id: NodeId) -> Option<Element> {
    let (call, known) = view.call(id)?;
    if *known != Known::NumpyDtype {
        return None;
    }
    let code = view.graph.text(*view.args(call).first()?)?;
    let state = call.state.and_then(|state| view.graph.tuple(state)).unwrap_or_default();
    let order = state.get(1).and_then(|&order| view.graph.text(order));
    let trimmed = code.trim_start_matches(['<', '>', '|', '=']);
    let big_endian = order == Some(">") || code.starts_with('>');
    let kind = trimmed.chars().next()?;
    let size: u64 = trimmed.get(kind.len_utf8()..)?.parse().unwrap_or(0);
    let dtype = match (kind, size) {
        ('f', 8) => Dtype::Float64,
        ('f', 4) => Dtype::Float32,
        ('f', 2) => Dtype::Float16,
        ('i', 8) => Dtype::Int64,
        ('i', 4) => Dtype::Int32,
        ('i', 2) => Dtype::Int16,
        ('i', 1) => Dtype::Int8,
        ('u', 8) => Dtype::Uint64,
        ('u', 4) => Dtype::Uint32,
        ('u', 2) => Dtype::Uint16,
        ('u', 1) => Dtype::Uint8,
        ('b', 1) => Dtype::Bool,
        ('c', 16) => Dtype::Complex128,
        ('c', 8) => Dtype::Complex64,
        ('U' | 'S' | 'O' | 'a' | 'T', _) => Dtype::String,
        ('M', _) => Dtype::Other("datetime64".into(), 64),
        ('m', _) => Dtype::Other("timedelta64".into(), 64),
        _ => Dtype::Other(trimmed.into(), u32::try_from(size.checked_mul(8)?).ok()?),
    };
    let bytes = match kind {
        'U' => size * 4,
        'M' | 'm' => 8,
        _ => size,
    };
    Some(Element { dtype, bytes, big_endian, objects: kind == 'O' })
}

/// A numpy scalar as metadata.
pub fn scalar(view: &View, args: &[NodeId]) -> Option<Value> {
    let &[dtype, data] = args else { return None };
    let element = element(view, dtype)?;
    let source = view.bytes(data, 64)?.ok()?;
    let mut bytes = source.read_all("a numpy scalar", 64).ok()?;
    if element.big_endian {
        bytes.reverse();
    }
    let wide = |signed: bool| {
        let negative = signed && bytes.last().is_some_and(|&byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        for (to, &from) in wide.iter_mut().zip(&bytes) {
            *to = from;
        }
        u64::from_le_bytes(wide)
    };
    Some(match element.dtype {
        Dtype::Bool => Value::Bool(bytes.first() != Some(&0)),
        Dtype::Int64 | Dtype::Int32 | Dtype::Int16 | Dtype::Int8 => Value::Int(wide(true).cast_signed()),
        Dtype::Uint64 | Dtype::Uint32 | Dtype::Uint16 | Dtype::Uint8 => {
            let value = wide(false);
            i64::try_from(value).map_or_else(|_| Value::BigInt(value.to_string()), Value::Int)
        }
        Dtype::String => Value::Text(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()),
        dtype if dtype.is_float() && !dtype.is_complex() => {
            let mut values = Vec::new();
            dtype.decode(&bytes, &mut values);
            Value::Float(*values.first()?)
        }
        _ => return None,
    })
}
