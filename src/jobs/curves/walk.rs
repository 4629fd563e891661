//! Which files of a folder may be logs or checkpoints, and which training each belongs to. Looks at names only.

use std::path::{Path, PathBuf};

use super::SourceProblem;
use crate::analysis::name_pattern::skeleton;
use crate::model::Problem;
use crate::model::layer_tree::natural_cmp;
use crate::raw::limits;

/// A file that may be a log or a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// What to open.
    pub path: PathBuf,
    /// What it is called: the file's name, or that of the folder that stands for it (`checkpoint-500`).
    pub name: String,
    /// The training it belongs to.
    pub run: String,
    /// The folder whose files make a series with it.
    pub folder: PathBuf,
    /// Whether it is to be read as a log; otherwise as a checkpoint.
    pub is_log: bool,
    /// Whether someone asked for this very file.
    pub is_named: bool,
}

impl Place {
    /// Whether its name is that of an event file.
    pub fn is_event_file(&self) -> bool {
        self.name.contains("tfevents")
    }
}

/// Folders below the one that is opened that are looked into.
const DEPTH: usize = 6;

/// Endings of checkpoints that training scripts write. What they are is decided by their bytes.
const CHECKPOINTS: &[&str] = &[
    "pt",
    "pth",
    "bin",
    "ckpt",
    "tar",
    "pkl",
    "pickle",
    "h5",
    "hdf5",
    "keras",
    "safetensors",
    "index",
    "weights",
    "model",
];

/// Endings of logs.
const LOGS: &[&str] = &["csv", "tsv", "json", "jsonl", "ndjson"];

/// Files beside a checkpoint that are no points of a training, by how their names begin.
const BESIDE: &[&str] = &[
    "optimizer",
    "scheduler",
    "scaler",
    "rng_state",
    "random_states",
    "training_args",
    "tokenizer",
    "vocab",
    "config.json",
    "generation_config",
    "special_tokens",
    "added_tokens",
    "preprocessor_config",
    "package.json",
    "hparams",
    "merges",
];

/// Models in folders of their own, the better description first.
const MODELS: &[&str] = &[
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "model.safetensors",
    "pytorch_model.bin",
    "adapter_model.safetensors",
    "adapter_model.bin",
    "tf_model.h5",
    "diffusion_pytorch_model.safetensors",
];

/// The one file that someone asked for.
pub fn file(path: &Path) -> Place {
    let name = name_of(path);
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let is_log =
        name.contains("tfevents") || has_ending(&name, &["csv", "tsv", "jsonl", "ndjson", "txt", "log"]);
    Place { path: path.to_owned(), run: name_of(&absolute(&folder)), name, folder, is_log, is_named: true }
}

/// A folder without its name (`.`) with it.
fn absolute(folder: &Path) -> PathBuf {
    if folder.file_name().is_some() {
        return folder.to_owned();
    }
    let whole = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::fs::canonicalize(whole).unwrap_or_else(|_| folder.to_owned())
}

/// Everything of a folder and the folders in it, in natural order of their paths.
pub fn folder(root: &Path, problems: &mut Vec<SourceProblem>) -> Vec<Place> {
    let mut places = Vec::new();
    let mut open = vec![(root.to_owned(), Vec::<String>::new())];
    let mut seen = 0usize;
    while let Some((folder, parts)) = open.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                let problem = Problem::warning("unreadable", format!("the folder cannot be read: {error}"));
                problems.push(SourceProblem { source: folder, problem });
                continue;
            }
        };
        let mut files = Vec::new();
        let mut folders = Vec::new();
        for entry in entries.flatten() {
            seen += 1;
            if seen > limits::FOLDER_FILES {
                let message = format!("only the first {} files were looked at", limits::FOLDER_FILES);
                problems.push(SourceProblem {
                    source: root.to_owned(),
                    problem: Problem::warning("too-many-files", message),
                });
                break;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(kind) = entry.file_type() else { continue };
            if name.starts_with('.') && name != ".metadata" {
                continue;
            }
            // Links to folders are not followed: they may lead back.
            if kind.is_dir() {
                folders.push(name);
            } else if kind.is_file() || entry.path().is_file() {
                files.push(name);
            }
        }
        if seen > limits::FOLDER_FILES {
            open.clear();
        }
        files.sort_by(|a, b| natural_cmp(a, b));
        folders.sort_by(|a, b| natural_cmp(b, a));
        let is_whole = files_of(root, &folder, &parts, &files, &mut places);
        if !is_whole && parts.len() < DEPTH {
            for name in folders {
                let below = folder.join(&name);
                open.push((below, parts.iter().cloned().chain([name]).collect()));
            }
        }
    }
    places
}

