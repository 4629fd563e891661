//! `summary PATH`: the layer table as Keras and torchinfo print it.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use super::table::{Align, Emphasis, Table};
use super::{Exit, Failure, open};
use crate::analysis::summary::LayerTable;
use crate::text;

/// Arguments of `summary`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A file, a folder or a TensorFlow prefix
    path: PathBuf,
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> Result<Exit, Failure> {
    let checkpoint = open(&options.path)?;
    let layers = LayerTable::of(&checkpoint);
    let totals = checkpoint.totals();
    let with_shapes = layers.rows.iter().any(|row| row.output_shape.is_some());
    let with_buffers = totals.buffers > 0;
    let mut columns = vec![("Layer (type)", Align::Left)];
    if with_shapes {
        columns.push(("Output shape", Align::Left));
    }
    columns.push(("Parameters", Align::Right));
    if with_buffers {
        columns.push(("Buffers", Align::Right));
    }
    let mut table = Table::new(columns);
    for row in &layers.rows {
        let name = if row.path.is_empty() { "(top level)".to_owned() } else { text::escape(&row.path) };
        let mut cells = vec![match &row.class {
            Some(class) => format!("{name} ({})", text::escape(class)),
            None => name,
        }];
        if with_shapes {
            let shapes = row.output_shape.iter().chain(&row.further_outputs).map(|dims| output_shape(dims));
            let shapes: Vec<String> = shapes.collect();
            cells.push(if shapes.len() > 1 { format!("[{}]", shapes.join(", ")) } else { shapes.concat() });
        }
        cells.push(row.parameters.map(text::count).unwrap_or_default());
        if with_buffers {
            cells.push(if row.buffers > 0 { text::count(row.buffers) } else { String::new() });
        }
        table.push(Emphasis::None, cells);
    }
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    table.write(out, colours)?;
    writeln!(out)?;
    for (label, count) in [
        ("Total parameters:        ", totals.parameters),
        ("Trainable parameters:    ", totals.trainable),
        ("Non-trainable parameters:", totals.non_trainable),
    ] {
        writeln!(out, "{label} {}", count.map_or_else(|| "not told by the file".to_owned(), text::count))?;
    }
    if with_buffers {
        writeln!(out, "Buffer elements:          {}", text::count(totals.buffers))?;
    }
    if totals.optimizer > 0 {
        writeln!(out, "Optimizer elements:       {}", text::count(totals.optimizer))?;
    }
    Ok(Exit::Done)
}

/// `(None, 30, 30, 16)`, as Keras prints it.
fn output_shape(dims: &[Option<u64>]) -> String {
    let parts: Vec<_> =
        dims.iter().map(|dim| dim.map_or_else(|| "None".to_owned(), |dim| dim.to_string())).collect();
    format!("({})", parts.join(", "))
}
