//! Finds renaming rules by what they would pair: wrappers that are known, and prefixes that the names themselves show.

use std::collections::HashMap;

use super::{AppliedRule, MatchedBy, Pairing, Rule, frameworks};
use crate::model::{Checkpoint, RenameRule, Shape, TensorInfo};

/// Names that wrappers put among the parts of a name: `DataParallel` and `DistributedDataParallel`, `torch.compile`, FSDP,
/// activation checkpointing, and the averaged copy of `torch.optim.swa_utils`.
pub(in crate::analysis) const WRAPPERS: [&str; 4] =
    ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Rules that may follow each other: `module._orig_mod.model.…` needs three.
const RULES: usize = 8;

/// Leading parts of a name that a prefix may take away.
const PREFIX_PARTS: usize = 8;

/// Tensors of one name ending that are looked at; an ending shared by more says nothing.
const SHARED_ENDINGS: usize = 4;

/// Tensors that are looked at to find a prefix; a rule shows in fewer.
const SAMPLE: usize = 20_000;

/// Takes known wrappers away, on whichever side has them.
pub(super) fn wrappers(pairing: &mut Pairing, left: &Checkpoint, right: &Checkpoint) {
    let rules: Vec<RenameRule> =
        WRAPPERS.iter().filter_map(|name| RenameRule::drop_segment(name).ok()).collect();
    for rule in rules {
        let renamed = |tensor: &TensorInfo| {
            let name = rule.apply(&tensor.name);
            (name != tensor.name).then(|| name.into_owned())
        };
        let plain = |tensor: &TensorInfo| Some(tensor.name.clone());
        let matched = pairing.by_key(left, right, MatchedBy::FoundRule, renamed, plain)
            + pairing.by_key(left, right, MatchedBy::FoundRule, plain, renamed);
        if matched > 0 {
            pairing.rules.push(AppliedRule { rule: Rule::Rename(rule), found: true, matched });
        }
    }
}

/// Replaces prefixes that would pair at least half of what is left on one side; `only_add_or_strip`: where one side's
/// prefix is empty.
pub(super) fn prefixes(
    pairing: &mut Pairing,
    left: &Checkpoint,
    right: &Checkpoint,
    only_add_or_strip: bool,
) {
    for _ in 0..RULES {
        let Some((prefixes, support)) = of_unpaired(pairing, left, right) else { return };
        if only_add_or_strip && !prefixes.0.is_empty() && !prefixes.1.is_empty() {
            return;
        }
        let fewer = pairing.only_left.len().min(pairing.only_right.len()).min(SAMPLE);
        // One layer's weight and bias may be of another layer that looks the same; that is for the content to say.
        if support < 4 || support * 2 < fewer || !apply(pairing, left, right, &prefixes, false) {
            return;
        }
    }
}

/// Pairs layers under another name: at least two tensors of the same shapes and parameter names.
pub(super) fn renamed_layers(pairing: &mut Pairing, left: &Checkpoint, right: &Checkpoint) {
    for _ in 0..RULES {
        let Some((prefixes, support)) = of_unpaired(pairing, left, right) else { return };
        if support < 2 || !apply(pairing, left, right, &prefixes, true) {
            return;
        }
    }
}

/// A prefix of left names and the prefix of right names that stands for it.
pub(in crate::analysis) type Prefixes = (String, String);

/// Pairs what the prefixes say, and notes the rule. False when that was nothing.
fn apply(
    pairing: &mut Pairing,
    left: &Checkpoint,
    right: &Checkpoint,
    (from, to): &Prefixes,
    same_shape: bool,
) -> bool {
    let Ok(rule) = RenameRule::replace_prefix(from, to) else { return false };
    let shape = |tensor: &TensorInfo| same_shape.then(|| frameworks::shape_with_outputs_first(tensor));
    let matched = pairing.by_key(
        left,
        right,
        MatchedBy::FoundRule,
        |tensor| tensor.name.strip_prefix(from.as_str()).map(|rest| (format!("{to}{rest}"), shape(tensor))),
        |tensor| Some((tensor.name.clone(), shape(tensor))),
    );
    if matched > 0 {
        pairing.rules.push(AppliedRule { rule: Rule::Rename(rule), found: true, matched });
    }
    matched > 0
}

