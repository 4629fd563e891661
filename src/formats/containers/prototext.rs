//! Protobuf text format, turned into the wire format by a schema, so that one reader serves both.
//!
//! Knows the grammar, not the messages: the caller gives the fields it cares about, and all others are skipped.
//! Source: <https://protobuf.dev/reference/protobuf/textformat-spec/>.

use crate::model::ReadError;
use crate::raw::limits;

/// The fields of a message that are kept.
#[derive(Debug)]
pub struct Schema(pub &'static [(&'static str, u32, Kind)]);

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A message of its own.
    Message(&'static Schema),
    /// Text or bytes.
    Text,
    /// An integer or a truth value.
    Integer,
    /// Integers that are written packed.
    Integers,
    /// Four-byte floats that are written packed.
    Floats,
    /// Eight-byte floats that are written packed.
    Doubles,
    /// One of these names, or its number.
    Enumeration(fn(&str) -> Option<u64>),
}

/// The wire format of `text`, which is a message of `schema`. It is never longer than the text by more than a few bytes a field.
pub fn to_wire(text: &[u8], schema: &'static Schema) -> Result<Vec<u8>, ReadError> {
    let mut lexer = Lexer { text, position: 0 };
    let mut open = vec![Frame::new(Some(schema), 0, 0)];
    loop {
        let name = match lexer.next()? {
            Token::End => break,
            Token::Word(name) => name,
            Token::Symbol(b',' | b';') => continue,
            Token::Symbol(symbol @ (b'}' | b'>')) => {
                close(&mut lexer, &mut open, symbol)?;
                continue;
            }
            // The name of an extension, or of the type inside an `Any`: nothing that a schema here knows.
            Token::Symbol(b'[') => {
                lexer.skip_past(b']')?;
                &[]
            }
            Token::Symbol(_) | Token::Text(_) => return Err(lexer.unexpected()),
        };
        let frame = open.last().ok_or_else(|| lexer.unexpected())?;
        let field = frame.schema.and_then(|schema| schema.find(name));
        if lexer.peek() == Some(b':') {
            lexer.position += 1;
        }
        value(&mut lexer, &mut open, field)?;
    }
    if open.len() > 1 {
        return Err(ReadError::Truncated {
            what: "a message in text form".into(),
            offset: text.len() as u64,
            needed: 1,
            available: 0,
        });
    }
    let mut root = open.pop().unwrap_or_else(|| Frame::new(None, 0, 0));
    root.flush();
    Ok(root.out)
}

impl Schema {
    fn find(&self, name: &[u8]) -> Option<(u32, Kind)> {
        let found = self.0.iter().find(|(field, ..)| field.as_bytes() == name);
        found.map(|&(_, number, kind)| (number, kind))
    }
}

/// A message that is being read.
struct Frame {
    /// `None` for one that is skipped.
    schema: Option<&'static Schema>,
    number: u32,
    /// The symbol that ends it.
    end: u8,
    out: Vec<u8>,
    /// Values of a packed field that may go on.
    packed: (u32, Vec<u8>),
    /// Whether the message is an item of a list.
    in_list: bool,
}

impl Frame {
    fn new(schema: Option<&'static Schema>, number: u32, end: u8) -> Self {
        Self { schema, number, end, out: Vec::new(), packed: (0, Vec::new()), in_list: false }
    }

