//! `inspect --json`: the catalogue, its layers, metadata and findings as one JSON object, written as it goes.
//!
//! Once released, fields are only added; `schema` is 1. NaN and infinities are the strings `"NaN"`, `"Infinity"`, `"-Infinity"`.

use std::cell::RefCell;

use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

use super::inspect::tensors_with_errors;
use super::measure::{Measured, Measurement, Wanted, measure};
use super::verify::{Contents, Verified};
use crate::analysis::summary::LayerTable;
use crate::analysis::{Distinct, PartStatistics, Quantiles};
use crate::model::{Checkpoint, Origin, Problem, RoleEvidence, Series, TensorId, Value};
use crate::training_logs::tree;

/// The whole object.
pub struct InspectJson<'a> {
    /// What is described.
    pub checkpoint: &'a Checkpoint,
    /// The tensors that are listed.
    pub ids: &'a [TensorId],
    /// What is read of each.
    pub wanted: Wanted,
    /// Tensors that could not be read; filled while the tensors are written.
    pub unreadable: RefCell<Vec<Problem>>,
    /// Their hashes, where verifying is wanted; filled with them.
    pub contents: RefCell<Contents>,
    /// What verifying found, where it is wanted; filled behind the tensors.
    pub verified: RefCell<Option<Verified>>,
}

impl Serialize for InspectJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let checkpoint = self.checkpoint;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", &1)?;
        map.serialize_entry("path", &checkpoint.path().to_string_lossy())?;
        map.serialize_entry("format", checkpoint.format())?;
        map.serialize_entry("framework", &checkpoint.framework())?;
        map.serialize_entry("totals", checkpoint.totals())?;
        map.serialize_entry("tensors", &Tensors(self))?;
        map.serialize_entry("layers", &Layers(&LayerTable::of(checkpoint)))?;
        map.serialize_entry("metadata", &Metadata { value: checkpoint.metadata(), checkpoint })?;
        let series = tree::series_in(checkpoint.metadata(), Origin::Checkpoint, &|_| None);
        map.serialize_entry("series", &AllSeries(series))?;
        map.serialize_entry("problems", &Problems(self))?;
        if self.wanted.verify {
            let contents = self.contents.take();
            let verified = Verified::of(checkpoint, self.ids, contents, &self.unreadable.borrow());
            map.serialize_entry("verified", &verified)?;
            *self.verified.borrow_mut() = Some(verified);
        }
        map.end()
    }
}

struct Tensors<'a>(&'a InspectJson<'a>);

impl Serialize for Tensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let InspectJson { checkpoint, ids, wanted, unreadable, contents, .. } = self.0;
        let mut list = serializer.serialize_seq(None)?;
        if wanted.any() {
            measure(checkpoint, ids, *wanted, |id, measured| {
                if let Some(reason) = &measured.unreadable {
                    unreadable.borrow_mut().push(reason.problem(id));
                }
                contents.borrow_mut().add(id, &measured);
                list.serialize_element(&Tensor { checkpoint, id, wanted: *wanted, measured: &measured })
            })?;
        } else {
            let measured = Measured::default();
            for &id in *ids {
                list.serialize_element(&Tensor { checkpoint, id, wanted: *wanted, measured: &measured })?;
            }
        }
        list.end()
    }
}

struct Tensor<'a> {
    checkpoint: &'a Checkpoint,
    id: TensorId,
    wanted: Wanted,
    measured: &'a Measured,
}

impl Serialize for Tensor<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tensor = self.checkpoint.tensor(self.id);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &tensor.name)?;
        map.serialize_entry("path", &tensor.path)?;
        map.serialize_entry("stored_name", tensor.stored_name())?;
        map.serialize_entry("layer", &tensor.layer)?;
        map.serialize_entry("dtype", tensor.dtype.name())?;
        map.serialize_entry("shape", tensor.shape.dims())?;
        map.serialize_entry("elements", &tensor.elements())?;
        map.serialize_entry("bytes", &tensor.bytes())?;
        map.serialize_entry("role", tensor.role.name())?;
        map.serialize_entry("role_evidence", &tensor.role_evidence.map(RoleEvidence::text))?;
        map.serialize_entry("trainable", &tensor.trainable)?;
        map.serialize_entry("tied_to", &tensor.tied_to.map(|first| &self.checkpoint.tensor(first).name))?;
        map.serialize_entry("slot_of", &tensor.slot_of.map(|of| &self.checkpoint.tensor(of).name))?;
        if self.wanted.statistics {
            map.serialize_entry("stats", &self.measured.statistics.as_deref().map(Stats))?;
        }
        if self.wanted.hash {
            map.serialize_entry("sha256", &self.measured.sha256)?;
        }
        map.end()
    }
}

