//! Would a checkpoint load into the model that another file was saved from, and which renaming would make it load.
//!
//! Works on the two catalogues; no values are read. What counts is what the framework itself would say:
//! `Module.load_state_dict(strict=True)` of PyTorch, or `Model.load_weights` of Keras.

mod state_dict;

use std::collections::{HashMap, HashSet};

use super::pairing::detect::{WRAPPERS, best_prefixes};
use crate::model::{Checkpoint, RenameRule, TensorId};
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
}

impl Compatibility {
    /// Compares the catalogues.
    pub fn of(checkpoint: &Checkpoint, model: &Checkpoint) -> Self {
        let is_keras = model.format().starts_with("keras");
        let loader = if is_keras { Loader::KerasWeights } else { Loader::StateDict };
        let pickled = checkpoint.format().starts_with("pytorch");
        let from = StateDict::candidates(checkpoint);
        let into = StateDict::candidates(model);
        let mut best: Option<(LoadReport, &StateDict, &StateDict)> = None;
        // The first of equal ones: candidates come with the most tensors first.
        for target in &into {
            for source in &from {
                let report = load(checkpoint, source, model, target, loader, pickled, &[]);
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
            let report = load(checkpoint, source, model, target, loader, pickled, &[]);
            let (checkpoint_prefix, model_prefix) = (source.prefix.clone(), target.prefix.clone());
            return Self { loader, checkpoint_prefix, model_prefix, report, fix: None };
        };
        let judge = |rules: &[RenameRule]| load(checkpoint, source, model, target, loader, pickled, rules);
        let fix =
            if report.loads() { None } else { find_fix(checkpoint, source, model, target, &report, judge) };
        Self {
            loader,
            checkpoint_prefix: source.prefix.clone(),
            model_prefix: target.prefix.clone(),
            report,
            fix,
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
    pickled: bool,
    rules: &[RenameRule],
) -> LoadReport {
    let mut report = LoadReport::default();
    let mut offered: HashMap<String, TensorId> = HashMap::with_capacity(source.ids.len());
    let mut modules: HashSet<String> = HashSet::new();
    for &id in &source.ids {
        let key = RenameRule::apply_all(rules, source.key(checkpoint, id)).into_owned();
        modules.insert(key[..key.rfind('.').map_or(0, |at| at + 1)].to_owned());
        offered.insert(key, id);
    }
    let mut missing = Vec::new();
    for &wanted in &target.ids {
        report.elements = report.elements.saturating_add(model.tensor(wanted).elements());
        match offered.remove(target.key(model, wanted)) {
            Some(found) => add_pair(&mut report, checkpoint, found, model, wanted),
            None => missing.push(wanted),
        }
    }
    let pairs = report.matched.iter().chain(&report.shape_mismatches);
    let taken: HashSet<TensorId> = pairs.map(|(found, _)| *found).collect();
    let mut unexpected: Vec<TensorId> = source.ids.iter().copied().filter(|id| !taken.contains(id)).collect();
    if loader == Loader::KerasWeights {
        state_dict::by_position(checkpoint, &mut unexpected, model, &mut missing, |found, wanted| {
            report.by_position += 1;
            add_pair(&mut report, checkpoint, found, model, wanted);
        });
    }
    // Batch norm counts from zero where the dictionary has no version of at least 2 for it. Pickles carry versions for the
    // modules that were saved: https://github.com/pytorch/pytorch/blob/v2.8.0/torch/nn/modules/batchnorm.py#L117-L138
    let by_default = |id: &TensorId| {
        let module = target.key(model, *id).strip_suffix("num_batches_tracked");
        loader == Loader::StateDict && module.is_some_and(|module| !pickled || !modules.contains(module))
    };
    (report.filled_by_default, report.missing) = missing.into_iter().partition(by_default);
    report.unexpected = unexpected;
    report
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
