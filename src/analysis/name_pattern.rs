//! Numbers in file names: `weights.03-0.42.h5`, `epoch=4-val_loss=0.23.ckpt`, `checkpoint-500`.
//!
//! A [`NamePattern`] says which part of a name is which number. It is found by comparing names, shown, and may be edited:
//! names say what their numbers are at best by the words before them.

use crate::model::AxisKind;
use crate::model::metric::{axis_of, is_evaluation, is_metric, words};

/// A number in a name.
#[derive(Debug, Clone, PartialEq)]
pub struct NameNumber {
    /// What it is called, such as `val_loss`; [`NUMBER`] or [`VALUE`] where the name does not tell.
    pub label: String,
    /// The number.
    pub value: f64,
    /// Digits behind the point: the name holds a rounded value.
    pub decimals: usize,
}

/// Label of a whole number that the name does not describe.
pub const NUMBER: &str = "number";

/// Label of a number with a fraction that the name does not describe.
pub const VALUE: &str = "value";

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Number(String),
    /// `*`: anything.
    Any,
}

/// Which parts of a name are which numbers: `weights.{epoch}-{val_loss}.h5`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NamePattern {
    parts: Vec<Part>,
}

impl std::str::FromStr for NamePattern {
    type Err = String;

    /// From text with names in braces and `*` for anything.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            if c != '{' && c != '*' {
                literal.push(c);
                continue;
            }
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            if c == '*' {
                parts.push(Part::Any);
                continue;
            }
            let Some((label, after)) = rest.split_once('}') else {
                return Err("a { is not closed".to_owned());
            };
            // Keras writes `{epoch:02d}`: the format behind the colon is of no use here.
            let label = label.split(':').next().unwrap_or_default().trim();
            if label.is_empty() {
                return Err("{} needs a name between its braces".to_owned());
            }
            parts.push(Part::Number(label.to_owned()));
            rest = after;
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        if !parts.iter().any(|part| matches!(part, Part::Number(_))) {
            return Err("it has no {name} in it".to_owned());
        }
        Ok(Self { parts })
    }
}

impl std::fmt::Display for NamePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Number(label) => write!(f, "{{{label}}}")?,
                Part::Any => f.write_str("*")?,
            }
        }
        Ok(())
    }
}

impl NamePattern {
    /// The numbers of a name; `None` when it does not fit.
    pub fn numbers(&self, name: &str) -> Option<Vec<NameNumber>> {
        let mut found = Vec::new();
        let mut rest = name;
        let mut skips = false;
        for (index, part) in self.parts.iter().enumerate() {
            match part {
                Part::Any => skips = true,
                Part::Text(text) => {
                    let at = if skips {
                        rest.find(text.as_str())?
                    } else {
                        usize::from(!rest.starts_with(text.as_str()))
                    };
                    if !skips && at > 0 {
                        return None;
                    }
                    rest = rest.get(at + text.len()..)?;
                    skips = false;
                }
                Part::Number(label) => {
                    if skips {
                        rest = rest.get(rest.find(|c: char| c.is_ascii_digit())?..)?;
                        skips = false;
                    }
                    let next = match self.parts.get(index + 1) {
                        Some(Part::Text(text)) => text.as_str(),
                        _ => "",
                    };
                    // `model.10.3.pt` with the pattern `model.{epoch}.{step}.pt` has two whole numbers.
                    let may_stop = next.starts_with('.')
                        && (matches!(self.parts.get(index + 2), Some(Part::Number(_)))
                            || !rest.get(number_len(rest, true, true)?..)?.starts_with(next));
                    let len = number_len(rest, !may_stop, true)?;
                    found.push(name_number(label, rest.get(..len)?)?);
                    rest = rest.get(len..)?;
                }
            }
        }
        (rest.is_empty() || skips).then_some(found)
    }

