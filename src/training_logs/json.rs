//! JSON logs: Keras's `History`, `trainer_state.json` of Hugging Face's Trainer, JSON lines, and histories of any shape.
//!
//! The Trainer keeps one row per log call in `log_history`, rows of training and of evaluation apart; they meet by their
//! `step`. Source: <https://github.com/huggingface/transformers/blob/v4.40.0/src/transformers/trainer_callback.py>
//! (`TrainerState`) and `Trainer.log` in `trainer.py` of the same version.
//!
//! Everything else becomes series by [`super::tree`].

use super::json_text::{parse, parse_prefix};
use super::table::Table;
use super::{Log, LogFormat, is_text, tree};
use crate::model::metric::{axis_of, is_metric};
use crate::model::{AxisKind, BestRecord, Origin, Problem, Progress, ReadError, Series, Value};
use crate::raw::{ByteSource, limits};

/// The format.
pub struct Json;

impl LogFormat for Json {
    fn name(&self) -> &'static str {
        "JSON"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["json", "jsonl", "ndjson"]
    }

    fn detect(&self, head: &[u8], _name: &str) -> bool {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
        // A table may begin with `[` too, but hardly with a brace.
        is_text(head) && matches!(first, Some(b'{' | b'['))
    }

    fn read(&self, source: &ByteSource, progress: &Progress) -> Result<Log, ReadError> {
        let bytes = source.read_all("the JSON", limits::TEXT_BYTES)?;
        progress.advance(bytes.len() as u64)?;
        let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
        match parse_prefix(&text, 0) {
            Ok((value, "")) => document(&value),
            Ok((Value::Map(_), _)) => lines(&text, progress),
            Ok(_) => Err(ReadError::malformed("the JSON", 0, "something follows the value")),
            // Of lines, the last one may be cut; of a single text nothing is left then.
            Err(error) => match text.trim_start().lines().next().map(|line| parse(line, 0)) {
                Some(Ok(Value::Map(_))) => lines(&text, progress),
                _ => Err(error),
            },
        }
    }
}

fn document(value: &Value) -> Result<Log, ReadError> {
    if let Some(Value::List(rows)) = value.get("log_history") {
        return Ok(trainer_state(value, rows));
    }
    let found = tree::series_in(value, Origin::Log, &|_| None);
    if found.iter().any(|series| series.is_curve) {
        return Ok(Log { series: found, is_certain: true, ..Log::default() });
    }
    if let Some(series) = tree::history_in(value, found) {
        return Ok(Log { series, ..Log::default() });
    }
    if let Value::Map(_) = value {
        let mut rows = Rows::default();
        rows.add(value);
        if rows.table.has_axis() && rows.table.names().any(is_metric) {
            return Ok(rows.finish());
        }
    }
    Err(ReadError::malformed(
        "the JSON",
        0,
        "it holds no history: no lists of measurements, no rows with them",
    ))
}

fn trainer_state(state: &Value, rows: &[Value]) -> Log {
    let mut all = Rows::default();
    for row in rows {
        if !all.add(row) {
            break;
        }
    }
    let mut log = all.finish();
    log.is_certain = true;
    if let Value::Map(entries) = state {
        log.scalars =
            entries.iter().filter_map(|(key, value)| Some((key.clone(), tree::number(value)?))).collect();
    }
    let text = |key: &str| state.get(key).and_then(Value::as_text).map(str::to_owned);
    let value = state.get("best_metric").and_then(tree::number).filter(|value| value.is_finite());
    let path = text("best_model_checkpoint");
    if value.is_some() || path.is_some() {
        // The state does not name the metric; it is the one that has this value at the checkpoint's step.
        let metric = value.and_then(|value| named_by_value(&log.series, value, path.as_deref()));
        log.best =
            Some(BestRecord { by: "Trainer".to_owned(), metric, value, path, ..BestRecord::default() });
    }
    log
}

fn named_by_value(series: &[Series], value: f64, path: Option<&str>) -> Option<String> {
    let step: Option<f64> = path.and_then(|path| path.rsplit('-').next()?.trim_end_matches('/').parse().ok());
    let mut named = series.iter().filter(|series| {
        let steps = series.axis(AxisKind::Step).unwrap_or_default();
        crate::model::metric::is_evaluation(&series.name)
            && steps
                .iter()
                .zip(&series.values)
                .any(|(at, other)| *other == value && step.is_none_or(|step| step == *at))
    });
    let first = named.next()?;
    named.next().is_none().then(|| first.name.clone())
}

