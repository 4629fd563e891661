//! Subcommands and exit codes; parsing only.
//!
//! The same engine as the window, for scripts and remote machines. Data goes to standard output,
//! messages to standard error, one line each. Everything that stands in a file is escaped before it
//! reaches the terminal.

mod best;
mod compat;
mod curves;
mod diff;
mod export;
mod inspect;
mod json;
mod measure;
mod scan;
mod summary;
mod table;
mod verify;
mod verify_log;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::formats;
use crate::model::{Checkpoint, Progress};
use crate::text;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The answer is no: differences were found, or not everything could be read.
    Differs = 1,
    /// An error; nothing was written to standard output.
    Failed = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What the arguments ask for.
#[derive(Debug)]
pub enum Invocation {
    /// Open the window with these.
    Window(Vec<PathBuf>),
    /// Run in the terminal.
    Command(Box<Command>),
}

/// Look inside machine-learning checkpoints: PyTorch, Keras, TensorFlow and safetensors.
///
/// Without a command, opens the window. A path named like a command is opened as `./inspect`.
#[derive(Debug, Parser)]
#[command(
    name = "ckptscope",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Files, folders or TensorFlow prefixes to open in the window
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// A command that runs in the terminal.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print what a checkpoint holds: layers, tensors, metadata, problems
    Inspect(inspect::Options),
    /// Print the layer table: layer, output shape, parameters
    Summary(summary::Options),
    /// Print what differs between two checkpoints; exit status 1 when a tensor does
    Diff(diff::Options),
    /// Print whether a checkpoint would load into a model; exit status 1 when not
    Compat(compat::Options),
    /// Print every training curve in logs, checkpoints and folders of them
    Curves(curves::Options),
    /// Print which checkpoint of a folder is the best by a metric
    Best(best::Options),
    /// Write chosen tensors to another file: safetensors, PyTorch, npz, HDF5 or CSV
    Export(export::Options),
    /// Print what a file would run when it is loaded, and what is wrong with its values
    Scan(scan::Options),
}

/// Reads the arguments, the program's name first. Errors, `--help` and `--version` are printed here.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Exit> {
    let arguments = Arguments::try_parse_from(arguments).map_err(|error| {
        if error.use_stderr() {
            let text = error.to_string();
            fail(&format!("{}. Try: {} --help", reason(&text), usage(&text)))
        } else {
            let printed = error.print();
            if printed.is_ok() { Exit::Done } else { Exit::Failed }
        }
    })?;
    if let Some(command) = arguments.command {
        return Ok(Invocation::Command(Box::new(command)));
    }
    // A mistyped command would otherwise open a window that says so, which a script waits for in vain.
    for path in &arguments.paths {
        if std::fs::symlink_metadata(path).is_err() && !index_of_prefix(path).is_file() {
            return Err(fail(&format!("no such command or file: {}", path.display())));
        }
    }
    Ok(Invocation::Window(arguments.paths))
}

/// What clap says is wrong, in one line: its first paragraph.
fn reason(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
    lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
}

/// The command whose usage clap shows: `ckptscope diff`.
fn usage(text: &str) -> String {
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or("ckptscope");
    let words = usage.split(' ').take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    words.collect::<Vec<_>>().join(" ")
}

fn index_of_prefix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".index");
    name.into()
}

/// Runs a command.
pub fn run(command: &Command) -> Exit {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let result = match command {
        Command::Inspect(options) => inspect::run(options, &mut out),
        Command::Summary(options) => summary::run(options, &mut out),
        Command::Diff(options) => diff::run(options, &mut out),
        Command::Compat(options) => compat::run(options, &mut out),
        Command::Curves(options) => curves::run(options, &mut out),
        Command::Best(options) => best::run(options, &mut out),
        Command::Export(options) => export::run(options, &mut out),
        Command::Scan(options) => scan::run(options, &mut out),
    };
    let result = result.and_then(|exit| Ok(out.flush().map(|()| exit)?));
    match result {
        Ok(exit) => exit,
        Err(Failure::Message(message)) => fail(&message),
        // Whoever read the output has seen enough (`| head`).
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(Failure::Output(error)) => fail(&format!("cannot write the output: {error}")),
    }
}

/// Prints a message and is the exit status of a failure.
#[expect(clippy::print_stderr, reason = "the one place that prints messages")]
pub fn fail(message: &str) -> Exit {
    eprintln!("ckptscope: {}", text::escape(message));
    Exit::Failed
}

/// Why a command did not finish.
enum Failure {
    /// A sentence for people.
    Message(String),
    /// Standard output could not be written.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn open(path: &Path) -> Result<Checkpoint, Failure> {
    formats::open(path, &Progress::new()).map_err(|error| Failure::Message(error.to_string()))
}
