//! The stack machine, without its powers.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::graph::{Graph, Node, NodeId};
use super::window::Window;
use crate::model::{Progress, ReadError};
use crate::raw::ByteSource;

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

/// Byte strings from this length on stay in the source.
const HELD_BYTES: u64 = 1 << 10;

/// Text from this length on stays in the source. (Protocols 0 to 2 write arrays as text.)
const HELD_TEXT: u64 = 1 << 20;

/// The longest line of a text protocol: module names are short, numbers can have thousands of digits.
const LINE_BYTES: u64 = 64 << 20;

/// The longest integer whose decimal digits are worked out.
const INTEGER_BYTES: u64 = 1 << 10;

/// Memo slots below this are kept in a plain vector.
const DENSE_MEMO: u64 = 1 << 24;

/// Reads one pickle of `source`, beginning at `offset`.
pub fn parse(source: &ByteSource, offset: u64, progress: &Progress) -> Result<Parsed, ReadError> {
    let mut machine = Machine {
        window: Window::new(source, offset),
        graph: Graph::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Memo::default(),
        protocol: 0,
    };
    let root = machine.run(progress)?;
    Ok(Parsed { end: machine.window.offset(), graph: machine.graph, root, protocol: machine.protocol })
}

/// What was stored for reuse, by slot number. Honest slots count up from 0 or 1.
#[derive(Default)]
struct Memo {
    dense: Vec<Option<NodeId>>,
    sparse: HashMap<u64, NodeId>,
    next: u64,
}

impl Memo {
    fn put(&mut self, slot: u64, id: NodeId) {
        self.next += 1;
        if slot < DENSE_MEMO && slot <= self.dense.len() as u64 * 2 + 1024 {
            let slot = slot as usize;
            if slot >= self.dense.len() {
                self.dense.resize(slot + 1, None);
            }
            self.dense[slot] = Some(id);
        } else {
            self.sparse.insert(slot, id);
        }
    }

    fn get(&self, slot: u64) -> Option<NodeId> {
        let dense = usize::try_from(slot).ok().and_then(|slot| self.dense.get(slot)).copied().flatten();
        // A slot can have been put while the vector was too short for it.
        dense.or_else(|| self.sparse.get(&slot).copied())
    }
}

struct Machine<'a> {
    window: Window<'a>,
    graph: Graph,
    stack: Vec<NodeId>,
    /// Stack heights at which a `MARK` stands.
    marks: Vec<usize>,
    memo: Memo,
    protocol: u8,
}

