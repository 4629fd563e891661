//! `inspect PATH`: layer tree, counts, metadata and problems; text or JSON.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use super::json::InspectJson;
use super::measure::{Measured, Wanted, measure};
use super::table::{Align, Emphasis, Table};
use super::verify::{Contents, Verified};
use super::{Exit, Failure, verify_log};
use crate::formats::{self, OpenError};
use crate::model::layer_tree::segments;
use crate::model::{Checkpoint, LayerTree, NameFilter, NodeId, Problem, Progress, Severity, TensorId, Value};
use crate::text;

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct Options {
    /// A file, a folder or a TensorFlow prefix
    path: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Read all values: minimum, maximum, mean, standard deviation, NaN, quantiles, histogram
    #[arg(long)]
    stats: bool,
    /// Read all values: SHA-256 of each tensor
    #[arg(long)]
    hash: bool,
    /// Show the layer tree this many levels deep (text only)
    #[arg(long, value_name = "N")]
    depth: Option<u32>,
    /// Show only tensors whose name matches: text, a glob with `*`, or a `/regular expression/`
    #[arg(long, value_name = "PATTERN")]
    filter: Option<String>,
    /// Check every checksum and read all values, with their SHA-256; exit with status 1 when something is damaged.
    /// Event files of TensorBoard are checked as well
    #[arg(long)]
    verify: bool,
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> Result<Exit, Failure> {
    let filter = NameFilter::parse(options.filter.as_deref().unwrap_or_default())
        .map_err(|error| Failure::Message(format!("--filter: {error}")))?;
    let checkpoint = match formats::open(&options.path, &Progress::new()) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            // A log is no checkpoint, but its checksums can be compared as well.
            let is_unknown = matches!(error, OpenError::Unrecognised { .. });
            return match verify_log::check(&options.path).filter(|_| options.verify && is_unknown) {
                Some(found) => verify_log::write(&options.path, &found, options.json, out),
                None => Err(Failure::Message(error.to_string())),
            };
        }
    };
    let hash = options.hash || options.verify;
    let wanted = Wanted { statistics: options.stats, hash, verify: options.verify };
    let ids: Vec<TensorId> = checkpoint
        .tensors()
        .filter(|(_, tensor)| filter.matches(&tensor.name) || filter.matches(tensor.stored_name()))
        .map(|(id, _)| id)
        .collect();
    let verified = if options.json {
        let json = InspectJson {
            checkpoint: &checkpoint,
            ids: &ids,
            wanted,
            unreadable: RefCell::default(),
            contents: RefCell::default(),
            verified: RefCell::default(),
        };
        serde_json::to_writer(&mut *out, &json).map_err(std::io::Error::from)?;
        writeln!(out)?;
        json.verified.into_inner()
    } else {
        let shown = if filter.is_everything() { None } else { Some(ids.as_slice()) };
        text_output(&checkpoint, &ids, shown, wanted, options.depth, out)?
    };
    // The process ends now: freeing a million names one by one would only take time.
    std::mem::forget(checkpoint);
    let is_damaged = verified.is_some_and(|verified| !verified.damage.is_empty());
    Ok(if is_damaged { Exit::Differs } else { Exit::Done })
}

/// Returns what verifying found, where it was asked for.
fn text_output(
    checkpoint: &Checkpoint,
    ids: &[TensorId],
    shown: Option<&[TensorId]>,
    wanted: Wanted,
    depth: Option<u32>,
    out: &mut impl Write,
) -> Result<Option<Verified>, Failure> {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut unreadable = Vec::new();
    let mut contents = Contents::default();
    let mut cells = HashMap::new();
    if wanted.any() {
        measure(checkpoint, ids, wanted, |id, measured| {
            if let Some(reason) = &measured.unreadable {
                unreadable.push(reason.problem(id));
            }
            contents.add(id, &measured);
            cells.insert(id, measured_cells(wanted, &measured));
            Ok::<_, Failure>(())
        })?;
    }
    header(checkpoint, colours, out)?;
    if checkpoint.totals().tensors > 0 {
        writeln!(out)?;
        tree_table(checkpoint, shown, wanted, &cells, depth).write(out, colours)?;
    }
    if let Some(shown) = shown {
        writeln!(
            out,
            "\n{} of {} tensors match.",
            text::count(shown.len() as u64),
            text::count(checkpoint.totals().tensors)
        )?;
    }
    if !checkpoint.metadata().is_empty() {
        writeln!(out)?;
        metadata(checkpoint, colours, out)?;
    }
    problems(checkpoint, &unreadable, colours, out)?;
    if !wanted.verify {
        return Ok(None);
    }
    let verified = Verified::of(checkpoint, ids, contents, &unreadable);
    verified_lines(&verified, colours, out)?;
    Ok(Some(verified))
}