/// A number that may be NaN or infinite.
pub(super) struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else if self.0.is_nan() {
            serializer.serialize_str("NaN")
        } else {
            serializer.serialize_str(if self.0 > 0.0 { "Infinity" } else { "-Infinity" })
        }
    }
}

struct Stats<'a>(&'a Measurement);

impl Serialize for Stats<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Measurement { statistics, histogram } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("min", &statistics.min.map(Number))?;
        map.serialize_entry("max", &statistics.max.map(Number))?;
        map.serialize_entry("mean", &statistics.mean.map(Number))?;
        map.serialize_entry("std", &statistics.std.map(Number))?;
        map.serialize_entry("nan", &statistics.nan)?;
        map.serialize_entry("inf", &(statistics.positive_infinity + statistics.negative_infinity))?;
        map.serialize_entry("zeros", &statistics.zeros)?;
        map.serialize_entry("l1", &Number(statistics.l1))?;
        map.serialize_entry("l2", &Number(statistics.l2))?;
        map.serialize_entry("skewness", &statistics.skewness.map(Number))?;
        map.serialize_entry("kurtosis", &statistics.kurtosis.map(Number))?;
        map.serialize_entry("max_abs", &statistics.max_abs().map(Number))?;
        map.serialize_entry("positive_inf", &statistics.positive_infinity)?;
        map.serialize_entry("negative_inf", &statistics.negative_infinity)?;
        map.serialize_entry("denormals", &statistics.denormals)?;
        map.serialize_entry("distinct", &statistics.distinct.count())?;
        map.serialize_entry("distinct_is_exact", &matches!(statistics.distinct, Distinct::Exactly(_)))?;
        if let Some(parts) = &statistics.parts {
            let [real, imaginary] = &**parts;
            map.serialize_entry("real", &Part(real))?;
            map.serialize_entry("imag", &Part(imaginary))?;
        }
        map.serialize_entry("quantiles", &QuantilesJson(statistics.quantiles.as_ref()))?;
        map.serialize_entry("histogram", &histogram.as_ref().map(HistogramJson))?;
        map.end()
    }
}

struct Part<'a>(&'a PartStatistics);

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("min", &Number(self.0.min))?;
        map.serialize_entry("max", &Number(self.0.max))?;
        map.serialize_entry("mean", &Number(self.0.mean))?;
        map.serialize_entry("std", &Number(self.0.std))?;
        map.end()
    }
}

struct QuantilesJson<'a>(Option<&'a Quantiles>);

impl Serialize for QuantilesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Empty where there is no finite value.
        let values = self.0.map(|quantiles| quantiles.values);
        let named = values.iter().flat_map(|values| Quantiles::FRACTIONS.iter().zip(values));
        serializer.collect_map(named.map(|(fraction, value)| (fraction.to_string(), Number(*value))))
    }
}

struct HistogramJson<'a>(&'a crate::analysis::Histogram);

impl Serialize for HistogramJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("lo", &Number(self.0.lo))?;
        map.serialize_entry("hi", &Number(self.0.hi))?;
        map.serialize_entry("counts", &self.0.counts)?;
        map.end()
    }
}

struct Layers<'a>(&'a LayerTable);

impl Serialize for Layers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0.rows)
    }
}

struct Metadata<'a> {
    value: &'a Value,
    checkpoint: &'a Checkpoint,
}

impl Metadata<'_> {
    fn entries<M: SerializeMap>(&self, map: &mut M, entries: &[(String, Value)]) -> Result<(), M::Error> {
        for (key, value) in entries {
            map.serialize_entry(key, &Metadata { value, checkpoint: self.checkpoint })?;
        }
        Ok(())
    }

    /// At the root, under the empty key: what stands where no plain value does, by path. A nested object cannot say
    /// that of itself in a way that survives flattening into paths and values, which is how scripts compare metadata.
    fn kinds<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        if !std::ptr::eq(self.value, self.checkpoint.metadata()) || self.value.get("").is_some() {
            return Ok(());
        }
        let mut found = Vec::new();
        // The metadata of safetensors stands beside the dictionary of tensors, which can be empty by itself.
        if self.checkpoint.format().starts_with("safetensors")
            && self.checkpoint.tensors().len() == 0
            && !self.value.is_empty()
        {
            found.push((String::new(), Kind::Empty("empty")));
        }
        kinds(self.value, &mut String::new(), &mut found);
        if found.is_empty() { Ok(()) } else { map.serialize_entry("", &Kinds(&found)) }
    }
}

/// What stands at a path that holds no plain value.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Kind<'a> {
    /// An object: its class.
    Class(&'a str),
    /// A namespace, which is a plain set of names: how many there are.
    Namespace(usize),
    /// `"empty"`: a map with nothing in it.
    Empty(&'static str),
}

struct Kinds<'a>(&'a [(String, Kind<'a>)]);

impl Serialize for Kinds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(path, kind)| (path, kind)))
    }
}

