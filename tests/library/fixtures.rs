//! Every fixture against what its framework says is in it.

use std::collections::HashSet;

use ckptscope::analysis::StatisticsBuilder;
use ckptscope::formats::{FORMATS, Probe};
use ckptscope::model::{Checkpoint, NodeId, TensorId, Value};
use serde_json::Value as Json;

use crate::support::{Complaints, Fixture, at, fixtures, hash_of, read};

/// Expectations name a tensor as its format stores it, or by its place in the model.
fn find(checkpoint: &Checkpoint, expected: &Json) -> Option<TensorId> {
    let matches = |id: &TensorId| match expected["stored_name"].as_str() {
        Some(stored) => checkpoint.tensor(*id).stored_name() == stored,
        None => expected["name"].as_str() == Some(&checkpoint.tensor(*id).name),
    };
    checkpoint.tensors().map(|(id, _)| id).find(matches)
}

fn label(fixture: &Fixture, expected: &Json) -> String {
    let name = expected["stored_name"].as_str().or(expected["name"].as_str()).unwrap_or_default();
    format!("{} {name:?}", fixture.name)
}

/// Calls `check` with each expected tensor that the reader found, and complains about the others.
fn each_tensor(mut check: impl FnMut(&Checkpoint, TensorId, &Json, &str, &mut Complaints)) {
    let mut complaints = Complaints::default();
    for fixture in fixtures() {
        let checkpoint = match crate::support::open(&fixture.path) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                complaints.add(format!("{}: {error}", fixture.name));
                continue;
            }
        };
        for expected in fixture.tensors() {
            let label = label(&fixture, expected);
            match find(&checkpoint, expected) {
                Some(id) => check(&checkpoint, id, expected, &label, &mut complaints),
                // Bookkeeping of the writer in text form may be shown as metadata instead.
                None if expected["dtype"] == "string" => {}
                None => complaints.add(format!("{label} is missing")),
            }
        }
    }
    complaints.check();
}

fn number(json: &Json) -> f64 {
    json.as_f64().expect("a number")
}

#[test]
fn each_fixture_is_claimed_by_exactly_one_format() {
    let mut complaints = Complaints::default();
    for fixture in fixtures() {
        let probe = Probe::new(&fixture.path).unwrap();
        let claims: Vec<&str> =
            FORMATS.iter().filter(|format| format.detect(&probe)).map(|format| format.name()).collect();
        if claims.len() != 1 {
            complaints.add(format!("{}: claimed by {claims:?}", fixture.name));
        }
    }
    complaints.check();
}

#[test]
fn the_layout_is_named() {
    let mut complaints = Complaints::default();
    for fixture in fixtures() {
        let expected = fixture.expected["format"].as_str().unwrap();
        complaints.unless_equal(&fixture.name, &fixture.open().format(), &expected);
    }
    complaints.check();
}

