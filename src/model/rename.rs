//! Rules that rename tensors, as typed on the command line and as found by comparing two checkpoints.

use std::borrow::Cow;
use std::fmt;

use regex::{Regex, RegexBuilder};

/// A rule that turns one name into another.
///
/// Two ways to write one: `s/REGEX/REPLACEMENT/` as in sed (any punctuation may stand for the slashes; groups are `\1` or
/// `$1`; the flags `g` and `i` replace all matches and ignore case), and `OLD=>NEW`, which replaces the beginning of the
/// name (`module.=>` takes a prefix away, `=>model.` adds one).
#[derive(Debug, Clone)]
pub struct RenameRule {
    text: String,
    pattern: Regex,
    replacement: String,
    everywhere: bool,
}

/// Bytes that a compiled pattern may take; the default of the regex crate (10 MB) is more than a name needs.
const COMPILED_BYTES: usize = 1 << 20;

impl RenameRule {
    /// Reads a rule. The error is one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((old, new)) = text.split_once("=>") {
            return Self::replace_prefix(old.trim(), new.trim());
        }
        let usage = || {
            format!(
                "\"{text}\" is not a renaming rule; write s/REGEX/REPLACEMENT/ or OLD=>NEW for the beginning of a name"
            )
        };
        let rest = text.strip_prefix('s').ok_or_else(usage)?;
        let delimiter = rest.chars().next().filter(char::is_ascii_punctuation).ok_or_else(usage)?;
        if delimiter == '\\' {
            return Err(usage());
        }
        let mut parts = split_unescaped(&rest[1..], delimiter);
        let (Some(pattern), Some(replacement)) = (parts.next(), parts.next()) else { return Err(usage()) };
        let flags = parts.next().ok_or_else(usage)?;
        if parts.next().is_some() || flags.chars().any(|flag| !matches!(flag, 'g' | 'i')) {
            return Err(usage());
        }
        let pattern = RegexBuilder::new(&pattern)
            .case_insensitive(flags.contains('i'))
            .size_limit(COMPILED_BYTES)
            .build()
            .map_err(|error| {
                // The crate draws the pattern with a caret over several lines; the last one says what is wrong.
                let whole = error.to_string();
                let reason =
                    whole.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                format!("\"{text}\" is not a renaming rule: {reason}")
            })?;
        Ok(Self {
            text: text.to_owned(),
            pattern,
            replacement: braced_groups(&replacement),
            everywhere: flags.contains('g'),
        })
    }

    /// The rule that replaces `old` at the beginning of a name by `new`; either may be empty.
    pub fn replace_prefix(old: &str, new: &str) -> Result<Self, String> {
        let escaped = regex::escape(old).replace('/', "\\/");
        Self::parse(&format!(
            "s/^{escaped}/{}/",
            new.replace('\\', "").replace('/', "\\/").replace('$', "$$")
        ))
    }

    /// The rule that leaves out `segment` (without dots) wherever it stands among the dotted parts of a name.
    pub fn drop_segment(segment: &str) -> Result<Self, String> {
        Self::parse(&format!("s/(^|\\.){}\\./$1/g", regex::escape(segment).replace('/', "\\/")))
    }

    /// The name after the rule; the name itself where the rule does not match.
    pub fn apply<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.everywhere {
            self.pattern.replace_all(name, self.replacement.as_str())
        } else {
            self.pattern.replace(name, self.replacement.as_str())
        }
    }

    /// The name after all rules, in order.
    pub fn apply_all<'a>(rules: &[Self], name: &'a str) -> Cow<'a, str> {
        rules.iter().fold(Cow::Borrowed(name), |name, rule| match rule.apply(&name) {
            Cow::Borrowed(_) => name,
            Cow::Owned(renamed) => Cow::Owned(renamed),
        })
    }
}

impl fmt::Display for RenameRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl PartialEq for RenameRule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl std::str::FromStr for RenameRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

/// Splits at `delimiter`; one behind a backslash belongs to the part, without the backslash.
fn split_unescaped(text: &str, delimiter: char) -> impl Iterator<Item = String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c == delimiter {
            parts.push(String::new());
            continue;
        }
        let Some(part) = parts.last_mut() else { break };
        if c != '\\' {
            part.push(c);
            continue;
        }
        match characters.next() {
            Some(escaped) if escaped == delimiter => part.push(escaped),
            Some(escaped) => part.extend(['\\', escaped]),
            None => part.push('\\'),
        }
    }
    parts.into_iter()
}

/// Groups as the regex crate wants them: `\1` and `$1` become `${1}`, so that letters may follow.
fn braced_groups(replacement: &str) -> String {
    let mut out = String::with_capacity(replacement.len() + 8);
    let mut characters = replacement.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, characters.peek().copied()) {
            ('\\' | '$', Some(digit)) if digit.is_ascii_digit() => {
                characters.next();
                out.extend(["${", digit.encode_utf8(&mut [0; 4]), "}"]);
            }
            ('$', Some('$')) => {
                characters.next();
                out.push_str("$$");
            }
            ('\\', Some(escaped)) => {
                characters.next();
                out.push(escaped);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(rule: &str, name: &str) -> String {
        RenameRule::parse(rule).expect("a valid rule").apply(name).into_owned()
    }

    #[test]
    fn a_sed_like_rule_replaces_the_first_match_or_all() {
        assert_eq!(renamed("s/layer/block/", "layer.0.layer"), "block.0.layer");
        assert_eq!(renamed("s/layer/block/g", "layer.0.layer"), "block.0.block");
        assert_eq!(renamed("s|^a/(\\d+)|b.$1x|", "a/12/w"), "b.12x/w");
        assert_eq!(renamed("s/^(\\w+)\\.(\\w+)$/\\2.\\1/", "a.b"), "b.a");
        assert_eq!(renamed("s/a\\/b/c/i", "x.A/B"), "x.c");
    }

    #[test]
    fn an_arrow_replaces_the_beginning_of_a_name() {
        assert_eq!(renamed("module.=>", "module.fc.weight"), "fc.weight");
        assert_eq!(renamed("=>model.", "fc.weight"), "model.fc.weight");
        assert_eq!(renamed("a.b=>c", "xa.b"), "xa.b");
        assert_eq!(renamed("a/=>$b", "a/w"), "$bw");
    }

    #[test]
    fn a_dropped_segment_is_left_out_at_any_depth() {
        let rule = RenameRule::drop_segment("module").expect("a rule");
        assert_eq!(rule.apply("module.a.module.w"), "a.w");
        assert_eq!(rule.apply("submodule.w"), "submodule.w");
    }

    #[test]
    fn a_rule_is_written_so_that_it_reads_back() {
        let rule = RenameRule::replace_prefix("module.", "net/").expect("a rule");
        assert_eq!(rule.to_string(), "s/^module\\./net\\//");
        assert_eq!(renamed(&rule.to_string(), "module.w"), "net/w");
    }

    #[test]
    fn what_is_no_rule_is_refused_with_words() {
        for text in ["", "module.", "s/a/b", "s/a/b/x", "s/(/b/", "sab"] {
            assert!(
                RenameRule::parse(text).is_err_and(|error| error.contains("is not a renaming rule")),
                "{text}"
            );
        }
    }
}
