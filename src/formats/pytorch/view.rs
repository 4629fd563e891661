//! A pickle graph with the meaning of its names.
//!
//! Answers small questions about one node: which class, which entries, which sizes. Makes no tensors.

use std::collections::HashMap;

use super::names::Known;
use super::rebuild::NESTING;
use crate::formats::containers::pickle::{Call, Content, Global, Graph, Node, NodeId, Parsed};
use crate::model::{Dtype, ReadError};
use crate::raw::ByteSource;

/// One unpickled stream.
pub struct View {
    /// Its values.
    pub graph: Graph,
    /// The value that it stands for.
    pub root: NodeId,
    /// What was parsed; ranges of the graph lie in it.
    pub source: ByteSource,
    known: Vec<Known>,
    listed: HashMap<String, Listed>,
}

/// A tensor or storage that a table beside the pickle describes (the tar layout), in elements.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Key of its storage.
    pub storage: String,
    /// Element type.
    pub dtype: Dtype,
    /// Before its first element in the storage.
    pub offset: u64,
    /// Dimensions.
    pub sizes: Vec<u64>,
    /// As many as dimensions.
    pub strides: Vec<u64>,
}

impl View {
    /// Looks up every name once.
    pub fn new(parsed: Parsed, source: ByteSource) -> Self {
        let known = parsed.graph.globals().iter().map(Known::of).collect();
        Self { graph: parsed.graph, root: parsed.root, source, known, listed: HashMap::new() }
    }

    /// The same, with tensors that stand beside the pickle under the text of their persistent ids.
    pub fn with_listed(self, listed: HashMap<String, Listed>) -> Self {
        Self { listed, ..self }
    }

    /// The description of a persistent id that stands for a tensor of the table.
    pub fn listed(&self, id: NodeId) -> Option<&Listed> {
        let Node::Persistent(inner) = self.graph.node(id) else { return None };
        match self.graph.int(inner) {
            Some(key) => self.listed.get(&key.to_string()),
            None => self.listed.get(self.graph.text(inner)?),
        }
    }

    /// What a value is once the type tags of TorchScript are taken off.
    pub fn untagged(&self, mut id: NodeId) -> NodeId {
        for _ in 0..NESTING {
            let Some((call, Known::Tagged)) = self.call(id) else { break };
            let Some(&inner) = self.args(call).first() else { break };
            id = inner;
        }
        id
    }

    /// Whether any name of a Python package is imported.
    pub fn mentions(&self, package: &str) -> bool {
        self.graph.globals().iter().any(|global| global.module.split('.').next() == Some(package))
    }

    /// What a global node stands for.
    pub fn known(&self, id: NodeId) -> &Known {
        self.graph.global_index(id).and_then(|index| self.known.get(index)).unwrap_or(&Known::Unknown)
    }

    /// A call and what is called.
    pub fn call(&self, id: NodeId) -> Option<(&Call, &Known)> {
        let call = self.graph.call(id)?;
        Some((call, self.known(call.callable)))
    }

    /// Whether the node is a tensor, an array or a storage.
    pub fn is_tensor(&self, mut id: NodeId) -> bool {
        for _ in 0..NESTING {
            if let Node::Persistent(inner) = self.graph.node(id) {
                let kind = self.graph.tuple(inner).and_then(|parts| parts.first().copied());
                return self.listed(id).is_some()
                    || kind.is_some_and(|kind| self.graph.text(kind) == Some("storage"));
            }
            let Some((call, known)) = self.call(id) else { return false };
            let args = self.args(call);
            match known {
                // These hold a tensor, or are no tensors.
                Known::Parameter | Known::Variable | Known::OfDevice | Known::Nested => match args.first() {
                    Some(&inner) => id = inner,
                    None => return false,
                },
                Known::FromType => {
                    return args.first().is_some_and(|&function| self.known(function).makes_tensor());
                }
                Known::TensorClass => {
                    let state = call.state.and_then(|state| self.graph.tuple(state));
                    return state.is_some_and(|state| state.len() == 4);
                }
                _ => return known.makes_tensor(),
            }
        }
        false
    }

    /// Positional arguments of a call.
    pub fn args(&self, call: &Call) -> &[NodeId] {
        self.graph.items(call.args).unwrap_or_default()
    }

    /// The class of an object, `module.name`; for anything else what would have been called.
    pub fn class(&self, id: NodeId) -> Option<String> {
        let (call, known) = self.call(id)?;
        let class = match known {
            Known::MakeObject => *self.args(call).first()?,
            _ => call.callable,
        };
        self.class_name(class)
    }

    /// The name of a class: a global, or one whose source a legacy file carries.
    pub fn class_name(&self, id: NodeId) -> Option<String> {
        match self.graph.node(id) {
            Node::Global(_) => self.graph.global(id).map(Global::full_name),
            // ('module', class, source file, source text)
            Node::Persistent(inner) => {
                let &class = self.graph.tuple(inner)?.get(1)?;
                self.graph.global(class).map(Global::full_name)
            }
            _ => None,
        }
    }