#[test]
fn shapes_and_dtypes_are_the_frameworks() {
    each_tensor(|checkpoint, id, expected, label, complaints| {
        let tensor = checkpoint.tensor(id);
        let shape: Vec<u64> =
            expected["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        complaints.unless_equal(&format!("shape of {label}"), &tensor.shape.dims(), &shape.as_slice());
        let dtype = expected["dtype"].as_str().unwrap();
        complaints.unless_equal(&format!("dtype of {label}"), &tensor.dtype.name(), &dtype);
    });
}

#[test]
fn no_tensor_is_invented() {
    let mut complaints = Complaints::default();
    for fixture in fixtures() {
        let checkpoint = fixture.open();
        let found: HashSet<TensorId> =
            fixture.tensors().iter().filter_map(|expected| find(&checkpoint, expected)).collect();
        for (_, tensor) in checkpoint.tensors().filter(|(id, _)| !found.contains(id)) {
            let name = tensor.stored_name();
            complaints.add(format!("{}: {name:?} is no tensor of the framework's", fixture.name));
        }
    }
    complaints.check();
}

#[test]
fn values_are_the_frameworks_to_the_byte() {
    each_tensor(|checkpoint, id, expected, label, complaints| {
        let Some(hash) = expected["sha256"].as_str() else { return };
        complaints.unless_equal(&format!("hash of {label}"), &hash_of(checkpoint, id).as_str(), &hash);
    });
}

#[test]
fn roles_and_trainability_are_the_frameworks() {
    each_tensor(|checkpoint, id, expected, label, complaints| {
        let tensor = checkpoint.tensor(id);
        if let Some(role) = expected["role"].as_str() {
            complaints.unless_equal(&format!("role of {label}"), &tensor.role.name(), &role);
        }
        if let (Some(expected), Some(seen)) = (expected["trainable"].as_bool(), tensor.trainable) {
            complaints.unless_equal(&format!("trainable of {label}"), &seen, &expected);
        }
        if let Some(first) = expected["tied_to"].as_str() {
            let seen = tensor.tied_to.map(|first| checkpoint.tensor(first).name.as_str());
            complaints.unless_equal(&format!("what {label} is tied to"), &seen, &Some(first));
        }
    });
}

#[test]
fn variables_have_the_names_that_the_framework_gives_them() {
    each_tensor(|checkpoint, id, expected, label, complaints| {
        if let Some(variable) = expected["variable"].as_str() {
            let seen = checkpoint.tensor(id).path.last().map(String::as_str);
            complaints.unless_equal(&format!("name of {label}"), &seen, &Some(variable));
        }
    });
}

#[test]
fn counts_are_those_of_the_frameworks_own_summary() {
    let mut complaints = Complaints::default();
    for fixture in fixtures() {
        let checkpoint = fixture.open();
        let totals = checkpoint.totals();
        for (key, seen) in [
            ("parameters", totals.parameters),
            ("trainable", totals.trainable),
            ("non_trainable", totals.non_trainable),
        ] {
            // A file of weights alone cannot tell which are trainable: then nothing is to be claimed.
            let Some(expected) = fixture.expected["totals"][key].as_u64() else { continue };
            let weights_only = fixture.expected["layers"].is_null() && key != "parameters";
            if seen != Some(expected) && !(weights_only && seen.is_none()) {
                complaints.add(format!("{}: {key} is {seen:?}, should be {expected}", fixture.name));
            }
        }
    }
    complaints.check();
}

#[test]
fn totals_are_the_sums_over_the_tensors() {
    let mut complaints = Complaints::default();
    for fixture in fixtures() {
        let checkpoint = fixture.open();
        let elements: u64 = checkpoint.tensors().map(|(_, tensor)| tensor.elements()).sum();
        let bytes: u64 = checkpoint.tensors().map(|(_, tensor)| tensor.bytes()).sum();
        complaints.unless_equal(
            &format!("elements of {}", fixture.name),
            &checkpoint.totals().elements,
            &elements,
        );
        complaints.unless_equal(
            &format!("bytes of {}", fixture.name),
            &checkpoint.totals().tensor_bytes,
            &bytes,
        );
    }
    complaints.check();
}

#[test]
fn layers_have_their_classes() {
    let mut complaints = Complaints::default();
    for fixture in fixtures() {
        let Some(expected) = fixture.expected["layers"].as_array() else { continue };
        let checkpoint = fixture.open();
        for layer in expected {
            let (path, class) = (layer["path"].as_str().unwrap(), layer["class"].as_str().unwrap());
            let found = checkpoint.layers().iter().find(|seen| seen.path == path);
            // PyTorch writes `torch.nn.modules.linear.Linear`.
            let seen = found.and_then(|layer| layer.class.as_deref()).map(last_part);
            complaints.unless_equal(&format!("class of {} {path}", fixture.name), &seen, &Some(class));
        }
    }
    complaints.check();
}

fn last_part(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

#[test]
fn metadata_is_kept_where_it_stands() {
    let mut complaints = Complaints::default();
    for fixture in fixtures() {
        let Some(expected) = fixture.expected["metadata"].as_object() else { continue };
        let checkpoint = fixture.open();
        for (path, expected) in expected {
            let seen = at(checkpoint.metadata(), path);
            let equal = match (seen, expected) {
                (Some(Value::Text(seen)), Json::String(expected)) => seen == expected,
                (Some(Value::Bool(seen)), Json::Bool(expected)) => seen == expected,
                (Some(Value::Int(seen)), Json::Number(expected)) => Some(*seen) == expected.as_i64(),
                (Some(Value::Float(seen)), Json::Number(expected)) => Some(*seen) == expected.as_f64(),
                _ => false,
            };
            if !equal {
                complaints.add(format!("{}: {path} is {seen:?}, should be {expected}", fixture.name));
            }
        }
    }
    complaints.check();
}

#[test]
fn statistics_are_the_frameworks() {
    each_tensor(|checkpoint, id, expected, label, complaints| {
        let Some(nan) = expected["nan"].as_u64() else { return };
        let tensor = checkpoint.tensor(id);
        let mut builder = StatisticsBuilder::new(&tensor.dtype);
        if let Err(error) = read(checkpoint, id, |piece| builder.push(piece)) {
            complaints.add(format!("{label}: {error}"));
            return;
        }
        let (seen, table) = builder.finish();
        complaints.unless_equal(&format!("count of {label}"), &seen.count, &tensor.elements());
        complaints.unless_equal(&format!("NaN of {label}"), &seen.nan, &nan);
        let infinite = seen.positive_infinity + seen.negative_infinity;
        complaints.unless_equal(
            &format!("infinities of {label}"),
            &infinite,
            &expected["inf"].as_u64().unwrap(),
        );
        complaints.unless_equal(
            &format!("zeros of {label}"),
            &seen.zeros,
            &expected["zeros"].as_u64().unwrap(),
        );
        complaints.unless_equal(&format!("table of {label}"), &table.total(), &seen.finite);
        let scale = ["min", "max"].iter().filter_map(|key| expected[key].as_f64()).map(f64::abs).sum::<f64>();
        for (key, seen) in [("min", seen.min), ("max", seen.max), ("mean", seen.mean), ("std", seen.std)] {
            let expected = &expected[key];
            let close = match seen {
                Some(seen) if expected.is_number() => {
                    let expected = number(expected);
                    (seen - expected).abs() <= 1e-9 * (expected.abs() + scale)
                }
                seen => seen.is_none() && expected.is_null(),
            };
            if !close {
                complaints.add(format!("{key} of {label} is {seen:?}, should be {expected}"));
            }
        }
    });
}

#[test]
fn histograms_count_every_finite_value_once() {
    each_tensor(|checkpoint, id, _, label, complaints| {
        let mut builder = StatisticsBuilder::new(&checkpoint.tensor(id).dtype);
        if read(checkpoint, id, |piece| builder.push(piece)).is_err() {
            return; // complained about above
        }
        let (statistics, table) = builder.finish();
        if let (Some(min), Some(max)) = (statistics.min, statistics.max) {
            let counted: u64 = table.histogram(min, max, 7).counts.iter().sum();
            complaints.unless_equal(&format!("histogram of {label}"), &counted, &statistics.finite);
        }
    });
}

#[test]
fn a_fixture_of_good_health_has_no_errors() {
    let mut complaints = Complaints::default();
    for fixture in fixtures() {
        let checkpoint = fixture.open();
        for problem in checkpoint.problems() {
            if problem.severity == ckptscope::model::Severity::Error {
                complaints.add(format!("{}: {}", fixture.name, problem.message));
            }
        }
    }
    complaints.check();
}

#[test]
fn the_tree_holds_every_tensor_once() {
    let mut complaints = Complaints::default();
    for fixture in fixtures() {
        let checkpoint = fixture.open();
        let tree = checkpoint.layer_tree();
        let root = tree.node(NodeId(0));
        complaints.unless_equal(&fixture.name, &root.total_tensors, &(checkpoint.tensors().len() as u64));
        complaints.unless_equal(&fixture.name, &root.elements, &checkpoint.totals().elements);
        if let Some(parameters) = checkpoint.totals().parameters {
            complaints.unless_equal(&fixture.name, &root.parameters, &parameters);
        }
    }
    complaints.check();
}
