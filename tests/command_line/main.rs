//! Runs the built program: output, exit status, messages, pipes.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

mod compare;
mod curves;
mod export;
#[path = "../support/safetensors_file.rs"]
mod safetensors_file;
mod safety;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ckptscope"));
    command.stdin(Stdio::null());
    command
}

fn run(arguments: &[&str], path: &Path) -> Output {
    program().args(arguments).arg(path).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A folder with one file of these bytes.
fn saved(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

/// `fc1` (2 × 3 and 3) and `norm` with a buffer.
fn small_model() -> (TempDir, PathBuf) {
    let weight = f32s(&[1.0, 2.0, 3.0, 4.0, 5.0, f32::NAN]);
    let bias = f32s(&[0.0, 0.0, 9.0]);
    let file = safetensors_file::file(&[
        ("fc1.weight", "F32", &[2, 3], &weight),
        ("fc1.bias", "F32", &[3], &bias),
        ("norm.running_mean", "F32", &[3], &bias),
    ]);
    saved("model.safetensors", &file)
}

#[test]
fn inspect_prints_a_table_of_layers_and_tensors() {
    let (_folder, path) = small_model();
    let output = run(&["inspect"], &path);
    let text = stdout(&output);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert!(text.contains("Format      safetensors\n"), "{text}");
    let row =
        text.lines().find(|line| line.trim_start().starts_with("weight")).expect("a row for the weight");
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["weight", "[2,", "3]", "float32", "6", "24", "B"]
    );
    assert!(!text.contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn depth_and_filter_limit_what_is_shown() {
    let (_folder, path) = small_model();
    let shallow = stdout(&run(&["inspect", "--depth", "1"], &path));
    assert!(shallow.contains("fc1") && !shallow.contains("weight"), "{shallow}");
    let filtered = stdout(&run(&["inspect", "--filter", "*.bias"], &path));
    assert!(
        filtered.contains("bias") && !filtered.contains("weight") && !filtered.contains("norm"),
        "{filtered}"
    );
    assert!(filtered.contains("1 of 3 tensors match."), "{filtered}");
    let found = json(&run(&["inspect", "--json", "--filter", "/^fc1\\.w/"], &path));
    assert_eq!(found["tensors"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["totals"]["tensors"], 3);
}

#[test]
fn json_tells_statistics_and_hashes_of_the_values() {
    let (_folder, path) = small_model();
    let found = json(&run(&["inspect", "--json", "--stats", "--hash"], &path));
    assert_eq!((&found["schema"], &found["format"]), (&Value::from(1), &Value::from("safetensors")));
    let weight = &found["tensors"][0];
    assert_eq!(weight["shape"], serde_json::json!([2, 3]));
    let stats = &weight["stats"];
    assert_eq!(
        (stats["min"].as_f64(), stats["max"].as_f64(), stats["mean"].as_f64()),
        (Some(1.0), Some(5.0), Some(3.0))
    );
    assert_eq!(
        (stats["nan"].as_u64(), stats["inf"].as_u64(), stats["zeros"].as_u64()),
        (Some(1), Some(0), Some(0))
    );
    assert_eq!(stats["quantiles"]["0.5"].as_f64(), Some(3.0));
    let counts = stats["histogram"]["counts"].as_array().expect("counts");
    assert_eq!((counts.len(), counts.iter().filter_map(Value::as_u64).sum::<u64>()), (256, 5));
    // The same bytes have the same hash.
    assert_eq!(found["tensors"][1]["sha256"], found["tensors"][2]["sha256"]);
    assert_eq!(found["tensors"][1]["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn without_stats_and_hash_no_values_are_described() {
    let (_folder, path) = small_model();
    let found = json(&run(&["inspect", "--json"], &path));
    assert!(found["tensors"][0].get("stats").is_none() && found["tensors"][0].get("sha256").is_none());
}

#[test]
fn tensors_come_in_file_order_however_many_threads_read_them() {
    let (_folder, path) = saved("many.safetensors", &safetensors_file::many(3000));
    let first = run(&["inspect", "--json", "--stats", "--hash"], &path);
    let second = run(&["inspect", "--json", "--stats", "--hash"], &path);
    assert!(first.stdout == second.stdout, "two runs differ");
    let found = json(&first);
    let names: Vec<_> =
        found["tensors"].as_array().expect("tensors").iter().map(|tensor| &tensor["name"]).collect();
    assert_eq!((names.len(), names[8]), (3000, &Value::from("model.layers.1.block.0.weight")));
}

#[test]
fn summary_prints_layers_and_totals() {
    let (_folder, path) = small_model();
    let output = run(&["summary"], &path);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0));
    let row = text.lines().find(|line| line.starts_with("fc1")).expect("a row for fc1");
    assert!(row.split_whitespace().any(|cell| cell == "9"), "{text}");
    assert!(text.contains("Total parameters:") && text.contains("Non-trainable parameters:"), "{text}");
}

#[test]
fn names_from_files_cannot_steer_the_terminal() {
    let file = safetensors_file::file(&[("a\u{1b}[2J.\u{202e}w", "U8", &[1], &[1])]);
    let (_folder, path) = saved("model.safetensors", &file);
    for command in ["inspect", "summary"] {
        let text = stdout(&run(&[command], &path));
        assert!(text.contains("\\u{1b}[2J") && !text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}

#[test]
fn what_is_not_a_checkpoint_is_one_line_with_the_path_last() {
    let (_folder, path) = saved("notes.pt", b"dear diary");
    for command in ["inspect", "summary"] {
        let output = run(&[command], &path);
        let message = stderr(&output);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
        assert!(message.starts_with("ckptscope: "), "{message}");
        assert!(message.trim_end().ends_with("notes.pt") && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn a_missing_file_is_an_error() {
    let output = run(&["inspect", "--json"], Path::new("no-such-file.pt"));
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(stderr(&output).trim_end().ends_with("no-such-file.pt"));
}

#[test]
fn mistyped_arguments_never_open_a_window() {
    let (_folder, path) = small_model();
    for arguments in
        [&["inspekt"][..], &["inspekt", "--json"], &["inspect", "--colour"], &["inspect", "--depth", "x"]]
    {
        let output = run(arguments, &path);
        let message = stderr(&output);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{arguments:?}");
        assert!(message.starts_with("ckptscope: ") && message.lines().count() == 1, "{message}");
    }
    let output = run(&["inspect", "--filter", "/(/"], &path);
    assert!(stderr(&output).contains("not a regular expression"), "{}", stderr(&output));
}

#[test]
fn help_and_version_are_answers() {
    for argument in ["--help", "--version"] {
        let output = program().arg(argument).output().expect("the program starts");
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
        assert!(stdout(&output).contains("ckptscope"));
    }
}

#[test]
fn a_file_named_like_a_command_can_be_inspected() {
    let (folder, _path) = saved("inspect", &safetensors_file::many(1));
    let output = program()
        .args(["inspect", "inspect"])
        .current_dir(folder.path())
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_closed_pipe_is_a_normal_end() {
    let (_folder, path) = saved("many.safetensors", &safetensors_file::many(20_000));
    for options in [&["inspect"][..], &["inspect", "--json"], &["inspect", "--json", "--stats"], &["summary"]]
    {
        let mut child = program()
            .args(options)
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut pipe = child.stdout.take().expect("a pipe");
        pipe.read_exact(&mut [0; 10]).expect("some output");
        drop(pipe);
        let output = child.wait_with_output().expect("the program ends");
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{options:?}");
    }
}

#[test]
fn a_tensor_that_cannot_be_read_costs_only_itself() {
    let mut file = safetensors_file::many(2);
    file.truncate(file.len() - 4);
    let (_folder, path) = saved("cut.safetensors", &file);
    let found = json(&run(&["inspect", "--json", "--stats", "--hash"], &path));
    assert!(found["tensors"][0]["stats"]["mean"].is_number());
    assert!(found["tensors"][1]["stats"].is_null() && found["tensors"][1]["sha256"].is_null());
    let problems = found["problems"].as_array().expect("problems");
    // Its catalogue entry says why; reading it in vain says nothing more.
    let of_it: Vec<&Value> =
        problems.iter().filter(|problem| problem["tensor"] == found["tensors"][1]["name"]).collect();
    assert!(of_it.len() == 1 && of_it[0]["severity"] == "error", "{problems:?}");
    assert_eq!(run(&["inspect", "--verify"], &path).status.code(), Some(1));
    let (_folder, whole) = small_model();
    assert_eq!(run(&["inspect", "--verify"], &whole).status.code(), Some(0));
}

#[test]
fn a_missing_argument_is_named_with_the_command_that_lacks_it() {
    let (_folder, path) = small_model();
    let output = run(&["diff"], &path);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("<RIGHT>") && said.contains("ckptscope diff --help"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1);
}
