//! Pickles: what they import, what they would call and with what, and further pickles behind and inside them.

use std::collections::{HashMap, HashSet};

use super::expression::{arguments, shown};
use super::{Examiner, HEAD_BYTES, Part, inside, joblib_follows};
use crate::formats::containers::pickle::{self, Call, Content, Graph, Node, NodeId, Trick};
use crate::formats::pytorch;
use crate::model::{Import, LoadCall, Oddity, ReadError};
use crate::raw::ByteSource;

/// Calls of one target that are kept with their arguments.
const SHOWN_CALLS: usize = 4;

/// Targets whose calls are kept, of one stream.
const TARGETS: usize = 2000;

/// Pickles one after the other in one file.
const PICKLES: usize = 10_000;

/// Text that stands for bytes is turned into them up to this size.
const TEXT_BYTES: u64 = 64 << 20;

/// Bytes behind a pickle that are searched for another, places in them where one may begin, opcodes read at each.
const SEARCHED: u64 = 1 << 20;
const STRAY_STARTS: usize = 512;
const STRAY_OPCODES: u64 = 1 << 14;

/// Opcodes by which a stream shows that it is one: honest ones have named something or ended by then.
const PROBED: u64 = 1 << 20;

/// Bytes of a table of torch's oldest files.
const TABLE_BYTES: u64 = 64 << 20;

/// Opcodes that are read of a broken stream.
const OPCODES: u64 = 1 << 26;

/// Pickles of a PyTorch file before 1.6: magic number, protocol, system, object, keys of the storages. Raw values follow.
const LEGACY_PICKLES: usize = 5;

/// Whether bytes begin with the mark of a pickle: an opcode that says the protocol.
pub fn begins_like_one(head: &[u8]) -> bool {
    matches!(head, [0x80, 0..=5, _, ..])
}

/// Whether bytes begin with an opcode that can stand first: protocols 0 and 1 have no mark.
pub fn may_begin_one(head: &[u8]) -> bool {
    let first = matches!(
        head.first(),
        Some(
            b'('
            | b'c'
            | b']'
            | b'}'
            | b')'
            | b'I'
            | b'L'
            | b'F'
            | b'S'
            | b'V'
            | b'U'
            | b'T'
            | b'X'
            | b'K'
            | b'M'
            | b'J'
            | b'G'
            | b'N'
            | b'C'
            | b'B'
            | b'P'
            | b'i'
            | 0x80
            | 0x82..=0x84
            | 0x88..=0x8f
            | 0x95
            | 0x96,
        )
    );
    first && head.len() > 1
}

/// Whether text could name a module or something in it.
fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    !text.is_empty() && text.len() <= 400 && text.split('.').all(|piece| !piece.is_empty() && part(piece))
}

