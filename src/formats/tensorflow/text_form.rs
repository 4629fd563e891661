//! Graphs, meta graphs and `SavedModel`s in text form (`.pbtxt`): turned into the binary form, which is then read.
//!
//! The schemas name the fields that `graph_def`, `saved_model` and `object_graph` read, under the numbers of the
//! `.proto` files in <https://github.com/tensorflow/tensorflow/tree/v2.21.0/tensorflow/core>.

use super::types;
use crate::formats::containers::prototext::{Kind, Schema, to_wire};
use crate::model::ReadError;
use crate::raw::{ByteSource, limits};
use Kind::{Doubles, Enumeration, Floats, Integer, Integers, Message, Text};

/// Which message a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// `GraphDef`.
    Graph,
    /// `MetaGraphDef`.
    MetaGraph,
    /// `SavedModel`.
    SavedModel,
}

/// What text is by its first field; `None` for anything else.
pub fn looks_like(head: &[u8]) -> Option<Root> {
    let mut rest = head.trim_ascii_start();
    while let Some(comment) = rest.strip_prefix(b"#") {
        let end = comment.iter().position(|&byte| byte == b'\n')?;
        rest = comment.get(end..)?.trim_ascii_start();
    }
    let len = rest.iter().position(|byte| !byte.is_ascii_lowercase() && *byte != b'_')?;
    let (name, rest) = rest.split_at(len);
    let rest = rest.trim_ascii_start();
    let message = matches!(rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start(), [b'{' | b'<', ..]);
    match name {
        // Other texts have nodes too: those of a graph begin with their name.
        b"node" if message && begins_with_name(rest) => Some(Root::Graph),
        b"library" | b"versions" if message && head.windows(7).any(|text| text == b"\nnode {") => {
            Some(Root::Graph)
        }
        b"meta_info_def" | b"graph_def" if message => Some(Root::MetaGraph),
        b"meta_graphs" if message => Some(Root::SavedModel),
        b"saved_model_schema_version" if rest.starts_with(b":") => Some(Root::SavedModel),
        _ => None,
    }
}

fn begins_with_name(message: &[u8]) -> bool {
    let inside = message.strip_prefix(b":").unwrap_or(message).trim_ascii_start();
    let inside = inside.get(1..).unwrap_or_default().trim_ascii_start();
    let field = inside.strip_prefix(b"name").map(<[u8]>::trim_ascii_start);
    field.is_some_and(|rest| rest.starts_with(b":"))
}

/// The binary form of a text file, in memory.
pub fn binary(source: &ByteSource, root: Root) -> Result<ByteSource, ReadError> {
    let text = source.read_all("a graph in text form", limits::TEXT_BYTES)?;
    let schema = match root {
        Root::Graph => &GRAPH,
        Root::MetaGraph => &META_GRAPH,
        Root::SavedModel => &SAVED_MODEL,
    };
    to_wire(&text, schema).map(ByteSource::from_vec)
}

/// The number of a `DataType` by its name, such as `DT_FLOAT`.
fn data_type(name: &str) -> Option<u64> {
    let name = name.strip_prefix("DT_")?;
    let (name, reference) = name.strip_suffix("_REF").map_or((name, 0), |name| (name, 100));
    let number = match name {
        "INVALID" => 0,
        "FLOAT" => 1,
        "DOUBLE" => 2,
        "HALF" => 19,
        name => types::number_of_name(&name.to_ascii_lowercase())?,
    };
    Some(number + reference)
}

static SAVED_MODEL: Schema =
    Schema(&[("saved_model_schema_version", 1, Integer), ("meta_graphs", 2, Message(&META_GRAPH))]);

static META_GRAPH: Schema = Schema(&[
    ("meta_info_def", 1, Message(&META_INFO)),
    ("graph_def", 2, Message(&GRAPH)),
    ("collection_def", 4, Message(&COLLECTION_ENTRY)),
    ("signature_def", 5, Message(&SIGNATURE_ENTRY)),
    ("asset_file_def", 6, Message(&ASSET)),
    ("object_graph_def", 7, Message(&OBJECT_GRAPH)),
]);

static META_INFO: Schema = Schema(&[
    ("meta_graph_version", 1, Text),
    ("tags", 4, Text),
    ("tensorflow_version", 5, Text),
    ("tensorflow_git_version", 6, Text),
]);

static GRAPH: Schema = Schema(&[
    ("node", 1, Message(&NODE)),
    ("library", 2, Message(&LIBRARY)),
    ("versions", 4, Message(&VERSIONS)),
]);

static LIBRARY: Schema = Schema(&[("function", 1, Message(&FUNCTION))]);

static FUNCTION: Schema = Schema(&[("signature", 1, Message(&OPERATION)), ("node_def", 3, Message(&NODE))]);

static OPERATION: Schema = Schema(&[("name", 1, Text)]);

static VERSIONS: Schema = Schema(&[("producer", 1, Integer), ("min_consumer", 2, Integer)]);