fn verified_lines(verified: &Verified, colours: bool, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(out)?;
    heading(out, colours, if verified.damage.is_empty() { "Verified" } else { "Damaged" })?;
    write!(out, "The values of {} tensors were read to their end", text::count(verified.readable))?;
    if verified.not_read > 0 {
        write!(out, ", {} are of kinds that are not read", text::count(verified.not_read))?;
    }
    match verified.checksums {
        0 => writeln!(out, ".")?,
        1 => writeln!(out, "; one checksum of the archive was compared.")?,
        count => writeln!(out, "; {} checksums of the archive were compared.", text::count(count))?,
    }
    if let Some(sha256) = &verified.contents_sha256 {
        writeln!(
            out,
            "SHA-256 of all names, shapes, dtypes and values, in whatever format and order: {sha256}"
        )?;
    }
    for damage in verified.damage.iter().take(PROBLEMS_SHOWN) {
        writeln!(out, "damage: {}", text::escape(damage))?;
    }
    if verified.damage.len() > PROBLEMS_SHOWN {
        writeln!(
            out,
            "… {} more (--json shows all)",
            text::count((verified.damage.len() - PROBLEMS_SHOWN) as u64)
        )?;
    }
    Ok(())
}

fn heading(out: &mut impl Write, colours: bool, title: &str) -> std::io::Result<()> {
    if colours { writeln!(out, "\u{1b}[1m{title}\u{1b}[0m") } else { writeln!(out, "{title}") }
}

fn header(checkpoint: &Checkpoint, colours: bool, out: &mut impl Write) -> Result<(), Failure> {
    let totals = checkpoint.totals();
    heading(out, colours, &text::escape(&checkpoint.path().to_string_lossy()))?;
    writeln!(out, "Format      {}", checkpoint.format())?;
    if let Some(framework) = checkpoint.framework() {
        writeln!(out, "Framework   {}", text::escape(framework))?;
    }
    match (totals.parameters, totals.trainable, totals.non_trainable) {
        (Some(parameters), Some(trainable), Some(fixed)) => writeln!(
            out,
            "Parameters  {} ({} trainable, {} non-trainable)",
            text::count(parameters),
            text::count(trainable),
            text::count(fixed)
        )?,
        _ => writeln!(out, "Parameters  not told by the file; {} elements", text::count(totals.elements))?,
    }
    for (label, elements) in [("Buffers     ", totals.buffers), ("Optimizer   ", totals.optimizer)] {
        if elements > 0 {
            writeln!(out, "{label}{} elements", text::count(elements))?;
        }
    }
    writeln!(
        out,
        "Tensors     {} ({}; {} on disk)",
        text::count(totals.tensors),
        text::bytes(totals.tensor_bytes),
        text::bytes(totals.file_bytes)
    )?;
    Ok(())
}

fn columns(wanted: Wanted) -> Vec<(&'static str, Align)> {
    use Align::{Left, Right};
    let mut columns = vec![
        ("Name", Left),
        ("Class", Left),
        ("Shape", Left),
        ("Dtype", Left),
        ("Parameters", Right),
        ("Bytes", Right),
    ];
    if wanted.statistics {
        columns.extend(["Min", "Max", "Mean", "Std", "NaN", "Inf"].map(|title| (title, Right)));
    }
    if wanted.hash {
        columns.push(("SHA-256", Left));
    }
    columns
}

