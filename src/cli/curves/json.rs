//! `curves --json`. Once released, fields are only added; `schema` is 1. NaN and infinities are strings.

use std::path::PathBuf;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;

use super::super::json::{Count, Number, Points};
use crate::analysis::drift::Drift;
use crate::jobs::curves::{CheckpointSeries, Gathered};
use crate::model::{AxisKind, BestRecord, HistogramSeries, LoggedBucket, Series};

/// The whole object.
pub struct Report<'a> {
    /// What was asked for.
    pub paths: &'a [PathBuf],
    /// Everything that was found.
    pub gathered: &'a Gathered,
    /// The series that are listed.
    pub series: &'a [&'a Series],
    /// How the layers moved, where it was asked for.
    pub drift: Option<&'a Drift>,
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { paths, gathered, series, drift } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", &1)?;
        let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
        map.serialize_entry("paths", &paths)?;
        let summary = json!({
            "runs": gathered.runs(),
            "series": series.len(),
            "curves": gathered.curves().count(),
            "points": series.iter().map(|series| series.len()).sum::<usize>(),
            "checkpoints": gathered.checkpoints.iter().map(|series| series.members.len()).sum::<usize>(),
            "histograms": gathered.histograms.len(),
        });
        map.serialize_entry("summary", &summary)?;
        map.serialize_entry("series", &series.iter().map(|series| OneSeries(series)).collect::<Vec<_>>())?;
        map.serialize_entry("histograms", &gathered.histograms.iter().map(OneHistogram).collect::<Vec<_>>())?;
        map.serialize_entry(
            "checkpoints",
            &gathered.checkpoints.iter().map(checkpoints).collect::<Vec<_>>(),
        )?;
        map.serialize_entry("recorded", &gathered.records.iter().map(record).collect::<Vec<_>>())?;
        if let Some(drift) = drift {
            map.serialize_entry("drift", &DriftJson(drift))?;
        }
        let problems: Vec<_> = gathered
            .problems
            .iter()
            .map(|found| {
                json!({
                    "severity": found.problem.severity,
                    "code": found.problem.code,
                    "message": found.problem.message,
                    "source": found.source.to_string_lossy(),
                    "offset": found.problem.offset,
                })
            })
            .collect();
        map.serialize_entry("problems", &problems)?;
        map.end()
    }
}

struct OneSeries<'a>(&'a Series);

impl Serialize for OneSeries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let series = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &series.name)?;
        map.serialize_entry("run", &series.run)?;
        map.serialize_entry("source", &series.source.to_string_lossy())?;
        map.serialize_entry("origin", &series.origin)?;
        map.serialize_entry("curve", &series.is_curve)?;
        map.serialize_entry("x", series.main_axis().0.name())?;
        map.serialize_entry("points", &Points(series))?;
        map.serialize_entry("gaps", &series.gaps())?;
        // The other counts of the same points.
        for (kind, key) in [(AxisKind::Step, "steps"), (AxisKind::Epoch, "epochs"), (AxisKind::Time, "times")]
        {
            if let Some(values) = series.axis(kind).filter(|_| series.main_axis().0 != kind) {
                let values: Vec<_> =
                    values.iter().map(|&value| value.is_finite().then_some(Count(value))).collect();
                map.serialize_entry(key, &values)?;
            }
        }
        map.end()
    }
}

struct OneHistogram<'a>(&'a HistogramSeries);

impl Serialize for OneHistogram<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let series = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &series.name)?;
        map.serialize_entry("run", &series.run)?;
        map.serialize_entry("source", &series.source.to_string_lossy())?;
        let steps: Vec<Count> = series.frames.iter().map(|(step, _)| Count(*step)).collect();
        map.serialize_entry("steps", &steps)?;
        map.serialize_entry("buckets", &Buckets(series))?;
        map.end()
    }
}

/// For each step a list of lower edge, upper edge and count.
struct Buckets<'a>(&'a HistogramSeries);

impl Serialize for Buckets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = |bucket: &LoggedBucket| [bucket.left, bucket.right, bucket.count].map(Number);
        serializer.collect_seq(
            self.0.frames.iter().map(|(_, buckets)| buckets.iter().map(number).collect::<Vec<_>>()),
        )
    }
}

/// The members of a series, in order.
fn checkpoints(series: &CheckpointSeries) -> serde_json::Value {
    let members: Vec<_> = series
        .order
        .positions
        .iter()
        .filter_map(|&at| {
            let (member, path) = (series.members.get(at)?, series.paths.get(at)?);
            Some(json!({
                "name": member.name,
                "path": path.to_string_lossy(),
                "step": member.step(),
                "epoch": member.epoch(),
                "bytes": series.bytes.get(at),
            }))
        })
        .collect();
    json!({
        "run": series.run,
        "ordered_by": series.order.by,
        "name_pattern": series.pattern.as_ref().map(ToString::to_string),
        "members": members,
    })
}

/// What a framework noted as best.
pub fn record(record: &BestRecord) -> serde_json::Value {
    json!({
        "by": record.by,
        "metric": record.metric,
        "direction": record.direction,
        "value": record.value,
        "path": record.path,
        "source": record.source.to_string_lossy(),
    })
}

struct DriftJson<'a>(&'a Drift);

impl Serialize for DriftJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let drift = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("checkpoints", &drift.checkpoints)?;
        let numbers = |values: &[f64]| -> Vec<Number> { values.iter().map(|&value| Number(value)).collect() };
        // There is nothing before the first checkpoint.
        let after_first = |values: &[f64]| -> Vec<Option<Number>> {
            values.iter().enumerate().map(|(at, &value)| (at > 0).then_some(Number(value))).collect()
        };
        let layers: Vec<_> = drift
            .layers
            .iter()
            .map(|layer| LayerJson {
                layer: &layer.layer,
                norm: numbers(&layer.norm),
                from_first: numbers(&layer.from_first),
                update: after_first(&layer.update),
                not_finite: &layer.not_finite,
            })
            .collect();
        map.serialize_entry("layers", &layers)?;
        let events: Vec<_> = drift
            .events
            .iter()
            .map(|event| {
                json!({
                    "layer": drift.layers.get(event.layer).map(|layer| layer.layer.as_str()),
                    "checkpoint": drift.checkpoints.get(event.at),
                    "kind": event.kind,
                })
            })
            .collect();
        map.serialize_entry("events", &events)?;
        map.serialize_entry("problems", &drift.problems)?;
        map.end()
    }
}

#[derive(serde::Serialize)]
struct LayerJson<'a> {
    layer: &'a str,
    norm: Vec<Number>,
    from_first: Vec<Number>,
    update: Vec<Option<Number>>,
    not_finite: &'a [u64],
}