static NODE: Schema = Schema(&[
    ("name", 1, Text),
    ("op", 2, Text),
    ("input", 3, Text),
    ("device", 4, Text),
    ("attr", 5, Message(&ATTRIBUTE_ENTRY)),
]);

static ATTRIBUTE_ENTRY: Schema = Schema(&[("key", 1, Text), ("value", 2, Message(&ATTRIBUTE))]);

static ATTRIBUTE: Schema = Schema(&[
    ("type", 6, Enumeration(data_type)),
    ("shape", 7, Message(&SHAPE)),
    ("tensor", 8, Message(&TENSOR)),
]);

static TENSOR: Schema = Schema(&[
    ("dtype", 1, Enumeration(data_type)),
    ("tensor_shape", 2, Message(&SHAPE)),
    ("tensor_content", 4, Text),
    ("float_val", 5, Floats),
    ("double_val", 6, Doubles),
    ("int_val", 7, Integers),
    ("string_val", 8, Text),
    ("scomplex_val", 9, Floats),
    ("int64_val", 10, Integers),
    ("bool_val", 11, Integers),
    ("dcomplex_val", 12, Doubles),
    ("half_val", 13, Integers),
    ("uint32_val", 16, Integers),
    ("uint64_val", 17, Integers),
    ("float8_val", 18, Text),
]);

static SHAPE: Schema = Schema(&[("dim", 2, Message(&DIMENSION)), ("unknown_rank", 3, Integer)]);

static DIMENSION: Schema = Schema(&[("size", 1, Integer)]);

static COLLECTION_ENTRY: Schema = Schema(&[("key", 1, Text), ("value", 2, Message(&COLLECTION))]);

static COLLECTION: Schema = Schema(&[("bytes_list", 2, Message(&BYTES_LIST))]);

static BYTES_LIST: Schema = Schema(&[("value", 1, Text)]);

static SIGNATURE_ENTRY: Schema = Schema(&[("key", 1, Text), ("value", 2, Message(&SIGNATURE))]);

static SIGNATURE: Schema = Schema(&[
    ("inputs", 1, Message(&ARGUMENT_ENTRY)),
    ("outputs", 2, Message(&ARGUMENT_ENTRY)),
    ("method_name", 3, Text),
]);

static ARGUMENT_ENTRY: Schema = Schema(&[("key", 1, Text), ("value", 2, Message(&ARGUMENT))]);

static ARGUMENT: Schema =
    Schema(&[("name", 1, Text), ("dtype", 2, Enumeration(data_type)), ("tensor_shape", 3, Message(&SHAPE))]);

static ASSET: Schema = Schema(&[("tensor_info", 1, Message(&ARGUMENT)), ("filename", 2, Text)]);

static OBJECT_GRAPH: Schema = Schema(&[("nodes", 1, Message(&OBJECT))]);

static OBJECT: Schema = Schema(&[
    ("children", 1, Message(&CHILD)),
    ("slot_variables", 3, Message(&SLOT)),
    ("user_object", 4, Message(&USER_OBJECT)),
    ("function", 6, Message(&TRACED)),
    ("variable", 7, Message(&VARIABLE)),
]);

static CHILD: Schema = Schema(&[("node_id", 1, Integer), ("local_name", 2, Text)]);

static SLOT: Schema = Schema(&[
    ("original_variable_node_id", 1, Integer),
    ("slot_name", 2, Text),
    ("slot_variable_node_id", 3, Integer),
]);

static USER_OBJECT: Schema = Schema(&[("identifier", 1, Text), ("metadata", 3, Text)]);

static TRACED: Schema = Schema(&[("concrete_functions", 1, Text)]);

static VARIABLE: Schema = Schema(&[
    ("dtype", 1, Enumeration(data_type)),
    ("shape", 2, Message(&SHAPE)),
    ("trainable", 3, Integer),
    ("name", 6, Text),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_by_its_first_field() {
        for (text, root) in [
            ("node {\n  name: \"x\"", Some(Root::Graph)),
            ("# a comment\n node: <name : \"x\"", Some(Root::Graph)),
            ("saved_model_schema_version: 1\n", Some(Root::SavedModel)),
            ("meta_info_def {\n", Some(Root::MetaGraph)),
            ("versions {\n  producer: 1\n}\nnode {", Some(Root::Graph)),
            ("node {\n  input: \"x\"", None),
            ("name: \"net\"\nlayer {", None),
            ("node", None),
        ] {
            assert_eq!(looks_like(text.as_bytes()), root, "{text}");
        }
    }

    #[test]
    fn types_have_their_numbers() {
        let names = [
            "DT_FLOAT",
            "DT_HALF",
            "DT_BFLOAT16",
            "DT_FLOAT8_E4M3FN",
            "DT_INT32_REF",
            "DT_RESOURCE",
            "DT_BOOL",
        ];
        assert_eq!(names.map(|name| data_type(name).unwrap_or(0)), [1, 19, 14, 25, 103, 20, 10]);
        assert_eq!(data_type("float"), None);
    }
}
