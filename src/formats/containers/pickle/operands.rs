//! Operands in the stream, numbers and text in all the ways that protocols 0 to 5 write them, onto the machine's stack.
//!
//! Long byte strings and texts are passed over and kept as ranges of the source.

use std::fmt::Write as _;

use super::graph::{Graph, Node};
use super::vm::Machine;
use crate::model::ReadError;

/// Byte strings from this length on stay in the source.
const HELD_BYTES: u64 = 1 << 10;

/// Text from this length on stays in the source. (Protocols 0 to 2 write arrays as text.)
const HELD_TEXT: u64 = 1 << 20;

/// The longest line of a text protocol: module names are short, numbers can have thousands of digits.
pub(super) const LINE_BYTES: u64 = 64 << 20;

/// The longest integer whose decimal digits are worked out.
const INTEGER_BYTES: u64 = 1 << 10;

impl Machine<'_> {
    /// Little-endian two's complement of `len` bytes.
    pub(super) fn long(&mut self, len: u64) -> Result<(), ReadError> {
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

    pub(super) fn push_digits(&mut self, digits: &str) -> Result<(), ReadError> {
        let span = self.graph.hold(digits.as_bytes())?;
        self.push(Node::BigInt(span))
    }

    pub(super) fn number_line(&mut self, what: &'static str, at: u64) -> Result<u64, ReadError> {
        let line = self.window.line(what, 64)?;
        std::str::from_utf8(line)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| ReadError::malformed(what, at, "it is not a number in range"))
    }

    pub(super) fn int_line(&mut self, at: u64) -> Result<(), ReadError> {
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

    pub(super) fn long_line(&mut self, at: u64) -> Result<(), ReadError> {
        let line = self.window.line("an integer in a pickle", LINE_BYTES)?;
        let line = line.strip_suffix(b"L").unwrap_or(line).to_vec();
        self.integer_text(&line, at)
    }

    pub(super) fn integer_text(&mut self, line: &[u8], at: u64) -> Result<(), ReadError> {
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

    pub(super) fn float_line(&mut self, at: u64) -> Result<(), ReadError> {
        let line = self.window.line("a number in a pickle", 4096)?;
        let value = std::str::from_utf8(line).ok().and_then(|text| text.trim().parse().ok());
        let value =
            value.ok_or_else(|| ReadError::malformed("a number in a pickle", at, "it is not a number"))?;
        self.push(Node::Float(value))
    }

    pub(super) fn text(&mut self, len: u64) -> Result<(), ReadError> {
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

    pub(super) fn byte_string(&mut self, len: u64) -> Result<(), ReadError> {
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
    pub(super) fn string(&mut self, len: u64) -> Result<(), ReadError> {
        if len >= HELD_TEXT {
            return self.byte_string(len);
        }
        let bytes = self.window.take("a byte string in a pickle", len)?;
        let is_text = std::str::from_utf8(bytes).is_ok();
        let span = self.graph.hold(bytes)?;
        self.push(if is_text { Node::Text(span) } else { Node::Blob(span) })
    }

    /// A Python 2 `str` as its `repr`: quoted, with escapes.
    pub(super) fn string_line(&mut self, at: u64) -> Result<(), ReadError> {
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
    pub(super) fn text_line(&mut self) -> Result<(), ReadError> {
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
