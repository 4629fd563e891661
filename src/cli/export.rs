//! `export PATH --to FILE`: chosen tensors as another file.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::measure::{Wanted, measure};
use super::table::{Align, Emphasis, Table};
use super::{Exit, Failure, open};
use crate::export::save_statistics;
use crate::jobs::export::{
    Choice, Conversion, ExportError, ExportFormat, ExportPlan, ExportRequest, Exported, MetadataChoice,
    Verify, export,
};
use crate::model::{Checkpoint, Dtype, NameFilter, Progress, RenameRule, TensorId, TensorRole};
use crate::text;

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Options {
    /// A file, a folder or a TensorFlow prefix
    path: PathBuf,
    /// The new file, or the new folder for `--format npy`
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// safetensors, pytorch, npz, npy, hdf5 or csv; by the file's ending when left out
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<ExportFormat>,
    /// Only tensors whose name matches: text, a glob, or `/REGEX/`; repeatable
    #[arg(long, value_name = "PATTERN", value_parser = NameFilter::parse)]
    select: Vec<NameFilter>,
    /// No tensor whose name matches; repeatable
    #[arg(long, value_name = "PATTERN", value_parser = NameFilter::parse)]
    exclude: Vec<NameFilter>,
    /// Only tensors of this role: parameter, buffer, optimizer, ema, other, unknown; repeatable
    #[arg(long, value_name = "ROLE", value_parser = role, conflicts_with_all = ["slim", "no_optimizer"])]
    role: Vec<TensorRole>,
    /// Only what a model needs: no optimizer state, averaged copies, gradients
    #[arg(long, conflicts_with = "no_optimizer")]
    slim: bool,
    /// All but optimizer state and gradients
    #[arg(long)]
    no_optimizer: bool,
    /// Cast floating-point tensors to float64, float32, float16 or bfloat16, or integer tensors to an integer dtype
    #[arg(long, value_name = "DTYPE", value_parser = dtype)]
    dtype: Option<Dtype>,
    /// Take this away from the beginning of names
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    strip_prefix: String,
    /// Rename: `s/REGEX/REPLACEMENT/`, or `OLD=>NEW` for the beginning of a name; repeatable, after `--strip-prefix`
    #[arg(long, value_name = "RULE")]
    rename: Vec<RenameRule>,
    /// Put this before names, after all other renaming
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    add_prefix: String,
    /// Metadata to keep: all, none, or keys of its outermost level, separated by commas
    #[arg(long, value_name = "KEYS", default_value = "all")]
    metadata: String,
    /// Write tied tensors once where the format cannot share them
    #[arg(long)]
    drop_duplicates: bool,
    /// Split safetensors into files of at most this size, such as 5GB or 500MiB, with an index
    #[arg(long, value_name = "SIZE", value_parser = size)]
    shard_size: Option<u64>,
    /// Write a table of statistics instead of the values: CSV
    #[arg(long, conflicts_with_all = ["format", "dtype", "rename", "shard_size", "drop_duplicates", "dry_run", "json"])]
    statistics: bool,
    /// Read the new file back and compare it before it takes its place; done anyway when values are converted
    #[arg(long, conflicts_with = "no_verify")]
    verify: bool,
    /// Do not read the new file back
    #[arg(long)]
    no_verify: bool,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    /// Print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn format(text: &str) -> Result<ExportFormat, String> {
    let names = || ExportFormat::ALL.map(ExportFormat::id).join(", ");
    ExportFormat::ALL
        .into_iter()
        .find(|format| format.id() == text)
        .ok_or_else(|| format!("not a format that is written: {}", names()))
}

fn role(text: &str) -> Result<TensorRole, String> {
    use TensorRole::{Buffer, Ema, Optimizer, Other, Parameter, Unknown};
    [Parameter, Buffer, Optimizer, Ema, Other, Unknown]
        .into_iter()
        .find(|role| role.name() == text)
        .ok_or_else(|| "not a role: parameter, buffer, optimizer, ema, other, unknown".to_owned())
}

