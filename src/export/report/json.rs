//! A comparison as one JSON object. Once released, fields are only added; `schema` is 1.
//!
//! NaN and infinities are the strings `"NaN"`, `"Infinity"`, `"-Infinity"`.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Report;
use crate::analysis::diff::{MetadataDifference, PairDiff, PairStatus, ValueDiff};
use crate::analysis::pairing::AppliedRule;
use crate::model::{Checkpoint, Value};

/// The whole object.
pub struct ComparisonJson<'a> {
    /// What is written.
    pub report: Report<'a>,
    /// Whether pairs in which nothing differs are listed too.
    pub all: bool,
}

impl Serialize for ComparisonJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = self.report;
        let Report { left, right, comparison } = report;
        let pairing = &comparison.pairing;
        let only = |checkpoint: &Checkpoint, ids: &[_]| -> Vec<String> {
            ids.iter().map(|&id| checkpoint.tensor(id).name.clone()).collect()
        };
        let listed = |pair: &&PairDiff| self.all || pair.differs();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", &1)?;
        map.serialize_entry("left", &left.path().to_string_lossy())?;
        map.serialize_entry("right", &right.path().to_string_lossy())?;
        map.serialize_entry("summary", &comparison.summary())?;
        map.serialize_entry("rules", &pairing.rules.iter().map(rule).collect::<Vec<_>>())?;
        map.serialize_entry(
            "pairs",
            &Each(|| comparison.pairs.iter().filter(listed).map(|pair| PairJson { report, pair })),
        )?;
        map.serialize_entry("only_left", &only(left, &pairing.only_left))?;
        map.serialize_entry("only_right", &only(right, &pairing.only_right))?;
        map.serialize_entry(
            "metadata",
            &Each(|| comparison.metadata.iter().map(|entry| metadata(report, entry))),
        )?;
        map.end()
    }
}

/// A list made while it is written, for there may be many.
struct Each<F>(F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: Iterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0())
    }
}

fn rule(applied: &AppliedRule) -> serde_json::Value {
    serde_json::json!({ "rule": applied.rule.to_string(), "found": applied.found, "matched": applied.matched })
}

/// An entry that is not there is left out; one that is null is null.
fn metadata(report: Report<'_>, entry: &MetadataDifference) -> serde_json::Value {
    let mut map = serde_json::Map::new();
    map.insert("path".to_owned(), entry.path.clone().into());
    let sides = [("left", &entry.left, report.left), ("right", &entry.right, report.right)];
    for (key, value, checkpoint) in sides {
        if let Some(value) = value {
            map.insert(key.to_owned(), value.to_json(&|id| checkpoint.tensor(id).name.clone()));
        }
    }
    map.into()
}

fn number(value: f64) -> serde_json::Value {
    Value::Float(value).to_json(&|_| String::new())
}

struct PairJson<'a> {
    report: Report<'a>,
    pair: &'a PairDiff,
}

impl Serialize for PairJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let PairDiff { pair, status, renamed, values, problem } = self.pair;
        let (left, right) = (self.report.left.tensor(pair.left), self.report.right.tensor(pair.right));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("left", &left.name)?;
        map.serialize_entry("right", &right.name)?;
        map.serialize_entry("status", status)?;
        map.serialize_entry("renamed", renamed)?;
        map.serialize_entry("matched_by", pair.by.name())?;
        map.serialize_entry("shape", left.shape.dims())?;
        if *status == PairStatus::Reshaped || pair.axes.is_some() {
            map.serialize_entry("shape_right", right.shape.dims())?;
        }
        if let Some(axes) = &pair.axes {
            map.serialize_entry("axes", axes)?;
        }
        map.serialize_entry("dtype_left", left.dtype.name())?;
        map.serialize_entry("dtype_right", right.dtype.name())?;
        map.serialize_entry("elements", &left.elements())?;
        match values {
            Some(values) => value_entries(&mut map, values)?,
            // Without numbers, only that nothing changed can be said.
            None if *status == PairStatus::Identical => map.serialize_entry("changed", &0)?,
            None => map.serialize_entry("changed", &())?,
        }
        if let Some(problem) = problem {
            map.serialize_entry("problem", problem)?;
        }
        map.end()
    }
}

fn value_entries<M: SerializeMap>(map: &mut M, values: &ValueDiff) -> Result<(), M::Error> {
    map.serialize_entry("changed", &values.changed)?;
    map.serialize_entry("max_abs", &number(values.max_abs))?;
    map.serialize_entry("mean_abs", &number(values.mean_abs))?;
    map.serialize_entry("l2", &number(values.l2))?;
    map.serialize_entry("l2_left", &number(values.l2_left))?;
    map.serialize_entry("l2_right", &number(values.l2_right))?;
    map.serialize_entry("relative_l2", &number(values.relative_l2()))?;
    map.serialize_entry("cosine", &values.cosine.map(number))?;
    map.serialize_entry("sign_flips", &values.sign_flips)?;
    map.serialize_entry("nan_appeared", &values.nan_appeared)?;
    map.serialize_entry("nan_gone", &values.nan_gone)?;
    map.serialize_entry("not_finite", &values.not_finite)?;
    if values.changed > 0 {
        let changes = values.largest.iter().map(|change| {
            serde_json::json!({ "index": change.index, "left": number(change.left), "right": number(change.right) })
        });
        map.serialize_entry("largest", &changes.collect::<Vec<_>>())?;
        let ranges = values.deltas.ranges();
        let deltas: Vec<_> =
            ranges.iter().map(|&(low, high, count)| (number(low), number(high), count)).collect();
        map.serialize_entry("deltas", &deltas)?;
    }
    Ok(())
}
