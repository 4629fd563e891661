//! What Lightning's `ModelCheckpoint` keeps in a checkpoint about the best one.

use std::path::PathBuf;

use super::{Resolve, number};
use crate::model::{BestRecord, Direction, Value};

/// What Lightning's `ModelCheckpoint` keeps of itself: the score of this checkpoint, under the metric's own name.
///
/// Source: <https://github.com/Lightning-AI/pytorch-lightning/blob/2.2.0/src/lightning/pytorch/callbacks/model_checkpoint.py>
/// (`state_dict`).
pub(super) fn monitored(entries: &[(String, Value)], resolve: Resolve<'_>) -> Option<(String, f64)> {
    let get = |key: &str| entries.iter().find(|(name, _)| name == key).map(|(_, value)| value);
    let monitor = get("monitor")?.as_text()?;
    let score = scalar(get("current_score")?, resolve)?;
    Some((monitor.to_owned(), score))
}

/// What Lightning's `ModelCheckpoint` noted as the best; of several, the first that names one.
pub fn best_of_lightning(metadata: &Value, resolve: Resolve<'_>) -> Option<BestRecord> {
    let Some(Value::Map(callbacks)) = metadata.get("callbacks") else { return None };
    callbacks.iter().find_map(|(key, state)| {
        let path = state.get("best_model_path").and_then(Value::as_text).filter(|path| !path.is_empty())?;
        // The mode is not in the state, but in the name under which it is kept.
        let mode = ["min", "max"].into_iter().find(|mode| key.contains(&format!("'mode': '{mode}'")));
        Some(BestRecord {
            by: "Lightning ModelCheckpoint".to_owned(),
            metric: state.get("monitor").and_then(Value::as_text).map(str::to_owned),
            direction: mode.and_then(Direction::parse),
            value: state.get("best_model_score").and_then(|value| scalar(value, resolve)),
            path: Some(path.to_owned()),
            source: PathBuf::new(),
        })
    })
}

fn scalar(value: &Value, resolve: Resolve<'_>) -> Option<f64> {
    match value {
        Value::Tensor(id) => resolve(*id).and_then(|values| values.first().copied()),
        _ => number(value),
    }
}