    /// The labels of its numbers.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.parts
            .iter()
            .filter_map(|part| if let Part::Number(label) = part { Some(label.as_str()) } else { None })
    }

    /// The pattern of names that differ in their numbers only. Numbers that are the same in all of several names are text.
    /// `None` where no number is left.
    pub fn detect(names: &[&str]) -> Option<Self> {
        let first = pieces(names.first()?);
        let rows: Vec<Vec<Piece<'_>>> = names.iter().map(|name| pieces(name)).collect();
        if rows.iter().any(|row| row.len() != first.len()) {
            return None;
        }
        let mut parts: Vec<Part> = Vec::new();
        let mut before = String::new();
        let push_text = |parts: &mut Vec<Part>, text: &str| {
            if let Some(Part::Text(last)) = parts.last_mut() {
                last.push_str(text);
            } else if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
        };
        for (index, piece) in first.iter().enumerate() {
            match piece {
                Piece::Text(text) => {
                    before.push_str(text);
                    push_text(&mut parts, text);
                }
                Piece::Number(number) => {
                    let column = rows.iter().filter_map(|row| match row.get(index) {
                        Some(Piece::Number(number)) => Some(*number),
                        _ => None,
                    });
                    let column: Vec<&str> = column.collect();
                    let varies = column.iter().any(|other| other != number);
                    let label = label_of(&before, column.iter().any(|number| number.contains('.')));
                    // A single file: only numbers that the name itself explains.
                    let is_explained = label != NUMBER && label != VALUE;
                    if varies || (names.len() == 1 && is_explained) {
                        parts.push(Part::Number(label));
                    } else {
                        push_text(&mut parts, number);
                    }
                    before.clear();
                }
            }
        }
        // Two unexplained numbers need names of their own.
        for label in [NUMBER, VALUE] {
            let same = parts.iter_mut().filter(|part| matches!(part, Part::Number(other) if other == label));
            for (count, part) in same.enumerate().skip(1) {
                *part = Part::Number(format!("{label}_{}", count + 1));
            }
        }
        parts.iter().any(|part| matches!(part, Part::Number(_))).then_some(Self { parts })
    }
}

/// A name with each of its numbers as `#`: names that differ in numbers only have the same.
pub fn skeleton(name: &str) -> String {
    let pieces = pieces(name).into_iter();
    pieces.map(|piece| if let Piece::Text(text) = piece { text } else { "#" }).collect()
}

