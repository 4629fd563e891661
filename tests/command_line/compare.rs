//! `diff` and `compat`: text, JSON, reports, exit status.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use super::{f32s, program, safetensors_file, saved, stderr, stdout};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compare").join(name)
}

fn run(command: &str, left: &Path, right: &Path, options: &[&str]) -> Output {
    program().arg(command).arg(left).arg(right).args(options).output().expect("the program starts")
}

fn fine_tune(options: &[&str]) -> Output {
    run("diff", &fixture("fine_tune_left.pt"), &fixture("fine_tune_right.pt"), options)
}

#[test]
fn diff_tells_what_was_done_to_a_model() {
    let output = fine_tune(&[]);
    let text = stdout(&output);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), ""));
    assert!(
        text.contains("Tensors: 36 identical, 2 changed, 1 dtype changed, 1 reshaped, 1 renamed\n"),
        "{text}"
    );
    assert!(text.contains("[24, 8] → [26, 8]") && text.contains("float32 → float16"), "{text}");
    assert!(text.contains("renamed to model.classifier.weight (same content)"), "{text}");
    assert!(text.contains("epoch: 3 → 4"), "{text}");
    assert!(!text.contains("blocks.3."), "identical tensors are only counted: {text}");
    // What changed more stands above what changed less.
    let place = |name: &str| text.find(name).expect(name);
    assert!(place("blocks.11.attn.weight") < place("blocks.10.attn.weight"), "{text}");
}

#[test]
fn diff_json_lists_identical_pairs_only_when_asked() {
    let json =
        |options: &[&str]| -> Value { serde_json::from_slice(&fine_tune(options).stdout).expect("JSON") };
    let (some, all) = (json(&["--json"]), json(&["--json", "--all"]));
    let count = |json: &Value| json["pairs"].as_array().map(Vec::len);
    assert_eq!((count(&some), count(&all)), (Some(5), Some(40)));
    assert_eq!((&some["schema"], &some["summary"]["identical"]), (&Value::from(1), &Value::from(36)));
    assert_eq!(some["metadata"], serde_json::json!([{ "path": "epoch", "left": 3, "right": 4 }]));
    let renamed = some["pairs"].as_array().expect("pairs").iter().find(|pair| pair["renamed"] == true);
    assert_eq!(renamed.map(|pair| &pair["matched_by"]), Some(&Value::from("content")));
}

#[test]
fn equal_tensors_exit_with_0_and_quiet_prints_nothing() {
    let left = fixture("fine_tune_left.pt");
    let same = run("diff", &left, &left, &["--quiet"]);
    assert_eq!((same.status.code(), stdout(&same).as_str(), stderr(&same).as_str()), (Some(0), "", ""));
    let other = fine_tune(&["--quiet"]);
    assert_eq!((other.status.code(), stdout(&other).as_str()), (Some(1), ""));
}

#[test]
fn tolerance_and_renaming_can_make_two_files_equal() {
    let a = safetensors_file::file(&[("module.w", "F32", &[2], &f32s(&[1.0, 2.0]))]);
    let b = safetensors_file::file(&[("w", "F32", &[2], &f32s(&[1.0, 2.001]))]);
    let ((_a, left), (_b, right)) = (saved("a.safetensors", &a), saved("b.safetensors", &b));
    let status = |options: &[&str]| run("diff", &left, &right, options).status.code();
    assert_eq!(status(&[]), Some(1));
    assert_eq!(status(&["--atol", "0.01"]), Some(1));
    assert_eq!(status(&["--atol", "0.01", "--rename", "module.=>"]), Some(0));
    assert_eq!(status(&["--rtol", "0.01", "--rename", "s/^module\\.//"]), Some(0));
}

#[test]
fn a_wrong_rule_or_tolerance_is_an_error_in_one_line() {
    for options in [&["--rename", "module."][..], &["--atol", "-1"], &["--rtol", "x"], &["--report", "x.pdf"]]
    {
        let output = fine_tune(options);
        let message = stderr(&output);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{options:?}");
        assert!(message.starts_with("ckptscope: ") && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn reports_hold_everything_in_one_file() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let report = |name: &str| {
        let path = folder.path().join(name);
        let output = fine_tune(&["--quiet", "--report", &path.to_string_lossy()]);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), ""));
        std::fs::read_to_string(path).expect("written")
    };
    let html = report("report.html");
    assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"));
    assert!(html.contains("<svg") && html.contains("prefers-color-scheme: dark"));
    for forbidden in ["<script", "http://", "https://", " src=", "url("] {
        assert!(!html.contains(forbidden), "{forbidden} in a self-contained page");
    }
    let csv = report("report.csv");
    assert_eq!(csv.lines().count(), 41);
    let columns = csv.lines().next().map(|line| line.split(',').count());
    assert_eq!(columns, Some(20));
    let json: Value = serde_json::from_str(&report("report.json")).expect("JSON");
    assert_eq!(json["pairs"].as_array().map(Vec::len), Some(40));
}

#[test]
fn names_from_files_are_text_in_a_page() {
    let file =
        |value: f32| safetensors_file::file(&[("<script>alert(1)</script>", "F32", &[1], &f32s(&[value]))]);
    let ((_a, left), (_b, right)) = (saved("a.safetensors", &file(1.0)), saved("b.safetensors", &file(2.0)));
    let path = left.with_file_name("report.html");
    run("diff", &left, &right, &["--report", &path.to_string_lossy()]);
    let html = std::fs::read_to_string(path).expect("written");
    assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"));
}

#[test]
fn compat_tells_what_is_missing_and_which_rule_would_fix_it() {
    let output = run("compat", &fixture("load_data_parallel.pt"), &fixture("net.pt"), &[]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("would not load") && text.contains("Missing in the checkpoint (11)"), "{text}");
    assert!(text.contains("it would load: 12 match; 100 % of the model filled"), "{text}");
    let json: Value = serde_json::from_slice(
        &run("compat", &fixture("load_wrapped.pt"), &fixture("net_whole.pt"), &["--json"]).stdout,
    )
    .expect("JSON");
    assert_eq!(json["summary"]["compatible"], true);
    assert_eq!((&json["checkpoint_state"], &json["fix"]), (&Value::from("model_state_dict"), &Value::Null));
}
