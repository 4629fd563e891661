//! Aligned columns of text.

use std::io::{self, Write};

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// How a row is shown on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emphasis {
    /// As it is.
    None,
    /// In bold: headings and groups.
    Strong,
}

/// Rows of cells, written with every column as wide as its widest cell.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    /// Characters of the widest cell of each column.
    widths: Vec<usize>,
    rows: Vec<Emphasis>,
    /// All cells, one behind the other: a table has a row for each of a million tensors.
    text: String,
    /// Where each cell ends in the text.
    ends: Vec<usize>,
}

impl Table {
    /// No rows yet.
    pub fn new(columns: Vec<(&'static str, Align)>) -> Self {
        let widths = columns.iter().map(|(title, _)| title.len()).collect();
        Self { columns, widths, rows: Vec::new(), text: String::new(), ends: Vec::new() }
    }

    /// Adds a row of one cell per column. Cells must be escaped.
    pub fn push(&mut self, emphasis: Emphasis, mut cells: Vec<String>) {
        cells.resize(self.columns.len(), String::new());
        for (cell, width) in cells.iter().zip(&mut self.widths) {
            *width = (*width).max(cell.chars().count());
            self.text.push_str(cell);
            self.ends.push(self.text.len());
        }
        self.rows.push(emphasis);
    }

    /// Writes the headings and the rows.
    pub fn write(&self, out: &mut impl Write, colours: bool) -> io::Result<()> {
        let mut line = String::new();
        self.line(&mut line, self.columns.iter().map(|(title, _)| *title));
        write_line(out, &line, colours)?;
        let mut start = 0;
        for (emphasis, ends) in self.rows.iter().zip(self.ends.chunks(self.columns.len().max(1))) {
            let cells = ends.iter().map(|&end| &self.text[std::mem::replace(&mut start, end)..end]);
            self.line(&mut line, cells);
            write_line(out, &line, colours && *emphasis == Emphasis::Strong)?;
        }
        Ok(())
    }

    fn line<'a>(&self, line: &mut String, cells: impl Iterator<Item = &'a str>) {
        line.clear();
        for ((cell, &width), (_, align)) in cells.zip(&self.widths).zip(&self.columns) {
            let padding = width - cell.chars().count();
            if *align == Align::Right {
                line.extend(std::iter::repeat_n(' ', padding));
            }
            line.push_str(cell);
            if *align == Align::Left {
                line.extend(std::iter::repeat_n(' ', padding));
            }
            line.push_str("  ");
        }
        line.truncate(line.trim_end().len());
    }
}

fn write_line(out: &mut impl Write, line: &str, strong: bool) -> io::Result<()> {
    if strong { writeln!(out, "\u{1b}[1m{line}\u{1b}[0m") } else { writeln!(out, "{line}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_at_the_right_and_lines_have_no_trailing_spaces() {
        let mut table =
            Table::new(vec![("Name", Align::Left), ("Count", Align::Right), ("Note", Align::Left)]);
        table.push(Emphasis::Strong, vec!["ä".into(), "7".into(), String::new()]);
        let mut out = Vec::new();
        table.write(&mut out, false).expect("written");
        assert_eq!(String::from_utf8(out).expect("text"), "Name  Count  Note\nä         7\n");
    }
}