/// What [`best_prefixes`] finds among the tensors without a partner.
fn of_unpaired(pairing: &Pairing, left: &Checkpoint, right: &Checkpoint) -> Option<(Prefixes, usize)> {
    let named = |tensor: &'_ TensorInfo| frameworks::shape_with_outputs_first(tensor);
    let left: Vec<_> = pairing.only_left.iter().map(|&id| left.tensor(id)).collect();
    let right: Vec<_> = pairing.only_right.iter().map(|&id| right.tensor(id)).collect();
    best_prefixes(
        left.iter().map(|tensor| (tensor.name.as_str(), named(tensor))),
        right.iter().map(|tensor| (tensor.name.as_str(), named(tensor))),
    )
}

/// The prefixes with the most pairs of equal endings and shapes, and how many these are.
pub(in crate::analysis) fn best_prefixes<'a>(
    left: impl Iterator<Item = (&'a str, Shape)>,
    right: impl Iterator<Item = (&'a str, Shape)>,
) -> Option<(Prefixes, usize)> {
    let mut endings: HashMap<(&str, Shape), Vec<&str>> = HashMap::new();
    for (name, shape) in right.take(SAMPLE) {
        for (prefix, ending) in splits(name) {
            let shared = endings.entry((ending, shape.clone())).or_default();
            if shared.len() <= SHARED_ENDINGS {
                shared.push(prefix);
            }
        }
    }
    let mut support: HashMap<(&str, &str), usize> = HashMap::new();
    for (name, shape) in left.take(SAMPLE) {
        // The longest ending first: the shorter ones only repeat what it says.
        let found =
            splits(name).find_map(|(prefix, ending)| Some((prefix, endings.get(&(ending, shape.clone()))?)));
        let Some((from, to)) = found.filter(|(_, to)| to.len() <= SHARED_ENDINGS) else { continue };
        for to in to.iter().filter(|to| !differ_in_digits_only(from, to)) {
            *support.entry((from, to)).or_default() += 1;
        }
    }
    support
        .into_iter()
        // Of equal support the shortest, then the first by name: the same on every run.
        .max_by_key(|&((from, to), count)| (count, std::cmp::Reverse((from.len() + to.len(), from, to))))
        .map(|((from, to), count)| ((from.to_owned(), to.to_owned()), count))
}

/// A name divided after none of its parts, after the first, after the second, ….
fn splits(name: &str) -> impl Iterator<Item = (&str, &str)> {
    let ends = name.match_indices(['.', '/']).map(|(at, _)| at + 1);
    std::iter::once(0)
        .chain(ends.take(PREFIX_PARTS))
        .map(|at| name.split_at(at))
        .filter(|(_, ending)| !ending.is_empty())
}

/// `layers.3.` and `layers.12.` are different layers, not different names.
fn differ_in_digits_only(a: &str, b: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    a.chars().chain(b.chars()).any(|c| c.is_ascii_digit()) && letters(a) == letters(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_divided_after_its_leading_parts() {
        assert_eq!(splits("a.b/c").collect::<Vec<_>>(), [("", "a.b/c"), ("a.", "b/c"), ("a.b/", "c")]);
        assert_eq!(splits(&"x.".repeat(1000)).count(), PREFIX_PARTS + 1);
    }

    #[test]
    fn numbered_layers_are_not_names_of_each_other() {
        assert!(differ_in_digits_only("layers.3.", "layers.12."));
        assert!(!differ_in_digits_only("fc.", "head."));
        assert!(!differ_in_digits_only("module.", ""));
    }
}
