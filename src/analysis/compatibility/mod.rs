//! Would a checkpoint load into the model that another file was saved from, and which renaming would make it load.
//!
//! Works on the two catalogues; no values are read. What counts is what the framework itself would say:
//! `Module.load_state_dict(strict=True)` of PyTorch, or `Model.load_weights` of Keras.

mod configuration;
mod state_dict;

use std::collections::{HashMap, HashSet};

use super::pairing::detect::{WRAPPERS, best_prefixes};
use super::pairing::keras_place;
use crate::model::{Checkpoint, RenameRule, TensorId};
pub use configuration::ConfigurationReport;
use state_dict::StateDict;

/// Whose rules decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Loader {
    /// `Module.load_state_dict(strict=True)`.
    #[serde(rename = "load_state_dict")]
    StateDict,
    /// `Model.load_weights`.
    #[serde(rename = "load_weights")]
    KerasWeights,
}

impl Loader {
    /// The call, for people.
    pub fn call(self) -> &'static str {
        match self {
            Self::StateDict => "load_state_dict(strict=True)",
            Self::KerasWeights => "load_weights",
        }
    }
}

/// What a load would find. Pairs are (of the checkpoint, of the model).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadReport {
    /// Same name and shape.
    pub matched: Vec<(TensorId, TensorId)>,
    /// Tensors of the model that the checkpoint lacks.
    pub missing: Vec<TensorId>,
    /// Tensors of the checkpoint that the model lacks.
    pub unexpected: Vec<TensorId>,
    /// Same name, other shape.
    pub shape_mismatches: Vec<(TensorId, TensorId)>,
    /// Matched, but of another dtype: loaded all the same, converted to the model's.
    pub dtype_mismatches: Vec<(TensorId, TensorId)>,
    /// Tensors of the model that the checkpoint lacks and the framework fills by itself.
    pub filled_by_default: Vec<TensorId>,
    /// Matched by the order of layers, for Keras does not look at their names.
    pub by_position: usize,
    /// Elements of the model that would be filled.
    pub elements_filled: u64,
    /// Elements of the model.
    pub elements: u64,
}

impl LoadReport {
    /// Whether the load would succeed.
    pub fn loads(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.shape_mismatches.is_empty()
    }

    /// How much of the model would be filled, from 0 to 1.
    pub fn share(&self) -> f64 {
        if self.elements == 0 { 0.0 } else { self.elements_filled as f64 / self.elements as f64 }
    }
}

/// Renaming that would make the checkpoint fit better.
#[derive(Debug, Clone, PartialEq)]
pub struct Fix {
    /// Rules for the names within the state dictionary, in order.
    pub rules: Vec<RenameRule>,
    /// What a load would find then.
    pub report: LoadReport,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Compatibility {
    /// Whose rules decide.
    pub loader: Loader,
    /// What comes before the names of the checkpoint's state dictionary: `model_state_dict.`, or nothing.
    pub checkpoint_prefix: String,
    /// What comes before the names of the model's.
    pub model_prefix: String,
    /// What a load would find.
    pub report: LoadReport,
    /// Present where renaming would fill more of the model.
    pub fix: Option<Fix>,
    /// In place of `report` where the model is a configuration without tensors.
    pub configuration: Option<ConfigurationReport>,
}

impl Compatibility {
    /// Whether the load would succeed.
    pub fn loads(&self) -> bool {
        self.configuration.as_ref().map_or_else(|| self.report.loads(), ConfigurationReport::loads)
    }

