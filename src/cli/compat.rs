//! `compat CHECKPOINT MODEL`: would one load into the model that the other was saved from; exit status 1 when not.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::{Exit, Failure, open};
use crate::analysis::compatibility::{Compatibility, LoadReport};
use crate::model::{Checkpoint, TensorId};
use crate::text;

/// Arguments of `compat`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// What is to be loaded: a file, a folder or a TensorFlow prefix
    checkpoint: PathBuf,
    /// A file saved from the model: its state dictionary, the whole model, or its Keras configuration
    model: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> Result<Exit, Failure> {
    let (checkpoint, model) = (open(&options.checkpoint)?, open(&options.model)?);
    let found = Compatibility::of(&checkpoint, &model);
    let answer = Answer { checkpoint: &checkpoint, model: &model, found: &found };
    if options.json {
        serde_json::to_writer(&mut *out, &answer.json()).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        answer.text(out)?;
    }
    Ok(if found.report.loads() { Exit::Done } else { Exit::Differs })
}

/// Names of one list that the text output shows; `--json` shows all.
const NAMES_SHOWN: usize = 20;

struct Answer<'a> {
    checkpoint: &'a Checkpoint,
    model: &'a Checkpoint,
    found: &'a Compatibility,
}

impl Answer<'_> {
    fn model_key(&self, id: TensorId) -> &str {
        let name = &self.model.tensor(id).name;
        name.strip_prefix(&self.found.model_prefix).unwrap_or(name)
    }

    fn checkpoint_key(&self, id: TensorId) -> &str {
        let name = &self.checkpoint.tensor(id).name;
        name.strip_prefix(&self.found.checkpoint_prefix).unwrap_or(name)
    }

    fn json(&self) -> serde_json::Value {
        let Compatibility { loader, report, fix, .. } = self.found;
        let prefix = |prefix: &str| (!prefix.is_empty()).then(|| prefix.trim_end_matches('.').to_owned());
        let shapes: Vec<_> = report
            .shape_mismatches
            .iter()
            .map(|&(a, b)| {
                let (from, into) =
                    (self.checkpoint.tensor(a).shape.dims(), self.model.tensor(b).shape.dims());
                json!({ "name": self.model_key(b), "checkpoint": from, "model": into })
            })
            .collect();
        let dtypes: Vec<_> = report
            .dtype_mismatches
            .iter()
            .map(|&(a, b)| {
                let (from, into) =
                    (self.checkpoint.tensor(a).dtype.name(), self.model.tensor(b).dtype.name());
                json!({ "name": self.model_key(b), "checkpoint": from, "model": into })
            })
            .collect();
        let model_keys = |ids: &[TensorId]| ids.iter().map(|&id| self.model_key(id)).collect::<Vec<_>>();
        let checkpoint_keys =
            |ids: &[TensorId]| ids.iter().map(|&id| self.checkpoint_key(id)).collect::<Vec<_>>();
        let fix = fix.as_ref().map(|fix| {
            let rules: Vec<String> = fix.rules.iter().map(ToString::to_string).collect();
            json!({ "rules": rules, "summary": summary(&fix.report) })
        });
        let export_rules: Vec<String> = self.found.export_rules().iter().map(ToString::to_string).collect();
        json!({
            "schema": 1,
            "checkpoint": self.checkpoint.path().to_string_lossy(),
            "model": self.model.path().to_string_lossy(),
            "loader": loader,
            "checkpoint_state": prefix(&self.found.checkpoint_prefix),
            "model_state": prefix(&self.found.model_prefix),
            "summary": summary(report),
            "missing": model_keys(&report.missing),
            "unexpected": checkpoint_keys(&report.unexpected),
            "shape_mismatches": shapes,
            "dtype_mismatches": dtypes,
            "filled_by_default": model_keys(&report.filled_by_default),
            "fix": fix,
            "export_rules": export_rules,
        })
    }

    fn text(&self, out: &mut impl Write) -> Result<(), Failure> {
        let Compatibility { loader, report, fix, .. } = self.found;
        let verdict = if report.loads() { "would load" } else { "would not load" };
        writeln!(out, "{}", text::escape(&self.checkpoint.path().to_string_lossy()))?;
        writeln!(out, "{verdict} into the model of {}", text::escape(&self.model.path().to_string_lossy()))?;
        writeln!(out, "with {}: {}", loader.call(), words(report))?;
        if !self.found.checkpoint_prefix.is_empty() {
            let key = text::escape(self.found.checkpoint_prefix.trim_end_matches('.'));
            writeln!(out, "The state dictionary of the checkpoint is its entry {key}.")?;
        }
        if report.by_position > 0 {
            let count = text::count(report.by_position as u64);
            writeln!(
                out,
                "{count} are matched by the order of the layers, as Keras does; their names differ."
            )?;
        }
        let model = |id: TensorId| format!("{}  {}", self.model_key(id), self.model.tensor(id).shape);
        let from =
            |id: TensorId| format!("{}  {}", self.checkpoint_key(id), self.checkpoint.tensor(id).shape);
        list(out, "Missing in the checkpoint", report.missing.iter().map(|&id| model(id)))?;
        list(out, "Unexpected in the checkpoint", report.unexpected.iter().map(|&id| from(id)))?;
        let shapes = report.shape_mismatches.iter().map(|&(a, b)| {
            let (a, b) = (&self.checkpoint.tensor(a).shape, (&self.model.tensor(b).shape, b));
            format!("{}  checkpoint {a}, model {}", self.model_key(b.1), b.0)
        });
        list(out, "Other shape", shapes)?;
        let dtypes = report.dtype_mismatches.iter().map(|&(a, b)| {
            let (from, into) = (&self.checkpoint.tensor(a).dtype, &self.model.tensor(b).dtype);
            format!("{}  {from} is converted to {into}", self.model_key(b))
        });
        list(out, "Other dtype (no obstacle)", dtypes)?;
        list(
            out,
            "Not in the checkpoint, filled by the framework",
            report.filled_by_default.iter().map(|&id| model(id)),
        )?;
        if let Some(fix) = fix {
            let rules: Vec<String> = fix.rules.iter().map(|rule| text::escape(&rule.to_string())).collect();
            let verdict = if fix.report.loads() { "it would load" } else { "it would still not load" };
            writeln!(out, "\nRenamed by {} {verdict}: {}", rules.join(" and "), words(&fix.report))?;
        }
        Ok(())
    }
}