/// One object a line.
fn lines(text: &str, progress: &Progress) -> Result<Log, ReadError> {
    let mut rows = Rows::default();
    let (mut broken, mut first_error, mut offset) = (0u64, None, 0u64);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if number.is_multiple_of(1 << 12) {
            progress.advance(0)?;
        }
        let at = offset;
        offset += line.len() as u64;
        if line.trim().is_empty() {
            continue;
        }
        match parse(line, at) {
            Ok(row) => {
                if !rows.add(&row) {
                    break;
                }
            }
            Err(error) => {
                broken += 1;
                first_error.get_or_insert((number + 1, error));
            }
        }
    }
    let rows_read = rows.table.rows();
    if let Some((number, error)) = first_error {
        if u64::from(rows_read) <= broken {
            return Err(error);
        }
        let more = if broken > 1 { format!(", and {} more", broken - 1) } else { String::new() };
        let message = format!("line {number} could not be read ({error}){more}");
        rows.problems.push(Problem::warning("damaged-line", message));
    }
    let log = rows.finish();
    if log.series.is_empty() {
        return Err(ReadError::malformed("the JSON lines", 0, "no key of them holds measurements"));
    }
    Ok(log)
}

/// Rows of nested dictionaries.
#[derive(Default)]
struct Rows {
    table: Table,
    is_full: bool,
    problems: Vec<Problem>,
}

impl Rows {
    /// Takes a row; false when no more are kept.
    fn add(&mut self, row: &Value) -> bool {
        if !self.table.begin_row() {
            self.is_full = true;
            return false;
        }
        self.table.fill(row, &mut String::new(), &tree::number);
        true
    }

    fn finish(mut self) -> Log {
        if self.is_full {
            let message = format!("only the first {} rows were read", self.table.rows());
            self.problems.push(Problem::warning("too-many-points", message));
        }
        let is_certain =
            self.table.names().any(is_metric) && self.table.names().any(|name| axis_of(name).is_some());
        Log {
            series: self.table.finish(Origin::Log, None),
            problems: self.problems,
            is_certain,
            ..Log::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Direction;

    fn log(text: &str) -> Result<Log, ReadError> {
        Json.read(&ByteSource::from_vec(text.as_bytes().to_vec()), &Progress::new())
    }

    #[test]
    fn a_history_is_one_series_a_key() {
        let found = log(r#"{"loss": [2.0, 1.0], "val_loss": [2.5, NaN]}"#).expect("a history");
        let names: Vec<&str> = found.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!((names, found.series[1].gaps()), (vec!["loss", "val_loss"], 1));
    }

    #[test]
    fn trainer_rows_meet_by_step_and_the_record_finds_its_metric() {
        let found = log(
            r#"{"best_metric": 0.5, "best_model_checkpoint": "out/checkpoint-20", "global_step": 20,
                "log_history": [{"epoch": 0.5, "loss": 2.0, "step": 10}, {"eval_loss": 0.7, "step": 10},
                                {"loss": Infinity, "step": 20}, {"eval_loss": 0.5, "epoch": 1.0, "step": 20}]}"#,
        )
        .expect("a state");
        assert_eq!(found.scalars, [("best_metric".to_owned(), 0.5), ("global_step".to_owned(), 20.0)]);
        let evaluation = &found.series[1];
        assert_eq!(evaluation.main_axis(), (AxisKind::Step, &[10.0, 20.0][..]));
        assert_eq!(evaluation.best(Direction::Min), Some((1, 0.5)));
        assert_eq!(found.best.expect("a record").metric.as_deref(), Some("eval_loss"));
    }

    #[test]
    fn json_lines_may_end_within_a_line() {
        let found = log("{\"step\": 1, \"train\": {\"loss\": 2}}\n{\"step\": 2, \"train\": {\"loss\": 1}}\n{\"step\": 3, \"tr").expect("lines");
        assert_eq!((found.series[0].name.as_str(), found.series[0].len()), ("train.loss", 2));
        assert_eq!(found.problems[0].code, "damaged-line");
    }

    #[test]
    fn what_holds_no_history_is_refused() {
        for text in ["{}", r#"{"hidden_size": 768}"#, r#"{"betas": [0.9, 0.99], "a": 1}"#, "[[[[", "[1]"] {
            assert!(log(text).is_err(), "{text}");
        }
        assert!(matches!(log(&"[".repeat(200_000)), Err(ReadError::OverLimit { .. })));
    }
}