fn measured_cells(wanted: Wanted, measured: &Measured) -> Vec<String> {
    let mut cells = Vec::new();
    if wanted.statistics {
        if let Some(measurement) = &measured.statistics {
            let found = &measurement.statistics;
            cells.extend(
                [found.min, found.max, found.mean, found.std]
                    .map(|value| value.map(text::number).unwrap_or_default()),
            );
            let infinite = found.positive_infinity + found.negative_infinity;
            cells.extend([found.nan, infinite].map(text::count));
        } else {
            cells.extend(std::iter::repeat_n(String::new(), 6));
        }
    }
    if wanted.hash {
        cells.push(measured.sha256.clone().unwrap_or_default());
    }
    cells
}

enum Row {
    Group(NodeId),
    Tensor(TensorId),
}

/// The groups and their tensors, indented. Groups without a shown tensor are left out.
fn tree_table(
    checkpoint: &Checkpoint,
    shown: Option<&[TensorId]>,
    wanted: Wanted,
    measured: &HashMap<TensorId, Vec<String>>,
    depth: Option<u32>,
) -> Table {
    let tree = checkpoint.layer_tree();
    let mut table = Table::new(columns(wanted));
    let measured_columns = columns(wanted).len() - 6;
    let visible = shown.map(|ids| Visible::of(tree, ids));
    let limit = depth.unwrap_or(u32::MAX);
    let mut open = vec![Row::Group(tree.root())];
    while let Some(row) = open.pop() {
        match row {
            Row::Group(id) => {
                let node = tree.node(id);
                if id != tree.root() {
                    let mut cells = vec![
                        indented(node.depth - 1, &node.name),
                        node.class.as_deref().map(text::escape).unwrap_or_default(),
                        String::new(),
                        String::new(),
                        if node.parameters > 0 { text::count(node.parameters) } else { String::new() },
                        text::bytes(node.bytes),
                    ];
                    cells.resize(6 + measured_columns, String::new());
                    table.push(Emphasis::Strong, cells);
                }
                if node.depth >= limit {
                    continue;
                }
                let is_visible = |id: &NodeId| visible.as_ref().is_none_or(|visible| visible.has_group(*id));
                let has_tensor =
                    |id: &TensorId| visible.as_ref().is_none_or(|visible| visible.has_tensor(*id));
                open.extend(node.children.iter().rev().copied().filter(is_visible).map(Row::Group));
                open.extend(node.tensors.iter().rev().copied().filter(has_tensor).map(Row::Tensor));
            }
            Row::Tensor(id) => {
                let tensor = checkpoint.tensor(id);
                let leaf = segments(&tensor.path).last().unwrap_or("(tensor)");
                let mut cells = vec![
                    indented(tree.node(tree.parent_of(id)).depth, leaf),
                    String::new(),
                    tensor.shape.to_string(),
                    text::escape(tensor.dtype.name()),
                    text::count(tensor.elements()),
                    text::bytes(tensor.bytes()),
                ];
                match measured.get(&id) {
                    Some(found) => cells.extend_from_slice(found),
                    None => cells.resize(6 + measured_columns, String::new()),
                }
                table.push(Emphasis::None, cells);
            }
        }
    }
    table
}

/// Beyond this many levels the indentation no longer grows: a hostile name has thousands.
const INDENTED_LEVELS: u32 = 32;

fn indented(level: u32, name: &str) -> String {
    let mut text = "  ".repeat(level.min(INDENTED_LEVELS) as usize);
    text.push_str(&text::escape(name));
    text
}

/// The groups and tensors that a filter leaves.
struct Visible {
    groups: Vec<bool>,
    tensors: std::collections::HashSet<TensorId>,
}

impl Visible {
    fn of(tree: &LayerTree, ids: &[TensorId]) -> Self {
        let mut groups = vec![false; tree.len()];
        for &id in ids {
            let mut node = Some(tree.parent_of(id));
            while let Some(id) = node {
                let seen = &mut groups[id.0 as usize];
                if *seen {
                    break;
                }
                *seen = true;
                node = tree.node(id).parent;
            }
        }
        Self { groups, tensors: ids.iter().copied().collect() }
    }

    fn has_group(&self, id: NodeId) -> bool {
        self.groups[id.0 as usize]
    }

    fn has_tensor(&self, id: TensorId) -> bool {
        self.tensors.contains(&id)
    }
}

