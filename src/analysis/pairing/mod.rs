//! Which tensor of the left is which of the right: by name, by rule, by content, and as a last resort by shape.
//!
//! Works on the two catalogues alone. Content must be read, so whoever can read brings what it found to
//! [`Pairing::add_by_content`], between the rules and the guess.

pub(super) mod detect;
mod frameworks;
mod guess;

use std::collections::{HashMap, HashSet, VecDeque};

use crate::model::{Checkpoint, RenameRule, Shape, TensorId, TensorInfo};

/// Why two tensors were taken for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchedBy {
    /// They have the same name.
    Name,
    /// A rule that the user gave turns one name into the other.
    GivenRule,
    /// A rule that was found turns one name into the other.
    FoundRule,
    /// They hold the same bytes.
    Content,
    /// They have the same shape and place in the order: a guess.
    Shape,
}

impl MatchedBy {
    /// The word used in JSON: both kinds of rule are `rule`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::GivenRule | Self::FoundRule => "rule",
            Self::Content => "content",
            Self::Shape => "shape",
        }
    }
}

/// Two tensors taken for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// On the left.
    pub left: TensorId,
    /// On the right.
    pub right: TensorId,
    /// Why.
    pub by: MatchedBy,
    /// Where the two lay out their axes differently: for each axis of the right, the axis of the left that it is.
    pub axes: Option<Box<[usize]>>,
}

impl Pair {
    fn new(left: TensorId, right: TensorId, by: MatchedBy) -> Self {
        Self { left, right, by, axes: None }
    }

    /// The left shape with its axes in the order of the right.
    pub fn shape_as_right(&self, left: &Shape) -> Shape {
        match &self.axes {
            Some(axes) if axes.len() == left.rank() => permuted(left, axes),
            _ => left.clone(),
        }
    }
}

/// A shape with its axes in another order.
fn permuted(shape: &Shape, axes: &[usize]) -> Shape {
    Shape::from(axes.iter().filter_map(|&axis| shape.dims().get(axis).copied()).collect::<Vec<_>>())
}

/// A rule and what it did.
#[derive(Debug, Clone, PartialEq)]
pub struct AppliedRule {
    /// What it says.
    pub rule: Rule,
    /// Whether it was found, not given.
    pub found: bool,
    /// Tensors that it paired.
    pub matched: usize,
}

/// Ways to turn names of one side into names of the other.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Renames the left tensors (given rules: those of either side).
    Rename(RenameRule),
    /// The layers that the files name, and what the frameworks call the same parameter (`kernel` and `weight`), the axes of
    /// kernels turned round where they differ.
    Layers,
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rename(rule) => rule.fmt(f),
            Self::Layers => f.pad("layer names, with each framework's names for the parameters"),
        }
    }
}

/// Which tensor is which.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pairing {
    /// In the order of the left catalogue.
    pub pairs: Vec<Pair>,
    /// Left tensors without a partner, in file order.
    pub only_left: Vec<TensorId>,
    /// Right tensors without a partner, in file order.
    pub only_right: Vec<TensorId>,
    /// The rules that paired something, and all given ones.
    pub rules: Vec<AppliedRule>,
}

/// Where a variable stands in the files that Keras writes since 2.12, `.weights.h5` and the weights of `.keras`: loading goes by
/// this path, not by names. Source: `_load_state` in `keras/src/saving/saving_lib.py`.
pub(super) fn keras_place(tensor: &TensorInfo) -> Option<&str> {
    tensor.stored_name.as_deref().filter(|path| path.starts_with('/') && path.contains("/vars/"))
}

/// How to pair.
#[derive(Debug, Clone, Default)]
pub struct PairingOptions {
    /// Rules of the user, applied in this order to the names of either side.
    pub rules: Vec<RenameRule>,
    /// Pairs whose left or right name matches are compared with the axes turned round as kernels of Keras and PyTorch are,
    /// whatever they are called.
    pub transpose: Option<crate::model::NameFilter>,
}

impl Pairing {
    /// By name, then by the given rules, then by rules that are found.
    pub fn of(left: &Checkpoint, right: &Checkpoint, options: &PairingOptions) -> Self {
        let mut pairing = Self {
            only_left: left.tensors().map(|(id, _)| id).collect(),
            only_right: right.tensors().map(|(id, _)| id).collect(),
            ..Self::default()
        };
        pairing.by_given_rules(left, right, &options.rules);
        pairing.by_key(
            left,
            right,
            MatchedBy::Name,
            |tensor| Some(tensor.name.clone()),
            |tensor| Some(tensor.name.clone()),
        );
        // A weights file without a configuration knows layers by class only; their places in the file are the same.
        pairing.by_key(left, right, MatchedBy::Name, keras_place, keras_place);
        // What a shorter name explains comes before what needs another vocabulary.
        detect::wrappers(&mut pairing, left, right);
        detect::prefixes(&mut pairing, left, right, true);
        frameworks::by_layer(&mut pairing, left, right);
        detect::prefixes(&mut pairing, left, right, false);
        pairing.turn(left, right, options);
        pairing.sort();
        pairing
    }

