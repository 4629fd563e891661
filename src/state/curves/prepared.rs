//! The points of the lines that are drawn, after logarithms and smoothing, before they are cut to the screen.
//!
//! What one line looks like is a [`Curve`]; it is kept while nothing of it changes. Few points are made ready at once, many
//! by a job, so that a frame never goes over them.

use std::sync::Arc;

use super::lines::Line;
use super::{Across, CurvesLook};
use crate::analysis::curves::smooth;
use crate::analysis::pyramid::{Points, Pyramid};
use crate::jobs::curves::Gathered;
use crate::model::{AxisKind, Cancelled, Direction, Origin, Progress, Series};

/// Which axis a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Losses and everything else.
    Left,
    /// Scores, where they have an axis of their own.
    Right,
}

/// A line that is drawn.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Position in the list.
    pub line: usize,
    /// Its axis.
    pub side: Side,
    /// Its points.
    pub curve: Arc<Curve>,
}

/// The points of a line: places on the axes, after logarithms.
#[derive(Debug)]
pub struct Curve {
    of: Making,
    /// Across.
    pub points: Points,
    /// Up, as logged.
    pub raw: Pyramid,
    /// Up, smoothed; `None` where nothing is smoothed.
    pub smoothed: Option<Pyramid>,
    /// The least and the largest place up of what is drawn as the line.
    pub range: Option<(f64, f64)>,
    /// Whether its points are marked: they are files, or too few for a line.
    pub marked: bool,
    /// Positions of the points that get a star.
    pub stars: Vec<usize>,
}

impl Curve {
    /// What is drawn as the line.
    pub fn values(&self) -> &Pyramid {
        self.smoothed.as_ref().unwrap_or(&self.raw)
    }
}

#[cfg(test)]
impl Curve {
    /// Values by position.
    pub(super) fn for_tests(values: &[f64]) -> Self {
        let series = Series::by_index("loss".to_owned(), Origin::Log, values.to_vec());
        let gathered = Arc::new(Gathered::of(vec![series]));
        let making = Making {
            gathered,
            series: 0,
            look: CurvesLook::default(),
            kind: AxisKind::Index,
            best: Vec::new(),
        };
        making.make(&Progress::new()).ok().flatten().expect("it has points")
    }
}

/// Points of a line that get a star, at most.
const STARS: usize = 64;

/// All that the points of a line depend on.
#[derive(Clone)]
pub struct Making {
    gathered: Arc<Gathered>,
    series: usize,
    look: CurvesLook,
    /// What the points are counted by.
    kind: AxisKind,
    /// Values that get a star.
    best: Vec<f64>,
}

impl std::fmt::Debug for Making {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "series {} by {}", self.series, self.kind.name())
    }
}

impl Making {
    fn series(&self) -> Option<&Series> {
        self.gathered.series.get(self.series)
    }

    /// Whether it makes the same points as another one.
    fn is_same(&self, other: &Self) -> bool {
        let (a, b) = (self.look, other.look);
        Arc::ptr_eq(&self.gathered, &other.gathered)
            && self.series == other.series
            && self.kind == other.kind
            && (a.across, a.log_x, a.log_y, a.smoothing.to_bits())
                == (b.across, b.log_x, b.log_y, b.smoothing.to_bits())
            && self
                .best
                .iter()
                .map(|value| value.to_bits())
                .eq(other.best.iter().map(|value| value.to_bits()))
    }

    fn make(&self, progress: &Progress) -> Result<Option<Curve>, Cancelled> {
        let (Some(series), Some(facts)) = (self.series(), self.gathered.facts.get(self.series)) else {
            return Ok(None);
        };
        let Some(own) = series.axis(self.kind).or_else(|| positions(series)) else { return Ok(None) };
        let start = facts.run_start;
        let place = |x: f64| {
            // Hours, as TensorBoard shows them.
            let x = if self.look.across == Across::Relative { (x - start) / 3600.0 } else { x };
            log(x, self.look.log_x)
        };
        let (points, order) = Points::new(own.iter().map(|&x| place(x)).collect(), progress)?;
        let up = |values: &[f64]| -> Vec<f64> {
            let one = |value: f64| log(value, self.look.log_y);
            match &order {
                Some(order) => order
                    .iter()
                    .map(|&at| values.get(at as usize).map_or(f64::NAN, |&value| one(value)))
                    .collect(),
                None => values.iter().map(|&value| one(value)).collect(),
            }
        };
        progress.advance(0)?;
        let raw = up(&series.values);
        let starred = self.best.iter().map(|&value| log(value, self.look.log_y)).collect::<Vec<_>>();
        let stars = raw.iter().enumerate().filter(|(_, value)| starred.contains(value)).map(|(at, _)| at);
        let stars = if starred.is_empty() { Vec::new() } else { stars.take(STARS).collect() };
        let raw = Pyramid::new(raw, progress)?;
        let smoothed = if self.look.smoothing > 0.0 && series.len() > 2 {
            Some(Pyramid::new(up(&smooth(&series.values, self.look.smoothing)), progress)?)
        } else {
            None
        };
        let range = smoothed.as_ref().unwrap_or(&raw).range();
        let marked = matches!(series.origin, Origin::Checkpoints | Origin::FileNames) || series.len() < 3;
        Ok(Some(Curve { of: self.clone(), points, raw, smoothed, range, marked, stars }))
    }
}

