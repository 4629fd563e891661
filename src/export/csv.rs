//! Numbers as text, for tensors small enough to look at in a table.
//!
//! One tensor of at most two dimensions is a table of its values; anything else one line per value: `tensor,index,value`.

use std::fmt::Write as _;
use std::io::Write;

use super::plan::{ExportPlan, PlannedFile, PlannedTensor};
use super::report::quoted;
use super::values::Values;
use super::{ExportError, cast};
use crate::model::{Dtype, Shape};
use crate::text;

/// Values in one file. Spreadsheets stop at a million rows.
const VALUES: u64 = 1 << 20;

/// Fails for more values than a table should have.
pub(super) fn check(plan: &ExportPlan) -> Result<(), ExportError> {
    let values = plan.tensors.iter().map(|tensor| tensor.shape.elements()).fold(0, u64::saturating_add);
    if values > VALUES {
        return Err(ExportError::refused(format!(
            "CSV is for small tensors: {} values are selected, at most {} fit",
            text::count(values),
            text::count(VALUES)
        )));
    }
    Ok(())
}

/// Writes the file.
pub(super) fn write(
    file: &PlannedFile,
    values: &mut Values<'_>,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let is_table = match file.tensors.as_slice() {
        [single] => values.tensor(*single)?.shape.rank() <= 2,
        _ => false,
    };
    if !is_table {
        out.write_all(b"tensor,index,value\n")?;
    }
    for &index in &file.tensors {
        let tensor = values.tensor(index)?;
        let mut lines =
            Lines { tensor, is_table, name: quoted(&tensor.name), position: 0, text: String::new() };
        values.each_piece(index, &mut |piece| {
            lines.text.clear();
            lines.add(piece);
            Ok(out.write_all(lines.text.as_bytes())?)
        })?;
    }
    Ok(())
}

struct Lines<'a> {
    tensor: &'a PlannedTensor,
    is_table: bool,
    name: String,
    position: u64,
    text: String,
}

impl Lines<'_> {
    fn add(&mut self, bytes: &[u8]) {
        for element in bytes.chunks_exact(self.tensor.dtype.group_bytes()) {
            if self.is_table {
                self.value(element);
                self.position += 1;
                let columns = self.tensor.shape.dims().last().copied().unwrap_or(1);
                self.text.push(if self.position.is_multiple_of(columns.max(1)) { '\n' } else { ',' });
            } else {
                let index = index(&self.tensor.shape, self.position);
                let _ = write!(self.text, "{},{index},", self.name); // writing to a String cannot fail
                self.value(element);
                self.position += 1;
                self.text.push('\n');
            }
        }
    }

    /// The shortest text that reads back as the same value.
    fn value(&mut self, bytes: &[u8]) {
        let dtype = &self.tensor.dtype;
        let _ = match dtype {
            Dtype::Bool => write!(self.text, "{}", u8::from(bytes.first() != Some(&0))),
            Dtype::Float32 => {
                let single = f32::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default());
                write!(self.text, "{single}")
            }
            Dtype::Complex64 => {
                let part = |at: usize| {
                    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
                    f32::from_le_bytes(bytes.unwrap_or_default())
                };
                write!(self.text, "{}{:+}j", part(0), part(4))
            }
            Dtype::Complex128 => {
                let part = |at: usize| {
                    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
                    f64::from_le_bytes(bytes.unwrap_or_default())
                };
                write!(self.text, "{}{:+}j", part(0), part(8))
            }
            _ => {
                if let Some(number) = cast::integer(dtype, bytes) {
                    write!(self.text, "{number}")
                } else {
                    let mut numbers = Vec::with_capacity(1);
                    dtype.decode(bytes, &mut numbers);
                    write!(self.text, "{}", numbers.first().copied().unwrap_or(f64::NAN))
                }
            }
        };
    }
}

/// `2 0 15`: the indices of an element, outermost first.
fn index(shape: &Shape, position: u64) -> String {
    let mut rest = position;
    let mut indices: Vec<u64> = Vec::with_capacity(shape.rank());
    for &dim in shape.dims().iter().rev() {
        indices.push(rest % dim.max(1));
        rest /= dim.max(1);
    }
    let texts: Vec<String> = indices.iter().rev().map(u64::to_string).collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_counts_the_last_dimension_first() {
        assert_eq!(index(&Shape::from(vec![2, 3, 4]), 23), "1 2 3");
        assert_eq!(index(&Shape::default(), 0), "");
    }
}
