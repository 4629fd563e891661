//! Tables of text: Keras's `CSVLogger`, Lightning's `metrics.csv`, downloads of TensorBoard, columns of any kind.
//!
//! The delimiter (comma, semicolon, tab, bar, white space) is the one that cuts the first lines alike; with any but the
//! comma, numbers may have decimal commas. The first line is the header unless it is all numbers. Rows that are longer
//! or shorter than the header are kept as far as they go, and said. Text in a cell is no point.
//!
//! `CSVLogger` writes `NA` for what was not logged in an epoch:
//! <https://github.com/keras-team/keras/blob/v3.5.0/keras/src/callbacks/csv_logger.py>.

use std::io::{BufRead, BufReader, Read};

use super::table::Table;
use super::{Log, LogFormat, is_text};
use crate::model::metric::is_metric;
use crate::model::{Origin, Problem, Progress, ReadError};
use crate::raw::source::SourceReader;
use crate::raw::{ByteSource, limits};

/// The format.
pub struct Csv;

impl LogFormat for Csv {
    fn name(&self) -> &'static str {
        "CSV"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["csv", "tsv", "txt", "log"]
    }

    fn detect(&self, head: &[u8], _name: &str) -> bool {
        is_text(head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head))
    }

    fn read(&self, source: &ByteSource, progress: &Progress) -> Result<Log, ReadError> {
        let head = source.read_up_to("the first lines", 0, 64 << 10)?;
        let head = String::from_utf8_lossy(head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head)).into_owned();
        let dialect = Dialect::of(&head)
            .ok_or_else(|| ReadError::malformed("the table", 0, "its lines are not columns with numbers"))?;
        let mut reading = Reading { dialect, ..Reading::default() };
        let mut reader = BufReader::with_capacity(256 << 10, SourceReader::new(source.clone()));
        let mut line = Vec::new();
        let mut first = true;
        loop {
            line.clear();
            // A line may be a bomb, so no more of it is taken than a line may have.
            let taken = (&mut reader).take(limits::LOG_LINE_BYTES as u64).read_until(b'\n', &mut line)?;
            if taken == 0 {
                break;
            }
            if taken >= limits::LOG_LINE_BYTES {
                let value = taken as u64;
                return Err(ReadError::OverLimit {
                    what: "the length of a line".into(),
                    value,
                    limit: limits::LOG_LINE_BYTES as u64,
                });
            }
            progress.advance(taken as u64)?;
            let bytes = if std::mem::take(&mut first) {
                line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line)
            } else {
                &line
            };
            if !reading.line(&String::from_utf8_lossy(bytes)) {
                break;
            }
        }
        reading.finish()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delimiter {
    Character(char),
    /// Any number of blanks and tabs.
    Blanks,
}

#[derive(Debug, Clone, Copy)]
struct Dialect {
    delimiter: Delimiter,
    /// Whether `1,5` is one and a half.
    decimal_comma: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: Delimiter::Character(','), decimal_comma: false }
    }
}

/// Lines looked at to find the delimiter.
const SAMPLE: usize = 20;

impl Dialect {
    /// The delimiter under which most of the first lines have numbers in as many columns as the first one.
    fn of(head: &str) -> Option<Self> {
        let lines: Vec<&str> = head
            .lines()
            .map(str::trim_end)
            .filter(|line| !is_comment(line) && !line.trim().is_empty())
            .take(SAMPLE)
            .collect();
        let candidates = [',', '\t', ';', '|'].map(Delimiter::Character);
        let score = |delimiter: Delimiter| -> (usize, usize) {
            let dialect = Self { delimiter, decimal_comma: delimiter != Delimiter::Character(',') };
            let columns = lines.first().map_or(0, |line| dialect.cells(line).len());
            let alike = lines.iter().filter(|line| {
                let cells = dialect.cells(line);
                cells.len() == columns
                    && cells.iter().any(|cell| matches!(dialect.number(cell), Cell::Number(_)))
            });
            (if columns > 1 { alike.count() } else { 0 }, columns)
        };
        // The first of equal ones: a comma before the others.
        let best = candidates.into_iter().rev().max_by_key(|&delimiter| score(delimiter))?;
        let (delimiter, found) = match score(best).0 {
            0 => {
                let (alike, columns) = score(Delimiter::Blanks);
                // A single column of numbers has no delimiter at all.
                let single = Self { delimiter: best, decimal_comma: false };
                let numbers =
                    lines.iter().filter(|line| matches!(single.number(line.trim()), Cell::Number(_))).count();
                if alike > 0 && columns > 1 { (Delimiter::Blanks, alike) } else { (best, numbers) }
            }
            alike => (best, alike),
        };
        let decimal_comma = delimiter != Delimiter::Character(',');
        let dialect = Self { delimiter, decimal_comma };
        (found > 0 && !dialect.has_sentences(&lines)).then_some(dialect)
    }