fn log(value: f64, is_log: bool) -> f64 {
    match is_log {
        false => value,
        true if value > 0.0 => value.log10(),
        true => f64::NAN,
    }
}

/// The positions of a series that counts nothing else: they are drawn over any count but time.
fn positions(series: &Series) -> Option<&[f64]> {
    let (kind, values) = series.main_axis();
    (kind == AxisKind::Index).then_some(values)
}

/// What all lines of a picture are counted by, and what becomes of the series that count otherwise.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counted {
    /// What is counted across.
    pub kind: Option<AxisKind>,
    /// Lines that are chosen but not drawn: they do not have that count.
    pub without: Vec<usize>,
    /// Lines that say of no count what it is: they are drawn by position.
    pub by_position: Vec<usize>,
}

impl Counted {
    /// Unless one is asked for, the count that most of the chosen lines have; of equally many the finer one.
    pub fn of(gathered: &Gathered, lines: &[Line], across: Across) -> Self {
        let shown = || {
            let shown = lines.iter().enumerate().filter(|(_, line)| line.shown);
            shown.filter_map(|(at, line)| Some((at, gathered.series.get(line.series)?)))
        };
        let having = |kind: AxisKind| shown().filter(|(_, series)| series.axis(kind).is_some()).count();
        let kinds = [AxisKind::Step, AxisKind::Epoch, AxisKind::Index];
        // The last of equal ones is taken, so the finer stand behind.
        let kind = across.kind().or_else(|| {
            let counts = |kind: &AxisKind| {
                (
                    *kind != AxisKind::Index || having(AxisKind::Step) + having(AxisKind::Epoch) == 0,
                    having(*kind),
                )
            };
            kinds.into_iter().rev().filter(|kind| having(*kind) > 0).max_by_key(counts)
        });
        let Some(kind) = kind else { return Self::default() };
        let mut counted = Self { kind: Some(kind), ..Self::default() };
        for (at, series) in shown().filter(|(_, series)| series.axis(kind).is_none()) {
            if kind != AxisKind::Time && positions(series).is_some() {
                counted.by_position.push(at);
            } else {
                counted.without.push(at);
            }
        }
        counted
    }
}

/// What is to be drawn: for each line what makes its points, and the points where they are known.
pub struct Plan {
    lines: Vec<(usize, Side, Result<Arc<Curve>, Making>)>,
}

impl Plan {
    /// For the chosen lines; `before` are those that are drawn now. `best` are the values that get a star, of series of a name.
    pub fn new(
        gathered: &Arc<Gathered>,
        lines: &[Line],
        counted: &Counted,
        look: CurvesLook,
        best: Option<(&str, &[f64])>,
        before: &[Prepared],
    ) -> Self {
        let drawn = || {
            let shown = lines.iter().enumerate().filter(|(_, line)| line.shown);
            shown.filter(|(at, _)| !counted.without.contains(at))
        };
        let is_score = |line: &Line| line.direction == Some(Direction::Max);
        // Two axes only where both kinds are there.
        let twin =
            look.twin && drawn().any(|(_, line)| is_score(line)) && drawn().any(|(_, line)| !is_score(line));
        let lines = drawn().filter_map(|(at, line)| {
            let best = best.filter(|(name, _)| *name == line.name).map_or(&[][..], |(_, values)| values);
            let making = Making {
                gathered: gathered.clone(),
                series: line.series,
                look,
                kind: counted.kind?,
                best: best.to_vec(),
            };
            let known = before.iter().find(|prepared| prepared.curve.of.is_same(&making));
            let side = if twin && is_score(line) { Side::Right } else { Side::Left };
            Some((at, side, known.map(|prepared| prepared.curve.clone()).ok_or(making)))
        });
        Self { lines: lines.collect() }
    }

    /// Points that are to be made ready.
    pub fn points(&self) -> usize {
        let missing = self.lines.iter().filter_map(|(_, _, curve)| curve.as_ref().err());
        missing.filter_map(|making| making.series()).map(Series::len).sum()
    }

    /// Makes them ready.
    pub fn make(&self, progress: &Progress) -> Result<Vec<Prepared>, Cancelled> {
        let mut made = Vec::with_capacity(self.lines.len());
        for (line, side, curve) in &self.lines {
            let curve = match curve {
                Ok(curve) => Some(curve.clone()),
                Err(making) => making.make(progress)?.map(Arc::new),
            };
            made.extend(curve.map(|curve| Prepared { line: *line, side: *side, curve }));
        }
        Ok(made)
    }
}