enum Piece<'a> {
    Text(&'a str),
    Number(&'a str),
}

/// Text and numbers of a name by turns. The ending (`.h5`, `.pt2`) is text.
fn pieces(name: &str) -> Vec<Piece<'_>> {
    let stem = match name.rfind('.') {
        Some(dot)
            if name
                .get(dot + 1..)
                .is_some_and(|ending| ending.starts_with(|c: char| c.is_ascii_alphabetic())) =>
        {
            dot
        }
        _ => name.len(),
    };
    let mut pieces = Vec::new();
    let (mut start, mut position) = (0, 0);
    while position < stem {
        let rest = name.get(position..stem).unwrap_or_default();
        let is_start = rest.starts_with(|c: char| c.is_ascii_digit())
            // A sign only where nothing but a sign can stand: `loss=-1.5`.
            || (rest.starts_with('-') && name.get(..position).is_some_and(|before| before.ends_with('=')));
        match number_len(rest, true, false).filter(|_| is_start) {
            Some(len) => {
                if start < position {
                    pieces.push(Piece::Text(name.get(start..position).unwrap_or_default()));
                }
                pieces.push(Piece::Number(name.get(position..position + len).unwrap_or_default()));
                position += len;
                start = position;
            }
            None => position += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    if start < name.len() {
        pieces.push(Piece::Text(name.get(start..).unwrap_or_default()));
    }
    pieces
}

/// Bytes of the number at the start of `text`, with what stands behind its point where that is wanted.
fn number_len(text: &str, with_fraction: bool, any_sign: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(bytes.first() == Some(&b'-') && (any_sign || bytes.len() > 1));
    let whole = digits(sign);
    if whole == 0 {
        return None;
    }
    let mut len = sign + whole;
    if bytes.get(len) == Some(&b'.') {
        let fraction = digits(len + 1);
        if fraction > 0 && with_fraction {
            len += 1 + fraction;
        }
    }
    if matches!(bytes.get(len), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(bytes.get(len + 1), Some(b'-' | b'+')));
        let exponent = digits(len + 1 + signed);
        // `3e4` is a number, `3epoch` is not.
        let ends = bytes.get(len + 1 + signed + exponent).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        if exponent > 0 && ends {
            len += 1 + signed + exponent;
        }
    }
    Some(len)
}

fn name_number(label: &str, text: &str) -> Option<NameNumber> {
    let value = text.parse().ok()?;
    let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    Some(NameNumber { label: label.to_owned(), value, decimals })
}

/// What the text before a number calls it.
fn label_of(before: &str, has_fraction: bool) -> String {
    let unknown = if has_fraction { VALUE } else { NUMBER };
    let word = before.trim_end_matches(|c: char| !c.is_alphanumeric());
    let start = word.rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != '/').map_or(0, |at| at + 1);
    let Some(run) = word.get(start..).filter(|run| !run.is_empty()) else { return unknown.to_owned() };
    let mut at = 0;
    let tokens = run.split(['_', '/']).map(|token| {
        at += token.len() + 1;
        (at - token.len() - 1, token)
    });
    let tokens: Vec<(usize, &str)> = tokens.filter(|(_, token)| !token.is_empty()).collect();
    let Some((_, last)) = tokens.last() else { return unknown.to_owned() };
    if !has_fraction {
        let whole = match last.to_ascii_lowercase().as_str() {
            "ep" | "eps" => Some(AxisKind::Epoch),
            "it" | "its" | "gs" => Some(AxisKind::Step),
            other => axis_of(other),
        };
        match whole {
            Some(AxisKind::Epoch) => return "epoch".to_owned(),
            Some(AxisKind::Step) => return "step".to_owned(),
            _ => {}
        }
    }
    let describes = |(_, token): &&(usize, &str)| {
        is_evaluation(token) || is_metric(token) || words(token).iter().any(|word| word == "train")
    };
    let from = tokens.iter().find(describes).and_then(|(from, _)| run.get(*from..));
    from.filter(|name| is_metric(name)).unwrap_or(unknown).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(names: &[&str]) -> Option<String> {
        NamePattern::detect(names).map(|pattern| pattern.to_string())
    }

    fn numbers(pattern: &str, name: &str) -> Option<Vec<(String, f64)>> {
        let found = pattern.parse::<NamePattern>().expect("a pattern").numbers(name)?;
        Some(found.into_iter().map(|number| (number.label, number.value)).collect())
    }

    #[test]
    fn words_before_numbers_name_them() {
        for (names, pattern) in [
            (&["weights.01-2.34.hdf5", "weights.02-2.30.hdf5"][..], Some("weights.{number}-{value}.hdf5")),
            (
                &["epoch=4-val_loss=0.23.ckpt", "epoch=5-val_loss=0.20.ckpt"],
                Some("epoch={epoch}-val_loss={val_loss}.ckpt"),
            ),
            (&["epoch=4-val_loss=0.23.ckpt"], Some("epoch={epoch}-val_loss={val_loss}.ckpt")),
            (&["ckpt_epoch_001.pth", "ckpt_epoch_010.pth"], Some("ckpt_epoch_{epoch}.pth")),
            (&["checkpoint-500", "checkpoint-1000"], Some("checkpoint-{number}")),
            (&["resnet18_ep1_acc0.5.pt", "resnet18_ep2_acc0.6.pt"], Some("resnet18_ep{epoch}_acc{acc}.pt")),
            (&["epoch=4-val/acc=0.5.ckpt"], Some("epoch={epoch}-val/acc={val/acc}.ckpt")),
            (&["model_3.pt2"], None),
            (&["a_1.pt", "b_x_1.pt"], None),
        ] {
            assert_eq!(detected(names).as_deref(), pattern, "{names:?}");
        }
    }

    #[test]
    fn a_detected_pattern_reads_the_names_it_came_from() {
        let names = ["epoch=4-val_loss=-0.25.ckpt", "epoch=12-val_loss=1.5.ckpt"];
        let pattern = NamePattern::detect(&names).expect("a pattern");
        let found = pattern.numbers(names[0]).expect("it fits");
        assert_eq!((found[0].value, found[1].value, found[1].decimals), (4.0, -0.25, 2));
        assert!(pattern.numbers(names[1]).is_some() && pattern.numbers("epoch=x.ckpt").is_none());
    }

    #[test]
    fn a_pattern_can_be_given() {
        let expected = Some(vec![("epoch".to_owned(), 3.0), ("val_loss".to_owned(), 0.42)]);
        assert_eq!(numbers("weights.{epoch:02d}-{val_loss:.2f}.h5", "weights.03-0.42.h5"), expected);
        assert_eq!(numbers("*.{epoch}-{val_loss}.*", "my.weights.03-0.42.h5"), None);
        assert_eq!(numbers("*s.{epoch}-{val_loss}.*", "my.weights.03-0.42.h5"), expected);
        assert_eq!(numbers("m.{epoch}.{step}.pt", "m.10.3.pt").map(|all| all.len()), Some(2));
        for wrong in ["weights", "{", "a{}b"] {
            assert!(wrong.parse::<NamePattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_that_differ_in_numbers_have_one_skeleton() {
        assert_eq!(skeleton("weights.01-2.34.hdf5"), skeleton("weights.12-0.4.hdf5"));
        assert_ne!(skeleton("G_1.pt"), skeleton("D_1.pt"));
    }
}
