//! Numpy arrays and scalars inside pickles.
//!
//! Source: `array_reduce` and `array_setstate` in
//! <https://github.com/numpy/numpy/blob/v2.3.0/numpy/_core/src/multiarray/methods.c>, `arraydescr_reduce` in
//! `descriptor.c` beside it. Names of modules differ between numpy 1 and 2; only the last part is looked at.

use super::names::Known;
use super::rebuild::{Rebuilder, Rebuilt};
use super::storage::{Place, Storage};
use super::view::View;
use crate::formats::containers::npy;
use crate::formats::containers::pickle::{Node, NodeId};
use crate::model::{Dtype, Shape, Value};
use crate::raw::{ByteSource, limits};

/// A numpy dtype: ours, bytes per element, and whether elements are big-endian.
struct Element {
    dtype: Dtype,
    bytes: u64,
    big_endian: bool,
    kind: char,
}

/// Bytes of a scalar: text can be long.
const SCALAR_BYTES: u64 = 64 << 10;

/// Texts of an array that are shown.
const TEXTS: usize = 8;

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
        // (version, shape, dtype, is_fortran, data); the oldest have no version. Masked arrays add mask and fill value.
        match state {
            Some(
                &[_, shape, dtype, fortran, data]
                | &[_, shape, dtype, fortran, data, _, _]
                | &[shape, dtype, fortran, data],
            ) => {
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
    if element.kind == 'O' {
        let why = "an array of Python objects has no numbers to read";
        let mut made = Rebuilt::without_values(element.dtype, shape, why);
        // They stand in a list, and can be arrays themselves.
        made.attributes = Some(("numpy.ndarray".to_owned(), data));
        return made;
    }
    let mut made = Rebuilt::without_values(element.dtype.clone(), shape, "");
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
        let held = made.storage.and_then(|index| rebuilder.storages.get(index)?.place.open().ok());
        let texts = held.and_then(|source| texts(&source, &element)).unwrap_or_default();
        made.fault = Some(format!("an array of text has no numbers to read; it begins with {texts}"));
        made.storage = None;
    }
    made
}

/// The first texts of an array, as they would be written in source.
fn texts(source: &ByteSource, element: &Element) -> Option<String> {
    if element.bytes == 0 || element.bytes > 4096 {
        return None;
    }
    let bytes = source.read_up_to("text in an array", 0, element.bytes * TEXTS as u64).ok()?;
    let found: Vec<String> = bytes
        .chunks_exact(usize::try_from(element.bytes).ok()?)
        .map(|item| format!("{:?}", text(item, element)))
        .collect();
    Some(found.join(", "))
}

/// Text of fixed length: four bytes per character, or one.
fn text(bytes: &[u8], element: &Element) -> String {
    if element.kind != 'U' {
        return String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
    }
    let decode = |&four: &[u8; 4]| {
        let code = if element.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    let text: String = bytes.as_chunks::<4>().0.iter().map(decode).collect();
    text.trim_end_matches('\0').to_owned()
}

/// The dtype that a `numpy.dtype` node stands for.
fn element(view: &View, id: NodeId) -> Option<Element> {
    let (call, known) = view.call(id)?;
    if *known != Known::NumpyDtype {
        return None;
    }
    let &code = view.args(call).first()?;
    if let Some(global) = view.graph.global(code) {
        // A type of `ml_dtypes`: bfloat16 and the 8-bit floats.
        let dtype = Dtype::from_name(&global.name)?;
        let bytes = u64::from(dtype.bits() / 8);
        return Some(Element { dtype, bytes, big_endian: false, kind: 'V' });
    }
    let code = view.graph.text(code)?;
    let state = call.state.and_then(|state| view.graph.tuple(state)).unwrap_or_default();
    let order = state.get(1).and_then(|&order| view.graph.text(order));
    let big_endian = order == Some(">") || code.starts_with('>');
    let npy::Element { dtype, bytes, kind, .. } = npy::Element::from_code(code)?;
    let bits = bytes.checked_mul(8)?;
    // What the code leaves out stands in the state: units of dates, fields of records.
    let dtype = match kind {
        'M' => Dtype::Other(format!("datetime64{}", unit(view, state)).into(), bits),
        'm' => Dtype::Other(format!("timedelta64{}", unit(view, state)).into(), bits),
        'V' if state.get(4).is_some_and(|&fields| view.mapping(fields).is_some()) => {
            Dtype::Other(fields(view, state).into(), bits)
        }
        _ => dtype,
    };
    Some(Element { dtype, bytes: bytes.into(), big_endian, kind })
}

/// The unit of a date, such as `[ns]`: the state ends in (metadata, (unit, how many, …)).
fn unit(view: &View, state: &[NodeId]) -> String {
    let named = || {
        let &unit = view.graph.items(*view.graph.items(*state.last()?)?.get(1)?)?.first()?;
        let bytes = view.bytes(unit, 16)?.ok()?.read_all("the unit of a date", 16).ok()?;
        Some(format!("[{}]", String::from_utf8(bytes).ok()?))
    };
    named().unwrap_or_default()
}

/// Names and types of a record's fields.
fn fields(view: &View, state: &[NodeId]) -> String {
    let entries = state.get(4).and_then(|&fields| view.mapping(fields)).unwrap_or_default();
    let written: Vec<String> = entries
        .iter()
        .take(limits::RANK)
        .map(|&(name, field)| {
            let code = view
                .graph
                .items(field)
                .and_then(|parts| view.call(*parts.first()?))
                .and_then(|(dtype, _)| view.graph.text(*view.args(dtype).first()?));
            format!("{}: {}", view.graph.text(name).unwrap_or("?"), code.unwrap_or("?"))
        })
        .collect();
    format!("record{{{}}}", written.join(", "))
}

/// A numpy scalar as metadata.
pub fn scalar(view: &View, args: &[NodeId]) -> Option<Value> {
    let &[dtype, data] = args else { return None };
    let element = element(view, dtype)?;
    let source = view.bytes(data, SCALAR_BYTES)?.ok()?;
    let mut bytes = source.read_all("a numpy scalar", SCALAR_BYTES).ok()?;
    if element.big_endian && element.kind != 'U' && element.kind != 'S' {
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
        Dtype::String => Value::Text(text(&bytes, &element)),
        Dtype::Other(name, 64) if matches!(element.kind, 'M' | 'm') => {
            Value::Text(format!("{} {name}", wide(true).cast_signed()))
        }
        dtype if dtype.is_complex() => {
            let half = bytes.len() / 2;
            let float = if half == 8 { Dtype::Float64 } else { Dtype::Float32 };
            let mut parts = Vec::new();
            float.decode(&bytes, &mut parts);
            let &[re, im] = parts.as_slice() else { return None };
            // Big-endian numbers were reversed as a whole.
            let (re, im) = if element.big_endian { (im, re) } else { (re, im) };
            Value::Text(format!("({re}{im:+}j)"))
        }
        dtype if dtype.is_float() && !dtype.is_complex() => {
            let mut values = Vec::new();
            dtype.decode(&bytes, &mut values);
            Value::Float(*values.first()?)
        }
        _ => return None,
    })
}
