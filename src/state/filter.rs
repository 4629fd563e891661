//! Which names pass what was typed: text inside the name, `*` and `?` patterns, `/regex/`.

use regex::{Regex, RegexBuilder};

/// A compiled name filter; upper and lower case are the same to it.
#[derive(Debug, Clone)]
pub struct NameFilter(Regex);

impl NameFilter {
    /// Compiles what was typed.
    pub fn parse(text: &str) -> Result<Self, regex::Error> {
        let text = text.trim();
        let pattern = match text.strip_prefix('/') {
            Some(rest) => rest.strip_suffix('/').unwrap_or(rest).to_owned(),
            None if text.contains(['*', '?']) => {
                let body = regex::escape(text).replace(r"\*", ".*").replace(r"\?", ".");
                format!("^{body}$")
            }
            None => regex::escape(text),
        };
        RegexBuilder::new(&pattern).case_insensitive(true).size_limit(1 << 20).build().map(Self)
    }

    /// Whether a name passes.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}