    /// Tensors without a partner that hold the same bytes; each may stand in one pair only.
    pub fn add_by_content(&mut self, same: &[(TensorId, TensorId)]) {
        let mut open_left: HashSet<TensorId> = self.only_left.iter().copied().collect();
        let mut open_right: HashSet<TensorId> = self.only_right.iter().copied().collect();
        for &(left, right) in same {
            if open_left.contains(&left) && open_right.remove(&right) {
                open_left.remove(&left);
                self.pairs.push(Pair::new(left, right, MatchedBy::Content));
            }
        }
        self.remove_paired();
        self.sort();
    }

    /// Pairs what is left by renamed layers, and at last by shape and order.
    pub fn add_guesses(&mut self, left: &Checkpoint, right: &Checkpoint, options: &PairingOptions) {
        detect::renamed_layers(self, left, right);
        guess::by_shape(self, left, right);
        self.turn(left, right, options);
        self.sort();
    }

    fn by_given_rules(&mut self, left: &Checkpoint, right: &Checkpoint, rules: &[RenameRule]) {
        if rules.is_empty() {
            return;
        }
        let renamed = |tensor: &TensorInfo| {
            let name = RenameRule::apply_all(rules, &tensor.name);
            (name != tensor.name).then(|| name.into_owned())
        };
        let plain = |tensor: &TensorInfo| Some(tensor.name.clone());
        self.by_key(left, right, MatchedBy::GivenRule, renamed, plain);
        self.by_key(left, right, MatchedBy::GivenRule, plain, renamed);
        self.by_key(left, right, MatchedBy::GivenRule, renamed, renamed);
        for rule in rules {
            let applies = |tensor: &TensorInfo| rule.apply(&tensor.name) != tensor.name;
            let paired = |pair: &&Pair| applies(left.tensor(pair.left)) || applies(right.tensor(pair.right));
            let matched = self.pairs.iter().filter(paired).count();
            self.rules.push(AppliedRule { rule: Rule::Rename(rule.clone()), found: false, matched });
        }
    }

    /// Pairs tensors without a partner whose keys are equal, the first with the first; returns how many.
    fn by_key<'a, K: Eq + std::hash::Hash>(
        &mut self,
        left: &'a Checkpoint,
        right: &'a Checkpoint,
        by: MatchedBy,
        left_key: impl Fn(&'a TensorInfo) -> Option<K>,
        right_key: impl Fn(&'a TensorInfo) -> Option<K>,
    ) -> usize {
        let mut keys: HashMap<K, VecDeque<TensorId>> = HashMap::new();
        for &id in &self.only_right {
            if let Some(key) = right_key(right.tensor(id)) {
                keys.entry(key).or_default().push_back(id);
            }
        }
        let before = self.pairs.len();
        for &id in &self.only_left {
            let partner = left_key(left.tensor(id)).and_then(|key| keys.get_mut(&key)?.pop_front());
            if let Some(partner) = partner {
                self.pairs.push(Pair::new(id, partner, by));
            }
        }
        self.remove_paired();
        self.pairs.len() - before
    }

    /// Takes the tensors that have a partner out of the lists of those without.
    fn remove_paired(&mut self) {
        let paired: HashSet<TensorId> = self.pairs.iter().map(|pair| pair.left).collect();
        self.only_left.retain(|id| !paired.contains(id));
        let paired: HashSet<TensorId> = self.pairs.iter().map(|pair| pair.right).collect();
        self.only_right.retain(|id| !paired.contains(id));
    }

    /// Says how the axes of kernels lie to each other: where the frameworks differ, and where the user says so.
    fn turn(&mut self, left: &Checkpoint, right: &Checkpoint, options: &PairingOptions) {
        for pair in &mut self.pairs {
            let (a, b) = (left.tensor(pair.left), right.tensor(pair.right));
            pair.axes = frameworks::axes(a, b);
            let asked = |filter: &crate::model::NameFilter| {
                !filter.is_everything() && (filter.matches(&a.name) || filter.matches(&b.name))
            };
            if pair.axes.is_none() && options.transpose.as_ref().is_some_and(asked) {
                pair.axes = frameworks::turned_either_way(&a.shape, &b.shape);
            }
        }
    }

    fn sort(&mut self) {
        self.pairs.sort_by_key(|pair| pair.left);
    }
}