    /// Whether lines are `Epoch 3 loss: 0.25` over and over: words and numbers by turns, under no header.
    fn has_sentences(self, lines: &[&str]) -> bool {
        let [first, second, ..] = lines else { return false };
        let (first, second) = (self.cells(first), self.cells(second));
        let is_text = |cell: &str| self.number(cell) == Cell::Text;
        let has_numbers = first.iter().any(|cell| matches!(self.number(cell), Cell::Number(_)));
        has_numbers
            && first.len() == second.len()
            && first.iter().zip(&second).any(|(one, other)| is_text(one) && one == other)
            && first.iter().zip(&second).all(|(one, other)| is_text(one) == is_text(other))
    }

    fn cells(self, line: &str) -> Vec<&str> {
        let mut cells = Vec::new();
        match self.delimiter {
            Delimiter::Blanks => cells.extend(line.split_whitespace()),
            Delimiter::Character(delimiter) if !line.contains('"') => {
                cells.extend(line.split(delimiter).map(str::trim));
            }
            Delimiter::Character(delimiter) => {
                let (mut start, mut quoted) = (0, false);
                for (position, c) in line.char_indices() {
                    if c == '"' {
                        quoted = !quoted;
                    } else if c == delimiter && !quoted {
                        cells.push(line.get(start..position).unwrap_or_default().trim());
                        start = position + c.len_utf8();
                    }
                }
                cells.push(line.get(start..).unwrap_or_default().trim());
            }
        }
        cells
    }

