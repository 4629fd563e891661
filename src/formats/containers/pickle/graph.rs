//! What a pickle describes: nodes in one arena, referring to each other by id.
//!
//! Flat on purpose. Values that a pickle shares or nests in themselves cost nothing here, and dropping
//! a graph of 100,000 nested lists recurses nowhere.

use std::collections::HashMap;

use crate::model::ReadError;
use crate::raw::{ByteSource, limits};

/// Tricks that are kept of one stream.
pub const TRICKS: usize = 1000;

/// A node of one [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

/// A piece of one of the graph's arenas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    const EMPTY: Self = Self { start: 0, len: 0 };
}

/// One value. Contents are looked up in the [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// An integer that does not fit `i64`: its decimal digits.
    BigInt(Span),
    /// Text in memory.
    Text(Span),
    /// Bytes in memory.
    Blob(Span),
    /// Bytes, or text too long to hold, that stay in the source.
    Range(u32),
    /// A tuple: its items.
    Tuple(Span),
    /// A list.
    List(u32),
    /// A set or frozenset.
    Set(u32),
    /// A dictionary.
    Dict(u32),
    /// A class or function, by name.
    Global(u32),
    /// An object made by calling something.
    Call(u32),
    /// A reference to something outside the pickle: the id that stands for it.
    Persistent(NodeId),
}

/// Something the pickle imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Global {
    /// Module, such as `torch._utils`.
    pub module: String,
    /// Name inside it, dots included.
    pub name: String,
    /// How often the stream names it.
    pub count: u64,
    /// Where it does first, in bytes from the start of the source.
    pub offset: u64,
}

impl Global {
    /// `module.name`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.module, self.name)
    }
}

/// A call that was not made, and what was done to its result.
#[derive(Debug, Clone)]
pub struct Call {
    /// The opcode that asks for the call: `REDUCE`, `NEWOBJ`, `NEWOBJ_EX`, `INST` or `OBJ`.
    pub opcode: &'static str,
    /// Where the opcode stands, in bytes from the start of the source.
    pub offset: u64,
    /// What would have been called.
    pub callable: NodeId,
    /// Its positional arguments, a tuple in honest files.
    pub args: NodeId,
    /// Its keyword arguments (`NEWOBJ_EX`).
    pub keywords: Option<NodeId>,
    /// What the object's state was set to (`BUILD`), the last one.
    pub state: Option<NodeId>,
    /// Items appended or added to it.
    pub items: Vec<NodeId>,
    /// Keys and values stored in it, alternating.
    pub entries: Vec<NodeId>,
}

/// Something that a stream does beside describing values, and that no honest writer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// `BUILD` on a class or function itself: it sets attributes of what the whole program uses.
    AltersGlobal(NodeId),
    /// `STACK_GLOBAL` with a module or name that a call would give: what it imports is known only to whoever calls.
    ComputedName(NodeId),
}

/// The bytes of a byte string or a long text.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// Held in memory.
    Held(&'a [u8]),
    /// In the source: offset and length.
    Range(u64, u64),
}

/// Everything a pickle described.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    /// Text and small byte strings.
    bytes: Vec<u8>,
    /// Items of tuples.
    items: Vec<NodeId>,
    /// Items of lists and sets; keys and values of dictionaries, alternating.
    lists: Vec<Vec<NodeId>>,
    ranges: Vec<(u64, u64)>,
    globals: Vec<Global>,
    global_ids: HashMap<(String, String), NodeId>,
    calls: Vec<Call>,
    tricks: Vec<(Trick, u64)>,
}