impl Examiner<'_> {
    /// Goes through the pickles that stand one after the other. Returns whether there was any.
    pub(super) fn pickles(
        &mut self,
        source: &ByteSource,
        place: &str,
        part: Part,
    ) -> Result<bool, ReadError> {
        let head = source.read_up_to("a pickle", 0, 64)?;
        let is_legacy = pytorch::begins_like_legacy(&head);
        // Values of tensors can begin like a pickle, and text too: such a stream must be one as far as it goes.
        let is_expected = is_legacy || part == Part::Pickle && begins_like_one(&head);
        if !is_expected && !self.is_stream(source, 0, PROBED)? {
            return Ok(false);
        }
        let mut position = 0;
        for index in 0..PICKLES {
            self.progress.advance(0)?;
            let partial = pickle::parse_as_far(source, position, self.progress, &joblib_follows);
            self.evidence.pickles += 1;
            self.graph(&partial.graph, source, place)?;
            match partial.root {
                Ok(_) => position = partial.end,
                Err(error @ (ReadError::Io(_) | ReadError::Cancelled | ReadError::FileChanged)) => {
                    return Err(error);
                }
                Err(error) => {
                    self.evidence.observe(Oddity::BrokenPickle, place, Some(partial.end), error.to_string());
                    let linear = pickle::scan(source, position, OPCODES, self.progress)?;
                    let names = linear.names.into_iter().filter(|named| named.offset >= partial.end);
                    for named in names.filter(|named| is_name(&named.module) && is_name(&named.name)) {
                        self.import(&named.module, &named.name, 1, Some(named.offset), place);
                    }
                    if !linear.stopped {
                        break;
                    }
                    position = linear.end;
                }
            }
            if position >= source.len() {
                break;
            }
            if is_legacy {
                if index + 1 == LEGACY_PICKLES {
                    self.evidence.data_bytes += source.len() - position;
                    break;
                }
                continue;
            }
            if !self.is_stream(source, position, PROBED)? {
                self.after(source, position, place)?;
                break;
            }
            let text = "another pickle follows the first; a program that reads on would load it too";
            self.evidence.observe(Oddity::SecondPickle, place, Some(position), text);
        }
        Ok(true)
    }

    /// Whether opcodes that stand at a position lead to a `STOP`, or at least import something.
    fn is_stream(&self, source: &ByteSource, position: u64, most: u64) -> Result<bool, ReadError> {
        let head = source.read_up_to("a pickle", position, 2)?;
        if !may_begin_one(&head) {
            return Ok(false);
        }
        let linear = pickle::scan(source, position, most, self.progress)?;
        // One opcode and STOP are two bytes, which stand in anything.
        let stopped = linear.stopped && linear.opcodes > 2;
        if stopped || linear.goes_on {
            return Ok(true);
        }
        let imports = linear.names.iter().any(|named| is_name(&named.module) && is_name(&named.name));
        if !imports || head.first() == Some(&0x80) {
            return Ok(imports);
        }
        // Two lines of words read like an import; only a stream that also gets as far as a call is one.
        let partial = pickle::parse_as_far(source, position, self.progress, &joblib_follows);
        Ok(!partial.graph.calls().is_empty())
    }

    /// What stands behind the last pickle, if it is not an archive.
    fn after(&mut self, source: &ByteSource, position: u64, place: &str) -> Result<(), ReadError> {
        let rest = source.len() - position;
        let text = format!("{rest} bytes follow the pickle");
        self.evidence.observe(Oddity::DataAfter, place, Some(position), text);
        self.stray(source, position, rest, place)
    }

    /// Looks for pickles in bytes that nothing refers to.
    pub(super) fn stray(
        &mut self,
        source: &ByteSource,
        start: u64,
        len: u64,
        place: &str,
    ) -> Result<(), ReadError> {
        let bytes = source.read_up_to("bytes that belong to nothing", start, len.min(SEARCHED))?;
        let starts = bytes.windows(3).enumerate();
        let starts = starts.filter(|(_, window)| begins_like_one(window) || window.starts_with(b"PK\x03"));
        for (at, window) in starts.take(STRAY_STARTS) {
            let at = start + at as u64;
            let rest = source.slice("bytes that belong to nothing", at, start + len - at)?;
            let is_zip = window.starts_with(b"PK\x03");
            if is_zip || self.is_stream(&rest, 0, STRAY_OPCODES)? {
                let what = if is_zip { "an archive" } else { "a pickle" };
                let text = format!("{what} stands in bytes that nothing refers to");
                self.evidence.observe(Oddity::HiddenPickle, place, Some(at), text);
                let name = inside(place, &format!("bytes at {at}"));
                self.source(&rest, &name, Part::Stray)?;
                return Ok(());
            }
        }
        Ok(())
    }

    /// The tables of torch's oldest files: pickles with values between them, whose lengths only the rows tell.
    pub(super) fn tables(&mut self, source: &ByteSource, place: &str) -> Result<(), ReadError> {
        let mut position = 0;
        while position < source.len() {
            self.progress.advance(0)?;
            let rest = source.read_up_to("a table", position, SEARCHED)?;
            let Some(at) = rest.windows(3).position(begins_like_one) else {
                position += (rest.len() as u64).saturating_sub(2).max(1);
                continue;
            };
            position += at as u64;
            if position > TABLE_BYTES {
                let text = format!("only the first {TABLE_BYTES} bytes of this table were looked through");
                self.evidence.observe(Oddity::Incomplete, place, Some(position), text);
                break;
            }
            if !self.is_stream(source, position, STRAY_OPCODES)? {
                position += 1;
                continue;
            }
            let partial = pickle::parse_as_far(source, position, self.progress, &joblib_follows);
            self.evidence.pickles += 1;
            self.graph(&partial.graph, source, place)?;
            position = if partial.root.is_ok() { partial.end } else { position + 1 };
        }
        Ok(())
    }

    fn import(&mut self, module: &str, name: &str, count: u64, offset: Option<u64>, place: &str) -> usize {
        let key = (module.to_owned(), name.to_owned(), place.to_owned());
        if let Some(&index) = self.imported.get(&key) {
            if let Some(import) = self.evidence.imports.get_mut(index) {
                import.count = import.count.saturating_add(count);
            }
            return index;
        }
        let index = self.evidence.imports.len();
        self.imported.insert(key, index);
        let import = Import {
            module: module.to_owned(),
            name: name.to_owned(),
            count,
            offset,
            place: place.to_owned(),
        };
        self.evidence.imports.push(import);
        index
    }

    /// An import that no pickle makes, but a configuration.
    pub(super) fn named_import(&mut self, module: &str, name: &str, place: &str) {
        self.import(module, name, 1, None, place);
    }

    fn graph(&mut self, graph: &Graph, source: &ByteSource, place: &str) -> Result<(), ReadError> {
        let imports: Vec<usize> = graph
            .globals()
            .iter()
            .map(|global| self.import(&global.module, &global.name, global.count, Some(global.offset), place))
            .collect();
        for global in graph.globals() {
            if global.module == "copyreg" && global.name.starts_with("extension ") {
                let text = format!("{} names something that the loading program registered", global.name);
                self.evidence.observe(Oddity::ExtensionCode, place, Some(global.offset), text);
            }
        }
        for &(trick, offset) in graph.tricks() {
            let (kind, text) = match trick {
                Trick::AltersGlobal(id) => {
                    (Oddity::AlteredGlobal, format!("attributes of {} itself are set", shown(graph, id)))
                }
                Trick::ComputedName(id) => (
                    Oddity::ComputedName,
                    format!("{} is imported, a name that is computed while loading", shown(graph, id)),
                ),
            };
            self.evidence.observe(kind, place, Some(offset), text);
        }
        self.calls(graph, &imports, place);
        self.nested(graph, source, place)
    }

    fn calls(&mut self, graph: &Graph, imports: &[usize], place: &str) {
        // Position in the evidence of each target's calls.
        let mut known: HashMap<usize, usize> = HashMap::new();
        for call in graph.calls() {
            let Some(target) = class_of(graph, call.callable) else {
                if graph.call(call.callable).is_some() {
                    self.computed_call(graph, call, place);
                }
                continue;
            };
            let import = graph.global_index(target).and_then(|index| imports.get(index)).copied();
            let Some(import) = import else { continue };
            self.attribute(graph, call, target, place);
            let place_of = known.get(&import).copied();
            if let Some(entry) = place_of.and_then(|index| self.evidence.calls.get_mut(index)) {
                entry.count = entry.count.saturating_add(1);
                if entry.arguments.len() < SHOWN_CALLS {
                    entry.arguments.push(arguments(graph, call.args, call.keywords));
                }
            } else if known.len() < TARGETS {
                known.insert(import, self.evidence.calls.len());
                let target = graph.global(target).map(pickle::Global::full_name).unwrap_or_default();
                self.call(graph, call, target, Some(import), place);
            }
        }
    }

    fn call(&mut self, graph: &Graph, call: &Call, target: String, import: Option<usize>, place: &str) {
        self.evidence.calls.push(LoadCall {
            target,
            import,
            opcode: call.opcode,
            arguments: vec![arguments(graph, call.args, call.keywords)],
            count: 1,
            offset: call.offset,
            place: place.to_owned(),
        });
    }

    /// `getattr(M.N, "x")` names `M.N.x`, as an import by itself would.
    fn attribute(&mut self, graph: &Graph, call: &Call, target: NodeId, place: &str) {
        let Some(global) = graph.global(target) else { return };
        if !(matches!(global.module.as_str(), "builtins" | "__builtin__") && global.name == "getattr") {
            return;
        }
        let &[of, name, ..] = graph.items(call.args).unwrap_or_default() else { return };
        if let (Some(of), Some(name)) = (graph.global(of), graph.text(name)) {
            let name = format!("{}.{name}", of.name);
            self.import(&of.module, &name, 1, Some(call.offset), place);
        }
    }

    /// A call of what another call would give.
    fn computed_call(&mut self, graph: &Graph, call: &Call, place: &str) {
        let target = shown(graph, call.callable);
        // What stands at the bottom of the chain of calls; a cycle ends with the count.
        let mut root = call.callable;
        for _ in 0..64 {
            match graph.call(root) {
                Some(inner) => root = inner.callable,
                None => break,
            }
        }
        let by = graph.global(root).map(|global| (global.module.as_str(), global.name.as_str()));
        let is_attribute = matches!(
            by,
            Some(
                ("builtins" | "__builtin__", "getattr")
                    | ("operator" | "_operator", "attrgetter" | "methodcaller")
            )
        );
        let kind = if is_attribute { Oddity::AttributeCall } else { Oddity::ComputedCall };
        let given = arguments(graph, call.args, call.keywords);
        self.evidence.observe(kind, place, Some(call.offset), format!("{target}{given} would be called"));
        if self.evidence.calls.len() < TARGETS {
            self.call(graph, call, target, None, place);
        }
    }

    /// Byte strings that hold a pickle or an archive of one.
    fn nested(&mut self, graph: &Graph, source: &ByteSource, place: &str) -> Result<(), ReadError> {
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

/// The class or function that a callable stands for, where that is written down: directly, or inside the persistent
/// id by which old PyTorch files name a class together with its source.
fn class_of(graph: &Graph, callable: NodeId) -> Option<NodeId> {
    match graph.node(callable) {
        Node::Global(_) => Some(callable),
        Node::Persistent(inner) => {
            graph.items(inner)?.iter().copied().find(|&item| matches!(graph.node(item), Node::Global(_)))
        }
        _ => None,
    }
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