/// Adds what lies directly in a folder; true when the folder is one checkpoint, so that nothing below it is one.
fn files_of(root: &Path, folder: &Path, parts: &[String], files: &[String], places: &mut Vec<Place>) -> bool {
    let has = |name: &str| files.iter().any(|file| file == name);
    let run = run_of(root, parts);
    let log_run = run_without(root, parts, is_numbered);
    let own_name = parts.last().cloned().unwrap_or_else(|| name_of(&absolute(root)));
    let around = folder.parent().unwrap_or(folder).to_owned();
    let stands_for_folder = |path: PathBuf| Place {
        path,
        name: own_name.clone(),
        run: run.clone(),
        folder: around.clone(),
        is_log: false,
        is_named: false,
    };
    let is_saved_model = has("saved_model.pb") || has("saved_model.pbtxt");
    let is_distributed = has(".metadata") && files.iter().any(|file| file.ends_with(".distcp"));
    if is_saved_model || is_distributed {
        places.push(stands_for_folder(folder.to_owned()));
    }
    let model = MODELS.iter().find(|name| has(name));
    // A folder named like a checkpoint with one model in it is that checkpoint.
    let candidates: Vec<&String> =
        files.iter().filter(|file| is_checkpoint_name(file) && !MODELS.contains(&file.as_str())).collect();
    let is_one = !parts.is_empty() && is_numbered(&own_name);
    let is_cut = !parts.is_empty() && is_cut_name(&own_name);
    if let Some(model) = model {
        if is_one {
            places.push(stands_for_folder(folder.join(model)));
        } else {
            places.push(Place {
                name: (*model).to_owned(),
                folder: folder.to_owned(),
                ..stands_for_folder(folder.join(model))
            });
        }
    }
    for file in files {
        let path = folder.join(file);
        let is_event = file.contains("tfevents");
        let is_log =
            is_event || (has_ending(file, LOGS) && !is_beside(file) && !file.ends_with(".index.json"));
        if is_log {
            places.push(Place {
                path,
                name: file.clone(),
                run: log_run.clone(),
                folder: folder.to_owned(),
                is_log: true,
                is_named: false,
            });
        } else if candidates.contains(&file) && !(is_saved_model || is_distributed) {
            let alone = is_one && candidates.len() == 1 && model.is_none();
            if alone {
                places.push(stands_for_folder(path_of(folder, file)));
            } else if !(is_one && model.is_some()) {
                let name = file.strip_suffix(".index").unwrap_or(file).to_owned();
                let place = stands_for_folder(path_of(folder, file));
                places.push(if is_cut {
                    Place { name: format!("{own_name}/{name}"), ..place }
                } else {
                    Place { name, folder: folder.to_owned(), ..place }
                });
            }
        }
    }
    is_saved_model || is_distributed
}

/// TensorFlow's `.index` stands for its prefix.
fn path_of(folder: &Path, file: &str) -> PathBuf {
    folder.join(file)
}

fn is_checkpoint_name(file: &str) -> bool {
    // Shards are parts of one checkpoint.
    has_ending(file, CHECKPOINTS) && !is_beside(file) && !file.contains("-of-")
}

fn is_beside(file: &str) -> bool {
    BESIDE.iter().any(|start| file.starts_with(start))
}