/// Entries of the metadata that the text output shows; `--json` shows all.
const METADATA_ENTRIES: usize = 40;

/// Characters of one metadata value that the text output shows.
const METADATA_CHARACTERS: usize = 100;

fn metadata(checkpoint: &Checkpoint, colours: bool, out: &mut impl Write) -> Result<(), Failure> {
    heading(out, colours, "Metadata")?;
    match checkpoint.metadata() {
        Value::Map(entries) | Value::Object { fields: entries, .. } => {
            if let Value::Object { class, .. } = checkpoint.metadata() {
                writeln!(out, "object of class {}", shorten(&text::escape(class)))?;
            }
            for (key, value) in entries.iter().take(METADATA_ENTRIES) {
                writeln!(out, "{}: {}", shorten(&text::escape(key)), brief(checkpoint, value))?;
            }
            if entries.len() > METADATA_ENTRIES {
                let more = text::count((entries.len() - METADATA_ENTRIES) as u64);
                writeln!(out, "… {more} more (--json shows all)")?;
            }
        }
        value => writeln!(out, "{}", brief(checkpoint, value))?,
    }
    Ok(())
}

/// A metadata value in one line.
fn brief(checkpoint: &Checkpoint, value: &Value) -> String {
    let counted = |count: usize, one: &str, many: &str| {
        format!("{} {}", text::count(count as u64), if count == 1 { one } else { many })
    };
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(int) => int.to_string(),
        Value::BigInt(digits) => shorten(&text::escape(digits)),
        Value::Float(float) => float.to_string(),
        Value::Text(words) => {
            shorten(&text::escape(&words.chars().take(METADATA_CHARACTERS + 1).collect::<String>()))
        }
        Value::Bytes { len, .. } => text::bytes(*len),
        Value::List(items) => match items.as_slice() {
            [] => "empty list".to_owned(),
            items if items.len() <= 8 && items.iter().all(is_scalar) => {
                let parts: Vec<_> = items.iter().map(|item| brief(checkpoint, item)).collect();
                shorten(&format!("[{}]", parts.join(", ")))
            }
            items => format!("list of {}", counted(items.len(), "value", "values")),
        },
        Value::Map(entries) => counted(entries.len(), "entry", "entries"),
        Value::Tensor(id) => format!("tensor {}", text::escape(&checkpoint.tensor(*id).name)),
        Value::Object { class, fields } => {
            format!("{} ({})", shorten(&text::escape(class)), counted(fields.len(), "field", "fields"))
        }
        Value::Elided(reason) => format!("left out: {reason}"),
    }
}

fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(METADATA_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Tensors that opening found broken: that they cannot be read is no further finding.
pub(super) fn tensors_with_errors(checkpoint: &Checkpoint) -> HashSet<TensorId> {
    let errors = checkpoint.problems().iter().filter(|problem| problem.severity == Severity::Error);
    errors.filter_map(|problem| problem.tensor).collect()
}

/// Problems that the text output shows; `--json` shows all.
const PROBLEMS_SHOWN: usize = 50;

fn problems(
    checkpoint: &Checkpoint,
    unreadable: &[Problem],
    colours: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let told = tensors_with_errors(checkpoint);
    let unreadable: Vec<&Problem> =
        unreadable.iter().filter(|problem| problem.tensor.is_none_or(|id| !told.contains(&id))).collect();
    let all = checkpoint.problems().len() + unreadable.len();
    if all == 0 {
        return Ok(());
    }
    writeln!(out)?;
    heading(out, colours, "Problems")?;
    for problem in unreadable.into_iter().chain(checkpoint.problems()).take(PROBLEMS_SHOWN) {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "note",
        };
        let place = problem
            .tensor
            .map(|id| format!(" {}:", text::escape(&checkpoint.tensor(id).name)))
            .unwrap_or_default();
        writeln!(out, "{severity}:{place} {}", text::escape(&problem.message))?;
    }
    if all > PROBLEMS_SHOWN {
        writeln!(out, "… {} more (--json shows all)", text::count((all - PROBLEMS_SHOWN) as u64))?;
    }
    Ok(())
}
