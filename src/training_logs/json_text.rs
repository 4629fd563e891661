//! JSON as Python writes it: with bare `NaN`, `Infinity` and `-Infinity`, which standard JSON lacks.
//!
//! Bounded in depth and in the number of values. Source of the extension: Python's `json` module, "Infinite and NaN Number
//! Values", <https://docs.python.org/3.12/library/json.html#infinite-and-nan-number-values>.

use crate::model::{ReadError, Value};
use crate::raw::limits;

/// Reads one value from the start of `text`; white space may stand around it. Returns it with what follows.
/// `base` is where the text stands in the file, for messages.
pub fn parse_prefix(text: &str, base: u64) -> Result<(Value, &str), ReadError> {
    let mut parser = Parser { text, position: 0, base, values: 0 };
    let value = parser.value(0)?;
    parser.blanks();
    Ok((value, text.get(parser.position..).unwrap_or_default()))
}

/// Reads a text that is one value.
pub fn parse(text: &str, base: u64) -> Result<Value, ReadError> {
    let (value, rest) = parse_prefix(text, base)?;
    if rest.is_empty() {
        return Ok(value);
    }
    let at = base + (text.len() - rest.len()) as u64;
    Err(ReadError::malformed("the JSON", at, "something follows the value"))
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    base: u64,
    values: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn wrong(&self, reason: &'static str) -> ReadError {
        ReadError::malformed("the JSON", self.base + self.position as u64, reason)
    }

    fn take(&mut self, word: &str) -> bool {
        let is_there = self.rest().starts_with(word);
        self.position += if is_there { word.len() } else { 0 };
        is_there
    }

    fn value(&mut self, depth: usize) -> Result<Value, ReadError> {
        if depth > limits::JSON_DEPTH {
            return Err(ReadError::OverLimit {
                what: "the nesting of the JSON".into(),
                value: depth as u64,
                limit: limits::JSON_DEPTH as u64,
            });
        }
        self.values += 1;
        if self.values > limits::LOG_POINTS {
            return Err(ReadError::OverLimit {
                what: "the number of values in the JSON".into(),
                value: self.values as u64,
                limit: limits::LOG_POINTS as u64,
            });
        }
        self.blanks();
        match self.peek() {
            None => Err(self.wrong("it ends where a value belongs")),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b't') if self.take("true") => Ok(Value::Bool(true)),
            Some(b'f') if self.take("false") => Ok(Value::Bool(false)),
            Some(b'n') if self.take("null") => Ok(Value::Null),
            Some(b'N') if self.take("NaN") => Ok(Value::Float(f64::NAN)),
            Some(b'I') if self.take("Infinity") => Ok(Value::Float(f64::INFINITY)),
            Some(b'-') if self.take("-Infinity") => Ok(Value::Float(f64::NEG_INFINITY)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.wrong("no value can begin so")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, ReadError> {
        self.position += 1;
        let mut entries = Vec::new();
        self.blanks();
        if self.take("}") {
            return Ok(Value::Map(entries));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a key is missing"));
            }
            let key = self.string()?;
            self.blanks();
            if !self.take(":") {
                return Err(self.wrong("a colon is missing"));
            }
            entries.push((key, self.value(depth + 1)?));
            self.blanks();
            if self.take("}") {
                return Ok(Value::Map(entries));
            }
            if !self.take(",") {
                return Err(self.wrong("a comma or } is missing"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, ReadError> {
        self.position += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.take("]") {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blanks();
            if self.take("]") {
                return Ok(Value::List(items));
            }
            if !self.take(",") {
                return Err(self.wrong("a comma or ] is missing"));
            }
        }
    }

    fn number(&mut self) -> Result<Value, ReadError> {
        let rest = self.rest();
        let len = rest
            .bytes()
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
            .count();
        let text = rest.get(..len).unwrap_or_default();
        let value = match text.parse::<i64>() {
            Ok(int) => Value::Int(int),
            Err(_) => match text.parse::<f64>() {
                Ok(float) => Value::Float(float),
                Err(_) => return Err(self.wrong("this is no number")),
            },
        };
        self.position += len;
        Ok(value)
    }

    /// A string, its escapes decoded by the JSON library.
    fn string(&mut self) -> Result<String, ReadError> {
        let rest = self.rest().as_bytes();
        let mut end = 1;
        loop {
            match rest.get(end) {
                None => return Err(self.wrong("a text does not end")),
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
            }
        }
        let quoted = self.rest().get(..=end).unwrap_or_default();
        let text = match quoted.get(1..end) {
            Some(plain) if !plain.contains('\\') => plain.to_owned(),
            _ => serde_json::from_str(quoted)
                .map_err(|_| self.wrong("a text has an escape that does not exist"))?,
        };
        self.position += end + 1;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes_is_read() {
        let value = parse(r#" {"a": [NaN, -Infinity, 1, 1.5e3], "b\n": null, "c": true} "#, 0).expect("JSON");
        let list = value.get("a").expect("a");
        let Value::List(items) = list else { panic!("{list:?}") };
        assert!(matches!(items[0], Value::Float(nan) if nan.is_nan()));
        assert_eq!(&items[1..], [Value::Float(f64::NEG_INFINITY), Value::Int(1), Value::Float(1500.0)]);
        assert_eq!((value.get("b\n"), value.get("c")), (Some(&Value::Null), Some(&Value::Bool(true))));
    }

    #[test]
    fn broken_and_deep_texts_are_errors() {
        for text in ["", "{", "[1,", "{\"a\" 1}", "\"\\", "nul", "1 2", "[1]]", "\"\\x\"", "-", "\u{e9}"] {
            assert!(parse(text, 0).is_err(), "{text}");
        }
        assert!(matches!(parse(&"[".repeat(200_000), 0), Err(ReadError::OverLimit { .. })));
    }
}
