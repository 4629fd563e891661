//! What one checkpoint says about its training: lists, numbers, and the best that its framework noted.

use std::ops::ControlFlow;

use crate::model::metric::{axis_of, is_metric};
use crate::model::{BestRecord, Checkpoint, Origin, Progress, Series, TensorId, TensorRole};
use crate::raw::limits;
use crate::training_logs::tree;

/// What was found in a checkpoint.
#[derive(Debug, Default)]
pub struct Inside {
    /// Lists of numbers.
    pub series: Vec<Series>,
    /// Single numbers.
    pub numbers: Vec<(String, f64)>,
    /// What the framework noted as best.
    pub best: Option<BestRecord>,
    /// Whether it holds tensors of a model, or may.
    pub has_model: bool,
}

/// Elements of a tensor that is read as a list of measurements.
const ELEMENTS: u64 = 4 << 20;

/// Reads the metadata, and the few small tensors that are measurements. A file without tensors that someone named
/// (`is_named`) is taken for a history whatever its keys are called.
pub fn look_inside(checkpoint: &Checkpoint, is_named: bool, progress: &Progress) -> Inside {
    let resolve = |id: TensorId| small(checkpoint, id, progress);
    let metadata = checkpoint.metadata();
    let mut inside = Inside {
        series: tree::series_in(metadata, Origin::Checkpoint, &resolve),
        numbers: tree::numbers_in(metadata, &resolve),
        best: tree::best_of_lightning(metadata, &resolve),
        has_model: false,
    };
    if is_named && checkpoint.totals().tensors == 0 && !inside.series.iter().any(|series| series.is_curve) {
        let found = std::mem::take(&mut inside.series);
        inside.series = tree::history_in(metadata, found.clone()).unwrap_or(found);
    }
    for (id, tensor) in checkpoint.tensors() {
        inside.has_model |=
            matches!(tensor.role, TensorRole::Parameter | TensorRole::Buffer | TensorRole::Ema)
                || (tensor.role == TensorRole::Unknown && !tensor.shape.dims().is_empty());
        let last = tensor.path.last().map_or("", String::as_str);
        match tensor.role {
            TensorRole::Optimizer if tensor.shape.dims().is_empty() => {
                if let Some(name) = keras_number(checkpoint, id)
                    && let Some([value]) = small(checkpoint, id, progress).as_deref()
                {
                    inside.numbers.push((name.to_owned(), *value));
                }
            }
            // Tensors further down are in the metadata where they stand.
            TensorRole::Other | TensorRole::Unknown
                if tensor.path.len() == 1
                    && tensor.shape.dims().len() < 2
                    && (is_metric(last) || axis_of(last).is_some()) =>
            {
                let name = &tensor.name;
                let is_known = inside.numbers.iter().any(|(known, _)| known == name)
                    || inside.series.iter().any(|series| series.name == *name);
                match small(checkpoint, id, progress).filter(|_| !is_known) {
                    Some(values) if values.len() == 1 => {
                        inside.numbers.extend(values.first().map(|value| (name.clone(), *value)));
                    }
                    Some(values) if values.len() > 1 => {
                        inside.series.push(Series::by_index(name.clone(), Origin::Checkpoint, values));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    // Numbers that nothing but the optimizer's tensors hold are the least: others of the same name go first.
    inside.numbers.dedup_by(|later, earlier| later.0 == earlier.0);
    inside
}

/// What Keras keeps as single variables of its optimizer.
///
/// The first two variables of an optimizer are its iterations and its learning rate; archives number them:
/// <https://github.com/keras-team/keras/blob/v3.5.0/keras/src/optimizers/base_optimizer.py> (`__init__`).
fn keras_number(checkpoint: &Checkpoint, id: TensorId) -> Option<&'static str> {
    let tensor = checkpoint.tensor(id);
    if !checkpoint.format().starts_with("keras") {
        return None;
    }
    let last = tensor.path.last().map_or("", |last| last.split(':').next().unwrap_or(last));
    match last {
        "iteration" | "iterations" | "iter" => Some("optimizer.iterations"),
        "learning_rate" | "current_learning_rate" => Some("optimizer.learning_rate"),
        "0" if !tensor.dtype.is_float() => Some("optimizer.iterations"),
        "1" if tensor.dtype.is_float() => Some("optimizer.learning_rate"),
        _ => None,
    }
}

/// The values of a tensor that is short enough to be a list of measurements and no part of the model.
fn small(checkpoint: &Checkpoint, id: TensorId, progress: &Progress) -> Option<Vec<f64>> {
    let tensor = checkpoint.tensor(id);
    let is_weight = matches!(tensor.role, TensorRole::Parameter | TensorRole::Buffer | TensorRole::Ema);
    let is_list = tensor.shape.dims().len() < 2 && tensor.elements() <= ELEMENTS;
    if is_weight || !is_list || !tensor.dtype.is_numeric() || tensor.dtype.is_complex() {
        return None;
    }
    let mut values = Vec::new();
    let read = checkpoint.read_chunks(id, progress, &mut |piece| {
        tensor.dtype.decode(piece, &mut values);
        if values.len() > limits::LOG_POINTS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    read.is_ok().then_some(values)
}
