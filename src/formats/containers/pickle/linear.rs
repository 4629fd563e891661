//! The opcodes of a stream one after the other, without a stack: what it names, also where the machine gives up.
//!
//! Beside [`super::parse`], for streams that are broken or made to look so: readers of pickles differ in where they stop,
//! so what one of them refuses another may still run. Names that the stream spells out are certain; for a
//! `STACK_GLOBAL` the two texts that were last put on the stack are taken, which is what every writer produces.

use std::collections::HashMap;

use super::operands::LINE_BYTES;
use super::window::Window;
use crate::model::{Progress, ReadError};
use crate::raw::ByteSource;

/// A name that a stream imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Module, such as `os`.
    pub module: String,
    /// Name inside it.
    pub name: String,
    /// Where the opcode stands, in bytes from the start of the source.
    pub offset: u64,
}

/// What a stream names, opcode by opcode.
#[derive(Debug, Default)]
pub struct Linear {
    /// In order; at most `NAMES`.
    pub names: Vec<Named>,
    /// Opcodes that were read, the last one included.
    pub opcodes: u64,
    /// Whether the stream reached its `STOP`.
    pub stopped: bool,
    /// Whether the opcodes go on behind the last one that was to be read.
    pub goes_on: bool,
    /// Where the next byte stands.
    pub end: u64,
}

/// Names that are kept.
const NAMES: usize = 100_000;

/// Texts up to this length may be part of a name.
const NAME_BYTES: u64 = 1 << 10;

/// Memo slots that are remembered.
const SLOTS: usize = 1 << 20;

/// Reads at most `most` opcodes from `offset`, until `STOP`, or until the bytes are no opcodes any more.
pub fn scan(source: &ByteSource, offset: u64, most: u64, progress: &Progress) -> Result<Linear, ReadError> {
    let mut scanner = Scanner {
        window: Window::new(source, offset),
        found: Linear::default(),
        texts: [None, None],
        on_top: false,
        memo: HashMap::new(),
        filled: 0,
    };
    loop {
        if scanner.found.opcodes.is_multiple_of(1 << 16) {
            progress.advance(0)?;
        }
        if scanner.found.opcodes >= most {
            scanner.found.goes_on = true;
            break;
        }
        let at = scanner.window.offset();
        let Ok(opcode) = scanner.window.u8("a pickle") else { break };
        // What is cut off, or is no opcode, ends the stream.
        if scanner.step(opcode, at).is_none() {
            break;
        }
        scanner.found.opcodes += 1;
        if opcode == b'.' {
            scanner.found.stopped = true;
            break;
        }
    }
    scanner.found.end = scanner.window.offset();
    Ok(scanner.found)
}

struct Scanner<'a> {
    window: Window<'a>,
    found: Linear,
    /// The texts that were last put on the stack, the newest last.
    texts: [Option<String>; 2],
    /// Whether the newest of them is what lies on top.
    on_top: bool,
    memo: HashMap<u64, String>,
    filled: u64,
}

