//! Arrays of joblib: raw bytes in the stream of the pickle, each behind an object that describes it.
//!
//! ```text
//! … NumpyArrayWrapper{shape, order, dtype, numpy_array_alignment_bytes} BUILD | u8 n | n filling bytes | elements | …
//! ```
//!
//! Arrays of Python objects are a whole pickle in that place. Source: `NumpyArrayWrapper.write_array` in
//! <https://github.com/joblib/joblib/blob/1.4.2/joblib/numpy_pickle.py>.

use super::names::Known;
use super::numpy;
use super::rebuild::{Rebuilder, Rebuilt};
use crate::formats::containers::pickle::{Follows, Global, Graph, Node, NodeId};
use crate::model::{Dtype, Shape};

/// Whether a global is the object that stands before an array. (`sklearn.externals` had a copy.)
pub fn is_wrapper(global: &Global) -> bool {
    global.name == "NumpyArrayWrapper" && global.module.ends_with("joblib.numpy_pickle")
}

/// What follows an object in the stream; see [`crate::formats::containers::pickle::parse_interleaved`].
pub fn follows(graph: &Graph, object: NodeId) -> Option<Follows> {
    let call = graph.call(object)?;
    if !graph.global(call.callable).is_some_and(is_wrapper) {
        return None;
    }
    let fields = graph.entries(call.state?)?.as_chunks::<2>().0;
    let field =
        |key: &str| fields.iter().find(|[name, _]| graph.text(*name) == Some(key)).map(|pair| pair[1]);
    let dtype = graph.call(field("dtype")?)?;
    let code = graph.text(*graph.items(dtype.args)?.first()?)?.trim_start_matches(['<', '>', '|', '=']);
    let kind = code.chars().next()?;
    // (version, order, sub-array, names, fields, size, alignment, flags), where flag 1 means Python objects.
    let state = dtype.state.and_then(|state| graph.tuple(state)).unwrap_or_default();
    let flags = state.get(7).and_then(|&flags| graph.int(flags)).unwrap_or(0);
    if kind == 'O' || flags & 1 != 0 {
        return Some(Follows::Pickle);
    }
    let number: u64 = code.get(kind.len_utf8()..)?.split('[').next()?.parse().ok()?;
    let item = if kind == 'U' { number.checked_mul(4)? } else { number };
    let dims = graph.items(field("shape")?)?;
    let len = dims.iter().try_fold(item, |len, &dim| len.checked_mul(graph.unsigned(dim)?))?;
    let padded = field("numpy_array_alignment_bytes").is_some_and(|id| graph.node(id) != Node::None);
    Some(Follows::Bytes { padded, len })
}

/// The array that such an object stands for.
pub fn array(rebuilder: &mut Rebuilder<'_>, id: NodeId) -> Rebuilt {
    let view = rebuilder.view;
    let unknown =
        |why: &str| Rebuilt::without_values(Dtype::Other("unknown".into(), 0), Shape::default(), why);
    let fields = view.attributes(id).unwrap_or_default();
    let Some(&data) = view.graph.call(id).and_then(|call| call.items.first()) else {
        return unknown("its values are not behind its description");
    };
    if let Some((_, Known::NumpyArray | Known::NumpyBuffer)) = view.call(data) {
        return numpy::array(rebuilder, data);
    }
    let (Some(shape), Some(dtype)) = (view.entry(&fields, "shape"), view.entry(&fields, "dtype")) else {
        return unknown("it has no shape or dtype");
    };
    let fortran = view.entry(&fields, "order").and_then(|id| view.graph.text(id)) == Some("F");
    numpy::of_parts(rebuilder, shape, dtype, fortran, data)
}
