//! Series as lines of text, one for each point: what spreadsheets and data frames take without a second thought.

use std::fmt;

use super::{AxisKind, Series};

const AXES: [AxisKind; 4] = [AxisKind::Step, AxisKind::Epoch, AxisKind::Index, AxisKind::Time];

/// Writes the header and all points.
pub fn write(series: &[&Series], out: &mut dyn fmt::Write) -> fmt::Result {
    writeln!(out, "run,source,series,step,epoch,index,time,value")?;
    series.iter().try_for_each(|one| points(one, out))
}

/// Writes the points of one series, without a header.
pub fn points(series: &Series, out: &mut dyn fmt::Write) -> fmt::Result {
    let names = [series.run.as_str(), &series.source.to_string_lossy(), &series.name].map(quoted).join(",");
    let axes = AXES.map(|kind| series.axis(kind));
    for (point, value) in series.values.iter().enumerate() {
        write!(out, "{names}")?;
        for axis in axes {
            match axis.and_then(|values| values.get(point)).filter(|value| value.is_finite()) {
                Some(value) => write!(out, ",{value}")?,
                None => write!(out, ",")?,
            }
        }
        writeln!(out, ",{value}")?;
    }
    Ok(())
}

/// As RFC 4180 asks. A leading `=`, `+`, `-` or `@` of a text would be a formula to a spreadsheet, so a quote goes before it.
fn quoted(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Origin;

    #[test]
    fn names_are_quoted_and_axes_that_are_not_there_are_empty() {
        let series = Series::by_index("a, \"b\"".into(), Origin::Log, vec![0.5, f64::NAN]);
        let mut out = String::new();
        write(&[&series], &mut out).expect("written");
        assert_eq!(out.lines().nth(1), Some(",,\"a, \"\"b\"\"\",,,0,,0.5"));
        assert_eq!(out.lines().nth(2), Some(",,\"a, \"\"b\"\"\",,,1,,NaN"));
    }
}