    /// Keys and values of a dictionary or of a known kind of one; `None` for anything else.
    pub fn mapping(&self, id: NodeId) -> Option<Vec<(NodeId, NodeId)>> {
        let id = self.untagged(id);
        let mut found = Vec::new();
        if let Some(entries) = self.graph.entries(id) {
            pairs(entries, &mut found);
            return Some(found);
        }
        let (call, known) = self.call(id)?;
        if *known != Known::Mapping && call.entries.is_empty() {
            return None;
        }
        if *known == Known::Mapping {
            for &arg in self.args(call) {
                if let Some(entries) = self.graph.entries(arg) {
                    pairs(entries, &mut found);
                } else if let Some(items) = self.graph.items(arg) {
                    for &item in items {
                        if let Some(&[key, value]) = self.graph.items(item) {
                            found.push((key, value));
                        }
                    }
                }
            }
        }
        pairs(&call.entries, &mut found);
        Some(found)
    }

    /// Items of a list, tuple or set, or of a known kind of one; `None` for anything else.
    pub fn sequence(&self, id: NodeId) -> Option<Vec<NodeId>> {
        let id = self.untagged(id);
        if let Some(items) = self.graph.items(id) {
            return Some(items.to_vec());
        }
        let (call, known) = self.call(id)?;
        if !matches!(known, Known::Sequence | Known::Size) {
            return None;
        }
        let mut found = Vec::new();
        if let Some(items) = self.args(call).first().and_then(|&arg| self.graph.items(arg)) {
            found.extend_from_slice(items);
        }
        found.extend_from_slice(&call.items);
        Some(found)
    }

    /// An object's attributes: its state, where that is a dictionary (or one with slots beside it).
    pub fn attributes(&self, id: NodeId) -> Option<Vec<(NodeId, NodeId)>> {
        self.state(self.graph.call(id)?.state?)
    }

    /// The attributes that a state stands for: a dictionary, or one with slots beside it.
    pub fn state(&self, state: NodeId) -> Option<Vec<(NodeId, NodeId)>> {
        if let Some(found) = self.mapping(state) {
            return Some(found);
        }
        let &[first, second] = self.graph.tuple(state)? else { return None };
        let mut found = self.mapping(first).unwrap_or_default();
        found.extend(self.mapping(second).unwrap_or_default());
        (!found.is_empty()).then_some(found)
    }

    /// The value of a text key.
    pub fn entry(&self, entries: &[(NodeId, NodeId)], key: &str) -> Option<NodeId> {
        entries.iter().find(|(name, _)| self.graph.text(*name) == Some(key)).map(|&(_, value)| value)
    }

    /// The bytes of a byte string however it was written; text of `_codecs.encode` becomes what it encodes.
    /// At most `limit` of text are decoded.
    pub fn bytes(&self, id: NodeId, limit: u64) -> Option<Result<ByteSource, ReadError>> {
        if let Some((call, known)) = self.call(id) {
            let first = self.args(call).first().copied();
            return match (known, first) {
                (Known::Bytes, None) => Some(Ok(ByteSource::from_vec(Vec::new()))),
                (Known::Bytes, Some(inner))
                    if self.graph.call(inner).is_none_or(|call| call.callable != id) =>
                {
                    match self.graph.content(inner) {
                        Some(Content::Held(_)) if self.graph.text(inner).is_some() => {
                            Some(self.latin1(inner, limit))
                        }
                        Some(_) => self.graph.content_source(inner, &self.source),
                        None => {
                            // bytearray(_codecs.encode(…)): one level, so that a cycle cannot be followed.
                            let call = self.graph.call(inner)?;
                            (*self.known(call.callable) == Known::Encode)
                                .then(|| self.args(call).first().map(|&text| self.latin1(text, limit)))
                                .flatten()
                        }
                    }
                }
                (Known::Encode, Some(text)) => Some(self.latin1(text, limit)),
                _ => None,
            };
        }
        match self.graph.node(id) {
            // Python 2 wrote arrays as `str`.
            Node::Text(_) | Node::Blob(_) | Node::Range(_) => self.graph.content_source(id, &self.source),
            _ => None,
        }
    }

    /// Text whose characters are bytes.
    fn latin1(&self, id: NodeId, limit: u64) -> Result<ByteSource, ReadError> {
        let whole;
        let held = match self.graph.content(id) {
            Some(Content::Held(bytes)) => bytes,
            Some(Content::Range(offset, len)) => {
                whole = self.source.read_vec("text inside a pickle", offset, len, limit)?;
                &whole
            }
            None => return Err(ReadError::unsupported("bytes in a pickle are neither bytes nor text")),
        };
        let text = String::from_utf8_lossy(held);
        let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        bytes
            .map(ByteSource::from_vec)
            .ok_or_else(|| ReadError::unsupported("text in a pickle that stands for bytes is not Latin-1"))
    }
}

fn pairs(entries: &[NodeId], found: &mut Vec<(NodeId, NodeId)>) {
    found.extend(entries.as_chunks::<2>().0.iter().map(|&[key, value]| (key, value)));
}