    /// Compares the catalogues.
    pub fn of(checkpoint: &Checkpoint, model: &Checkpoint) -> Self {
        let is_keras = model.format().starts_with("keras");
        let loader = if is_keras { Loader::KerasWeights } else { Loader::StateDict };
        let from = StateDict::candidates(checkpoint);
        let into = StateDict::candidates(model);
        let mut best: Option<(LoadReport, &StateDict, &StateDict)> = None;
        // The first of equal ones: candidates come with the most tensors first.
        for target in &into {
            for source in &from {
                let report = load(checkpoint, source, model, target, loader, &[]);
                let score = |report: &LoadReport| (report.matched.len(), report.shape_mismatches.len());
                if best.as_ref().is_none_or(|(found, ..)| score(&report) > score(found)) {
                    best = Some((report, source, target));
                }
            }
        }
        let Some((report, source, target)) = best else {
            // A side without tensors: everything of the other is missing or unexpected.
            let empty = StateDict::default();
            let (source, target) = (from.first().unwrap_or(&empty), into.first().unwrap_or(&empty));
            let report = load(checkpoint, source, model, target, loader, &[]);
            let (checkpoint_prefix, model_prefix) = (source.prefix.clone(), target.prefix.clone());
            let configuration = ConfigurationReport::of(checkpoint, model);
            return Self { loader, checkpoint_prefix, model_prefix, report, fix: None, configuration };
        };
        let judge = |rules: &[RenameRule]| load(checkpoint, source, model, target, loader, rules);
        let fix =
            if report.loads() { None } else { find_fix(checkpoint, source, model, target, &report, judge) };
        Self {
            loader,
            checkpoint_prefix: source.prefix.clone(),
            model_prefix: target.prefix.clone(),
            report,
            fix,
            configuration: None,
        }
    }

