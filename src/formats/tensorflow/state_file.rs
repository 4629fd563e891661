//! The text file `checkpoint`, which names the latest checkpoint of a folder.
//!
//! Only base names are taken from it: the file often holds absolute paths of the machine that trained, and a hostile
//! one may point anywhere. Source: `tensorflow/python/training/checkpoint_state.proto`, in protobuf's text form.

use std::path::{Path, PathBuf};

use super::bundle::with_suffix;
use crate::model::{Problem, ReadError};
use crate::raw::ByteSource;

/// The name of the file.
pub const NAME: &str = "checkpoint";

/// Checkpoints of one series that are looked for.
const SERIES: usize = 10_000;

/// Checkpoints of one series that are named in a message.
const NAMED: usize = 10;

/// Bytes of the file; one line per kept checkpoint.
const BYTES: u64 = 16 << 20;

/// Whether text begins like a state file.
pub fn looks_like(head: &[u8]) -> bool {
    head.trim_ascii_start().starts_with(b"model_checkpoint_path:")
}

/// What a state file leads to.
#[derive(Debug)]
pub struct State {
    /// The prefix of the checkpoint to show.
    pub latest: PathBuf,
    /// All checkpoints that it names and that are there, the oldest first; empty where there is but one.
    pub series: Vec<PathBuf>,
    /// What was found on the way.
    pub problems: Vec<Problem>,
}

/// The checkpoints that a state file names, beside it.
///
/// When the latest is not there, the last of the others that it lists and that is, with a problem that says so.
pub fn resolve(path: &Path) -> Result<State, ReadError> {
    let text = ByteSource::open(path)?.read_all("the checkpoint state file", BYTES)?;
    let (latest, all) = parse(&String::from_utf8_lossy(&text));
    let Some(latest) = latest else {
        return Err(ReadError::malformed("the checkpoint state file", 0, "it names no checkpoint"));
    };
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let beside = |name: &str| {
        // The shards of a V1 checkpoint are named with question marks for their numbers.
        let base = base_name(name)?.replace("?????", "00000");
        Some(folder.join(base)).filter(|prefix| is_checkpoint(prefix))
    };
    let mut problems = Vec::new();
    let mut series: Vec<PathBuf> = Vec::new();
    for prefix in all.iter().take(SERIES).filter_map(|name| beside(name)) {
        if !series.contains(&prefix) {
            series.push(prefix);
        }
    }
    let found = if let Some(prefix) = beside(&latest) {
        if Path::new(&latest).is_absolute() && Path::new(&latest).parent() != Some(folder) {
            let message = format!(
                "the checkpoint file names {}, a place on the machine that saved it; the checkpoint of that name beside it is shown",
                quoted(&latest)
            );
            problems.push(Problem::info("checkpoint-elsewhere", message));
        }
        prefix
    } else if let Some(prefix) = series.last().cloned() {
        let shown = prefix.file_name().unwrap_or_default().to_string_lossy();
        let message = format!(
            "the latest checkpoint, {}, is not in this folder; {} is shown instead",
            quoted(&latest),
            quoted(&shown)
        );
        problems.push(Problem::warning("latest-checkpoint-missing", message));
        prefix
    } else {
        return Err(ReadError::unsupported(format!(
            "this file names the checkpoint {}, which is not in its folder; other folders are not looked into",
            quoted(&latest)
        )));
    };
    if !series.contains(&found) {
        series.push(found.clone());
    }
    if series.len() > 1 {
        let names: Vec<String> = series
            .iter()
            .filter(|prefix| **prefix != found)
            .take(NAMED)
            .map(|prefix| prefix.file_name().unwrap_or_default().to_string_lossy().into_owned())
            .collect();
        let more = series.len() - 1 - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!(
            "this folder holds {} checkpoints; the others are {}{more}",
            series.len(),
            names.join(", ")
        );
        problems.push(Problem::info("series", message));
    } else {
        series.clear();
    }
    Ok(State { latest: found, series, problems })
}

/// Whether checkpoint files of that prefix exist: V2's index, or V1's single file. A prefix that ends in the folder
/// itself (an empty base name) has an index called `.index`.
fn is_checkpoint(prefix: &Path) -> bool {
    with_suffix(prefix, ".index").is_file() || prefix.is_file()
}

fn quoted(name: &str) -> String {
    format!("{:?}", name.chars().take(200).collect::<String>())
}

/// What follows the last slash; `None` for names that mean another folder.
fn base_name(path: &str) -> Option<&str> {
    let base = path.rsplit(['/', '\\']).next().unwrap_or_default();
    (base != "." && base != ".." && !base.contains('\0')).then_some(base)
}

fn parse(text: &str) -> (Option<String>, Vec<String>) {
    let (mut latest, mut all) = (None, Vec::new());
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        match key.trim() {
            "model_checkpoint_path" if latest.is_none() => latest = Some(unquote(value)),
            "all_model_checkpoint_paths" => all.push(unquote(value)),
            _ => {}
        }
    }
    (latest, all)
}

/// The content of a quoted string of protobuf's text form: `\"`, `\\` and octal bytes.
fn unquote(value: &str) -> String {
    let value = value.trim();
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(digit @ b'0'..=b'7') => {
                let mut code = u32::from(digit - b'0');
                for _ in 0..2 {
                    if let Some(digit) = rest.next_if(|byte| (b'0'..=b'7').contains(byte)) {
                        code = code * 8 + u32::from(digit - b'0');
                    }
                }
                bytes.push(code as u8);
            }
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(state: &str, files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join(NAME), state).expect("written");
        for file in files {
            std::fs::write(folder.path().join(file), "").expect("written");
        }
        folder
    }

    #[test]
    fn a_path_of_another_machine_means_the_file_beside() {
        let folder = folder("model_checkpoint_path: \"/home/trainer/runs/m-2\"\n", &["m-2.index"]);
        let state = resolve(&folder.path().join(NAME)).expect("found");
        assert_eq!(
            (state.latest, state.problems[0].code),
            (folder.path().join("m-2"), "checkpoint-elsewhere")
        );
        assert!(state.series.is_empty());
    }

    #[test]
    fn a_missing_latest_checkpoint_falls_back_with_a_warning() {
        let state = "model_checkpoint_path: \"m-3\"\nall_model_checkpoint_paths: \"m-1\"\nall_model_checkpoint_paths: \"m-2\"\n";
        let folder = folder(state, &["m-1.index", "m-2.index"]);
        let found = resolve(&folder.path().join(NAME)).expect("found");
        let codes: Vec<_> = found.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(
            (found.latest, codes),
            (folder.path().join("m-2"), vec!["latest-checkpoint-missing", "series"])
        );
        assert_eq!(found.series, [folder.path().join("m-1"), folder.path().join("m-2")]);
    }

    #[test]
    fn nothing_outside_the_folder_is_looked_at() {
        for state in ["model_checkpoint_path: \"../../../../etc/passwd\"", "model_checkpoint_path: \"a/..\""]
        {
            let folder = folder(state, &[]);
            assert!(matches!(resolve(&folder.path().join(NAME)), Err(ReadError::Unsupported(_))));
        }
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unquote(r#" "a\"b\\c\303\266" "#), "a\"b\\cö");
    }
}
