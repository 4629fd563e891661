//! `diff LEFT RIGHT`: what differs between two checkpoints; exit status 1 when a tensor does.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use super::table::{Align, Emphasis, Table};
use super::{Exit, Failure, open};
use crate::analysis::diff::{Comparison, PairDiff, PairStatus, Tolerance};
use crate::analysis::pairing::{MatchedBy, PairingOptions};
use crate::export::report::{ComparisonJson, Report, ReportFormat};
use crate::jobs::compare::{CompareOptions, compare};
use crate::model::{Checkpoint, NameFilter, Progress, RenameRule, TensorId, Value};
use crate::text;

/// Arguments of `diff`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A file, a folder or a TensorFlow prefix
    left: PathBuf,
    /// What it is compared with
    right: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// List the pairs in which nothing differs too
    #[arg(long)]
    all: bool,
    /// Values this far apart count as unchanged
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = tolerance)]
    atol: f64,
    /// Values this far apart as a fraction of the larger one count as unchanged
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = tolerance)]
    rtol: f64,
    /// Rename tensors before they are paired: `s/REGEX/REPLACEMENT/`, or `OLD=>NEW` for the beginning of a name; repeatable
    #[arg(long, value_name = "RULE")]
    rename: Vec<RenameRule>,
    /// Compare tensors whose name matches with their axes turned round, as kernels of Keras and PyTorch are to each other
    #[arg(long, value_name = "PATTERN")]
    transpose: Option<String>,
    /// Write a report too: HTML, CSV or JSON by the file's ending
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print nothing; only the exit status tells
    #[arg(long, conflicts_with_all = ["json", "all"])]
    quiet: bool,
}

fn tolerance(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value >= 0.0 { Ok(value) } else { Err("must not be negative".to_owned()) }
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> Result<Exit, Failure> {
    let format = match &options.report {
        Some(path) => Some(ReportFormat::of_path(path).ok_or_else(|| {
            Failure::Message(format!(
                "--report: the file's name must end in .html, .csv or .json: {}",
                path.display()
            ))
        })?),
        None => None,
    };
    let transpose = options
        .transpose
        .as_deref()
        .map(NameFilter::parse)
        .transpose()
        .map_err(|error| Failure::Message(format!("--transpose: {error}")))?;
    let (left, right) = (open(&options.left)?, open(&options.right)?);
    let compare_options = CompareOptions {
        pairing: PairingOptions { rules: options.rename.clone(), transpose },
        tolerance: Tolerance { absolute: options.atol, relative: options.rtol },
        threads: 0,
    };
    let comparison = compare(&left, &right, &compare_options, &Progress::new(), &())
        .map_err(|_| Failure::Message("cancelled".to_owned()))?;
    let report = Report { left: &left, right: &right, comparison: &comparison };
    if let (Some(path), Some(format)) = (&options.report, format) {
        report.save(format, path).map_err(|error| {
            Failure::Message(format!("cannot write the report: {error}: {}", path.display()))
        })?;
    }
    if options.json {
        serde_json::to_writer(&mut *out, &ComparisonJson { report, all: options.all })
            .map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else if !options.quiet {
        Text { left: &left, right: &right, comparison: &comparison, all: options.all }.write(out)?;
    }
    Ok(if comparison.differs() { Exit::Differs } else { Exit::Done })
}

/// Names without a partner and metadata entries that the text output shows; `--json` shows all.
const ENTRIES_SHOWN: usize = 40;

/// Rows of the table of pairs that the text output shows without `--all`.
const ROWS_SHOWN: usize = 200;

/// The comparison for people.
struct Text<'a> {
    left: &'a Checkpoint,
    right: &'a Checkpoint,
    comparison: &'a Comparison,
    all: bool,
}

impl Text<'_> {
    fn write(&self, out: &mut impl Write) -> Result<(), Failure> {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        for (side, checkpoint) in [("Left ", self.left), ("Right", self.right)] {
            writeln!(
                out,
                "{side}  {} ({})",
                text::escape(&checkpoint.path().to_string_lossy()),
                checkpoint.format()
            )?;
        }
        writeln!(out, "{}", self.summary())?;
        for applied in &self.comparison.pairing.rules {
            let origin = if applied.found { "found" } else { "given" };
            let rule = text::escape(&applied.rule.to_string());
            writeln!(out, "Rule ({origin}): {rule}: {} paired", text::count(applied.matched as u64))?;
        }
        self.pairs(out, colours)?;
        let pairing = &self.comparison.pairing;
        names(out, "Only left", self.left, &pairing.only_left)?;
        names(out, "Only right", self.right, &pairing.only_right)?;
        self.metadata(out)
    }

    fn summary(&self) -> String {
        let counts = self.comparison.summary();
        let parts: Vec<String> = [
            (counts.identical, "identical"),
            (counts.changed, "changed"),
            (counts.dtype_changed, "dtype changed"),
            (counts.reshaped, "reshaped"),
            (counts.unreadable, "unreadable"),
            (counts.renamed, "renamed"),
            (counts.only_left, "only left"),
            (counts.only_right, "only right"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, label)| format!("{} {label}", text::count(count)))
        .collect();
        match parts.is_empty() {
            true => "No tensors on either side".to_owned(),
            false => format!("Tensors: {}", parts.join(", ")),
        }
    }

    fn pairs(&self, out: &mut impl Write, colours: bool) -> Result<(), Failure> {
        use Align::{Left, Right};
        let pairs = &self.comparison.pairs;
        let mut order = self.comparison.by_relative_change();
        // A rule that renamed hundreds of tensors alike is one line above the table.
        let is_told =
            |pair: &PairDiff| pair.status == PairStatus::Identical && pair.pair.by == MatchedBy::FoundRule;
        order.retain(|&index| self.all || (pairs[index].differs() && !is_told(&pairs[index])));
        if order.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(vec![
            ("Tensor", Left),
            ("Shape", Left),
            ("Dtype", Left),
            ("Changed", Right),
            ("Max |Δ|", Right),
            ("Mean |Δ|", Right),
            ("Relative", Right),
            ("Cosine", Right),
            ("Note", Left),
        ]);
        let shown = if self.all { order.len() } else { order.len().min(ROWS_SHOWN) };
        for &index in &order[..shown] {
            table.push(Emphasis::None, self.row(&pairs[index]));
        }
        writeln!(out)?;
        table.write(out, colours)?;
        if order.len() > shown {
            writeln!(out, "… {} more (--all shows them)", text::count((order.len() - shown) as u64))?;
        }
        Ok(())
    }

    fn row(&self, pair: &PairDiff) -> Vec<String> {
        let (left, right) = (self.left.tensor(pair.pair.left), self.right.tensor(pair.pair.right));
        let either =
            |a: &str, b: &str| if a == b { text::escape(a) } else { text::escape(&format!("{a} → {b}")) };
        let mut cells = vec![
            text::escape(&left.name),
            either(&left.shape.to_string(), &right.shape.to_string()),
            either(left.dtype.name(), right.dtype.name()),
        ];
        match &pair.values {
            Some(values) => cells.extend([
                changed(values.changed, values.elements),
                text::number(values.max_abs),
                text::number(values.mean_abs),
                text::number(values.relative_l2()),
                values.cosine.map(|cosine| format!("{cosine:.6}")).unwrap_or_default(),
            ]),
            None => cells.extend(std::iter::repeat_n(String::new(), 5)),
        }
        cells.push(text::escape(&note(pair, &right.name)));
        cells
    }

    fn metadata(&self, out: &mut impl Write) -> Result<(), Failure> {
        let entries = &self.comparison.metadata;
        if entries.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nMetadata")?;
        for entry in entries.iter().take(ENTRIES_SHOWN) {
            let (left, right) =
                (brief(entry.left.as_ref(), self.left), brief(entry.right.as_ref(), self.right));
            writeln!(out, "{}: {left} → {right}", text::escape(&entry.path))?;
        }
        more(out, entries.len())
    }
}

