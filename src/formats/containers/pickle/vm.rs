//! The stack machine without its powers: what it holds, and what can be done to its stack. [`super::opcodes`] says when.

use std::mem::take;

use super::graph::{Graph, Node, NodeId};
use super::memo::Memo;
use super::window::Window;
use crate::model::{Progress, ReadError};
use crate::raw::{ByteSource, limits};

/// One pickle of a source.
#[derive(Debug)]
pub struct Parsed {
    /// All values.
    pub graph: Graph,
    /// The value that the pickle stands for.
    pub root: NodeId,
    /// The highest protocol that the stream declares; 0 where it declares none.
    pub protocol: u8,
    /// Where the next byte after the pickle stands in the source.
    pub end: u64,
}

/// What stands in the stream right behind an object, beside the pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// So many raw bytes; `padded`: behind a byte that counts the filling bytes before them.
    Bytes {
        /// Whether filling comes first.
        padded: bool,
        /// How many, without the filling.
        len: u64,
    },
    /// Another whole pickle.
    Pickle,
}

/// One pickle of a source, as far as it goes.
#[derive(Debug)]
pub struct Partial {
    /// All values up to where the machine stopped.
    pub graph: Graph,
    /// The value that the pickle stands for, or why the stream does not lead to one.
    pub root: Result<NodeId, ReadError>,
    /// The highest protocol that the stream declares; 0 where it declares none.
    pub protocol: u8,
    /// Where the machine stopped: behind the pickle, or behind the opcode that it could not carry out.
    pub end: u64,
}

/// Reads one pickle of `source`, beginning at `offset`.
pub fn parse(source: &ByteSource, offset: u64, progress: &Progress) -> Result<Parsed, ReadError> {
    parse_interleaved(source, offset, progress, &|_, _| None)
}

/// The same for streams that hold more than the pickle: `follows` is asked about every object whose state was set. What
/// follows becomes an item of that object.
pub fn parse_interleaved(
    source: &ByteSource,
    offset: u64,
    progress: &Progress,
    follows: &dyn Fn(&Graph, NodeId) -> Option<Follows>,
) -> Result<Parsed, ReadError> {
    let Partial { graph, root, protocol, end } = parse_as_far(source, offset, progress, follows);
    root.map(|root| Parsed { graph, root, protocol, end })
}

/// The same, keeping what a broken stream describes before it breaks: Python, too, carries out the opcodes up to there.
pub fn parse_as_far(
    source: &ByteSource,
    offset: u64,
    progress: &Progress,
    follows: &dyn Fn(&Graph, NodeId) -> Option<Follows>,
) -> Partial {
    let mut machine = Machine {
        progress,
        follows,
        inside: false,
        window: Window::new(source, offset),
        graph: Graph::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Memo::default(),
        protocol: 0,
    };
    let root = machine.run();
    Partial { end: machine.window.offset(), graph: machine.graph, root, protocol: machine.protocol }
}