fn has_ending(file: &str, endings: &[&str]) -> bool {
    let ending = Path::new(file).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    endings.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

/// Whether a folder's name is that of a checkpoint: a word for it and a number, `checkpoint-500`, `epoch_3`.
fn is_numbered(name: &str) -> bool {
    const WORDS: &[&str] = &["checkpoint", "ckpt", "step", "epoch", "global", "iter", "iteration", "weights"];
    let lower = name.to_ascii_lowercase();
    let ends_in_number = skeleton(&lower).ends_with('#');
    ends_in_number && WORDS.iter().any(|word| lower.starts_with(word))
}

/// Whether a folder is the beginning of a checkpoint's name that has a `/` in it: Lightning names files by their metrics, and
/// `epoch=2-val/acc=0.9.ckpt` is a file in the folder `epoch=2-val`.
fn is_cut_name(name: &str) -> bool {
    name.split('=').skip(1).any(|value| value.starts_with(|c: char| c.is_ascii_digit()))
}

/// The training of checkpoints: their folder without what only says that they are checkpoints.
fn run_of(root: &Path, parts: &[String]) -> String {
    const CONTAINERS: &[&str] =
        &["checkpoints", "checkpoint", "ckpts", "ckpt", "weights", "models", "saved_models"];
    run_without(root, parts, |name| {
        is_numbered(name) || is_cut_name(name) || CONTAINERS.contains(&name.to_ascii_lowercase().as_str())
    })
}

fn run_without(root: &Path, parts: &[String], is_left_out: impl Fn(&str) -> bool) -> String {
    let mut kept = parts;
    while let Some((last, rest)) = kept.split_last()
        && is_left_out(last)
    {
        kept = rest;
    }
    if kept.is_empty() { name_of(&absolute(root)) } else { kept.join("/") }
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str]) -> Vec<(String, String, bool)> {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().join("run");
        for file in files {
            let path = top.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let places = folder(&top, &mut Vec::new());
        places.into_iter().map(|place| (place.name, place.run, place.is_log)).collect()
    }

    #[test]
    fn a_numbered_folder_with_a_model_is_one_checkpoint_of_the_run_around_it() {
        let all = found(&[
            "out/checkpoint-500/model.safetensors",
            "out/checkpoint-500/optimizer.pt",
            "out/checkpoint-500/trainer_state.json",
            "out/checkpoint-500/config.json",
        ]);
        let expected = [("checkpoint-500", "out", false), ("trainer_state.json", "out", true)];
        assert_eq!(all, expected.map(|(name, run, is_log)| (name.to_owned(), run.to_owned(), is_log)));
    }

    #[test]
    fn checkpoints_and_logs_of_lightning_are_one_run() {
        let all =
            found(&["v0/checkpoints/epoch=1-step=10.ckpt", "v0/metrics.csv", "v0/events.out.tfevents.1.h"]);
        assert_eq!(all.iter().map(|(_, run, _)| run.as_str()).collect::<Vec<_>>(), ["v0", "v0", "v0"]);
        assert_eq!(all.iter().filter(|(.., is_log)| *is_log).count(), 2);
    }

    #[test]
    fn a_slash_in_a_name_of_lightning_does_not_make_a_run() {
        let all =
            found(&["v0/checkpoints/epoch=2-val/acc=0.9.ckpt", "v0/checkpoints/last.ckpt", "v0/metrics.csv"]);
        let expected = [
            ("metrics.csv", "v0", true),
            ("last.ckpt", "v0", false),
            ("epoch=2-val/acc=0.9.ckpt", "v0", false),
        ];
        assert_eq!(all, expected.map(|(name, run, is_log)| (name.to_owned(), run.to_owned(), is_log)));
    }

    #[test]
    fn shards_and_what_lies_beside_are_no_points() {
        let all = found(&["model-00001-of-00002.safetensors", "rng_state_0.pth", "notes.md", "a_1.pt"]);
        assert_eq!(all, [("a_1.pt".to_owned(), "run".to_owned(), false)]);
    }
}
