//! What takes a pass over all points to know and is asked for with every change of the page.

use std::collections::HashMap;

use crate::model::{AxisKind, Series};

/// About one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// Points that are NaN or infinite.
    pub gaps: usize,
    /// The last value that is neither; NaN where there is none.
    pub last: f64,
    /// The first moment of its run, in seconds since 1970; 0 where no series of the run has times.
    pub run_start: f64,
}

/// The facts about each series.
pub fn facts(all: &[Series]) -> Vec<Facts> {
    let mut starts: HashMap<&str, f64> = HashMap::new();
    for series in all {
        let times = series.axis(AxisKind::Time).unwrap_or_default();
        let first = times.iter().copied().filter(|time| time.is_finite()).reduce(f64::min);
        if let Some(first) = first {
            let start = starts.entry(series.run.as_str()).or_insert(first);
            *start = start.min(first);
        }
    }
    let facts = all.iter().map(|series| Facts {
        gaps: series.gaps(),
        last: series.values.iter().rev().copied().find(|value| value.is_finite()).unwrap_or(f64::NAN),
        run_start: starts.get(series.run.as_str()).copied().unwrap_or(0.0),
    });
    facts.collect()
}
