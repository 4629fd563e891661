//! Curves against what the frameworks themselves logged: values, order, steps, the best checkpoint, how layers moved.

use std::path::{Path, PathBuf};

use ckptscope::analysis::drift::DriftKind::{Died, Froze};
use ckptscope::jobs::curves::{GatherOptions, Gathered, drift, gather};
use ckptscope::model::{Origin, Progress, Series};
use ckptscope::raw::ByteSource;
use ckptscope::training_logs;
use serde_json::Value as Json;

use crate::support::{Complaints, folder};

fn logs() -> PathBuf {
    folder().join("logs")
}

fn gathered(path: &Path) -> Gathered {
    gather(&[path.to_owned()], &GatherOptions::default(), &Progress::new())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Every run with its expectations.
fn cases() -> Vec<(String, Json)> {
    let mut cases: Vec<(String, Json)> = std::fs::read_dir(logs())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".expected.json")?.to_owned();
            Some((name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()))
        })
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(cases.len() > 6, "the runs are missing");
    cases
}

fn case(name: &str) -> (Gathered, Json) {
    let (_, expected) = cases().into_iter().find(|(other, _)| other == name).unwrap();
    (gathered(&logs().join(expected["path"].as_str().unwrap())), expected)
}

fn number(value: &Json) -> f64 {
    match value.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        _ => value.as_f64().unwrap_or_else(|| panic!("{value} is no number")),
    }
}

/// Equal to the last digit but one: the reader of the expectations rounds some of them.
fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-15 * a.abs()
}

fn find<'a>(gathered: &'a Gathered, run: &str, name: &str) -> Option<&'a Series> {
    gathered.series.iter().find(|series| series.run == run && series.name == name)
}

#[test]
fn every_series_has_the_values_order_and_steps_of_its_framework() {
    let mut complaints = Complaints::default();
    for (name, expected) in cases() {
        let found = gathered(&logs().join(expected["path"].as_str().unwrap()));
        for series in expected["series"].as_array().unwrap() {
            let (run, key) = (series["run"].as_str().unwrap(), series["name"].as_str().unwrap());
            let Some(own) = find(&found, run, key) else {
                let all: Vec<_> = found.series.iter().map(|series| (&series.run, &series.name)).collect();
                complaints.add(format!("{name}: no {run}/{key} among {all:?}"));
                continue;
            };
            let (kind, xs) = own.main_axis();
            complaints.unless_equal(
                &format!("{name}: x of {key}"),
                &kind.name(),
                &series["x"].as_str().unwrap(),
            );
            let points: Vec<(f64, f64)> = series["points"]
                .as_array()
                .unwrap()
                .iter()
                .map(|point| (number(&point[0]), number(&point[1])))
                .collect();
            let is_same = xs.len() == points.len()
                && xs
                    .iter()
                    .zip(&own.values)
                    .zip(&points)
                    .all(|((x, value), point)| *x == point.0 && same(*value, point.1));
            if !is_same {
                complaints.add(format!("{name}: {key} is {:?} at {xs:?}, should be {points:?}", own.values));
            }
            if !own.is_curve {
                complaints.add(format!("{name}: {key} is not taken for a curve"));
            }
        }
        for histogram in expected["histograms"].as_array().into_iter().flatten() {
            let own = found
                .histograms
                .iter()
                .find(|own| own.run == histogram[0] && own.name == histogram[1].as_str().unwrap());
            let steps: Option<Vec<f64>> = own.map(|own| own.frames.iter().map(|(step, _)| *step).collect());
            let expected: Vec<f64> = histogram[2].as_array().unwrap().iter().map(number).collect();
            complaints.unless_equal(&format!("{name}: steps of {}", histogram[1]), &steps, &Some(expected));
            for (at, wanted) in histogram[3].as_array().into_iter().flatten().enumerate() {
                let buckets = own.and_then(|own| own.frames.get(at)).map_or(&[][..], |(_, buckets)| buckets);
                let is_same = buckets.len() == wanted.as_array().map_or(0, Vec::len)
                    && buckets.iter().enumerate().all(|(row, bucket)| {
                        let cells = [bucket.left, bucket.right, bucket.count];
                        // TensorBoard keeps them as float32.
                        let close = |(cell, own): (usize, f64)| {
                            (number(&wanted[row][cell]) - own).abs() <= 1e-6 * own.abs()
                        };
                        cells.into_iter().enumerate().all(close)
                    });
                if !is_same {
                    complaints
                        .add(format!("{name}: {} at {at} is {buckets:?}, should be {wanted}", histogram[1]));
                }
            }
        }
    }
    complaints.check();
}

