//! TensorBoard event files: scalars and histograms by tag.
//!
//! ```text
//! record := u64 length | u32 masked crc32c of it | `length` bytes of an Event | u32 masked crc32c of them
//! Event  := wall_time 1 | step 2 | file_version 3 | summary 5 | session_log 7 | …
//! ```
//!
//! A log that ends within a record, or whose checksums fail, keeps what was read before. Pictures, audio, graphs and text
//! are passed over. Sources: TensorFlow's `record_writer.h`, `event.proto` and `summary.proto`:
//! <https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/lib/io/record_writer.h>,
//! <https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/util/event.proto>,
//! <https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/framework/summary.proto>.

pub mod frames;
mod records;
mod summary;

use std::collections::HashMap;

use super::{Log, LogFormat};
use crate::formats::containers::protobuf::{Message, Payload};
use crate::model::{Axis, AxisKind, HistogramSeries, Origin, Problem, Progress, ReadError, Series};
use crate::raw::{ByteSource, limits};
use records::{Next, Records};
use summary::Content;

/// The format.
pub struct TensorBoard;

impl LogFormat for TensorBoard {
    fn name(&self) -> &'static str {
        "TensorBoard"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["tfevents"]
    }

    /// Whether the first record's length has its checksum, or the name says `tfevents` (then a damaged start is told).
    fn detect(&self, head: &[u8], name: &str) -> bool {
        records::starts_like_one(head) || (name.contains("tfevents") && !head.is_empty())
    }

    fn read(&self, source: &ByteSource, progress: &Progress) -> Result<Log, ReadError> {
        let mut events = Events::default();
        let mut records = Records::new(source);
        let mut damaged = 0u64;
        let mut last_damage = None;
        loop {
            match records.next() {
                Next::Record(bytes, offset) => {
                    progress.advance(bytes.len() as u64)?;
                    if let Err(error) = events.add(bytes, offset) {
                        damaged += 1;
                        last_damage = Some(error.to_string());
                    }
                }
                Next::Damaged(reason) => {
                    damaged += 1;
                    last_damage = Some(reason);
                }
                Next::Skipped => {}
                Next::Stop(problem) => {
                    events.problems.push(*problem);
                    break;
                }
                Next::End => break,
            }
        }
        if let Some(reason) = last_damage {
            let message = format!(
                "{damaged} record{} left out: {reason}",
                if damaged == 1 { " was" } else { "s were" }
            );
            events.problems.push(Problem::warning("damaged-record", message));
        }
        if records.read == 0 {
            // Nothing at all could be read: the reason is the answer.
            let reason =
                events.problems.first().map_or("it holds no record", |problem| problem.message.as_str());
            return Err(ReadError::malformed("the event file", 0, reason.to_owned()));
        }
        Ok(events.finish())
    }
}

#[derive(Default)]
struct Tag {
    steps: Vec<f64>,
    times: Vec<f64>,
    values: Vec<f64>,
}

/// What was read so far.
#[derive(Default)]
struct Events {
    /// In order of first mention.
    scalars: Vec<(String, Tag)>,
    histograms: Vec<HistogramSeries>,
    scalar_index: HashMap<String, usize>,
    histogram_index: HashMap<String, usize>,
    /// The plugin of a tag: writers may say it with the first value only.
    plugins: HashMap<String, String>,
    points: usize,
    purged: u64,
    restarts_at: Option<f64>,
    is_full: bool,
    problems: Vec<Problem>,
}