/// Metadata is bounded in depth by whoever builds it, so this recursion is too.
fn kinds<'a>(value: &'a Value, path: &mut String, found: &mut Vec<(String, Kind<'a>)>) {
    match value {
        Value::Map(entries) if entries.is_empty() => found.push((path.clone(), Kind::Empty("empty"))),
        Value::Object { class, fields } => {
            let is_namespace = matches!(class.as_str(), "argparse.Namespace" | "types.SimpleNamespace");
            let kind = if is_namespace { Kind::Namespace(fields.len()) } else { Kind::Class(class) };
            found.push((path.clone(), kind));
        }
        _ => {}
    }
    inside(value, path, &mut |value, path| {
        kinds(value, path, found);
        Ok::<_, std::convert::Infallible>(())
    })
    .unwrap_or_else(|never| match never {});
}

/// Calls `each` with every value directly inside and its path: keys and indices joined by dots.
fn inside<'a, E>(
    value: &'a Value,
    path: &mut String,
    each: &mut dyn FnMut(&'a Value, &mut String) -> Result<(), E>,
) -> Result<(), E> {
    let mut step = |key: &str, value: &'a Value| {
        let len = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
        let result = each(value, path);
        path.truncate(len);
        result
    };
    match value {
        Value::List(items) => {
            items.iter().enumerate().try_for_each(|(index, item)| step(&index.to_string(), item))
        }
        Value::Map(entries) | Value::Object { fields: entries, .. } => {
            entries.iter().try_for_each(|(key, value)| step(key, value))
        }
        _ => Ok(()),
    }
}

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(int) => serializer.serialize_i64(*int),
            Value::BigInt(digits) => match digits.parse::<i128>() {
                Ok(int) => serializer.serialize_i128(int),
                Err(_) => serializer.serialize_str(digits),
            },
            Value::Float(float) => Number(*float).serialize(serializer),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes { len, .. } => marked(serializer, "__bytes__", len),
            Value::Tensor(id) => marked(serializer, "__tensor__", &self.checkpoint.tensor(*id).name),
            Value::Elided(reason) => marked(serializer, "__elided__", reason),
            Value::List(items) => serializer
                .collect_seq(items.iter().map(|value| Metadata { value, checkpoint: self.checkpoint })),
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(None)?;
                self.entries(&mut map, entries)?;
                self.kinds(&mut map)?;
                map.end()
            }
            Value::Object { class, fields } => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("__class__", class)?;
                self.entries(&mut map, fields)?;
                self.kinds(&mut map)?;
                map.end()
            }
        }
    }
}

/// Something that is not a JSON value, as an object that says what it is.
fn marked<S: Serializer>(serializer: S, key: &str, value: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

/// Every list of two or more numbers in the metadata, and which of them are curves.
struct AllSeries(Vec<Series>);

impl Serialize for AllSeries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(OneSeries))
    }
}

struct OneSeries<'a>(&'a Series);

impl Serialize for OneSeries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("name", &self.0.name)?;
        map.serialize_entry("x", self.0.main_axis().0.name())?;
        map.serialize_entry("points", &Points(self.0))?;
        map.serialize_entry("curve", &self.0.is_curve)?;
        map.end()
    }
}

/// Pairs of place and value, by the series' own axis.
pub(super) struct Points<'a>(pub &'a Series);

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let xs = self.0.main_axis().1.iter();
        serializer.collect_seq(xs.zip(&self.0.values).map(|(&x, &value)| (Count(x), Number(value))))
    }
}

/// A number that counts: whole ones without a fraction.
pub(super) struct Count(pub f64);

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < 1e15 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            Number(self.0).serialize(serializer)
        }
    }
}

struct Problems<'a>(&'a InspectJson<'a>);

impl Serialize for Problems<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let checkpoint = self.0.checkpoint;
        let unreadable = self.0.unreadable.try_borrow().map_err(S::Error::custom)?;
        let told = tensors_with_errors(checkpoint);
        serializer.collect_seq(
            checkpoint
                .problems()
                .iter()
                .chain(
                    unreadable.iter().filter(|problem| problem.tensor.is_none_or(|id| !told.contains(&id))),
                )
                .map(|problem| OneProblem { checkpoint, problem }),
        )
    }
}

struct OneProblem<'a> {
    checkpoint: &'a Checkpoint,
    problem: &'a Problem,
}

impl Serialize for OneProblem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let problem = self.problem;
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("severity", &problem.severity)?;
        map.serialize_entry("code", problem.code)?;
        map.serialize_entry("message", &problem.message)?;
        map.serialize_entry("tensor", &problem.tensor.map(|id| &self.checkpoint.tensor(id).name))?;
        map.serialize_entry("offset", &problem.offset)?;
        map.end()
    }
}