fn dtype(text: &str) -> Result<Dtype, String> {
    let name = match text {
        "f64" | "fp64" => "float64",
        "f32" | "fp32" => "float32",
        "f16" | "fp16" => "float16",
        "bf16" => "bfloat16",
        name => name,
    };
    Dtype::from_name(name).ok_or_else(|| "not a dtype, such as float16 or bfloat16".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: f64 = match unit.trim().to_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" | "k" => 1e3,
        "mb" | "m" => 1e6,
        "gb" | "g" => 1e9,
        "tb" | "t" => 1e12,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        "tib" => 1_099_511_627_776.0,
        _ => return Err("not a size, such as 5GB or 500MiB".to_owned()),
    };
    let size = number.parse::<f64>().map_err(|_| "not a size, such as 5GB or 500MiB".to_owned())? * unit;
    if size >= 1.0 { Ok(size as u64) } else { Err("must be at least one byte".to_owned()) }
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> Result<Exit, Failure> {
    let message = |error: String| Failure::Message(format!("{error}: {}", options.to.display()));
    let wanted = if options.statistics { Some(ExportFormat::Csv) } else { options.format };
    let format = wanted.or_else(|| ExportFormat::of_path(&options.to)).ok_or_else(|| {
        message("the file's ending tells no format that is written; give --format".to_owned())
    })?;
    let checkpoint = open(&options.path)?;
    let tensors = options.choice().of(&checkpoint);
    if options.statistics {
        return statistics(options, &checkpoint, &tensors, out);
    }
    let request = options.request(&checkpoint, format, tensors)?;
    let plan = ExportPlan::new(&checkpoint, request)
        .map_err(|error| message(format!("nothing was exported: {error}")))?;
    let exported = if options.dry_run {
        None
    } else {
        let progress = Progress::new();
        let exported = watched(&progress, || export(&checkpoint, &plan, &progress));
        Some(exported.map_err(|error| message(format!("nothing was exported: {error}")))?)
    };
    let answer = Answer { checkpoint: &checkpoint, plan: &plan, exported: exported.as_ref() };
    if options.json {
        serde_json::to_writer(&mut *out, &answer.json()).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        answer.text(out)?;
    }
    Ok(Exit::Done)
}

impl Options {
    fn choice(&self) -> Choice {
        let by_role = match (self.slim, self.no_optimizer) {
            (true, _) => Choice::slim(),
            (_, true) => Choice::without_optimizer(),
            _ => Choice { roles: self.role.clone(), ..Choice::default() },
        };
        Choice { select: self.select.clone(), exclude: self.exclude.clone(), ..by_role }
    }

    fn request(
        &self,
        checkpoint: &Checkpoint,
        format: ExportFormat,
        tensors: Vec<TensorId>,
    ) -> Result<ExportRequest, Failure> {
        let prefix = |old: &str, new: &str| RenameRule::replace_prefix(old, new).map_err(Failure::Message);
        let mut rules = Vec::new();
        if !self.strip_prefix.is_empty() {
            rules.push(prefix(&self.strip_prefix, "")?);
        }
        rules.extend(self.rename.iter().cloned());
        if !self.add_prefix.is_empty() {
            rules.push(prefix("", &self.add_prefix)?);
        }
        Ok(ExportRequest {
            tensors,
            cast: self.dtype.clone(),
            rules,
            drop_duplicates: self.drop_duplicates,
            metadata: match self.metadata.as_str() {
                "all" => MetadataChoice::All,
                "none" => MetadataChoice::None,
                keys => MetadataChoice::Keys(keys.split(',').map(|key| key.trim().to_owned()).collect()),
            },
            shard_bytes: self.shard_size,
            verify: match (self.verify, self.no_verify) {
                (true, _) => Verify::Always,
                (_, true) => Verify::Never,
                _ => Verify::WhenConverted,
            },
            replace: self.force,
            ..ExportRequest::new(checkpoint, format, &self.to)
        })
    }
}

/// Writes the statistics of the chosen tensors.
fn statistics(
    options: &Options,
    checkpoint: &Checkpoint,
    tensors: &[TensorId],
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let failed = |error: ExportError| {
        Failure::Message(format!("nothing was exported: {error}: {}", options.to.display()))
    };
    let mut measured = Vec::with_capacity(tensors.len());
    let wanted = Wanted { statistics: true, ..Wanted::default() };
    measure(checkpoint, tensors, wanted, |id, found| -> Result<(), Failure> {
        measured.push((id, found.statistics));
        Ok(())
    })?;
    let rows = measured.iter().map(|(id, found)| (*id, found.as_ref().map(|found| &found.statistics)));
    save_statistics(checkpoint, rows, &options.to, options.force).map_err(failed)?;
    writeln!(
        out,
        "Statistics of {} tensors written to {}",
        text::count(tensors.len() as u64),
        text::escape(&options.to.to_string_lossy())
    )?;
    Ok(Exit::Done)
}

/// Runs `work` and shows its progress where someone looks at a terminal.
#[expect(clippy::print_stderr, reason = "a progress line, only on a terminal")]
fn watched<T>(progress: &Progress, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Without the thread there is no progress line; the work is the same.
        let watcher = thread::Builder::new().name("export-progress".to_owned()).spawn_scoped(scope, || {
            let start = Instant::now();
            loop {
                thread::park_timeout(Duration::from_millis(200));
                if done.load(Ordering::Relaxed) {
                    break eprint!("\r\x1b[K");
                }
                let rate = progress.done() as f64 / start.elapsed().as_secs_f64().max(1e-3);
                let percent = progress.fraction().unwrap_or(0.0) * 100.0;
                eprint!("\r\x1b[K{percent:3.0} %  {}/s", text::bytes(rate as u64));
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        if let Ok(watcher) = watcher {
            watcher.thread().unpark();
        }
        result
    })
}

/// Names of tensors whose values overflowed that are told.
const NAMES_SHOWN: usize = 10;

struct Answer<'a> {
    checkpoint: &'a Checkpoint,
    plan: &'a ExportPlan,
    /// `None` for a dry run.
    exported: Option<&'a Exported>,
}

impl Answer<'_> {
    fn text(&self, out: &mut impl Write) -> Result<(), Failure> {
        let path = text::escape(&self.plan.result_path().to_string_lossy());
        for warning in &self.plan.warnings {
            writeln!(out, "Note: {}", text::escape(warning))?;
        }
        let Some(exported) = self.exported else {
            return self.preview(out, &path);
        };
        for (names, what) in [(&exported.overflowed, "do not fit"), (&exported.vanished, "became zero")] {
            let values: u64 = names.iter().map(|(_, count)| count).sum();
            if values > 0 {
                let shown: Vec<&str> =
                    names.iter().take(NAMES_SHOWN).map(|(name, _)| name.as_str()).collect();
                let more = if names.len() > NAMES_SHOWN { ", …" } else { "" };
                let names = text::escape(&shown.join(", "));
                writeln!(out, "Note: {} values {what}, in {names}{more}", text::count(values))?;
            }
        }
        let files = match self.plan.files.len() {
            1 => String::new(),
            count => format!(" in {} files", text::count(count as u64)),
        };
        let verified = if exported.verified { ", read back and equal" } else { "" };
        writeln!(
            out,
            "Exported {} of {} tensors ({}){files}{verified}: {path}",
            text::count(exported.tensors),
            text::count(self.checkpoint.tensors().len() as u64),
            text::bytes(exported.bytes)
        )?;
        Ok(())
    }

    fn preview(&self, out: &mut impl Write, path: &str) -> Result<(), Failure> {
        let mut table = Table::new(vec![
            ("Tensor", Align::Left),
            ("New name", Align::Left),
            ("Shape", Align::Left),
            ("Dtype", Align::Left),
            ("Size", Align::Right),
        ]);
        for tensor in &self.plan.tensors {
            let source = self.checkpoint.tensor(tensor.id);
            let dtype = match tensor.conversion {
                Conversion::None => tensor.dtype.to_string(),
                _ => format!("{} → {}", tensor.from, tensor.dtype),
            };
            let size = match tensor.alias_of.and_then(|first| self.plan.tensors.get(first)) {
                Some(first) => format!("as {}", text::escape(&first.name)),
                None => text::bytes(tensor.bytes),
            };
            let cells = vec![
                text::escape(&source.name),
                text::escape(&tensor.name),
                tensor.shape.to_string(),
                text::escape(&dtype),
                size,
            ];
            table.push(Emphasis::None, cells);
        }
        table.write(out, io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())?;
        writeln!(
            out,
            "Would export {} tensors ({}) to {path}",
            text::count(self.plan.tensors.len() as u64),
            text::bytes(self.plan.bytes)
        )?;
        Ok(())
    }

    fn json(&self) -> serde_json::Value {
        let name = |id: TensorId| self.checkpoint.tensor(id).name.as_str();
        let tensors: Vec<_> = self
            .plan
            .tensors
            .iter()
            .map(|tensor| {
                json!({
                    "name": tensor.name,
                    "source": name(tensor.id),
                    "dtype": tensor.dtype.name(),
                    "source_dtype": tensor.from.name(),
                    "exact": tensor.conversion != Conversion::Rounding,
                    "shape": tensor.shape.dims(),
                    "bytes": tensor.bytes,
                    "tied_to": tensor.alias_of.and_then(|first| self.plan.tensors.get(first)).map(|first| &first.name),
                })
            })
            .collect();
        let left_out: Vec<_> = self
            .plan
            .left_out
            .iter()
            .map(|left| json!({ "name": name(left.id), "reason": left.reason }))
            .collect();
        let counts = |counts: &[(String, u64)]| -> serde_json::Map<String, serde_json::Value> {
            counts.iter().map(|(name, count)| (name.clone(), (*count).into())).collect()
        };
        json!({
            "schema": 1,
            "path": self.checkpoint.path(),
            "to": self.plan.result_path(),
            "format": self.plan.request.format.id(),
            "written": self.exported.is_some(),
            "verified": self.exported.is_some_and(|exported| exported.verified),
            "files": self.plan.files.iter().map(|file| &file.path).collect::<Vec<_>>(),
            "bytes": self.plan.bytes,
            "tensors": tensors,
            "left_out": left_out,
            "warnings": self.plan.warnings,
            "overflowed": self.exported.map(|exported| counts(&exported.overflowed)).unwrap_or_default(),
            "vanished": self.exported.map(|exported| counts(&exported.vanished)).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(size("5GB"), Ok(5_000_000_000));
        assert_eq!(size("1.5 MiB"), Ok(1_572_864));
        assert_eq!(size("4096"), Ok(4096));
        assert!(size("five").is_err());
        assert!(size("0").is_err());
    }
}