impl Events {
    fn add(&mut self, bytes: &[u8], offset: u64) -> Result<(), ReadError> {
        let (mut time, mut step) = (f64::NAN, 0i64);
        let (mut summary, mut session) = (None, None);
        for field in Message::new(bytes, offset) {
            let field = field?;
            match (field.number, field.payload) {
                (1, Payload::Fixed64(bits)) => time = f64::from_bits(bits),
                (2, Payload::Varint(value)) => step = value.cast_signed(),
                (5, _) => summary = Some(field.message()?),
                (7, _) => session = Some(field.message()?),
                _ => {}
            }
        }
        if let Some(session) = session {
            for field in session {
                let field = field?;
                // START: what an earlier session wrote from this step on was never reached again.
                if field.number == 1 && field.number_value() == 1 {
                    self.restart(step as f64);
                }
            }
        }
        let Some(summary) = summary else { return Ok(()) };
        for field in summary {
            let field = field?;
            if field.number == 1 {
                let value = summary::value(field.message()?, &mut self.plugins)?;
                self.record(value.tag, value.content, step as f64, time);
            }
        }
        Ok(())
    }

    fn record(&mut self, name: String, content: Content, step: f64, time: f64) {
        let series = self.scalars.len() + self.histograms.len();
        let is_known = match content {
            Content::Other => return,
            Content::Scalar(_) => self.scalar_index.contains_key(&name),
            Content::Histogram(_) => self.histogram_index.contains_key(&name),
        };
        if self.points >= limits::LOG_POINTS || (!is_known && series >= limits::LOG_SERIES) {
            if !self.is_full {
                let message = "the log holds more than can be shown; the rest of it was left out";
                self.problems.push(Problem::warning("too-many-points", message));
            }
            self.is_full = true;
            return;
        }
        match content {
            Content::Scalar(value) => {
                let index = *self.scalar_index.entry(name).or_insert_with_key(|name| {
                    self.scalars.push((name.clone(), Tag::default()));
                    self.scalars.len() - 1
                });
                if let Some((_, tag)) = self.scalars.get_mut(index) {
                    tag.steps.push(step);
                    tag.times.push(time);
                    tag.values.push(value);
                }
                self.points += 1;
            }
            Content::Histogram(buckets) => {
                // A step without values takes room too.
                self.points += buckets.len() + 1;
                let index = *self.histogram_index.entry(name).or_insert_with_key(|name| {
                    self.histograms.push(HistogramSeries {
                        name: name.clone(),
                        run: String::new(),
                        source: std::path::PathBuf::new(),
                        frames: Vec::new(),
                    });
                    self.histograms.len() - 1
                });
                if let Some(histogram) = self.histograms.get_mut(index) {
                    histogram.frames.push((step, buckets));
                }
            }
            Content::Other => {}
        }
    }

    /// Drops what was recorded from `step` on, as TensorBoard does when a session starts there.
    fn restart(&mut self, step: f64) {
        self.restarts_at.get_or_insert(step);
        for (_, tag) in &mut self.scalars {
            let kept: Vec<bool> = tag.steps.iter().map(|&other| other < step).collect();
            self.purged += kept.iter().filter(|&&kept| !kept).count() as u64;
            for values in [&mut tag.steps, &mut tag.times, &mut tag.values] {
                let mut keep = kept.iter();
                values.retain(|_| keep.next().copied().unwrap_or(true));
            }
        }
        for histogram in &mut self.histograms {
            histogram.frames.retain(|(other, _)| *other < step);
        }
    }

    fn finish(mut self) -> Log {
        if self.purged > 0 {
            let message = format!(
                "{} point{} before a restart were taken back by it and are not shown",
                self.purged,
                if self.purged == 1 { "" } else { "s" }
            );
            self.problems.push(Problem::info("restarted", message));
        }
        let series = self.scalars.into_iter().filter(|(_, tag)| !tag.values.is_empty());
        let series = series.map(|(name, tag)| {
            let mut axes = vec![Axis { kind: AxisKind::Step, values: tag.steps }];
            if tag.times.iter().any(|time| time.is_finite()) {
                axes.push(Axis { kind: AxisKind::Time, values: tag.times });
            }
            Series { axes, ..Series::by_index(name, Origin::Log, tag.values) }
        });
        Log {
            series: series.collect(),
            histograms: self.histograms,
            restarts_at: self.restarts_at,
            is_certain: true,
            problems: self.problems,
            ..Log::default()
        }
    }
}
