//! One quantity over training: what logs and checkpoints are read into, and what curves are drawn from.

use std::path::PathBuf;

use super::metric::Direction;

/// What the points of a series are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AxisKind {
    /// Steps of the optimizer, iterations, batches: whatever the writer called a step.
    Step,
    /// Passes over the data; may have fractions.
    Epoch,
    /// Position in a list that does not say what it counts, from 0.
    Index,
    /// Seconds since 1970-01-01 UTC.
    Time,
}

impl AxisKind {
    /// `step`, `epoch`, `index` or `time`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Epoch => "epoch",
            Self::Index => "index",
            Self::Time => "time",
        }
    }
}

/// Where the points lie by one count; NaN for a point that lacks it.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What is counted.
    pub kind: AxisKind,
    /// As many as the series has points.
    pub values: Vec<f64>,
}

/// Where a series comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A log that was written during training.
    Log,
    /// A list or history inside a checkpoint.
    Checkpoint,
    /// A number that several checkpoints hold, one point each.
    Checkpoints,
    /// A number in the names of several files.
    FileNames,
}

/// One quantity over training, in the order in which it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// As the source names it; keys that lead to a list joined by `.`.
    pub name: String,
    /// Which training it is of: a folder, relative to what was opened; empty for the folder itself.
    pub run: String,
    /// The file, or the folder of checkpoints.
    pub source: PathBuf,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether it is a curve; otherwise a list of numbers that is only offered, such as `betas`.
    pub is_curve: bool,
    /// What the points are counted by; the first is the source's own.
    pub axes: Vec<Axis>,
    /// The values. NaN and infinite ones are gaps of the curve and stay in their place.
    pub values: Vec<f64>,
}

impl Series {
    /// Points counted by their position in a list; of no run and no source yet.
    pub fn by_index(name: String, origin: Origin, values: Vec<f64>) -> Self {
        let axis =
            Axis { kind: AxisKind::Index, values: (0..values.len()).map(|index| index as f64).collect() };
        Self {
            name,
            run: String::new(),
            source: PathBuf::new(),
            origin,
            is_curve: true,
            axes: vec![axis],
            values,
        }
    }

    /// The axis of a kind, where the source has it.
    pub fn axis(&self, kind: AxisKind) -> Option<&[f64]> {
        self.axes.iter().find(|axis| axis.kind == kind).map(|axis| axis.values.as_slice())
    }

    /// The source's own axis.
    pub fn main_axis(&self) -> (AxisKind, &[f64]) {
        self.axes.first().map_or((AxisKind::Index, &[]), |axis| (axis.kind, &axis.values))
    }

    /// Points.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Points whose value is NaN or infinite.
    pub fn gaps(&self) -> usize {
        self.values.iter().filter(|value| !value.is_finite()).count()
    }

    /// The position and value of the best point; the first of equal ones. `None` where no value is a number.
    pub fn best(&self, direction: Direction) -> Option<(usize, f64)> {
        let mut best: Option<(usize, f64)> = None;
        for (index, &value) in self.values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
            if best.is_none_or(|(_, so_far)| direction.is_better(value, so_far)) {
                best = Some((index, value));
            }
        }
        best
    }

    /// Keeps the points for which `keep` says so, by position.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let kept: Vec<bool> = (0..self.values.len()).map(&mut keep).collect();
        let filter = |values: &mut Vec<f64>| {
            let mut index = 0;
            values.retain(|_| {
                index += 1;
                kept.get(index - 1).copied().unwrap_or(true)
            });
        };
        filter(&mut self.values);
        for axis in &mut self.axes {
            filter(&mut axis.values);
        }
    }

    /// Adds the points of a later part of the same series. An axis that one of them lacks is NaN there.
    pub fn append(&mut self, later: Self) {
        let before = self.values.len();
        for axis in later.axes {
            if let Some(own) = self.axes.iter_mut().find(|own| own.kind == axis.kind) {
                own.values.extend(axis.values);
            } else {
                let mut values = vec![f64::NAN; before];
                values.extend(axis.values);
                self.axes.push(Axis { kind: axis.kind, values });
            }
        }
        self.values.extend(later.values);
        for axis in &mut self.axes {
            axis.values.resize(self.values.len(), f64::NAN);
        }
    }
}

/// One bucket of a logged histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoggedBucket {
    /// Lower edge.
    pub left: f64,
    /// Upper edge.
    pub right: f64,
    /// Values in it; loggers may have rescaled it, so it need not be whole.
    pub count: f64,
}

/// Histograms of one quantity over training.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSeries {
    /// As the source names it.
    pub name: String,
    /// See [`Series::run`].
    pub run: String,
    /// The file.
    pub source: PathBuf,
    /// Step and buckets, in the order in which they were recorded.
    pub frames: Vec<(f64, Vec<LoggedBucket>)>,
}

/// What a framework itself noted as the best checkpoint.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BestRecord {
    /// Who noted it, such as `Lightning ModelCheckpoint`.
    pub by: String,
    /// The metric, where it is named.
    pub metric: Option<String>,
    /// Which way was better, where it is noted.
    pub direction: Option<Direction>,
    /// The best value.
    pub value: Option<f64>,
    /// The checkpoint's path on the machine of the training.
    pub path: Option<String>,
    /// The file that holds the note.
    pub source: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series::by_index("loss".into(), Origin::Log, values.to_vec())
    }

    #[test]
    fn the_best_point_is_the_first_of_equal_ones_and_never_a_gap() {
        let found = series(&[f64::NAN, 2.0, 1.0, f64::NEG_INFINITY, 1.0]);
        assert_eq!(found.best(Direction::Min), Some((2, 1.0)));
        assert_eq!((found.best(Direction::Max), found.gaps()), (Some((1, 2.0)), 2));
        assert_eq!(series(&[f64::NAN]).best(Direction::Min), None);
    }

    #[test]
    fn appending_keeps_axes_and_values_together() {
        let mut first = series(&[3.0, 2.0]);
        let mut later = series(&[1.0]);
        later.axes = vec![Axis { kind: AxisKind::Step, values: vec![70.0] }];
        first.append(later);
        assert_eq!(first.values, [3.0, 2.0, 1.0]);
        let steps = first.axis(AxisKind::Step).expect("steps");
        assert!(steps[0].is_nan() && steps[2] == 70.0);
        first.retain(|index| index != 1);
        assert_eq!((first.values.len(), first.axis(AxisKind::Step).expect("steps").len()), (2, 2));
    }
}
