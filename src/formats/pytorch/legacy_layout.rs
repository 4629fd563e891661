//! The layout of torch before 1.6 (and of `_use_new_zipfile_serialization=False` since).
//!
//! ```text
//! pickle 0x1950a86a20f9469cfc6c   magic number
//! pickle 1001                     protocol
//! pickle {little_endian, …}       system that wrote it
//! pickle …                        the object; storages are persistent ids
//! pickle ["key", …]               order of the storages
//! per key: i64 element count, raw elements
//! ```
//!
//! Source: `_legacy_load` in `torch/serialization.py`.

use std::collections::HashMap;

use super::rebuild;
use super::storage::{Listed, Place, Storage, StorageMap};
use super::view::View;
use super::zip_layout;
use crate::formats::containers::pickle::{self, Graph, Node, NodeId};
use crate::formats::containers::zip::ZipArchive;
use crate::model::{Dtype, Problem, Progress, ReadError};
use crate::raw::ByteSource;

/// How the first pickle goes on after its protocol: a 10-byte integer, little-endian.
const MAGIC: &[u8] = &[0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];

/// The same in decimal, as protocols 0 and 1 write it.
const MAGIC_TEXT: &[u8] = b"L119547037146038801333356L\n.";

/// Bytes of the opcode and length of a frame, in which protocols 4 and 5 wrap what follows.
const FRAME: usize = 9;

/// Whether the bytes begin like this layout.
pub fn detect(head: &[u8]) -> bool {
    let Some(pickle) = head.strip_prefix(&[0x80]).and_then(|rest| rest.get(1..)) else {
        return head.starts_with(MAGIC_TEXT);
    };
    let inside = if pickle.first() == Some(&0x95) { pickle.get(FRAME..) } else { Some(pickle) };
    inside.is_some_and(|rest| rest.starts_with(MAGIC))
}

/// What a file of this layout holds.
pub struct Legacy {
    /// The object.
    pub view: View,
    /// Its storages.
    pub storages: Listed,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
}

/// Reads the pickles and finds the storages.
pub fn open(source: &ByteSource, progress: &Progress) -> Result<Legacy, ReadError> {
    let magic = pickle::parse(source, 0, progress)?;
    let protocol = pickle::parse(source, magic.end, progress)?;
    let system = pickle::parse(source, protocol.end, progress)?;
    let object = pickle::parse(source, system.end, progress)?;
    let after_object = object.end;
    let view = View::new(object, source.clone());
    let big_endian = entry(&system.graph, system.root, "little_endian")
        .is_some_and(|flag| system.graph.node(flag) == Node::Bool(false));
    let mut storages = Listed { places: HashMap::new(), big_endian };
    let mut problems = Vec::new();

    let sizes = element_sizes(&view);
    let keys = match pickle::parse(source, after_object, progress) {
        Ok(keys) => keys,
        Err(error) => {
            problems.push(cut(format!("the list of storages cannot be read: {error}"), after_object));
            return Ok(Legacy { view, storages, problems });
        }
    };
    let mut position = keys.end;
    for &key in keys.graph.items(keys.root).unwrap_or_default() {
        let key = match keys.graph.text(key) {
            Some(key) => key.to_owned(),
            None => keys.graph.int(key).map(|key| key.to_string()).unwrap_or_default(),
        };
        let Some(&bytes) = sizes.get(&key) else {
            let text = format!(
                "storage {key:?} is listed, but nothing says of which type it is; what follows it is lost"
            );
            problems.push(cut(text, position));
            break;
        };
        let mut count = [0; 8];
        let found = source.read_at("the size of a storage", position, &mut count).and_then(|()| {
            let count = if big_endian { u64::from_be_bytes(count) } else { u64::from_le_bytes(count) };
            let len = count.checked_mul(bytes).ok_or_else(|| {
                ReadError::malformed("the size of a storage", position, format!("{count} elements overflow"))
            })?;
            source.slice(format!("storage {key:?}"), position + 8, len)
        });
        match found {
            Ok(found) => {
                position += 8 + found.len();
                storages.places.insert(key, Place::Range(found));
            }
            Err(error) => {
                problems.push(cut(error.to_string(), position));
                storages.places.insert(key, Place::Missing(error.to_string()));
                break;
            }
        }
    }
    if problems.is_empty() && position < source.len() {
        let text = format!("{} bytes follow the last storage", source.len() - position);
        problems.push(Problem::warning("trailing-bytes", text).at(position));
    }
    Ok(Legacy { view, storages, problems })
}

/// The one storage that the bytes hold: `torch.save(storage)`, as `pickle.dump(tensor)` writes it.
pub fn single_storage(
    bytes: &ByteSource,
    progress: &Progress,
) -> Result<(Storage, Option<Dtype>), ReadError> {
    let head = bytes.read_up_to("a storage inside a pickle", 0, 64)?;
    let find = |view: &View, map: &dyn StorageMap| {
        let (key, dtype, ..) = rebuild::stored(view, view.root).map_err(ReadError::unsupported)?;
        match map.find(&key) {
            Place::Missing(why) => Err(ReadError::unsupported(why)),
            place => Ok((Storage { place, big_endian: map.big_endian() }, dtype)),
        }
    };
    if detect(&head) {
        let legacy = open(bytes, progress)?;
        return find(&legacy.view, &legacy.storages);
    }
    let archive = ZipArchive::open(bytes)?;
    let zip = zip_layout::open(&archive, progress)?;
    find(&zip.view, &zip.storages)
}

/// Bytes per element of every storage that the object refers to.
fn element_sizes(view: &View) -> HashMap<String, u64> {
    let mut sizes = HashMap::new();
    for id in view.graph.ids() {
        if matches!(view.graph.node(id), Node::Persistent(_))
            && let Ok((key, dtype, ..)) = rebuild::stored(view, id)
        {
            let bytes = dtype.map_or(1, |dtype| u64::from(dtype.bits().div_ceil(8)));
            sizes.entry(key).or_insert(bytes);
        }
    }
    sizes
}

fn entry(graph: &Graph, dictionary: NodeId, key: &str) -> Option<NodeId> {
    let entries = graph.entries(dictionary)?;
    entries
        .as_chunks::<2>()
        .0
        .iter()
        .find(|[name, _]| graph.text(*name) == Some(key))
        .map(|&[_, value]| value)
}

fn cut(text: String, offset: u64) -> Problem {
    Problem::error("storage", text).at(offset)
}