impl Graph {
    /// An empty graph with the nodes that every pickle needs.
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::None, Node::Bool(false), Node::Bool(true), Node::Tuple(Span::EMPTY)],
            ..Self::default()
        }
    }

    pub(super) const NONE: NodeId = NodeId(0);
    pub(super) const FALSE: NodeId = NodeId(1);
    pub(super) const TRUE: NodeId = NodeId(2);
    pub(super) const EMPTY_TUPLE: NodeId = NodeId(3);

    /// Nodes in the graph.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: four constants are always there.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All nodes, in the order in which the stream made them.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// One value.
    pub fn node(&self, id: NodeId) -> Node {
        self.nodes.get(id.0 as usize).copied().unwrap_or(Node::None)
    }

    /// Everything imported, in order of first mention.
    pub fn globals(&self) -> &[Global] {
        &self.globals
    }

    /// All calls that would be made, in order.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// What the stream does beside describing values, each with its offset; at most `TRICKS`.
    pub fn tricks(&self) -> &[(Trick, u64)] {
        &self.tricks
    }

    /// The text of a text node that is held in memory.
    pub fn text(&self, id: NodeId) -> Option<&str> {
        match self.node(id) {
            Node::Text(span) => std::str::from_utf8(self.held(span)).ok(),
            _ => None,
        }
    }

    /// The digits of an integer too large for `i64`.
    pub fn digits(&self, id: NodeId) -> Option<&str> {
        match self.node(id) {
            Node::BigInt(span) => std::str::from_utf8(self.held(span)).ok(),
            _ => None,
        }
    }

    /// An integer (a truth value is not one).
    pub fn int(&self, id: NodeId) -> Option<i64> {
        if let Node::Int(value) = self.node(id) { Some(value) } else { None }
    }

    /// An integer that is not negative.
    pub fn unsigned(&self, id: NodeId) -> Option<u64> {
        self.int(id).and_then(|value| u64::try_from(value).ok())
    }

    /// The bytes of text, bytes or a range.
    pub fn content(&self, id: NodeId) -> Option<Content<'_>> {
        match self.node(id) {
            Node::Text(span) | Node::Blob(span) => Some(Content::Held(self.held(span))),
            Node::Range(index) => {
                self.ranges.get(index as usize).map(|&(offset, len)| Content::Range(offset, len))
            }
            _ => None,
        }
    }

    /// The bytes of text, bytes or a range as a source of their own. `source` is what was parsed.
    pub fn content_source(&self, id: NodeId, source: &ByteSource) -> Option<Result<ByteSource, ReadError>> {
        Some(match self.content(id)? {
            Content::Held(bytes) => Ok(ByteSource::from_vec(bytes.to_vec())),
            Content::Range(offset, len) => source.slice("bytes inside a pickle", offset, len),
        })
    }

    /// Items of a tuple, list or set; `None` for anything else.
    pub fn items(&self, id: NodeId) -> Option<&[NodeId]> {
        match self.node(id) {
            Node::Tuple(span) => self.items.get(span.start as usize..(span.start + span.len) as usize),
            Node::List(index) | Node::Set(index) => self.lists.get(index as usize).map(Vec::as_slice),
            _ => None,
        }
    }

    /// Items of a tuple; `None` for anything else.
    pub fn tuple(&self, id: NodeId) -> Option<&[NodeId]> {
        matches!(self.node(id), Node::Tuple(_)).then(|| self.items(id)).flatten()
    }

    /// Keys and values of a dictionary, alternating; `None` for anything else.
    pub fn entries(&self, id: NodeId) -> Option<&[NodeId]> {
        match self.node(id) {
            Node::Dict(index) => self.lists.get(index as usize).map(Vec::as_slice),
            _ => None,
        }
    }

    /// The call that a call node stands for.
    pub fn call(&self, id: NodeId) -> Option<&Call> {
        if let Node::Call(index) = self.node(id) { self.calls.get(index as usize) } else { None }
    }

    /// What a global node names.
    pub fn global(&self, id: NodeId) -> Option<&Global> {
        if let Node::Global(index) = self.node(id) { self.globals.get(index as usize) } else { None }
    }

    /// Position in [`Self::globals`] of what a global node names.
    pub fn global_index(&self, id: NodeId) -> Option<usize> {
        if let Node::Global(index) = self.node(id) { Some(index as usize) } else { None }
    }

    fn held(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start as usize..span.start as usize + span.len as usize).unwrap_or_default()
    }

    pub(super) fn add(&mut self, node: Node) -> Result<NodeId, ReadError> {
        if self.nodes.len() >= limits::PICKLE_NODES {
            return Err(over_limit("the number of values in a pickle", self.nodes.len() as u64 + 1));
        }
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        Ok(id)
    }

    pub(super) fn hold(&mut self, bytes: &[u8]) -> Result<Span, ReadError> {
        let end = self.bytes.len() as u64 + bytes.len() as u64;
        if end > limits::TEXT_BYTES {
            return Err(ReadError::OverLimit {
                what: "the text inside a pickle".into(),
                value: end,
                limit: limits::TEXT_BYTES,
            });
        }
        let span = Span { start: self.bytes.len() as u32, len: bytes.len() as u32 };
        self.bytes.extend_from_slice(bytes);
        Ok(span)
    }

    pub(super) fn add_range(&mut self, offset: u64, len: u64) -> Result<NodeId, ReadError> {
        let index = self.ranges.len() as u32;
        self.ranges.push((offset, len));
        self.add(Node::Range(index))
    }

    pub(super) fn add_tuple(&mut self, items: &[NodeId]) -> Result<NodeId, ReadError> {
        if items.is_empty() {
            return Ok(Self::EMPTY_TUPLE);
        }
        let end = self.items.len() + items.len();
        if end > 2 * limits::PICKLE_NODES {
            return Err(over_limit("the number of tuple items in a pickle", end as u64));
        }
        let span = Span { start: self.items.len() as u32, len: items.len() as u32 };
        self.items.extend_from_slice(items);
        self.add(Node::Tuple(span))
    }

    pub(super) fn add_list(
        &mut self,
        items: Vec<NodeId>,
        kind: impl FnOnce(u32) -> Node,
    ) -> Result<NodeId, ReadError> {
        let index = self.lists.len() as u32;
        self.lists.push(items);
        self.add(kind(index))
    }

    pub(super) fn add_call(
        &mut self,
        (opcode, offset): (&'static str, u64),
        callable: NodeId,
        args: NodeId,
        keywords: Option<NodeId>,
    ) -> Result<NodeId, ReadError> {
        let index = self.calls.len() as u32;
        self.calls.push(Call {
            opcode,
            offset,
            callable,
            args,
            keywords,
            state: None,
            items: Vec::new(),
            entries: Vec::new(),
        });
        self.add(Node::Call(index))
    }

    pub(super) fn add_global(&mut self, module: &str, name: &str, offset: u64) -> Result<NodeId, ReadError> {
        let key = (module.to_owned(), name.to_owned());
        if let Some(&id) = self.global_ids.get(&key) {
            if let Node::Global(index) = self.node(id)
                && let Some(global) = self.globals.get_mut(index as usize)
            {
                global.count += 1;
            }
            return Ok(id);
        }
        let index = self.globals.len() as u32;
        self.globals.push(Global { module: key.0.clone(), name: key.1.clone(), count: 1, offset });
        let id = self.add(Node::Global(index))?;
        self.global_ids.insert(key, id);
        Ok(id)
    }

    /// The growing part of a list, set or call; `None` for what cannot hold items.
    pub(super) fn items_mut(&mut self, id: NodeId) -> Option<&mut Vec<NodeId>> {
        match self.node(id) {
            Node::List(index) | Node::Set(index) => self.lists.get_mut(index as usize),
            Node::Call(index) => self.calls.get_mut(index as usize).map(|call| &mut call.items),
            _ => None,
        }
    }

    /// The growing part of a dictionary or call; `None` for what cannot hold entries.
    pub(super) fn entries_mut(&mut self, id: NodeId) -> Option<&mut Vec<NodeId>> {
        match self.node(id) {
            Node::Dict(index) => self.lists.get_mut(index as usize),
            Node::Call(index) => self.calls.get_mut(index as usize).map(|call| &mut call.entries),
            _ => None,
        }
    }

    pub(super) fn note(&mut self, trick: Trick, offset: u64) {
        if self.tricks.len() < TRICKS {
            self.tricks.push((trick, offset));
        }
    }

    pub(super) fn call_mut(&mut self, id: NodeId) -> Option<&mut Call> {
        if let Node::Call(index) = self.node(id) { self.calls.get_mut(index as usize) } else { None }
    }
}

fn over_limit(what: &'static str, value: u64) -> ReadError {
    ReadError::OverLimit { what: what.into(), value, limit: limits::PICKLE_NODES as u64 }
}