#[test]
fn logged_histograms_keep_their_buckets() {
    let (found, _) = case("tensorboard_v1");
    let (_, buckets) = &found.histograms[0].frames[0];
    let shown: Vec<_> = buckets.iter().map(|bucket| (bucket.left, bucket.right, bucket.count)).collect();
    assert_eq!(shown, [(-1.0, 0.0, 1.0), (0.0, 1.0, 2.0), (1.0, 3.0, 1.0)]);
    let (found, _) = case("tensorboard_v2");
    let (_, buckets) = &found.histograms[0].frames[0];
    assert_eq!((buckets.len(), buckets.iter().map(|bucket| bucket.count).sum::<f64>()), (10, 200.0));
}

#[test]
fn checkpoints_are_ranked_as_the_training_measured_them() {
    for name in ["keras_run", "trainer_run"] {
        let (found, expected) = case(name);
        let best = &expected["best"];
        let checkpoints = found.main_checkpoints().unwrap();
        let ranking = found.rank(checkpoints, None, None).unwrap();
        assert_eq!(ranking.metric, best["metric"].as_str().unwrap(), "{name}");
        let ranked: Vec<&str> =
            ranking.scores.iter().map(|score| checkpoints.members[score.member].name.as_str()).collect();
        let wanted: Vec<&str> =
            best["ranking"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(ranked, wanted, "{name}");
        for (score, value) in ranking.scores.iter().zip(best["values"].as_array().unwrap()) {
            assert!(same(score.value, number(value)), "{name}: {} should be {value}", score.value);
        }
        assert!(ranking.missing.is_empty(), "{name}");
    }
}

#[test]
fn what_the_framework_noted_as_best_is_what_is_found() {
    for name in ["lightning_run", "lightning_slash", "trainer_run"] {
        let (found, expected) = case(name);
        let checkpoints = found.main_checkpoints().unwrap();
        let ranking =
            found.rank(checkpoints, Some(expected["best"]["metric"].as_str().unwrap()), None).unwrap();
        let first = ranking.best().next().unwrap();
        let record = found.records.last().unwrap();
        let noted = ckptscope::jobs::curves::recorded_member(record, checkpoints);
        assert_eq!(noted, Some(first.member), "{name}: {record:?}");
        let recorded = expected["best"]["recorded"].as_str().unwrap();
        assert_eq!(checkpoints.members[first.member].name, recorded, "{name}");
        assert_eq!(record.value, Some(first.value), "{name}");
    }
}

#[test]
fn ties_are_all_best_and_the_earliest_stands_first() {
    let (found, expected) = case("torch_series");
    let checkpoints = found.main_checkpoints().unwrap();
    let ranking = found.rank(checkpoints, Some("val_acc"), None).unwrap();
    let best: Vec<&str> =
        ranking.best().map(|score| checkpoints.members[score.member].name.as_str()).collect();
    let tied: Vec<&str> =
        expected["best"]["tied"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(best, tied);
}

#[test]
fn a_list_that_grows_from_checkpoint_to_checkpoint_is_one_curve() {
    let (found, _) = case("torch_series");
    let losses: Vec<&Series> = found.series.iter().filter(|series| series.name == "train_losses").collect();
    assert_eq!((losses.len(), losses[0].len(), losses[0].origin), (1, 6, Origin::Checkpoint));
    assert!(losses[0].source.ends_with("net_06.pt"));
}

#[test]
fn layers_move_as_torch_computes_it() {
    let (found, expected) = case("torch_series");
    let moved = drift(found.main_checkpoints().unwrap(), &Progress::new(), &|_| {}).unwrap();
    assert!(moved.problems.is_empty(), "{:?}", moved.problems);
    assert_eq!(moved.checkpoints.len(), 6);
    for (name, layer) in expected["drift"].as_object().unwrap() {
        let own =
            moved.layers.iter().find(|own| own.layer == *name).unwrap_or_else(|| panic!("no layer {name}"));
        for (key, values) in [("norm", &own.norm), ("from_first", &own.from_first), ("update", &own.update)] {
            for (at, (seen, wanted)) in values.iter().zip(layer[key].as_array().unwrap()).enumerate() {
                let wanted = if wanted.is_null() { f64::NAN } else { number(wanted) };
                let close = same(*seen, wanted) || (seen - wanted).abs() <= 1e-9 * wanted.abs();
                assert!(close, "{key} of {name} at {at} is {seen}, should be {wanted}");
            }
        }
    }
    let happened: Vec<(&str, usize, _)> = moved
        .events
        .iter()
        .map(|event| (moved.layers[event.layer].layer.as_str(), event.at, event.kind))
        .collect();
    assert_eq!(happened, [("0", 3, Froze), ("3", 4, Died)]);
}

#[test]
fn a_folder_of_several_runs_keeps_them_apart() {
    let found = gathered(&logs().join("tensorboard_v2"));
    assert_eq!(found.runs(), ["train", "validation"]);
    assert_eq!(found.series.iter().filter(|series| series.name == "loss").count(), 2);
    let gap = find(&found, "train", "loss").unwrap();
    assert_eq!((gap.gaps(), gap.len()), (1, 5));
}

#[test]
fn the_same_numbers_in_two_logs_are_shown_once() {
    let (found, _) = case("keras_run");
    let losses: Vec<&Series> = found.series.iter().filter(|series| series.name == "val_loss").collect();
    assert_eq!(losses.len(), 1);
    assert!(found.problems.iter().any(|found| found.problem.code == "shown-once"));
}

#[test]
fn a_log_cut_anywhere_keeps_the_points_before_and_says_so() {
    let events = logs().join("tensorboard_v1/events.out.tfevents.1700000000.host.0.v2");
    let whole = std::fs::read(&events).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.out.tfevents.1.cut");
    let mut points = 0;
    for len in 0..whole.len() {
        std::fs::write(&path, &whole[..len]).unwrap();
        match training_logs::read(&path, &Progress::new()) {
            Ok(log) => {
                assert!(log.points() >= points, "fewer points at {len} bytes");
                points = log.points();
                let is_between_records = log.problems.is_empty();
                assert!(is_between_records || log.problems[0].code == "cut-off", "{:?}", log.problems);
            }
            Err(error) => assert!(error.to_string().ends_with("events.out.tfevents.1.cut"), "{error}"),
        }
    }
    assert!(points > 0);
}

#[test]
fn a_flipped_bit_never_changes_a_point_in_silence() {
    let events = logs().join("tensorboard_v1/events.out.tfevents.1700000000.host.0.v2");
    let whole = std::fs::read(&events).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.out.tfevents.1.flipped");
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 1 << (position % 8);
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(log) = training_logs::read(&path, &Progress::new()) {
            assert!(!log.problems.is_empty(), "the bit at {position} went unnoticed");
        }
    }
}

#[test]
fn damaged_texts_end_in_a_log_or_a_message() {
    for name in
        ["keras_run/training.csv", "keras_run/history.json", "trainer_run/checkpoint-4/trainer_state.json"]
    {
        let whole = std::fs::read(logs().join(name)).unwrap();
        let read = |bytes: Vec<u8>| {
            let source = ByteSource::from_vec(bytes);
            for format in training_logs::LOG_FORMATS {
                let _ = format.read(&source, &Progress::new());
            }
        };
        for position in 0..whole.len() {
            read(whole[..position].to_vec());
            let mut bytes = whole.clone();
            bytes[position] ^= 1 << (position % 8);
            read(bytes);
        }
    }
}

#[test]
fn hostile_logs_are_refused_with_the_path_last() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, Vec<u8>); 5] = [
        ("deep.json", "[".repeat(200_000).into_bytes()),
        ("long.csv", [b"loss\n".to_vec(), vec![b'1'; 17 << 20]].concat()),
        ("empty.csv", Vec::new()),
        ("noise.csv", (0..=255).collect()),
        ("escapes.json", br#"{"loss": ["\ud800", 1]}"#.to_vec()),
    ];
    for (name, bytes) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let message = training_logs::read(&path, &Progress::new()).expect_err(name).to_string();
        assert!(message.ends_with(name) && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn a_folder_that_holds_itself_by_a_link_ends() {
    let folder = tempfile::tempdir().unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
    std::fs::write(folder.path().join("metrics.csv"), "step,loss\n1,2\n2,1\n").unwrap();
    std::fs::write(folder.path().join("data.csv"), "height,width\n1,2\n2,1\n").unwrap();
    let found = gathered(folder.path());
    assert_eq!(found.series.iter().map(|series| series.name.as_str()).collect::<Vec<_>>(), ["loss"]);
}

#[test]
fn metrics_in_file_names_are_ranked_by_the_pattern_that_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let model = std::fs::read(logs().join("torch_series/net_01.pt")).unwrap();
    for name in ["w.01-0.50.pt", "w.02-0.25.pt", "w.03-0.30.pt"] {
        std::fs::write(folder.path().join(name), &model).unwrap();
    }
    let options = GatherOptions { pattern: Some("w.{epoch}-{val_error}.pt".parse().unwrap()) };
    let found = gather(&[folder.path().to_owned()], &options, &Progress::new()).unwrap();
    let checkpoints = found.main_checkpoints().unwrap();
    let ranking = found.rank(checkpoints, Some("val_error"), None).unwrap();
    let names: Vec<&str> =
        ranking.scores.iter().map(|score| checkpoints.members[score.member].name.as_str()).collect();
    assert_eq!(names, ["w.02-0.25.pt", "w.03-0.30.pt", "w.01-0.50.pt"]);
}