impl Scanner<'_> {
    /// `None` where the stream ends.
    fn step(&mut self, opcode: u8, at: u64) -> Option<()> {
        let on_top = std::mem::take(&mut self.on_top);
        match opcode {
            // No operand.
            b'.'
            | b'('
            | b'0'
            | b'1'
            | b'2'
            | b'N'
            | 0x88
            | 0x89
            | b')'
            | 0x85..=0x87
            | b't'
            | b']'
            | b'}'
            | 0x8f
            | b'l'
            | 0x91
            | b'd'
            | b'a'
            | b'e'
            | 0x90
            | b's'
            | b'u'
            | b'R'
            | 0x81
            | 0x92
            | b'o'
            | b'b'
            | b'Q'
            | 0x97
            | 0x98 => {}
            // A fixed number of bytes.
            0x80 | b'K' | 0x82 => self.skip(1)?,
            b'M' | 0x83 => self.skip(2)?,
            b'J' | 0x84 => self.skip(4)?,
            b'G' | 0x95 => self.skip(8)?,
            // A line.
            b'I' | b'L' | b'F' | b'P' => {
                self.line()?;
            }
            b'S' | b'V' => {
                let text = self.line()?;
                self.push(text.trim_matches(['\'', '"']).to_owned());
            }
            // Bytes behind their length.
            b'U' | 0x8c => {
                let len = self.number::<1>()?;
                self.text(len)?;
            }
            b'T' | b'X' => {
                let len = self.number::<4>()?;
                self.text(len)?;
            }
            0x8d => {
                let len = self.number::<8>()?;
                self.text(len)?;
            }
            b'C' | 0x8a => {
                let len = self.number::<1>()?;
                self.skip(len)?;
            }
            b'B' | 0x8b => {
                let len = self.number::<4>()?;
                self.skip(len)?;
            }
            0x8e | 0x96 => {
                let len = self.number::<8>()?;
                self.skip(len)?;
            }
            // The memo.
            b'q' | b'r' | b'p' | 0x94 => {
                let slot = match opcode {
                    b'q' => self.number::<1>()?,
                    b'r' => self.number::<4>()?,
                    b'p' => self.line()?.trim().parse().unwrap_or(u64::MAX),
                    _ => self.filled,
                };
                self.filled += 1;
                self.on_top = on_top;
                match self.texts[1].clone().filter(|_| on_top && self.memo.len() < SLOTS) {
                    Some(text) => self.memo.insert(slot, text),
                    None => self.memo.remove(&slot),
                };
            }
            b'h' | b'j' | b'g' => {
                let slot = match opcode {
                    b'h' => self.number::<1>()?,
                    b'j' => self.number::<4>()?,
                    _ => self.line()?.trim().parse().ok()?,
                };
                if let Some(text) = self.memo.get(&slot).cloned() {
                    self.push(text);
                }
            }
            // Names.
            b'c' | b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                self.name(module, name, at);
            }
            0x93 => {
                if let [Some(module), Some(name)] = self.texts.clone() {
                    self.name(module, name, at);
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn name(&mut self, module: String, name: String, offset: u64) {
        if self.found.names.len() < NAMES {
            self.found.names.push(Named { module, name, offset });
        }
    }

    fn push(&mut self, text: String) {
        self.texts.swap(0, 1);
        self.texts[1] = Some(text);
        self.on_top = true;
    }

    fn text(&mut self, len: u64) -> Option<()> {
        if len > NAME_BYTES {
            return self.skip(len);
        }
        let bytes = self.window.take("text in a pickle", len).ok()?;
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.push(text);
        Some(())
    }

    fn line(&mut self) -> Option<String> {
        let line = self.window.line("a line of a pickle", LINE_BYTES).ok()?;
        let shown = line.get(..line.len().min(NAME_BYTES as usize)).unwrap_or_default();
        Some(String::from_utf8_lossy(shown).into_owned())
    }

    fn skip(&mut self, len: u64) -> Option<()> {
        self.window.skip("a part of a pickle", len).ok().map(drop)
    }

    fn number<const N: usize>(&mut self) -> Option<u64> {
        let bytes = self.window.array::<N>("a length in a pickle").ok()?;
        Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: &[u8]) -> (Vec<String>, bool) {
        let found = scan(&ByteSource::from_vec(bytes.to_vec()), 0, 100, &Progress::new()).expect("scanned");
        let names = found.names.iter().map(|named| format!("{}.{}", named.module, named.name));
        (names.collect(), found.stopped)
    }

    #[test]
    fn names_are_found_behind_what_the_machine_refuses() {
        // A list as a key, which every reader refuses; the import behind it stands there all the same.
        assert_eq!(names(b"\x80\x02}]K\x01s0cos\nsystem\n."), (vec!["os.system".to_owned()], true));
        assert_eq!(
            names(b"\x80\x04tR\x8c\x02os\x94\x8c\x06system\x94\x93\xfe"),
            (vec!["os.system".to_owned()], false)
        );
    }

    #[test]
    fn names_are_followed_through_the_memo() {
        assert_eq!(names(b"\x80\x04\x8c\x02osq\x05\x8c\x06systemq\x0600h\x05h\x06\x93.").0, ["os.system"]);
    }
}
