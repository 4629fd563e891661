//! What a load would find, held to what `load_state_dict` itself says.

use std::collections::BTreeSet;

use ckptscope::analysis::compatibility::{Compatibility, LoadReport, Loader};
use ckptscope::model::{Checkpoint, TensorId};
use serde_json::Value as Json;

use crate::support::{Complaints, fixture, folder, open};

fn cases() -> serde_json::Map<String, Json> {
    let text = std::fs::read_to_string(folder().join("compare/loading.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn open_case(file: &str) -> Checkpoint {
    open(&folder().join("compare").join(file)).unwrap()
}

fn keys(checkpoint: &Checkpoint, prefix: &str, ids: impl Iterator<Item = TensorId>) -> BTreeSet<String> {
    ids.map(|id| checkpoint.tensor(id).name.strip_prefix(prefix).unwrap().to_owned()).collect()
}

fn expected(case: &Json, list: &str) -> BTreeSet<String> {
    case[list].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn missing_unexpected_and_mismatched_tensors_are_those_that_torch_names() {
    let mut complaints = Complaints::default();
    for model_file in ["net.pt", "net_whole.pt"] {
        let model = open_case(model_file);
        for (name, case) in cases() {
            let checkpoint = open_case(case["file"].as_str().unwrap());
            let found = Compatibility::of(&checkpoint, &model);
            let LoadReport { missing, unexpected, shape_mismatches, .. } = &found.report;
            let of_model = |ids: Vec<TensorId>| keys(&model, &found.model_prefix, ids.into_iter());
            let what = |list: &str| format!("{name} into {model_file}: {list}");
            complaints.unless_equal(&what("loads"), &found.report.loads(), &case["loads"].as_bool().unwrap());
            complaints.unless_equal(
                &what("missing"),
                &of_model(missing.clone()),
                &expected(&case, "missing"),
            );
            complaints.unless_equal(
                &what("unexpected"),
                &keys(&checkpoint, &found.checkpoint_prefix, unexpected.iter().copied()),
                &expected(&case, "unexpected"),
            );
            complaints.unless_equal(
                &what("shape mismatches"),
                &of_model(shape_mismatches.iter().map(|(_, wanted)| *wanted).collect()),
                &expected(&case, "shape_mismatches"),
            );
            let rules =
                found.fix.as_ref().map(|fix| fix.rules.iter().map(ToString::to_string).collect::<Vec<_>>());
            let rule = case["fix"].as_str().map(|rule| vec![rule.to_owned()]);
            complaints.unless_equal(&what("fix"), &rules, &rule);
            if let Some(fix) = &found.fix {
                complaints.unless_equal(&what("loads with the fix"), &fix.report.loads(), &true);
            }
        }
    }
    complaints.check();
}

#[test]
fn a_wrapped_dictionary_is_named_and_unwrapped_for_an_export() {
    let (checkpoint, model) = (open_case("load_wrapped.pt"), open_case("net.pt"));
    let found = Compatibility::of(&checkpoint, &model);
    assert_eq!(found.checkpoint_prefix, "model_state_dict.");
    let rules: Vec<String> = found.export_rules().iter().map(ToString::to_string).collect();
    assert_eq!(rules, ["s/^model_state_dict\\.//"]);
}

#[test]
fn another_dtype_is_told_and_is_no_obstacle() {
    let found = Compatibility::of(&open_case("load_half.pt"), &open_case("net.pt"));
    assert!(found.report.loads());
    assert_eq!(found.report.dtype_mismatches.len(), 11);
    assert!((found.report.share() - 1.0).abs() < 1e-12);
}

#[test]
fn a_partly_filled_model_says_how_much_of_it() {
    let found = Compatibility::of(&open_case("load_other_head.pt"), &open_case("net.pt"));
    let head = 3 * 6 + 3;
    assert_eq!(found.report.elements - found.report.elements_filled, head);
}

#[test]
fn keras_weights_load_into_the_model_that_they_were_saved_from() {
    let model = fixture("keras/keras3_archive").open();
    for weights in ["keras/keras3_weights", "keras/keras3_model", "keras/keras3_archive"] {
        let found = Compatibility::of(&fixture(weights).open(), &model);
        assert_eq!(found.loader, Loader::KerasWeights);
        assert!(found.report.loads(), "{weights}: {:?}", found.report);
    }
}