    fn number(self, cell: &str) -> Cell {
        let cell = cell.trim_matches('"').trim();
        match cell {
            "" | "NA" | "N/A" | "n/a" | "null" | "None" | "-" | "--" => return Cell::Missing,
            "NaN" | "nan" | "NAN" | "-nan" | "nan(ind)" | "-nan(ind)" => return Cell::Number(f64::NAN),
            _ => {}
        }
        if let Ok(value) = cell.parse() {
            return Cell::Number(value);
        }
        if self.decimal_comma
            && cell.matches(',').count() == 1
            && let Ok(value) = cell.replace(',', ".").parse()
        {
            return Cell::Number(value);
        }
        // What `print(tensor.item())` and percentages leave behind is text: guessing a number would be claiming one.
        Cell::Text
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Number(f64),
    Missing,
    Text,
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

#[derive(Default)]
struct Reading {
    dialect: Dialect,
    /// Columns of the table; empty before the header was seen.
    columns: Vec<Option<usize>>,
    header: Vec<String>,
    table: Table,
    ragged: u64,
    /// Cells of text per column.
    text: Vec<u64>,
    repeated_headers: u64,
    is_full: bool,
}

impl Reading {
    /// Takes a line; false when no more are kept.
    fn line(&mut self, line: &str) -> bool {
        let line = line.trim_end_matches(['\n', '\r']);
        if line.trim().is_empty() || (is_comment(line) && !self.columns.is_empty()) {
            return true;
        }
        let line = if self.columns.is_empty() { line.trim_start_matches(['#', ' ']) } else { line };
        let cells = self.dialect.cells(line);
        if self.columns.is_empty() {
            let is_header = cells.iter().any(|cell| self.dialect.number(cell) == Cell::Text);
            if is_header {
                self.header = cells.iter().map(|cell| cell.trim_matches('"').to_owned()).collect();
            } else {
                let many = cells.len() > 1;
                self.header = (1..=cells.len())
                    .map(|number| if many { format!("column {number}") } else { "value".to_owned() })
                    .collect();
            }
            let mut seen = std::collections::HashMap::new();
            for (position, name) in self.header.iter_mut().enumerate() {
                if name.is_empty() {
                    // pandas leaves the name of its index empty.
                    *name =
                        if position == 0 { "index".to_owned() } else { format!("column {}", position + 1) };
                }
                let count = seen.entry(name.clone()).or_insert(0u32);
                *count += 1;
                if *count > 1 {
                    *name = format!("{name} ({count})");
                }
            }
            self.columns = self.header.iter().map(|name| self.table.column(name)).collect();
            self.text = vec![0; self.columns.len()];
            if is_header {
                return true;
            }
        } else if cells.len() == self.header.len()
            && cells.iter().zip(&self.header).all(|(cell, name)| cell.trim_matches('"') == name)
        {
            // A run that was continued with a logger that writes its header again.
            self.repeated_headers += 1;
            return true;
        }
        if !self.table.begin_row() {
            self.is_full = true;
            return false;
        }
        self.ragged += u64::from(cells.len() != self.columns.len());
        for ((cell, column), text) in cells.iter().zip(&self.columns).zip(&mut self.text) {
            match self.dialect.number(cell) {
                Cell::Number(value) => {
                    if let Some(column) = column {
                        self.table.set(*column, value);
                    }
                }
                Cell::Text => *text += 1,
                Cell::Missing => {}
            }
        }
        true
    }

    fn finish(self) -> Result<Log, ReadError> {
        let rows = self.table.rows();
        let is_certain = self.table.has_axis() && self.table.names().any(is_metric);
        let names: Vec<String> = self.table.names().map(str::to_owned).collect();
        let mut problems = Vec::new();
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        if self.ragged > 0 {
            let message = format!(
                "{} of {rows} row{} have more or fewer cells than the header; they were read as far as they go",
                self.ragged,
                plural(rows.into())
            );
            problems.push(Problem::warning("ragged-rows", message));
        }
        if self.repeated_headers > 0 {
            let message = format!(
                "the header stands in it {} more time{}",
                self.repeated_headers,
                plural(self.repeated_headers)
            );
            problems.push(Problem::info("repeated-header", message));
        }
        if self.is_full {
            let message = format!("only the first {rows} rows were read");
            problems.push(Problem::warning("too-many-points", message));
        }
        let series = self.table.finish(Origin::Log, None);
        for (name, &text) in names.iter().zip(&self.text) {
            // A column of nothing but text is no series and needs no word.
            if text > 0 && series.iter().any(|series| series.name == *name) {
                let message = format!("{text} cell{} of {name} hold text instead of a number", plural(text));
                problems.push(Problem::warning("text-cells", message));
            }
        }
        if series.is_empty() {
            return Err(ReadError::malformed("the table", 0, "no column of it holds measurements"));
        }
        Ok(Log { series, is_certain, problems, ..Log::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AxisKind;

    fn log(text: &str) -> Log {
        Csv.read(&ByteSource::from_vec(text.as_bytes().to_vec()), &Progress::new()).expect("a table")
    }

    /// Name, axis and points of each series.
    type Shown<'a> = Vec<(&'a str, AxisKind, Vec<(f64, f64)>)>;

    fn shown(log: &Log) -> Shown<'_> {
        let points = |series: &crate::model::Series| {
            series.main_axis().1.iter().copied().zip(series.values.iter().copied()).collect()
        };
        log.series.iter().map(|series| (series.name.as_str(), series.main_axis().0, points(series))).collect()
    }

    #[test]
    fn semicolons_come_with_decimal_commas() {
        let log = log("\u{feff}epoch;loss;val_loss\r\n0;1,5;2,5\r\n1;1,0;2,0\r\n");
        assert_eq!(
            shown(&log),
            [
                ("loss", AxisKind::Epoch, vec![(0.0, 1.5), (1.0, 1.0)]),
                ("val_loss", AxisKind::Epoch, vec![(0.0, 2.5), (1.0, 2.0)])
            ]
        );
        assert!(log.is_certain && log.problems.is_empty());
    }

    #[test]
    fn ragged_rows_are_read_as_far_as_they_go_and_said() {
        let log = log("epoch,loss\n0,1,2,3\n1\n\n2,0.5\n");
        assert_eq!(shown(&log), [("loss", AxisKind::Epoch, vec![(0.0, 1.0), (2.0, 0.5)])]);
        assert!(log.problems.iter().any(|problem| problem.code == "ragged-rows"), "{:?}", log.problems);
    }

    #[test]
    fn empty_cells_are_no_points_and_nan_is_a_gap() {
        let log = log("step,loss,val_loss\n1,2.0,\n2,nan,\n2,,1.5\n");
        let loss = log.series.iter().find(|series| series.name == "loss").expect("loss");
        assert_eq!((loss.len(), loss.gaps()), (2, 1));
        assert_eq!(shown(&log)[1], ("val_loss", AxisKind::Step, vec![(2.0, 1.5)]));
    }

    #[test]
    fn columns_need_neither_a_header_nor_a_delimiter() {
        assert_eq!(shown(&log("2.5\n1.5\n")), [("value", AxisKind::Index, vec![(0.0, 2.5), (1.0, 1.5)])]);
        assert_eq!(shown(&log("epoch  train/loss\n 0   2.5\n 1   1.5\n"))[0].0, "train/loss");
        assert_eq!(shown(&log("\"epoch\",\"a, b\"\n0,\"1.5\"\n"))[0].0, "a, b");
    }

    #[test]
    fn a_text_that_is_no_table_is_refused() {
        let sentences = "Epoch 1 loss: 0.5\nEpoch 2 loss: 0.25\n";
        for text in ["dear diary,\nit rained", "{", "a,b\nc,d\n", sentences] {
            let source = ByteSource::from_vec(text.as_bytes().to_vec());
            assert!(Csv.read(&source, &Progress::new()).is_err(), "{text}");
        }
    }
}