/// The state while one pickle is read.
pub(super) struct Machine<'a> {
    progress: &'a Progress,
    follows: &'a dyn Fn(&Graph, NodeId) -> Option<Follows>,
    /// Whether this is a pickle inside another's stream.
    inside: bool,
    pub(super) window: Window<'a>,
    pub(super) graph: Graph,
    pub(super) stack: Vec<NodeId>,
    /// Stack heights at which a `MARK` stands.
    pub(super) marks: Vec<usize>,
    pub(super) memo: Memo,
    pub(super) protocol: u8,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<NodeId, ReadError> {
        let mut steps = 0u32;
        loop {
            steps = steps.wrapping_add(1);
            if steps.is_multiple_of(1 << 16) {
                self.progress.advance(0)?;
                // Values that cost one byte each in the stream cost more here.
                let held = self.stack.len() + self.marks.len();
                if held > limits::PICKLE_NODES || steps > limits::PICKLE_STEPS {
                    return Err(ReadError::OverLimit {
                        what: "the number of opcodes in a pickle".into(),
                        value: steps.into(),
                        limit: limits::PICKLE_STEPS.into(),
                    });
                }
            }
            let at = self.window.offset();
            let opcode = self.window.u8("a pickle")?;
            if opcode == b'.' {
                return self.pop(at, "STOP");
            }
            self.step(opcode, at)?;
        }
    }

    /// Takes what the stream holds behind an object.
    pub(super) fn interleaved(&mut self, object: NodeId, at: u64) -> Result<(), ReadError> {
        let item = match (self.follows)(&self.graph, object) {
            None => return Ok(()),
            Some(Follows::Bytes { padded, len }) => {
                if padded {
                    let filling = self.window.u8("the filling before an array")?;
                    self.window.skip("the filling before an array", filling.into())?;
                }
                let offset = self.window.skip("an array in a pickle", len)?;
                self.graph.add_range(offset, len)?
            }
            Some(Follows::Pickle) if self.inside => {
                return Err(ReadError::malformed("the pickle", at, "pickles stand inside one another"));
            }
            Some(Follows::Pickle) => {
                let outer = (take(&mut self.stack), take(&mut self.marks), take(&mut self.memo), self.inside);
                self.inside = true;
                let root = self.run()?;
                (self.stack, self.marks, self.memo, self.inside) = outer;
                root
            }
        };
        if let Some(items) = self.graph.items_mut(object) {
            items.push(item);
        }
        Ok(())
    }

    pub(super) fn push(&mut self, node: Node) -> Result<(), ReadError> {
        let id = self.graph.add(node)?;
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn push_list(&mut self, items: Vec<NodeId>, kind: fn(u32) -> Node) -> Result<(), ReadError> {
        let id = self.graph.add_list(items, kind)?;
        self.stack.push(id);
        Ok(())
    }

    /// Lowest height that may be popped to: values below a mark belong to something unfinished.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    /// Height of the stack below its top `count` values.
    pub(super) fn need(&self, count: usize, at: u64, opcode: &str) -> Result<usize, ReadError> {
        match self.stack.len().checked_sub(count) {
            Some(height) if height >= self.floor() => Ok(height),
            _ => Err(underflow(at, opcode)),
        }
    }

    pub(super) fn pop(&mut self, at: u64, opcode: &str) -> Result<NodeId, ReadError> {
        self.need(1, at, opcode)?;
        self.stack.pop().ok_or_else(|| underflow(at, opcode))
    }

    pub(super) fn top(&self, at: u64, opcode: &str) -> Result<NodeId, ReadError> {
        self.need(1, at, opcode)?;
        self.stack.last().copied().ok_or_else(|| underflow(at, opcode))
    }

    pub(super) fn mark(&mut self, at: u64, opcode: &str) -> Result<usize, ReadError> {
        self.marks
            .pop()
            .filter(|&height| height <= self.stack.len())
            .ok_or_else(|| ReadError::malformed("the pickle", at, format!("{opcode} finds no MARK")))
    }

    pub(super) fn take_marked(&mut self, at: u64, opcode: &str) -> Result<Vec<NodeId>, ReadError> {
        let height = self.mark(at, opcode)?;
        Ok(self.stack.split_off(height))
    }

    pub(super) fn put(&mut self, slot: u64, at: u64) -> Result<(), ReadError> {
        let top = self.top(at, "PUT")?;
        self.memo.put(slot, top);
        Ok(())
    }

    pub(super) fn get(&mut self, slot: u64, at: u64) -> Result<(), ReadError> {
        let id = self.memo.get(slot).ok_or_else(|| {
            ReadError::malformed("the pickle", at, format!("memo slot {slot} was never filled"))
        })?;
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn append(&mut self, items: &[NodeId], at: u64) -> Result<(), ReadError> {
        let target = self.top(at, "APPENDS")?;
        let Some(held) = self.graph.items_mut(target) else {
            return Err(ReadError::malformed("the pickle", at, "an item is appended to what is not a list"));
        };
        held.extend_from_slice(items);
        Ok(())
    }

    pub(super) fn set_items(&mut self, entries: &[NodeId], at: u64) -> Result<(), ReadError> {
        self.check_entries(entries, at)?;
        let target = self.top(at, "SETITEMS")?;
        let Some(held) = self.graph.entries_mut(target) else {
            return Err(ReadError::malformed("the pickle", at, "a key is set in what is not a dictionary"));
        };
        held.extend_from_slice(entries);
        Ok(())
    }

    pub(super) fn check_entries(&self, entries: &[NodeId], at: u64) -> Result<(), ReadError> {
        if !entries.len().is_multiple_of(2) {
            return Err(ReadError::malformed("the pickle", at, "a dictionary key has no value"));
        }
        for &key in entries.iter().step_by(2) {
            if matches!(self.graph.node(key), Node::List(_) | Node::Dict(_)) {
                return Err(ReadError::malformed("the pickle", at, "a list or dictionary is used as a key"));
            }
        }
        Ok(())
    }

    pub(super) fn extension(&mut self, code: u32, at: u64) -> Result<(), ReadError> {
        let id = self.graph.add_global("copyreg", &format!("extension {code}"), at)?;
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn global_lines(&mut self, at: u64) -> Result<(), ReadError> {
        /// Python's names have no limit, but a longer one is not a name.
        const NAME_BYTES: u64 = 1 << 16;
        let module = String::from_utf8_lossy(self.window.line("a module name", NAME_BYTES)?).into_owned();
        let name = String::from_utf8_lossy(self.window.line("a global's name", NAME_BYTES)?).into_owned();
        let id = self.graph.add_global(&module, &name, at)?;
        self.stack.push(id);
        Ok(())
    }
}

fn underflow(at: u64, opcode: &str) -> ReadError {
    ReadError::malformed("the pickle", at, format!("{opcode} finds too few values on the stack"))
}

#[cfg(test)]
mod tests {
    use super::super::Global;
    use super::*;

    fn parsed(bytes: &[u8]) -> Result<Parsed, ReadError> {
        parse(&ByteSource::from_vec(bytes.to_vec()), 0, &Progress::new())
    }

    #[test]
    fn a_call_becomes_data_and_its_name_is_listed_with_its_offset() {
        let Parsed { graph, root, .. } = parsed(b"cposix\nsystem\n(S'touch x'\ntR.").expect("a pickle");
        let call = graph.call(root).expect("an opaque call");
        assert_eq!(graph.global(call.callable).map(Global::full_name).as_deref(), Some("posix.system"));
        let args = graph.tuple(call.args).expect("arguments");
        assert_eq!(graph.text(args[0]), Some("touch x"));
        assert_eq!((graph.globals()[0].count, graph.globals()[0].offset), (1, 0));
    }

    #[test]
    fn a_list_shared_through_the_memo_is_one_node() {
        let Parsed { graph, root, .. } = parsed(b"\x80\x02]q\x00(h\x00h\x00K\x05e.").expect("a pickle");
        let items = graph.items(root).expect("a list");
        assert_eq!((items[0], items[1], graph.int(items[2])), (root, root, Some(5)));
    }

    #[test]
    fn large_byte_strings_stay_in_the_source() {
        let mut bytes = b"\x80\x03B\x00\x10\x00\x00".to_vec();
        bytes.extend(vec![7; 4096]);
        bytes.push(b'.');
        let Parsed { graph, root, end, .. } = parsed(&bytes).expect("a pickle");
        assert!(matches!(graph.content(root), Some(super::super::Content::Range(7, 4096))));
        assert_eq!(end, bytes.len() as u64);
    }

    #[test]
    fn integers_of_any_length_are_exact() {
        for (bytes, digits) in [
            (&b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01."[..], "18446744073709551616"),
            (b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\xfe.", "-18446744073709551617"),
            (b"L10000000000000000000000L\n.", "10000000000000000000000"),
        ] {
            let Parsed { graph, root, .. } = parsed(bytes).expect("a pickle");
            assert_eq!(graph.digits(root), Some(digits));
        }
        let Parsed { graph, root, .. } = parsed(b"\x8a\x02\x00\xff.").expect("a pickle");
        assert_eq!(graph.int(root), Some(-256));
    }

    #[test]
    fn damage_is_named_with_its_offset() {
        for (bytes, said) in [
            (&b"\x80\x02\xfe."[..], "0xfe is not an opcode"),
            (b"\x80\x63.", "protocol 99"),
            (b"\x80\x02h\x07.", "memo slot 7 was never filled"),
            (b".", "too few values"),
            (b"\x80\x02t.", "finds no MARK"),
            (b"K\x01K\x02K\x03s.", "what is not a dictionary"),
            (b"X\xff\xff\xff\x7fab", "ends early"),
            (b"(K\x01R.", "too few values"),
        ] {
            let error = parsed(bytes).expect_err("damaged").to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_hundred_thousand_nested_lists_need_no_stack() {
        let mut bytes = vec![b']'; 100_000];
        bytes.extend(vec![b'a'; 99_999]);
        bytes.push(b'.');
        assert!(parsed(&bytes).is_ok());
    }
}