    fn put_bytes(&mut self, number: u32, bytes: &[u8]) {
        put_varint(&mut self.out, u64::from(number) << 3 | 2);
        put_varint(&mut self.out, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn put_packed(&mut self, number: u32) -> &mut Vec<u8> {
        if self.packed.0 != number {
            self.flush();
            self.packed.0 = number;
        }
        &mut self.packed.1
    }

    fn flush(&mut self) {
        let (number, bytes) = std::mem::take(&mut self.packed);
        if !bytes.is_empty() {
            self.put_bytes(number, &bytes);
        }
    }
}

/// Reads what follows a field's name: a message, a list or a scalar.
fn value(lexer: &mut Lexer<'_>, open: &mut Vec<Frame>, field: Option<(u32, Kind)>) -> Result<(), ReadError> {
    match lexer.peek() {
        Some(symbol @ (b'{' | b'<')) => {
            lexer.position += 1;
            push(open, field, symbol, false)
        }
        Some(b'[') => {
            lexer.position += 1;
            list(lexer, open, field)
        }
        _ => scalar(lexer, open, field),
    }
}

fn push(
    open: &mut Vec<Frame>,
    field: Option<(u32, Kind)>,
    symbol: u8,
    in_list: bool,
) -> Result<(), ReadError> {
    if open.len() >= limits::NESTING {
        return Err(ReadError::OverLimit {
            what: "the nesting of messages in text form".into(),
            value: open.len() as u64,
            limit: limits::NESTING as u64,
        });
    }
    let end = if symbol == b'{' { b'}' } else { b'>' };
    let mut frame = match field {
        Some((number, Kind::Message(schema))) => Frame::new(Some(schema), number, end),
        _ => Frame::new(None, 0, end),
    };
    frame.in_list = in_list;
    open.push(frame);
    Ok(())
}

/// `[1, 2]`, or the first message of `[{…}, {…}]`, whose others follow when it is closed.
fn list(lexer: &mut Lexer<'_>, open: &mut Vec<Frame>, field: Option<(u32, Kind)>) -> Result<(), ReadError> {
    loop {
        match lexer.peek() {
            Some(b']') => {
                lexer.position += 1;
                return Ok(());
            }
            Some(b',') => lexer.position += 1,
            Some(symbol @ (b'{' | b'<')) => {
                lexer.position += 1;
                return push(open, field, symbol, true);
            }
            _ => scalar(lexer, open, field)?,
        }
    }
}

fn close(lexer: &mut Lexer<'_>, open: &mut Vec<Frame>, symbol: u8) -> Result<(), ReadError> {
    let mut frame = open.pop().filter(|frame| frame.end == symbol).ok_or_else(|| lexer.unexpected())?;
    frame.flush();
    if let (Some(_), Some(parent)) = (frame.schema, open.last_mut()) {
        parent.flush();
        parent.put_bytes(frame.number, &frame.out);
    }
    if frame.in_list {
        let field = frame.schema.map(|schema| (frame.number, Kind::Message(schema)));
        list(lexer, open, field)?;
    }
    Ok(())
}

/// Reads one number, word or text, and adds it to the innermost message if that knows the field.
fn scalar(lexer: &mut Lexer<'_>, open: &mut [Frame], field: Option<(u32, Kind)>) -> Result<(), ReadError> {
    let token = lexer.next()?;
    let at = lexer.position as u64;
    let wrong = || ReadError::malformed("a value in text form", at, "it is of another type");
    let word = match &token {
        Token::Text(first) => {
            let mut text = first.clone();
            // Texts that follow each other are one.
            while matches!(lexer.peek(), Some(b'"' | b'\'')) {
                if let Token::Text(more) = lexer.next()? {
                    text.extend(more);
                }
            }
            match (field, open.last_mut()) {
                (Some((number, Kind::Text)), Some(frame)) => {
                    frame.flush();
                    frame.put_bytes(number, &text);
                }
                (Some(_), _) => return Err(wrong()),
                (None, _) => {}
            }
            return Ok(());
        }
        Token::Word(word) => std::str::from_utf8(word).map_err(|_| wrong())?,
        Token::Symbol(_) | Token::End => return Err(lexer.unexpected()),
    };
    let (Some((number, kind)), Some(frame)) = (field, open.last_mut()) else { return Ok(()) };
    match kind {
        Kind::Floats => {
            let value = real(word).ok_or_else(wrong)? as f32;
            frame.put_packed(number).extend(value.to_le_bytes());
        }
        Kind::Doubles => {
            let value = real(word).ok_or_else(wrong)?;
            frame.put_packed(number).extend(value.to_le_bytes());
        }
        Kind::Integers => {
            let value = integer(word).ok_or_else(wrong)?;
            put_varint(frame.put_packed(number), value);
        }
        Kind::Integer | Kind::Enumeration(_) => {
            let named = if let Kind::Enumeration(names) = kind { names(word) } else { None };
            let value = named.or_else(|| integer(word)).ok_or_else(wrong)?;
            frame.flush();
            put_varint(&mut frame.out, u64::from(number) << 3);
            put_varint(&mut frame.out, value);
        }
        Kind::Text | Kind::Message(_) => return Err(wrong()),
    }
    Ok(())
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Decimal, hexadecimal, octal, `true` and `false`; negative numbers as their two's complement, as on the wire.
fn integer(word: &str) -> Option<u64> {
    match word {
        "true" | "True" | "t" => return Some(1),
        "false" | "False" | "f" => return Some(0),
        _ => {}
    }
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let value = match (hexadecimal, digits.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16),
        (None, Some(octal)) if !octal.is_empty() => u64::from_str_radix(octal, 8),
        _ => digits.parse::<u64>(),
    };
    value.ok().map(|value| if negative { value.wrapping_neg() } else { value })
}

/// A floating-point number, `inf`, `infinity` or `nan`, with or without a final `f`.
fn real(word: &str) -> Option<f64> {
    let (negative, rest) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    let value = if rest.eq_ignore_ascii_case("inf") || rest.eq_ignore_ascii_case("infinity") {
        f64::INFINITY
    } else if rest.eq_ignore_ascii_case("nan") {
        f64::NAN
    } else if rest.starts_with("0x") || rest.starts_with("0X") {
        integer(rest)? as f64
    } else {
        rest.strip_suffix(['f', 'F']).unwrap_or(rest).parse().ok()?
    };
    Some(if negative { -value } else { value })
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    /// A name, a number or a named value, with its sign.
    Word(&'a [u8]),
    /// A quoted text without its escapes.
    Text(Vec<u8>),
    /// Punctuation.
    Symbol(u8),
    /// There is no more.
    End,
}

struct Lexer<'a> {
    text: &'a [u8],
    position: usize,
}

impl<'a> Lexer<'a> {
    /// The next byte that is neither space nor comment.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.position)? {
                b'#' => {
                    let rest = self.text.get(self.position..).unwrap_or_default();
                    self.position += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                }
                byte if byte.is_ascii_whitespace() => self.position += 1,
                &byte => return Some(byte),
            }
        }
    }

    fn next(&mut self) -> Result<Token<'a>, ReadError> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        if matches!(first, b'"' | b'\'') {
            self.position += 1;
            return self.quoted(first).map(Token::Text);
        }
        let start = self.position;
        if first == b'-' {
            self.position += 1;
            self.peek();
        }
        let from = self.position;
        let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-');
        let rest = self.text.get(from..).unwrap_or_default();
        let len = rest.iter().position(|byte| !in_word(byte)).unwrap_or(rest.len());
        if len == 0 {
            self.position = start + 1;
            return Ok(Token::Symbol(first));
        }
        self.position = from + len;
        // A sign may stand apart from its number, which no writer does; the word is then what follows it.
        let word_start = if from == start + 1 { start } else { from };
        Ok(Token::Word(self.text.get(word_start..self.position).unwrap_or_default()))
    }

    /// What stands before the closing quote. Escapes are C's.
    fn quoted(&mut self, quote: u8) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        loop {
            let byte = self.byte()?;
            if byte == quote {
                return Ok(bytes);
            }
            if byte != b'\\' {
                bytes.push(byte);
                continue;
            }
            match self.byte()? {
                b'n' => bytes.push(b'\n'),
                b't' => bytes.push(b'\t'),
                b'r' => bytes.push(b'\r'),
                b'a' => bytes.push(7),
                b'b' => bytes.push(8),
                b'f' => bytes.push(12),
                b'v' => bytes.push(11),
                digit @ b'0'..=b'7' => {
                    let code = self.digits(8, 2, u32::from(digit - b'0'));
                    bytes.push(code as u8);
                }
                b'x' | b'X' => bytes.push(self.digits(16, 2, 0) as u8),
                b'u' => self.character(4, &mut bytes),
                b'U' => self.character(8, &mut bytes),
                other => bytes.push(other),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, ReadError> {
        let byte = self.text.get(self.position).copied().ok_or_else(|| ReadError::Truncated {
            what: "a quoted text".into(),
            offset: self.position as u64,
            needed: 1,
            available: 0,
        })?;
        self.position += 1;
        Ok(byte)
    }

    /// Up to `most` more digits of a number that begins with `value`.
    fn digits(&mut self, radix: u32, most: usize, mut value: u32) -> u32 {
        for _ in 0..most {
            let byte = self.text.get(self.position).copied().unwrap_or(0);
            let Some(digit) = char::from(byte).to_digit(radix) else { break };
            value = value * radix + digit;
            self.position += 1;
        }
        value
    }

    fn character(&mut self, digits: usize, bytes: &mut Vec<u8>) {
        let code = self.digits(16, digits, 0);
        let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn skip_past(&mut self, symbol: u8) -> Result<(), ReadError> {
        while self.byte()? != symbol {}
        Ok(())
    }

    fn unexpected(&self) -> ReadError {
        let at = self.position.min(self.text.len()) as u64;
        ReadError::malformed(
            "the text form of a message",
            at,
            "something stands there that does not belong there",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static INNER: Schema = Schema(&[("name", 1, Kind::Text), ("inner", 2, Kind::Message(&INNER))]);
    static OUTER: Schema = Schema(&[
        ("inner", 1, Kind::Message(&INNER)),
        ("count", 2, Kind::Integer),
        ("floats", 3, Kind::Floats),
        ("numbers", 4, Kind::Integers),
        ("kind", 5, Kind::Enumeration(|name| (name == "DT_FLOAT").then_some(1))),
        ("doubles", 6, Kind::Doubles),
    ]);

    fn wire(text: &str) -> Result<Vec<u8>, ReadError> {
        to_wire(text.as_bytes(), &OUTER)
    }

    #[test]
    fn messages_and_numbers_become_wire_format() {
        let bytes =
            wire("inner { name: \"a\" inner: < name: 'b' > }\ncount: 300 # a comment\nkind: DT_FLOAT");
        assert_eq!(
            bytes.expect("legal"),
            [0x0a, 8, 0x0a, 1, b'a', 0x12, 3, 0x0a, 1, b'b', 0x10, 0xac, 2, 0x28, 1]
        );
    }

    #[test]
    fn repeated_values_are_packed_however_they_are_written() {
        let expected = [0x22, 3, 1, 2, 3];
        assert_eq!(wire("numbers: 1 numbers: 0x2, numbers: 03").expect("legal"), expected);
        assert_eq!(wire("numbers: [1, 2, 3]").expect("legal"), expected);
        let negative = wire("count: -1").expect("legal");
        assert_eq!(negative, [0x10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        let floats = wire("floats: 1.5f floats: -inf").expect("legal");
        assert_eq!(floats, [0x1a, 8, 0, 0, 0xc0, 0x3f, 0, 0, 0x80, 0xff]);
        assert_eq!(wire("doubles: nan").expect("legal").len(), 10);
    }

    #[test]
    fn escapes_and_neighbouring_texts_are_put_together() {
        let bytes = wire(r#"inner { name: "\303\266\n\"" 'x\x41\u00e9' }"#).expect("legal");
        assert_eq!(bytes.get(4..), Some(&b"\xc3\xb6\n\"xA\xc3\xa9"[..]));
    }

    #[test]
    fn what_the_schema_does_not_name_is_skipped() {
        let text = "other { deep { x: [1, {y: 2}] } } [ext.field]: 5 [type.googleapis.com/a.B] { z: 1 } list: [{a: 1}, {b: 'c'}] count: 7";
        assert_eq!(wire(text).expect("legal"), [0x10, 7]);
    }

    #[test]
    fn lists_of_messages_are_repeated_fields() {
        assert_eq!(
            wire("inner: [{name: 'a'}, {}] count: 1").expect("legal"),
            [0x0a, 3, 0x0a, 1, b'a', 0x0a, 0, 0x10, 1]
        );
    }

    #[test]
    fn damaged_text_is_refused() {
        for text in [
            "inner {",
            "inner }",
            "inner { >",
            "count: \"text\"",
            "inner: 5",
            "name: \"open",
            "count:",
            "count: {",
            "[x",
            "= 1",
        ] {
            assert!(wire(text).is_err(), "{text}");
        }
        assert!(wire(&"inner {".repeat(1000)).is_err());
    }
}
