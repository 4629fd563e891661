//! Byte strings of a pickle that hold another pickle, or an archive.

use std::collections::HashSet;

use super::calls::class_of;
use super::expression::arguments;
use super::pickles::begins_like_one;
use super::{Examiner, HEAD_BYTES, Part, inside};
use crate::formats::containers::pickle::{Content, Graph, Node, NodeId};
use crate::model::{Oddity, ReadError};
use crate::raw::ByteSource;

/// Text that stands for bytes is turned into them up to this size.
const TEXT_BYTES: u64 = 64 << 20;

impl Examiner<'_> {
    /// Byte strings that hold a pickle or an archive of one.
    pub(super) fn nested(
        &mut self,
        graph: &Graph,
        source: &ByteSource,
        place: &str,
    ) -> Result<(), ReadError> {
        let mut loaded: HashSet<NodeId> = HashSet::new();
        for call in graph.calls() {
            let Some(global) = class_of(graph, call.callable).and_then(|id| graph.global(id)) else {
                continue;
            };
            if !is_loader(&global.module, &global.name) {
                continue;
            }
            let argument = graph.items(call.args).and_then(|items| items.first()).copied();
            if let Some(id) = argument.and_then(|argument| bytes_of(graph, argument)) {
                loaded.insert(id);
            } else {
                let text = format!(
                    "{} loads a pickle that is computed while loading: {}",
                    global.full_name(),
                    arguments(graph, call.args, None)
                );
                self.evidence.observe(Oddity::UnseenPickle, place, Some(call.offset), text);
            }
        }
        for id in graph.ids() {
            let is_loaded = loaded.contains(&id);
            let Some(bytes) = candidate(graph, id, is_loaded, source)? else { continue };
            let begins = bytes.read_up_to("bytes in a pickle", 0, HEAD_BYTES)?;
            let is_zip = begins.starts_with(b"PK\x03\x04");
            if !is_zip && !begins_like_one(&begins) && !is_loaded {
                continue;
            }
            let before = self.evidence.pickles;
            let name = inside(place, &format!("bytes of {}", bytes.len()));
            let offset = match graph.content(id) {
                Some(Content::Range(offset, _)) => Some(offset),
                _ => None,
            };
            let name = offset.map_or(name, |offset| inside(place, &format!("bytes at {offset}")));
            self.source(&bytes, &name, if is_loaded { Part::Pickle } else { Part::Other })?;
            if self.evidence.pickles > before {
                let text = if is_loaded {
                    "a pickle inside the pickle, which it loads"
                } else {
                    "a pickle inside the pickle, which nothing in it loads"
                };
                self.evidence.observe(Oddity::NestedPickle, &name, offset, text);
            }
        }
        Ok(())
    }
}

/// Functions that load a pickle from the bytes they are given.
fn is_loader(module: &str, name: &str) -> bool {
    name == "_load_from_bytes" || (name == "loads" && !matches!(module, "json" | "marshal"))
}

/// The node that holds the bytes of an argument: itself, or the text that `_codecs.encode` or `bytes` turns into bytes.
fn bytes_of(graph: &Graph, mut id: NodeId) -> Option<NodeId> {
    for _ in 0..4 {
        if graph.content(id).is_some() {
            return Some(id);
        }
        let call = graph.call(id)?;
        let global = graph.global(call.callable)?;
        let makes_bytes = matches!(
            (global.module.as_str(), global.name.as_str()),
            ("_codecs", "encode") | ("builtins" | "__builtin__", "bytes" | "bytearray")
        );
        if !makes_bytes {
            return None;
        }
        id = *graph.items(call.args)?.first()?;
    }
    None
}

/// The bytes of a node that may hold something else; `None` where a look at its beginning says that it does not.
fn candidate(
    graph: &Graph,
    id: NodeId,
    is_loaded: bool,
    source: &ByteSource,
) -> Result<Option<ByteSource>, ReadError> {
    let content = match graph.node(id) {
        Node::Blob(_) | Node::Range(_) | Node::Text(_) => graph.content(id),
        _ => None,
    };
    let bytes = match content {
        Some(Content::Held(bytes)) if bytes.len() >= 4 => bytes,
        Some(Content::Range(offset, len)) => {
            // Long texts are ranges too; in UTF-8, U+0080 is two bytes.
            let head = source.read_up_to("bytes in a pickle", offset, len.min(4))?;
            if head.starts_with(b"\xc2\x80") && len <= TEXT_BYTES {
                let text = source.read_vec("text in a pickle", offset, len, TEXT_BYTES)?;
                return Ok(latin1(&text));
            }
            let known = begins_like_one(&head) || head.starts_with(b"PK\x03\x04") || is_loaded;
            return if known { source.slice("bytes in a pickle", offset, len).map(Some) } else { Ok(None) };
        }
        _ => return Ok(None),
    };
    if bytes.starts_with(b"\xc2\x80") {
        return Ok(latin1(bytes));
    }
    // The text protocols have no mark: such bytes are looked at where a loader is given them.
    let known = begins_like_one(bytes) || bytes.starts_with(b"PK\x03\x04") || is_loaded;
    Ok(known.then(|| ByteSource::from_vec(bytes.to_vec())))
}

/// Text whose characters stand for bytes.
fn latin1(text: &[u8]) -> Option<ByteSource> {
    let text = std::str::from_utf8(text).ok()?;
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    bytes.map(ByteSource::from_vec)
}