impl Machine<'_> {
    fn run(&mut self, progress: &Progress) -> Result<NodeId, ReadError> {
        let mut steps = 0u32;
        loop {
            steps = steps.wrapping_add(1);
            if steps.is_multiple_of(1 << 16) {
                progress.advance(0)?;
            }
            let at = self.window.offset();
            let opcode = self.window.u8("a pickle")?;
            if opcode == b'.' {
                return self.pop(at, "STOP");
            }
            self.step(opcode, at)?;
        }
    }

    fn step(&mut self, opcode: u8, at: u64) -> Result<(), ReadError> {
        match opcode {
            // Framing: the stream is read as it comes, so a frame only has to fit.
            0x80 => {
                let protocol = self.window.u8("the pickle protocol")?;
                if protocol > 5 {
                    let reason = format!("protocol {protocol} does not exist; the latest is 5");
                    return Err(ReadError::malformed("the pickle", at, reason));
                }
                self.protocol = self.protocol.max(protocol);
            }
            0x95 => {
                let len = u64::from_le_bytes(self.window.array("a pickle frame")?);
                if len > self.window.remaining() {
                    return Err(ReadError::Truncated {
                        what: "a pickle frame".into(),
                        offset: at,
                        needed: len,
                        available: self.window.remaining(),
                    });
                }
            }

            // The stack.
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop(at, "POP")?;
                }
            }
            b'1' => {
                let height = self.mark(at, "POP_MARK")?;
                self.stack.truncate(height);
            }
            b'2' => {
                let top = self.top(at, "DUP")?;
                self.stack.push(top);
            }

            // Constants and numbers.
            b'N' => self.stack.push(Graph::NONE),
            0x88 => self.stack.push(Graph::TRUE),
            0x89 => self.stack.push(Graph::FALSE),
            b'K' => {
                let value = self.window.u8("an integer in a pickle")?;
                self.push(Node::Int(value.into()))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.window.array("an integer in a pickle")?);
                self.push(Node::Int(value.into()))?;
            }
            b'J' => {
                let value = i32::from_le_bytes(self.window.array("an integer in a pickle")?);
                self.push(Node::Int(value.into()))?;
            }
            b'G' => {
                let value = f64::from_be_bytes(self.window.array("a number in a pickle")?);
                self.push(Node::Float(value))?;
            }
            0x8a => {
                let len = u64::from(self.window.u8("an integer in a pickle")?);
                self.long(len)?;
            }
            0x8b => {
                let len = i32::from_le_bytes(self.window.array("an integer in a pickle")?);
                let len = u64::try_from(len).map_err(|_| {
                    ReadError::malformed("an integer in a pickle", at, "its length is negative")
                })?;
                self.long(len)?;
            }
            b'I' => self.int_line(at)?,
            b'L' => self.long_line(at)?,
            b'F' => self.float_line(at)?,

            // Text and bytes.
            b'X' => {
                let len = u32::from_le_bytes(self.window.array("text in a pickle")?);
                self.text(len.into())?;
            }
            0x8c => {
                let len = self.window.u8("text in a pickle")?;
                self.text(len.into())?;
            }
            0x8d => {
                let len = u64::from_le_bytes(self.window.array("text in a pickle")?);
                self.text(len)?;
            }
            b'V' => self.text_line()?,
            b'S' => self.string_line(at)?,
            b'U' => {
                let len = self.window.u8("a byte string in a pickle")?;
                self.string(len.into())?;
            }
            b'T' => {
                let len = u32::from_le_bytes(self.window.array("a byte string in a pickle")?);
                self.string(len.into())?;
            }
            b'C' => {
                let len = self.window.u8("bytes in a pickle")?;
                self.byte_string(len.into())?;
            }
            b'B' => {
                let len = u32::from_le_bytes(self.window.array("bytes in a pickle")?);
                self.byte_string(len.into())?;
            }
            0x8e | 0x96 => {
                let len = u64::from_le_bytes(self.window.array("bytes in a pickle")?);
                self.byte_string(len)?;
            }

            // Containers.
            b')' => self.stack.push(Graph::EMPTY_TUPLE),
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let height = self.need(count, at, "TUPLE")?;
                let id = self.graph.add_tuple(&self.stack[height..])?;
                self.stack.truncate(height);
                self.stack.push(id);
            }
            b't' => {
                let height = self.mark(at, "TUPLE")?;
                let id = self.graph.add_tuple(&self.stack[height..])?;
                self.stack.truncate(height);
                self.stack.push(id);
            }
            b']' => self.push_list(Vec::new(), Node::List)?,
            b'}' => self.push_list(Vec::new(), Node::Dict)?,
            0x8f => self.push_list(Vec::new(), Node::Set)?,
            b'l' => {
                let items = self.take_marked(at, "LIST")?;
                self.push_list(items, Node::List)?;
            }
            0x91 => {
                let items = self.take_marked(at, "FROZENSET")?;
                self.push_list(items, Node::Set)?;
            }
            b'd' => {
                let entries = self.take_marked(at, "DICT")?;
                self.check_entries(&entries, at)?;
                self.push_list(entries, Node::Dict)?;
            }
            b'a' => {
                let item = self.pop(at, "APPEND")?;
                self.append(&[item], at)?;
            }
            b'e' | 0x90 => {
                let items = self.take_marked(at, "APPENDS")?;
                self.append(&items, at)?;
            }
            b's' => {
                let value = self.pop(at, "SETITEM")?;
                let key = self.pop(at, "SETITEM")?;
                self.set_items(&[key, value], at)?;
            }
            b'u' => {
                let entries = self.take_marked(at, "SETITEMS")?;
                self.set_items(&entries, at)?;
            }

            // The memo.
            b'q' => {
                let slot = self.window.u8("a memo slot")?;
                self.put(slot.into(), at)?;
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.window.array("a memo slot")?);
                self.put(slot.into(), at)?;
            }
            b'p' => {
                let slot = self.number_line("a memo slot", at)?;
                self.put(slot, at)?;
            }
            0x94 => self.put(self.memo.next, at)?,
            b'h' => {
                let slot = self.window.u8("a memo slot")?;
                self.get(slot.into(), at)?;
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.window.array("a memo slot")?);
                self.get(slot.into(), at)?;
            }
            b'g' => {
                let slot = self.number_line("a memo slot", at)?;
                self.get(slot, at)?;
            }

            // Names, and calls that are not made.
            b'c' => self.global_lines(at)?,
            0x93 => {
                let name = self.pop(at, "STACK_GLOBAL")?;
                let module = self.pop(at, "STACK_GLOBAL")?;
                let (Some(module), Some(name)) = (self.graph.text(module), self.graph.text(name)) else {
                    return Err(ReadError::malformed("the pickle", at, "STACK_GLOBAL needs two texts"));
                };
                let (module, name) = (module.to_owned(), name.to_owned());
                let id = self.graph.add_global(&module, &name, at)?;
                self.stack.push(id);
            }
            b'R' | 0x81 => {
                let args = self.pop(at, "REDUCE")?;
                let callable = self.pop(at, "REDUCE")?;
                let id = self.graph.add_call(callable, args, None)?;
                self.stack.push(id);
            }
            0x92 => {
                let keywords = self.pop(at, "NEWOBJ_EX")?;
                let args = self.pop(at, "NEWOBJ_EX")?;
                let callable = self.pop(at, "NEWOBJ_EX")?;
                let id = self.graph.add_call(callable, args, Some(keywords))?;
                self.stack.push(id);
            }
            b'i' => {
                self.global_lines(at)?;
                let callable = self.pop(at, "INST")?;
                let args = self.take_marked(at, "INST")?;
                let args = self.graph.add_tuple(&args)?;
                let id = self.graph.add_call(callable, args, None)?;
                self.stack.push(id);
            }
            b'o' => {
                let parts = self.take_marked(at, "OBJ")?;
                let Some((&callable, args)) = parts.split_first() else {
                    return Err(ReadError::malformed("the pickle", at, "OBJ needs a class"));
                };
                let args = self.graph.add_tuple(args)?;
                let id = self.graph.add_call(callable, args, None)?;
                self.stack.push(id);
            }
            b'b' => {
                let state = self.pop(at, "BUILD")?;
                let target = self.top(at, "BUILD")?;
                if let Some(call) = self.graph.call_mut(target) {
                    call.state = Some(state);
                } else if !matches!(self.graph.node(target), Node::Persistent(_) | Node::Global(_)) {
                    return Err(ReadError::malformed("the pickle", at, "BUILD on a plain value"));
                }
            }
            0x82 => {
                let code = self.window.u8("an extension code")?;
                self.extension(code.into(), at)?;
            }
            0x83 => {
                let code = u16::from_le_bytes(self.window.array("an extension code")?);
                self.extension(code.into(), at)?;
            }
            0x84 => {
                let code = u32::from_le_bytes(self.window.array("an extension code")?);
                self.extension(code, at)?;
            }
            b'P' => {
                let line = self.window.line("a persistent id", LINE_BYTES)?.to_vec();
                let span = self.graph.hold(String::from_utf8_lossy(&line).as_bytes())?;
                let id = self.graph.add(Node::Text(span))?;
                self.push(Node::Persistent(id))?;
            }
            b'Q' => {
                let id = self.pop(at, "BINPERSID")?;
                self.push(Node::Persistent(id))?;
            }

            0x97 => {
                return Err(ReadError::unsupported(
                    "the pickle keeps values in out-of-band buffers, which are not in the file",
                ));
            }
            0x98 => {}
            other => {
                let reason = format!("0x{other:02x} is not an opcode");
                return Err(ReadError::malformed("the pickle", at, reason));
            }
        }
        Ok(())
    }

    fn push(&mut self, node: Node) -> Result<(), ReadError> {
        let id = self.graph.add(node)?;
        self.stack.push(id);
        Ok(())
    }

    fn push_list(&mut self, items: Vec<NodeId>, kind: fn(u32) -> Node) -> Result<(), ReadError> {
        let id = self.graph.add_list(items, kind)?;
        self.stack.push(id);
        Ok(())
    }

    /// Lowest height that may be popped to: values below a mark belong to something unfinished.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    /// Height of the stack below its top `count` values.
    fn need(&self, count: usize, at: u64, opcode: &str) -> Result<usize, ReadError> {
        match self.stack.len().checked_sub(count) {
            Some(height) if height >= self.floor() => Ok(height),
            _ => Err(underflow(at, opcode)),
        }
    }

    fn pop(&mut self, at: u64, opcode: &str) -> Result<NodeId, ReadError> {
        self.need(1, at, opcode)?;
        self.stack.pop().ok_or_else(|| underflow(at, opcode))
    }

    fn top(&self, at: u64, opcode: &str) -> Result<NodeId, ReadError> {
        self.need(1, at, opcode)?;
        self.stack.last().copied().ok_or_else(|| underflow(at, opcode))
    }

    fn mark(&mut self, at: u64, opcode: &str) -> Result<usize, ReadError> {
        self.marks
            .pop()
            .filter(|&height| height <= self.stack.len())
            .ok_or_else(|| ReadError::malformed("the pickle", at, format!("{opcode} finds no MARK")))
    }

    fn take_marked(&mut self, at: u64, opcode: &str) -> Result<Vec<NodeId>, ReadError> {
        let height = self.mark(at, opcode)?;
        Ok(self.stack.split_off(height))
    }

    fn put(&mut self, slot: u64, at: u64) -> Result<(), ReadError> {
        let top = self.top(at, "PUT")?;
        self.memo.put(slot, top);
        Ok(())
    }

    fn get(&mut self, slot: u64, at: u64) -> Result<(), ReadError> {
        let id = self.memo.get(slot).ok_or_else(|| {
            ReadError::malformed("the pickle", at, format!("memo slot {slot} was never filled"))
        })?;
        self.stack.push(id);
        Ok(())
    }

    fn append(&mut self, items: &[NodeId], at: u64) -> Result<(), ReadError> {
        let target = self.top(at, "APPENDS")?;
        let Some(held) = self.graph.items_mut(target) else {
            return Err(ReadError::malformed("the pickle", at, "an item is appended to what is not a list"));
        };
        held.extend_from_slice(items);
        Ok(())
    }

    fn set_items(&mut self, entries: &[NodeId], at: u64) -> Result<(), ReadError> {
        self.check_entries(entries, at)?;
        let target = self.top(at, "SETITEMS")?;
        let Some(held) = self.graph.entries_mut(target) else {
            return Err(ReadError::malformed("the pickle", at, "a key is set in what is not a dictionary"));
        };
        held.extend_from_slice(entries);
        Ok(())
    }

    fn check_entries(&self, entries: &[NodeId], at: u64) -> Result<(), ReadError> {
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

    fn extension(&mut self, code: u32, at: u64) -> Result<(), ReadError> {
        let id = self.graph.add_global("copyreg", &format!("extension {code}"), at)?;
        self.stack.push(id);
        Ok(())
    }

    fn global_lines(&mut self, at: u64) -> Result<(), ReadError> {
        /// Python's names have no limit, but a longer one is not a name.
        const NAME_BYTES: u64 = 1 << 16;
        let module = String::from_utf8_lossy(self.window.line("a module name", NAME_BYTES)?).into_owned();
        let name = String::from_utf8_lossy(self.window.line("a global's name", NAME_BYTES)?).into_owned();
        let id = self.graph.add_global(&module, &name, at)?;
        self.stack.push(id);
        Ok(())
    }

    /// Little-endian two's complement of `len` bytes.
    fn long(&mut self, len: u64) -> Result<(), ReadError> {
        if len > INTEGER_BYTES {
            self.window.skip("an integer in a pickle", len)?;
            return self.push_digits(&format!("an integer of {len} bytes"));
        }
        let bytes = self.window.take("an integer in a pickle", len)?;
        let negative = bytes.last().is_some_and(|&byte| byte & 0x80 != 0);
        if bytes.len() <= 8 {
            let mut wide = [if negative { 0xff } else { 0 }; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            return self.push(Node::Int(i64::from_le_bytes(wide)));
        }
        let digits = decimal(bytes, negative);
        self.push_digits(&digits)
    }

    fn push_digits(&mut self, digits: &str) -> Result<(), ReadError> {
        let span = self.graph.hold(digits.as_bytes())?;
        self.push(Node::BigInt(span))
    }

    fn number_line(&mut self, what: &'static str, at: u64) -> Result<u64, ReadError> {
        let line = self.window.line(what, 64)?;
        std::str::from_utf8(line)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| ReadError::malformed(what, at, "it is not a number in range"))
    }

    fn int_line(&mut self, at: u64) -> Result<(), ReadError> {
        match self.window.line("an integer in a pickle", LINE_BYTES)? {
            b"00" => self.stack.push(Graph::FALSE),
            b"01" => self.stack.push(Graph::TRUE),
            line => {
                let line = line.to_vec();
                self.integer_text(&line, at)?;
            }
        }
        Ok(())
    }

    fn long_line(&mut self, at: u64) -> Result<(), ReadError> {
        let line = self.window.line("an integer in a pickle", LINE_BYTES)?;
        let line = line.strip_suffix(b"L").unwrap_or(line).to_vec();
        self.integer_text(&line, at)
    }

    fn integer_text(&mut self, line: &[u8], at: u64) -> Result<(), ReadError> {
        let wrong = || ReadError::malformed("an integer in a pickle", at, "it is not a number");
        let text = std::str::from_utf8(line).map_err(|_| wrong())?.trim();
        if let Ok(value) = text.parse() {
            return self.push(Node::Int(value));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let text = text.to_owned();
        self.push_digits(&text)
    }

    fn float_line(&mut self, at: u64) -> Result<(), ReadError> {
        let line = self.window.line("a number in a pickle", 4096)?;
        let value = std::str::from_utf8(line).ok().and_then(|text| text.trim().parse().ok());
        let value =
            value.ok_or_else(|| ReadError::malformed("a number in a pickle", at, "it is not a number"))?;
        self.push(Node::Float(value))
    }

    fn text(&mut self, len: u64) -> Result<(), ReadError> {
        if len >= HELD_TEXT {
            let offset = self.window.skip("text in a pickle", len)?;
            let id = self.graph.add_range(offset, len)?;
            self.stack.push(id);
            return Ok(());
        }
        let bytes = self.window.take("text in a pickle", len)?;
        // Python may write lone surrogates, which no UTF-8 has.
        let span = match std::str::from_utf8(bytes) {
            Ok(_) => self.graph.hold(bytes)?,
            Err(_) => self.graph.hold(String::from_utf8_lossy(bytes).as_bytes())?,
        };
        self.push(Node::Text(span))
    }

    fn byte_string(&mut self, len: u64) -> Result<(), ReadError> {
        if len >= HELD_BYTES {
            let offset = self.window.skip("bytes in a pickle", len)?;
            let id = self.graph.add_range(offset, len)?;
            self.stack.push(id);
            return Ok(());
        }
        let bytes = self.window.take("bytes in a pickle", len)?;
        let span = self.graph.hold(bytes)?;
        self.push(Node::Blob(span))
    }

    /// A Python 2 `str`: text where it can be.
    fn string(&mut self, len: u64) -> Result<(), ReadError> {
        if len >= HELD_TEXT {
            return self.byte_string(len);
        }
        let bytes = self.window.take("a byte string in a pickle", len)?;
        let is_text = std::str::from_utf8(bytes).is_ok();
        let span = self.graph.hold(bytes)?;
        self.push(if is_text { Node::Text(span) } else { Node::Blob(span) })
    }

    /// A Python 2 `str` as its `repr`: quoted, with escapes.
    fn string_line(&mut self, at: u64) -> Result<(), ReadError> {
        let line = self.window.line("a string in a pickle", LINE_BYTES)?.trim_ascii();
        let quoted = match line {
            [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => unescape(inner),
            _ => return Err(ReadError::malformed("a string in a pickle", at, "it is not quoted")),
        };
        let is_text = std::str::from_utf8(&quoted).is_ok();
        let span = self.graph.hold(&quoted)?;
        self.push(if is_text { Node::Text(span) } else { Node::Blob(span) })
    }

    /// `raw-unicode-escape`: Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
    fn text_line(&mut self) -> Result<(), ReadError> {
        let line = self.window.line("text in a pickle", LINE_BYTES)?;
        let mut text = String::with_capacity(line.len());
        let mut rest = line;
        while let [byte, tail @ ..] = rest {
            let digits = match tail.first() {
                Some(b'u') if *byte == b'\\' => tail.get(1..5),
                Some(b'U') if *byte == b'\\' => tail.get(1..9),
                _ => None,
            };
            let code = digits
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| u32::from_str_radix(digits, 16).ok());
            if let (Some(code), Some(digits)) = (code, digits) {
                text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = &tail[1 + digits.len()..];
            } else {
                text.push(char::from(*byte));
                rest = tail;
            }
        }
        let span = self.graph.hold(text.as_bytes())?;
        self.push(Node::Text(span))
    }
}

fn underflow(at: u64, opcode: &str) -> ReadError {
    ReadError::malformed("the pickle", at, format!("{opcode} finds too few values on the stack"))
}

/// Decimal digits of a little-endian two's complement number.
fn decimal(bytes: &[u8], negative: bool) -> String {
    const BILLION: u64 = 1_000_000_000;
    let mut magnitude: Vec<u8> = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in &mut magnitude {
            let (flipped, overflow) = (!*byte).overflowing_add(u8::from(carry));
            *byte = flipped;
            carry = overflow;
        }
    }
    let mut groups = Vec::new();
    while magnitude.last() == Some(&0) {
        magnitude.pop();
    }
    while !magnitude.is_empty() {
        let mut remainder = 0u64;
        for byte in magnitude.iter_mut().rev() {
            let value = remainder << 8 | u64::from(*byte);
            *byte = (value / BILLION) as u8;
            remainder = value % BILLION;
        }
        groups.push(remainder);
        while magnitude.last() == Some(&0) {
            magnitude.pop();
        }
    }
    let mut text = if negative { "-".to_owned() } else { String::new() };
    let Some(first) = groups.pop() else { return "0".to_owned() };
    text.push_str(&first.to_string());
    for group in groups.iter().rev() {
        let _ = write!(text, "{group:09}");
    }
    text
}

/// Escapes of a Python 2 string `repr`.
fn unescape(inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let Some((&escape, after)) = tail.split_first() else { break };
        rest = after;
        match escape {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'x' => {
                let code = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
                if let Some(code) = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    out.push(code);
                    rest = &after[2..];
                }
            }
            b'0'..=b'7' => {
                let len = tail.iter().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                let code = tail[..len].iter().fold(0u32, |code, byte| code * 8 + u32::from(byte - b'0'));
                out.push(code as u8);
                rest = &tail[len..];
            }
            other => out.push(other),
        }
    }
    out
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
