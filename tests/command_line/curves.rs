//! `curves` and `best`: what scripts read, and how they end.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{json, run, saved, stderr, stdout};

fn logs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs").join(name)
}

#[test]
fn curves_prints_every_series_with_its_points() {
    let found = json(&run(&["curves", "--json"], &logs("keras_run")));
    assert_eq!((&found["schema"], &found["summary"]["checkpoints"]), (&Value::from(1), &Value::from(4)));
    let series = found["series"].as_array().expect("series");
    let loss = series.iter().find(|series| series["name"] == "val_loss").expect("val_loss");
    assert_eq!(
        (&loss["x"], &loss["curve"], &loss["run"]),
        (&"epoch".into(), &true.into(), &"keras_run".into())
    );
    assert_eq!(loss["points"][1], serde_json::json!([1, 1.365_858_554_840_088]));
    assert_eq!(found["checkpoints"][0]["members"].as_array().map(Vec::len), Some(4));
    let table = stdout(&run(&["curves"], &logs("keras_run")));
    assert!(table.contains("val_loss") && table.contains("4 checkpoints, named weights."), "{table}");
}

#[test]
fn gaps_are_texts_in_json_and_numbers_in_csv() {
    let found = json(&run(&["curves", "--json"], &logs("tensorboard_v2/train")));
    let loss = found["series"]
        .as_array()
        .expect("series")
        .iter()
        .find(|series| series["name"] == "loss")
        .expect("loss");
    assert_eq!((&loss["points"][2], &loss["gaps"]), (&serde_json::json!([20, "NaN"]), &Value::from(1)));
    let lines = stdout(&run(&["curves", "--csv"], &logs("tensorboard_v2/train")));
    assert_eq!(lines.lines().next(), Some("run,source,series,step,epoch,index,time,value"));
    assert!(lines.lines().any(|line| line.contains(",loss,20,,,") && line.ends_with(",NaN")), "{lines}");
}

#[test]
fn lists_that_are_no_curves_are_shown_when_asked_for() {
    let (_folder, path) = saved("history.json", br#"{"losses": [2, 1], "betas": [0.9, 0.99]}"#);
    let names = |options: &[&str]| -> Vec<String> {
        let found = json(&run(options, &path));
        let series = found["series"].as_array().expect("series").iter();
        series.map(|series| series["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&["curves", "--json"]), ["losses"]);
    assert_eq!(names(&["curves", "--json", "--all"]), ["losses", "betas"]);
}

#[test]
fn best_ranks_and_compares_with_the_frameworks_own_record() {
    let found = json(&run(&["best", "--json", "--metric", "eval_loss"], &logs("trainer_run")));
    assert_eq!((&found["best"]["name"], &found["direction"]), (&"checkpoint-12".into(), &"min".into()));
    assert_eq!(found["ranking"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        (&found["recorded"][0]["by"], &found["recorded"][0]["agrees"]),
        (&"Trainer".into(), &true.into())
    );
    let turned = json(&run(&["best", "--json", "--metric", "eval_loss", "--max"], &logs("trainer_run")));
    assert_eq!(
        (&turned["best"]["name"], &turned["direction_by"]),
        (&"checkpoint-4".into(), &"option".into())
    );
    assert_eq!(turned["recorded"][0]["agrees"], false);
}

#[test]
fn best_says_ties_and_knows_the_metrics_that_there_are() {
    let text = stdout(&run(&["best", "--metric", "val_acc"], &logs("torch_series")));
    assert!(text.contains("3 checkpoints are equally good"), "{text}");
    let output = run(&["best", "--metric", "bleu"], &logs("torch_series"));
    let message = stderr(&output);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(message.contains("val_loss") && message.lines().count() == 1, "{message}");
    let conflicting = run(&["best", "--min", "--max"], &logs("torch_series"));
    assert_eq!(conflicting.status.code(), Some(2));
}

#[test]
fn drift_tells_the_layers_and_what_happened_to_them() {
    let found = json(&run(&["curves", "--drift", "--json"], &logs("torch_series")));
    let layers: Vec<&Value> =
        found["drift"]["layers"].as_array().expect("layers").iter().map(|layer| &layer["layer"]).collect();
    assert_eq!(layers, ["0", "2", "3"]);
    assert_eq!(found["drift"]["layers"][0]["update"][0], Value::Null);
    let event = serde_json::json!({ "layer": "3", "checkpoint": "net_05.pt", "kind": "died" });
    assert!(
        found["drift"]["events"].as_array().expect("events").contains(&event),
        "{}",
        found["drift"]["events"]
    );
    let alone = run(&["curves", "--drift"], &logs("keras_run/history.json"));
    assert_eq!(alone.status.code(), Some(2));
}

#[test]
fn what_is_no_log_is_one_line_with_the_path_last() {
    for (name, bytes) in
        [("notes.txt", &b"dear diary"[..]), ("deep.json", &vec![b'['; 100_000]), ("empty.csv", b"")]
    {
        let (_folder, path) = saved(name, bytes);
        let output = run(&["curves"], &path);
        let message = stderr(&output);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""), "{name}");
        assert!(message.trim_end().ends_with(name) && message.lines().count() == 1, "{message}");
    }
    assert_eq!(run(&["curves"], Path::new("no-such-folder")).status.code(), Some(2));
}
