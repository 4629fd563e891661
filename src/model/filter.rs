//! Patterns that select tensors by name, as typed on the command line and in the window's search box.

use regex::{Regex, RegexBuilder};

/// A parsed pattern. Plain text matches anywhere in the name, ignoring case; `*` and `?` make a glob over the
/// whole name (`*.bias`); `/…/` is a regular expression. The empty pattern matches everything.
#[derive(Debug, Clone, Default)]
pub struct NameFilter {
    kind: Kind,
}

#[derive(Debug, Clone, Default)]
enum Kind {
    #[default]
    Everything,
    /// In lower case.
    Substring(String),
    Regex(Regex),
}

/// Bytes that a compiled pattern may take; the default of the regex crate (10 MB) is more than a name needs.
const COMPILED_BYTES: usize = 1 << 20;

impl NameFilter {
    /// Reads a pattern. The error is one sentence about a malformed regular expression.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let pattern = pattern.trim();
        let kind = if pattern.is_empty() {
            Kind::Everything
        } else if let Some(inner) = pattern
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'))
            .filter(|inner| !inner.is_empty())
        {
            Kind::Regex(compile(inner)?)
        } else if pattern.contains(['*', '?']) {
            let mut expression = String::from("^(?s:");
            for c in pattern.chars() {
                match c {
                    '*' => expression.push_str(".*"),
                    '?' => expression.push('.'),
                    _ => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                }
            }
            expression.push_str(")$");
            Kind::Regex(compile(&expression)?)
        } else {
            Kind::Substring(pattern.to_lowercase())
        };
        Ok(Self { kind })
    }

    /// Whether a name is selected.
    pub fn matches(&self, name: &str) -> bool {
        match &self.kind {
            Kind::Everything => true,
            Kind::Substring(wanted) if name.is_ascii() && wanted.is_ascii() => {
                contains_ignoring_case(name.as_bytes(), wanted.as_bytes())
            }
            Kind::Substring(wanted) => name.to_lowercase().contains(wanted.as_str()),
            Kind::Regex(regex) => regex.is_match(name),
        }
    }

    /// Whether every name is selected.
    pub fn is_everything(&self) -> bool {
        matches!(self.kind, Kind::Everything)
    }
}

fn compile(expression: &str) -> Result<Regex, String> {
    RegexBuilder::new(expression).case_insensitive(true).size_limit(COMPILED_BYTES).build().map_err(|error| {
        // The crate draws the pattern with a caret over several lines; the last one says what is wrong.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("not a regular expression: {reason}")
    })
}

/// `wanted` is in lower case. Allocates nothing: a search box filters 100,000 names per keystroke.
fn contains_ignoring_case(name: &[u8], wanted: &[u8]) -> bool {
    name.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        NameFilter::parse(pattern).expect("a valid pattern").matches(name)
    }

    #[test]
    fn plain_text_matches_anywhere_and_ignores_case() {
        assert!(matches("Conv", "features.conv1.weight"));
        assert!(matches("Ü", "schicht.über"));
        assert!(!matches("conv2", "features.conv1.weight"));
        assert!(matches("", "anything"));
        assert!(!matches("a.c", "abc"));
    }

    #[test]
    fn a_star_makes_a_glob_over_the_whole_name() {
        assert!(matches("*.bias", "fc.bias"));
        assert!(!matches("*.bias", "fc.bias_hh"));
        assert!(matches("layers.?.w", "layers.3.w"));
        assert!(!matches("(*", "x"));
    }

    #[test]
    fn slashes_make_a_regular_expression() {
        assert!(matches("/layers\\.[0-3]\\./", "layers.2.weight"));
        assert!(!matches("/^weight/", "layers.2.weight"));
        assert!(NameFilter::parse("/(/").is_err_and(|error| error.starts_with("not a regular expression: ")));
    }
}
