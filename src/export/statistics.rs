//! A table of statistics as CSV, one row per tensor.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::ExportError;
use super::report::quoted;
use super::staged::StagedFile;
use super::write::refuse_source;
use crate::analysis::Statistics;
use crate::analysis::statistics::Quantiles;
use crate::model::{Checkpoint, TensorId};

/// Writes the table to `target`, which stays as it was until everything is there. An existing file is only replaced when
/// `replace` says so, and never the checkpoint itself.
pub fn save_statistics<'a>(
    checkpoint: &Checkpoint,
    rows: impl IntoIterator<Item = (TensorId, Option<&'a Statistics>)>,
    target: &Path,
    replace: bool,
) -> Result<(), ExportError> {
    refuse_source(checkpoint, target)?;
    let mut file = StagedFile::create(target)?;
    let mut table = BufWriter::new(&mut file);
    write_statistics(checkpoint, rows, &mut table)?;
    table.flush()?;
    drop(table);
    file.sync()?;
    Ok(file.commit(replace)?)
}

/// Writes the statistics of tensors as RFC 4180 has it; a tensor without numbers has a row without them. Moments and
/// quantiles are over the finite values, as `inspect --stats` has them.
fn write_statistics<'a>(
    checkpoint: &Checkpoint,
    rows: impl IntoIterator<Item = (TensorId, Option<&'a Statistics>)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    write!(out, "name,dtype,shape,role,elements,bytes,min,max,mean,std,l1,l2,zeros,nan,inf,distinct")?;
    for fraction in Quantiles::FRACTIONS {
        write!(out, ",q{fraction}")?;
    }
    write!(out, "\r\n")?;
    for (id, statistics) in rows {
        let tensor = checkpoint.tensor(id);
        let mut cells = vec![
            tensor.name.clone(),
            tensor.dtype.name().to_owned(),
            tensor.shape.to_string(),
            tensor.role.name().to_owned(),
            tensor.elements().to_string(),
            tensor.bytes().to_string(),
        ];
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        if let Some(found) = statistics {
            cells.extend([found.min, found.max, found.mean, found.std].map(number));
            cells.extend([found.l1, found.l2].map(|value| value.to_string()));
            let counts = [found.zeros, found.nan, found.infinite(), found.distinct.count()];
            cells.extend(counts.map(|count| count.to_string()));
            let quantiles = found.quantiles.map(|quantiles| quantiles.values.map(Some));
            cells.extend(quantiles.unwrap_or_default().map(number));
        }
        cells.resize(16 + Quantiles::FRACTIONS.len(), String::new());
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        write!(out, "{}\r\n", cells.join(","))?;
    }
    Ok(())
}
