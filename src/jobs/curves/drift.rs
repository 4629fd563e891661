//! Reads the parameters of a series of checkpoints, two files at a time, and gathers how each layer moved.

use std::path::Path;

use super::CheckpointSeries;
use crate::analysis::drift::{Drift, DriftBuilder};
use crate::analysis::pairing::{Pair, Pairing, PairingOptions};
use crate::formats;
use crate::jobs::compare::{CompareOptions, compare_pairs};
use crate::model::{Cancelled, Checkpoint, Progress, TensorInfo, TensorRole};

/// How the layers moved over the checkpoints, in their order. Every file is read twice, beside the first and beside the one
/// before; memory does not grow with the number of checkpoints. `report` is told after each one.
///
/// A checkpoint that cannot be opened leaves its place empty and is a problem of the result.
pub fn drift(
    checkpoints: &CheckpointSeries,
    progress: &Progress,
    report: &dyn Fn(usize),
) -> Result<Drift, Cancelled> {
    let order = &checkpoints.order.positions;
    let names = order.iter().filter_map(|&at| checkpoints.members.get(at).map(|member| member.name.clone()));
    let mut builder = DriftBuilder::new(names.collect());
    let mut first: Option<(usize, Checkpoint)> = None;
    let mut before: Option<Checkpoint> = None;
    for (at, path) in order.iter().filter_map(|&at| checkpoints.paths.get(at)).enumerate() {
        progress.advance(0)?;
        let Some(checkpoint) = open(path, &mut builder, progress)? else { continue };
        let Some((start, start_checkpoint)) = &first else {
            first = Some((at, checkpoint));
            report(at);
            continue;
        };
        add(start_checkpoint, &checkpoint, progress, &mut builder, &|builder, layer, diff| {
            builder.since_first(layer, *start, at, diff);
            if before.is_none() {
                builder.since_before(layer, at, diff);
            }
        })?;
        if let Some(previous) = &before {
            add(previous, &checkpoint, progress, &mut builder, &|builder, layer, diff| {
                builder.since_before(layer, at, diff);
            })?;
        }
        before = Some(checkpoint);
        report(at);
    }
    Ok(builder.finish())
}

fn open(
    path: &Path,
    builder: &mut DriftBuilder,
    progress: &Progress,
) -> Result<Option<Checkpoint>, Cancelled> {
    match formats::open(path, progress) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(error) if error.is_cancelled() => Err(Cancelled),
        Err(error) => {
            builder.problem(error.to_string());
            Ok(None)
        }
    }
}

type Take<'a> = &'a dyn Fn(&mut DriftBuilder, &str, &crate::analysis::diff::ValueDiff);

fn add(
    left: &Checkpoint,
    right: &Checkpoint,
    progress: &Progress,
    builder: &mut DriftBuilder,
    take: Take<'_>,
) -> Result<(), Cancelled> {
    let pairs = parameters(left, right);
    for pair in compare_pairs(left, right, &pairs, &CompareOptions::default(), progress)? {
        let tensor = left.tensor(pair.pair.left);
        match (&pair.values, &pair.problem) {
            (Some(values), _) => take(builder, &layer_of(tensor), values),
            (None, Some(problem)) => builder.problem(format!("{}: {problem}", tensor.name)),
            (None, None) => {}
        }
    }
    Ok(())
}

/// The tensors of the same name that training changes. Where a file does not tell parameters, all floats but the optimizer's.
fn parameters(left: &Checkpoint, right: &Checkpoint) -> Vec<Pair> {
    let knows = left.tensors().any(|(_, tensor)| tensor.role == TensorRole::Parameter);
    let wanted = |tensor: &TensorInfo| {
        let is_weight = if knows {
            tensor.role == TensorRole::Parameter
        } else {
            matches!(tensor.role, TensorRole::Unknown | TensorRole::Other)
        };
        // Tied weights move together; once is enough.
        is_weight && tensor.dtype.is_float() && tensor.tied_to.is_none()
    };
    let mut pairs = Pairing::of(left, right, &PairingOptions::default()).pairs;
    pairs.retain(|pair| {
        let (a, b) = (left.tensor(pair.left), right.tensor(pair.right));
        wanted(a) && a.name == b.name && a.shape == b.shape
    });
    pairs
}

/// The layer that holds a tensor: as the file says, else its name without the last key.
fn layer_of(tensor: &TensorInfo) -> String {
    if !tensor.layer.is_empty() {
        return tensor.layer.clone();
    }
    let keys = tensor.name.rsplit_once(['.', '/']);
    keys.map_or_else(|| tensor.name.clone(), |(layer, _)| layer.to_owned())
}
