//! What each opcode does to the machine.
//!
//! Source: `CPython`'s `Lib/pickletools.py`, in the order of its subjects.

use super::graph::{Graph, Node, NodeId, Trick};
use super::operands::LINE_BYTES;
use super::vm::Machine;
use crate::model::ReadError;

impl Machine<'_> {
    /// Carries out `opcode`, which stands at `at`. `STOP` is for the caller.
    pub(super) fn step(&mut self, opcode: u8, at: u64) -> Result<(), ReadError> {
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
                self.stack_global(module, name, at)?;
            }
            b'R' | 0x81 => {
                let opcode = if opcode == b'R' { "REDUCE" } else { "NEWOBJ" };
                let args = self.pop(at, opcode)?;
                let callable = self.pop(at, opcode)?;
                let id = self.graph.add_call((opcode, at), callable, args, None)?;
                self.stack.push(id);
            }
            0x92 => {
                let keywords = self.pop(at, "NEWOBJ_EX")?;
                let args = self.pop(at, "NEWOBJ_EX")?;
                let callable = self.pop(at, "NEWOBJ_EX")?;
                let id = self.graph.add_call(("NEWOBJ_EX", at), callable, args, Some(keywords))?;
                self.stack.push(id);
            }
            b'i' => {
                self.global_lines(at)?;
                let callable = self.pop(at, "INST")?;
                let args = self.take_marked(at, "INST")?;
                let args = self.graph.add_tuple(&args)?;
                let id = self.graph.add_call(("INST", at), callable, args, None)?;
                self.stack.push(id);
            }
            b'o' => {
                let parts = self.take_marked(at, "OBJ")?;
                let Some((&callable, args)) = parts.split_first() else {
                    return Err(ReadError::malformed("the pickle", at, "OBJ needs a class"));
                };
                let args = self.graph.add_tuple(args)?;
                let id = self.graph.add_call(("OBJ", at), callable, args, None)?;
                self.stack.push(id);
            }
            b'b' => {
                let state = self.pop(at, "BUILD")?;
                let target = self.top(at, "BUILD")?;
                if let Some(call) = self.graph.call_mut(target) {
                    call.state = Some(state);
                    self.interleaved(target, at)?;
                } else if matches!(self.graph.node(target), Node::Global(_)) {
                    self.graph.note(Trick::AltersGlobal(target), at);
                } else if !matches!(self.graph.node(target), Node::Persistent(_)) {
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

    fn stack_global(&mut self, module: NodeId, name: NodeId, at: u64) -> Result<(), ReadError> {
        /// Stands for a text that a call would give.
        const COMPUTED: &str = "<computed>";
        let text = |id: NodeId| match self.graph.node(id) {
            Node::Call(_) | Node::Persistent(_) => Some(COMPUTED.to_owned()),
            _ => self.graph.text(id).map(str::to_owned),
        };
        let (Some(module), Some(name)) = (text(module), text(name)) else {
            return Err(ReadError::malformed("the pickle", at, "STACK_GLOBAL needs two texts"));
        };
        let id = self.graph.add_global(&module, &name, at)?;
        if module == COMPUTED || name == COMPUTED {
            self.graph.note(Trick::ComputedName(id), at);
        }
        self.stack.push(id);
        Ok(())
    }
}
