//! Python literals as they stand in `.npy` headers: dictionaries, lists, tuples, strings, numbers, `True`, `None`.
//!
//! A reader of data, never an evaluator. Source of the grammar: <https://docs.python.org/3/library/ast.html#ast.literal_eval>,
//! of which numpy writes only these parts.

use crate::model::Value;

/// Nesting that is followed: structured dtypes nest a few levels at most.
const DEPTH: usize = 32;

/// The literal that `text` is, white space around it left out; `None` where it is none. Tuples become lists.
pub fn parse(text: &str) -> Option<Value> {
    let mut parser = Parser { rest: text };
    let value = parser.value(0)?;
    parser.rest.trim().is_empty().then_some(value)
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    /// Whether the next token is `token`, which is then consumed.
    fn eat(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH {
            return None;
        }
        if self.eat('{') {
            return self.map(depth);
        }
        if self.eat('[') {
            return self.items(']', depth).map(|(items, _)| Value::List(items));
        }
        if self.eat('(') {
            let (mut items, is_tuple) = self.items(')', depth)?;
            // `(3)` is a number in brackets, `(3,)` and `()` are tuples.
            return if is_tuple { Some(Value::List(items)) } else { items.pop() };
        }
        // Python 2 wrote u'…'; b'…' is accepted too.
        let quoted = self.rest.strip_prefix(['u', 'b']).unwrap_or(self.rest);
        if let Some(quote @ ('\'' | '"')) = quoted.chars().next() {
            self.rest = quoted.get(1..)?;
            return self.string(quote).map(Value::Text);
        }
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_')));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        Some(match word {
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "None" => Value::Null,
            // Python 2 wrote long integers as 3L.
            number => match number.strip_suffix('L').unwrap_or(number).parse::<i64>() {
                Ok(int) => Value::Int(int),
                Err(_) => Value::Float(number.parse().ok()?),
            },
        })
    }

    fn map(&mut self, depth: usize) -> Option<Value> {
        let mut entries = Vec::new();
        while !self.eat('}') {
            let Value::Text(key) = self.value(depth + 1)? else { return None };
            if !self.eat(':') {
                return None;
            }
            entries.push((key, self.value(depth + 1)?));
            if !self.eat(',') {
                return self.eat('}').then_some(Value::Map(entries));
            }
        }
        Some(Value::Map(entries))
    }

    /// Items up to `close`, and whether there are none or a comma follows one.
    fn items(&mut self, close: char, depth: usize) -> Option<(Vec<Value>, bool)> {
        let mut items = Vec::new();
        let mut comma = true;
        while !self.eat(close) {
            items.push(self.value(depth + 1)?);
            if !self.eat(',') {
                comma = items.len() > 1;
                return self.eat(close).then_some((items, comma));
            }
        }
        Some((items, comma))
    }

    fn string(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.rest = self.rest.get(at + 1..)?;
                return Some(text);
            }
            if c != '\\' {
                text.push(c);
                continue;
            }
            let digits = match chars.next()?.1 {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                other => {
                    text.push(match other {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        _ => other,
                    });
                    continue;
                }
            };
            let mut code = 0u32;
            for _ in 0..digits {
                code = code.checked_mul(16)? | chars.next()?.1.to_digit(16)?;
            }
            text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_dictionary() {
        let value = parse(
            "{'descr': [('a', '<f4', (2,)), ('b', u'|S3')], 'fortran_order': False, 'shape': (3L, ), }  \n",
        );
        let value = value.expect("a literal");
        assert_eq!(value.get("fortran_order"), Some(&Value::Bool(false)));
        assert_eq!(value.get("shape"), Some(&Value::List(vec![Value::Int(3)])));
        let Some(Value::List(fields)) = value.get("descr") else { panic!("{value:?}") };
        assert_eq!(fields[1], Value::List(vec![Value::Text("b".into()), Value::Text("|S3".into())]));
    }

    #[test]
    fn brackets_alone_are_no_tuple() {
        assert_eq!(parse("(3)"), Some(Value::Int(3)));
        assert_eq!(parse("()"), Some(Value::List(Vec::new())));
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(parse(r"'a\'\x41\u00e9\\'"), Some(Value::Text("a'Aé\\".into())));
    }

    #[test]
    fn calls_names_and_endless_nesting_are_refused() {
        for text in ["__import__('os')", "{'a': b}", "[1, 2", "'open", "", "1 2", &"[".repeat(100_000)] {
            assert_eq!(parse(text), None, "{text:.20}");
        }
    }
}
