//! Who may use whom: scans `src/` for what the head of `src/lib.rs` forbids.
//!
//! A plain text search over code without comments and unit tests. It finds mistakes, not evasions.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One file of `src/`, as code only.
struct Source {
    /// Relative to `src/`, with `/`.
    path: String,
    /// Lines without comments, up to the unit tests; the number counts from 1.
    lines: Vec<(usize, String)>,
}

impl Source {
    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| match place.strip_suffix('/') {
            Some(_) => self.path.starts_with(place),
            None => self.path == *place,
        })
    }

    /// The first part of the path: `model`, `ui`, `main.rs`.
    fn layer(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let relative = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.push(Source { path: relative, lines: code_lines(&text) });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 20, "the scan found only {} files", found.len());
    found
}

/// Unit tests stand at the end of a file, so the first `#[cfg(test)]` ends its code.
fn code_lines(text: &str) -> Vec<(usize, String)> {
    text.lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default().to_owned()))
        .collect()
}

/// Fails with every line that `is_wrong` names, each with its reason.
fn check(is_wrong: impl Fn(&Source, &str) -> Option<String>) {
    let mut report = String::new();
    for source in sources() {
        for (number, line) in &source.lines {
            if let Some(reason) = is_wrong(&source, line) {
                writeln!(report, "src/{}:{number}: {reason}\n    {}", source.path, line.trim()).unwrap();
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

/// The modules of ours that a line names through `crate::`, groups in braces included.
fn modules_named(line: &str) -> Vec<String> {
    let identifier = |text: &str| -> String {
        text.chars().take_while(|&c| c.is_ascii_alphanumeric() || c == '_').collect()
    };
    let mut names = Vec::new();
    for rest in line.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut expects_name = true;
            for (position, character) in group.char_indices() {
                match character {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => expects_name = true,
                    ' ' => {}
                    _ if expects_name && depth == 0 => {
                        names.push(identifier(&group[position..]));
                        expects_name = false;
                    }
                    _ => {}
                }
            }
        } else {
            names.push(identifier(rest));
        }
    }
    names
}

#[test]
fn each_layer_names_only_the_layers_below_it() {
    let allowed: &[(&str, &[&str])] = &[
        ("text", &[]),
        ("model", &["model"]),
        ("raw", &["model", "raw"]),
        ("formats", &["model", "raw", "text", "formats"]),
        ("training_logs", &["model", "raw", "text", "formats", "training_logs"]),
        ("analysis", &["model", "analysis"]),
        ("export", &["model", "analysis", "text", "export"]),
        ("jobs", &["model", "raw", "formats", "training_logs", "analysis", "export", "text", "jobs"]),
        ("state", &["model", "analysis", "jobs", "state", "text"]),
        ("ui", &["model", "analysis", "state", "text", "ui"]),
        ("cli", &["model", "raw", "formats", "training_logs", "analysis", "export", "jobs", "text", "cli"]),
    ];
    check(|source, line| {
        let (_, allowed) = allowed.iter().find(|(layer, _)| *layer == source.layer())?;
        let strange = modules_named(line).into_iter().find(|name| !allowed.contains(&name.as_str()))?;
        // Views show what jobs are doing and what became of them; they never reach the runner.
        let is_status = source.layer() == "ui" && strange == "jobs" && !line.contains("JobRunner");
        (!is_status).then(|| format!("`{}` must not use `{strange}`", source.layer()))
    });
}

#[test]
fn only_the_window_names_egui() {
    check(|source, line| {
        let named = ["egui", "eframe", "egui_plot", "egui_table", "rfd", "winit"]
            .iter()
            .find(|library| line.contains(&format!("{library}::")))?;
        (!source.is_in(&["ui/", "app/", "main.rs"]))
            .then(|| format!("`{named}` outside `ui`, `app` and `main.rs`"))
    });
}

#[test]
fn views_never_touch_files_threads_or_locks() {
    check(|source, line| {
        let forbidden =
            ["std::fs", "std::thread", "Mutex", "RwLock", "JobRunner", "File::open", ".recv()", ".join()."]
                .into_iter()
                .find(|name| line.contains(name))?;
        source.is_in(&["ui/"]).then(|| format!("`{forbidden}` in a view"))
    });
}

#[test]
fn analysis_knows_no_files() {
    check(|source, line| {
        let forbidden =
            ["std::fs", "std::io", "std::path", "ByteSource"].into_iter().find(|name| line.contains(name))?;
        source.is_in(&["analysis/"]).then(|| format!("`{forbidden}` in `analysis`"))
    });
}

#[test]
fn state_does_no_input_or_output() {
    check(|source, line| {
        let forbidden =
            ["std::fs", "std::thread", "File::open"].into_iter().find(|name| line.contains(name))?;
        source.is_in(&["state/"]).then(|| format!("`{forbidden}` in `state`"))
    });
}

#[test]
fn formats_do_not_call_each_other() {
    const FORMATS: [&str; 7] = ["safetensors", "pytorch", "keras", "tensorflow", "numpy", "gguf", "onnx"];
    check(|source, line| {
        let place = source.path.strip_prefix("formats/")?;
        let own = place.split(['/', '.']).next().unwrap_or_default();
        if own != "containers" && !FORMATS.contains(&own) {
            return None; // the table itself, the probe, the names of what is no checkpoint
        }
        let other = FORMATS.iter().find(|&&other| {
            other != own
                && (line.contains(&format!("formats::{other}"))
                    || line.contains(&format!("super::{other}::"))
                    || line.contains(&format!("super::super::{other}::")))
        })?;
        Some(format!("`{own}` uses the format `{other}`"))
    });
}

#[test]
fn logs_share_only_the_containers_of_the_formats() {
    check(|source, line| {
        let is_other = line.contains("formats::") && !line.contains("formats::containers");
        (source.is_in(&["training_logs/"]) && is_other).then(|| "a format in `training_logs`".to_owned())
    });
}

#[test]
fn only_the_command_line_prints() {
    check(|source, line| {
        let printing =
            ["println!", "eprintln!", "print!(", "eprint!("].into_iter().find(|name| line.contains(name))?;
        (!source.is_in(&["cli/", "main.rs"])).then(|| format!("`{printing}` outside `cli` and `main.rs`"))
    });
}

#[test]
fn colours_are_made_only_in_the_theme() {
    check(|source, line| {
        let after = line.split("Color32::").nth(1)?;
        // `TRANSPARENT` is the absence of a colour; `PLACEHOLDER` is egui's for "the style decides".
        let is_none = after.starts_with("TRANSPARENT") || after.starts_with("PLACEHOLDER");
        (!is_none && !source.is_in(&["ui/theme.rs", "ui/theme/"]))
            .then(|| "a colour outside `ui::theme`".to_owned())
    });
}

#[test]
fn readers_of_files_never_unwrap() {
    check(|source, line| {
        let risky = [".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unimplemented!("]
            .into_iter()
            .find(|name| line.contains(name))?;
        let is_reader = source.is_in(&["formats/", "raw/", "training_logs/"]);
        is_reader.then(|| format!("`{risky}` where the data comes from a file"))
    });
}

#[test]
fn a_pickle_is_never_executed() {
    check(|source, line| {
        let risky = ["std::process", "Command::new", "libloading", "pyo3"]
            .into_iter()
            .find(|name| line.contains(name))?;
        source.is_in(&["formats/", "raw/"]).then(|| format!("`{risky}` in a reader"))
    });
}

#[test]
fn groups_in_a_use_line_are_seen() {
    assert_eq!(modules_named("use crate::{ui::{a, b}, app};"), ["ui", "app"]);
    assert_eq!(modules_named("let x = crate::model::Dtype::Bool;"), ["model"]);
}
