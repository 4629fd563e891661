//! One row per pair and per tensor without a partner, as RFC 4180 has it.

use std::io::{self, Write};

use super::Report;
use crate::analysis::diff::PairDiff;
use crate::model::TensorInfo;

/// The columns, named as in the JSON.
const COLUMNS: &str = "left,right,status,matched_by,shape_left,shape_right,dtype_left,dtype_right,elements,changed,max_abs,mean_abs,l2,l2_left,l2_right,\
                       relative_l2,cosine,sign_flips,nan_appeared,nan_gone";

/// How many of them are numbers about the values.
const VALUES: usize = 11;

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{COLUMNS}\r")?;
    for pair in &report.comparison.pairs {
        let (left, right) = (report.left.tensor(pair.pair.left), report.right.tensor(pair.pair.right));
        row(out, Some(left), Some(right), pair.status.name(), pair.pair.by.name(), &values(pair))?;
    }
    let pairing = &report.comparison.pairing;
    for &id in &pairing.only_left {
        row(out, Some(report.left.tensor(id)), None, "only_left", "", &[])?;
    }
    for &id in &pairing.only_right {
        row(out, None, Some(report.right.tensor(id)), "only_right", "", &[])?;
    }
    Ok(())
}

fn row(
    out: &mut dyn Write,
    left: Option<&TensorInfo>,
    right: Option<&TensorInfo>,
    status: &str,
    matched_by: &str,
    values: &[String],
) -> io::Result<()> {
    let text =
        |tensor: Option<&TensorInfo>, get: fn(&TensorInfo) -> String| tensor.map(get).unwrap_or_default();
    let name = |tensor: &TensorInfo| tensor.name.clone();
    let shape = |tensor: &TensorInfo| tensor.shape.to_string();
    let dtype = |tensor: &TensorInfo| tensor.dtype.name().to_owned();
    let mut cells = vec![text(left, name), text(right, name), status.to_owned(), matched_by.to_owned()];
    cells.extend([text(left, shape), text(right, shape), text(left, dtype), text(right, dtype)]);
    cells.push(text(left.or(right), |tensor| tensor.elements().to_string()));
    cells.extend_from_slice(values);
    cells.resize(9 + VALUES, String::new());
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    write!(out, "{}\r\n", cells.join(","))
}

fn values(pair: &PairDiff) -> Vec<String> {
    let Some(values) = &pair.values else { return Vec::new() };
    let cosine = values.cosine.map(|cosine| cosine.to_string()).unwrap_or_default();
    let floats =
        [values.max_abs, values.mean_abs, values.l2, values.l2_left, values.l2_right, values.relative_l2()];
    let counts = [values.sign_flips, values.nan_appeared, values.nan_gone];
    std::iter::once(values.changed.to_string())
        .chain(floats.map(|float| float.to_string()))
        .chain([cosine])
        .chain(counts.map(|count| count.to_string()))
        .collect()
}

/// A cell; one that a spreadsheet would take for a formula gets an apostrophe in front.
pub(in crate::export) fn quoted(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    let guard = if !is_number && cell.starts_with(['=', '+', '-', '@', '\t']) { "'" } else { "" };
    if guard.is_empty() && !cell.contains(['"', ',', '\n', '\r']) {
        return cell.to_owned();
    }
    format!("\"{guard}{}\"", cell.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_needed_and_never_formulas() {
        assert_eq!(quoted("a.b"), "a.b");
        assert_eq!(quoted("[2, 3]"), "\"[2, 3]\"");
        assert_eq!(quoted("say \"x\""), "\"say \"\"x\"\"\"");
        assert_eq!(quoted("=SUM(A1)"), "\"'=SUM(A1)\"");
        assert_eq!(quoted("-0.5"), "-0.5");
        assert_eq!(COLUMNS.split(',').count(), 9 + VALUES);
    }
}
