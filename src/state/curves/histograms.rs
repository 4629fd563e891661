//! Logged histograms: which are listed, what is drawn of one quantity, and all of it as text.

use std::fmt::Write as _;
use std::sync::Arc;

use super::CurvesState;
use crate::analysis::ridges::Ridges;
use crate::jobs::Preparation;
use crate::jobs::curves::Gathered;
use crate::model::HistogramSeries;
use crate::state::SavedText;

/// Histograms of one quantity, ready to be drawn.
#[derive(Debug)]
pub struct Made {
    /// What they are of.
    pub gathered: Arc<Gathered>,
    /// Which of its histograms.
    pub index: usize,
    /// The steps over the same bins.
    pub ridges: Ridges,
}

impl Made {
    /// What was logged.
    pub fn series(&self) -> Option<&HistogramSeries> {
        self.gathered.histograms.get(self.index)
    }
}

impl CurvesState {
    /// Lists the quantities that fit the filter.
    pub(super) fn relist_histograms(&mut self, gathered: &Gathered) {
        let wanted = self.filter.trim().to_lowercase();
        let fits = |series: &HistogramSeries| {
            wanted.is_empty()
                || series.name.to_lowercase().contains(&wanted)
                || series.run.to_lowercase().contains(&wanted)
        };
        let all = gathered.histograms.iter().enumerate();
        self.histograms = all.filter(|(_, series)| fits(series)).map(|(index, _)| index).collect();
        self.histograms.sort_by_key(|&index| gathered.histograms.get(index).map(|series| &series.run));
    }

    /// Keeps showing the same quantity when everything was gathered again.
    pub(super) fn keep_histogram(&mut self, before: Option<&Gathered>, gathered: &Gathered) {
        let chosen = self.histogram.and_then(|index| before?.histograms.get(index));
        self.histogram = chosen.and_then(|chosen| {
            let is_same = |other: &HistogramSeries| other.run == chosen.run && other.name == chosen.name;
            gathered.histograms.iter().position(is_same)
        });
    }

    /// The work of drawing what is chosen; the first quantity where nothing is.
    pub fn make_ridges(&mut self) -> Option<Preparation> {
        let gathered = self.gathered.value()?.clone();
        let index = *self.histogram.get_or_insert(*self.histograms.first()?);
        let is_made = |made: &Arc<Made>| made.index == index && Arc::ptr_eq(&made.gathered, &gathered);
        if self.ridges.as_ref().is_some_and(is_made) {
            return None;
        }
        Some(Preparation::new(move |progress| {
            let ridges = match gathered.histograms.get(index) {
                Some(series) => Ridges::of(series, progress)?,
                None => Ridges::default(),
            };
            Ok(Made { gathered: gathered.clone(), index, ridges })
        }))
    }

    /// The work of writing down every bucket of what is chosen.
    pub fn save_histograms(&self) -> Option<Preparation> {
        let (gathered, index) = (self.gathered.value()?.clone(), self.histogram?);
        Some(Preparation::new(move |progress| {
            let mut text = "step,left,right,count\n".to_owned();
            for (step, buckets) in gathered.histograms.get(index).map_or(&[][..], |series| &series.frames) {
                progress.advance(0)?;
                for bucket in buckets {
                    // Writing to memory does not fail.
                    let _ = writeln!(text, "{step},{},{},{}", bucket.left, bucket.right, bucket.count);
                }
            }
            Ok(SavedText { name: "histograms.csv".to_owned(), text })
        }))
    }
}