    /// The rules that turn the checkpoint's full names into the model's: for an export of the renamed checkpoint. Empty where
    /// nothing needs renaming.
    pub fn export_rules(&self) -> Vec<RenameRule> {
        let strip = (!self.checkpoint_prefix.is_empty())
            .then(|| RenameRule::replace_prefix(&self.checkpoint_prefix, "").ok())
            .flatten();
        strip.into_iter().chain(self.fix.iter().flat_map(|fix| fix.rules.clone())).collect()
    }
}

/// Rules that may follow each other.
const RULES: usize = 8;

/// Adds the rule that fits most, as long as one fits more than before.
fn find_fix(
    checkpoint: &Checkpoint,
    source: &StateDict,
    model: &Checkpoint,
    target: &StateDict,
    report: &LoadReport,
    judge: impl Fn(&[RenameRule]) -> LoadReport,
) -> Option<Fix> {
    let fits = |report: &LoadReport| report.matched.len() + report.shape_mismatches.len();
    let mut fix = Fix { rules: Vec::new(), report: report.clone() };
    for _ in 0..RULES {
        let key = |id: &TensorId| RenameRule::apply_all(&fix.rules, source.key(checkpoint, *id)).into_owned();
        let unexpected: Vec<_> =
            fix.report.unexpected.iter().map(|id| (key(id), checkpoint.tensor(*id).shape.clone())).collect();
        let missing =
            fix.report.missing.iter().map(|&id| (target.key(model, id), model.tensor(id).shape.clone()));
        let learnt =
            best_prefixes(unexpected.iter().map(|(name, shape)| (name.as_str(), shape.clone())), missing)
                .and_then(|((from, to), _)| RenameRule::replace_prefix(&from, &to).ok());
        let wrappers = WRAPPERS.iter().filter_map(|name| RenameRule::drop_segment(name).ok());
        let best = wrappers
            .chain(learnt)
            .map(|rule| {
                let rules: Vec<RenameRule> = fix.rules.iter().cloned().chain([rule]).collect();
                Fix { report: judge(&rules), rules }
            })
            // Of equal ones the first: a known wrapper explains more than a prefix.
            .reduce(|best, fix| if fits(&fix.report) > fits(&best.report) { fix } else { best });
        match best.filter(|better| fits(&better.report) > fits(&fix.report)) {
            Some(better) => fix = better,
            None => break,
        }
    }
    (!fix.rules.is_empty()).then_some(fix)
}

/// What a load of `source`, renamed by `rules`, into `target` would find.
fn load(
    checkpoint: &Checkpoint,
    source: &StateDict,
    model: &Checkpoint,
    target: &StateDict,
    loader: Loader,
    rules: &[RenameRule],
) -> LoadReport {
    let mut report = LoadReport::default();
    let by_place =
        loader == Loader::KerasWeights && source.has_places(checkpoint) && target.has_places(model);
    let key_of = |dictionary: &StateDict, checkpoint: &Checkpoint, id: TensorId| match keras_place(
        checkpoint.tensor(id),
    ) {
        Some(place) if by_place => place.to_owned(),
        _ => dictionary.key(checkpoint, id).to_owned(),
    };
    let mut offered: HashMap<String, TensorId> = HashMap::with_capacity(source.ids.len());
    for &id in &source.ids {
        offered.insert(RenameRule::apply_all(rules, &key_of(source, checkpoint, id)).into_owned(), id);
    }
    let mut missing = Vec::new();
    for &wanted in &target.ids {
        report.elements = report.elements.saturating_add(model.tensor(wanted).elements());
        match offered.remove(&key_of(target, model, wanted)) {
            Some(found) => add_pair(&mut report, checkpoint, found, model, wanted),
            None => missing.push(wanted),
        }
    }
    let pairs = report.matched.iter().chain(&report.shape_mismatches);
    let taken: HashSet<TensorId> = pairs.map(|(found, _)| *found).collect();
    let mut unexpected: Vec<TensorId> = source.ids.iter().copied().filter(|id| !taken.contains(id)).collect();
    if loader == Loader::KerasWeights && !by_place {
        state_dict::by_position(checkpoint, &mut unexpected, model, &mut missing, |found, wanted| {
            report.by_position += 1;
            add_pair(&mut report, checkpoint, found, model, wanted);
        });
    }
    let counted = batch_counters(checkpoint, source, rules);
    let by_default = |id: &TensorId| {
        let key = target.key(model, *id);
        loader == Loader::StateDict && key.ends_with(COUNTER) && !counted.contains(key)
    };
    (report.filled_by_default, report.missing) = missing.into_iter().partition(by_default);
    report.unexpected = unexpected;
    report
}

/// What batch norm counts its batches in, from version 2 on. A dictionary that has no such version for the module loads
/// without it: <https://github.com/pytorch/pytorch/blob/v2.8.0/torch/nn/modules/batchnorm.py#L117-L138>.
const COUNTER: &str = "num_batches_tracked";

/// The counters that a checkpoint must have: those of modules of which it has a version, and of the modules of a whole model.
fn batch_counters(checkpoint: &Checkpoint, source: &StateDict, rules: &[RenameRule]) -> HashSet<String> {
    let renamed = |module: &str| {
        let key = if module.is_empty() { COUNTER.to_owned() } else { format!("{module}.{COUNTER}") };
        RenameRule::apply_all(rules, &key).into_owned()
    };
    let whole = source.ids.iter().filter(|_| !checkpoint.layers().is_empty()).map(|&id| {
        let key = source.key(checkpoint, id);
        key.rsplit_once('.').map_or("", |(module, _)| module)
    });
    // The prefix ends in a dot; the dictionary itself is a module too.
    let within = |module: &'_ str| match module.strip_prefix(source.prefix.as_str()) {
        Some(inside) => Some(inside.to_owned()),
        None => (source.prefix.strip_suffix('.') == Some(module)).then(String::new),
    };
    let versioned = checkpoint.versioned_modules().iter().filter_map(|module| within(module));
    versioned.map(|module| renamed(&module)).chain(whole.map(renamed)).collect()
}

fn add_pair(
    report: &mut LoadReport,
    checkpoint: &Checkpoint,
    found: TensorId,
    model: &Checkpoint,
    wanted: TensorId,
) {
    let (a, b) = (checkpoint.tensor(found), model.tensor(wanted));
    // A tensor of one element is taken for a scalar, as files of torch 0.3 have it.
    let one_for_scalar = b.shape.rank() == 0 && a.shape.dims() == [1];
    if a.shape != b.shape && !one_for_scalar {
        report.shape_mismatches.push((found, wanted));
        return;
    }
    if a.dtype != b.dtype {
        report.dtype_mismatches.push((found, wanted));
    }
    report.matched.push((found, wanted));
    report.elements_filled = report.elements_filled.saturating_add(b.elements());
}