fn summary(report: &LoadReport) -> serde_json::Value {
    json!({
        "compatible": report.loads(),
        "matched": report.matched.len(),
        "missing": report.missing.len(),
        "unexpected": report.unexpected.len(),
        "shape_mismatches": report.shape_mismatches.len(),
        "dtype_mismatches": report.dtype_mismatches.len(),
        "elements_filled": report.elements_filled,
        "elements": report.elements,
        "share": report.share(),
    })
}

fn words(report: &LoadReport) -> String {
    let mut parts = vec![format!("{} match", text::count(report.matched.len() as u64))];
    let counts = [
        (report.missing.len(), "missing"),
        (report.unexpected.len(), "unexpected"),
        (report.shape_mismatches.len(), "of another shape"),
    ];
    let told = counts.into_iter().filter(|(count, _)| *count > 0);
    parts.extend(told.map(|(count, label)| format!("{} {label}", text::count(count as u64))));
    let share = text::number((report.share() * 1000.0).floor() / 10.0);
    format!("{}; {share} % of the model filled", parts.join(", "))
}

fn list(
    out: &mut impl Write,
    title: &str,
    items: impl ExactSizeIterator<Item = String>,
) -> Result<(), Failure> {
    let count = items.len();
    if count == 0 {
        return Ok(());
    }
    writeln!(out, "\n{title} ({})", text::count(count as u64))?;
    for item in items.take(NAMES_SHOWN) {
        writeln!(out, "  {}", text::escape(&item))?;
    }
    if count > NAMES_SHOWN {
        writeln!(out, "  … {} more (--json shows all)", text::count((count - NAMES_SHOWN) as u64))?;
    }
    Ok(())
}