/// How many elements changed: `all`, or a count with its share.
fn changed(changed: u64, elements: u64) -> String {
    match changed {
        0 => "0".to_owned(),
        _ if changed == elements => "all".to_owned(),
        _ => {
            format!("{} ({} %)", text::count(changed), text::number(changed as f64 / elements as f64 * 100.0))
        }
    }
}

fn note(pair: &PairDiff, right_name: &str) -> String {
    let mut notes = Vec::new();
    match pair.status {
        PairStatus::Reshaped => notes.push("reshaped".to_owned()),
        PairStatus::DtypeChanged => notes.push("dtype changed".to_owned()),
        PairStatus::Unreadable | PairStatus::Changed | PairStatus::Identical => {}
    }
    if pair.renamed {
        let by = match pair.pair.by {
            MatchedBy::Content => " (same content)",
            MatchedBy::Shape => " (a guess by shape)",
            MatchedBy::Name | MatchedBy::GivenRule | MatchedBy::FoundRule => "",
        };
        notes.push(format!("renamed to {right_name}{by}"));
    }
    if pair.pair.axes.is_some() {
        notes.push("axes turned".to_owned());
    }
    if let Some(values) = &pair.values {
        let counts = [
            (values.nan_appeared, "NaN appeared"),
            (values.nan_gone, "NaN gone"),
            (values.sign_flips, "sign flips"),
        ];
        let told = counts.into_iter().filter(|(count, _)| *count > 0);
        notes.extend(told.map(|(count, label)| format!("{} {label}", text::count(count))));
    }
    notes.extend(pair.problem.clone());
    notes.join("; ")
}

fn names(
    out: &mut impl Write,
    title: &str,
    checkpoint: &Checkpoint,
    ids: &[TensorId],
) -> Result<(), Failure> {
    if ids.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    for &id in ids.iter().take(ENTRIES_SHOWN) {
        let tensor = checkpoint.tensor(id);
        writeln!(
            out,
            "{}  {} {}",
            text::escape(&tensor.name),
            tensor.shape,
            text::escape(tensor.dtype.name())
        )?;
    }
    more(out, ids.len())
}

fn more(out: &mut impl Write, all: usize) -> Result<(), Failure> {
    if all > ENTRIES_SHOWN {
        writeln!(out, "… {} more (--json shows all)", text::count((all - ENTRIES_SHOWN) as u64))?;
    }
    Ok(())
}

/// Characters of a metadata value that the text output shows.
const VALUE_CHARACTERS: usize = 60;

fn brief(value: Option<&Value>, checkpoint: &Checkpoint) -> String {
    let Some(value) = value else { return "(not there)".to_owned() };
    let json = value.to_json(&|id| checkpoint.tensor(id).name.clone()).to_string();
    match json.char_indices().nth(VALUE_CHARACTERS) {
        Some((end, _)) => format!("{}…", text::escape(&json[..end])),
        None => text::escape(&json),
    }
}
