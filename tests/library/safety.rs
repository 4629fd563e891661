//! What files would do when they are loaded: hostile ones are found out, honest ones are not accused.

use std::path::Path;

use ckptscope::analysis::safety::{Class, Safety, Verdict, judge};
use ckptscope::formats;
use ckptscope::model::Progress;
use serde_json::Value as Json;

use crate::support::{Complaints, fixtures, folder};

/// The whole answer about a path, as the window and the command line give it.
fn safety_of(path: &Path) -> Safety {
    let progress = Progress::new();
    let examined = formats::examine(path, true, &progress);
    let evidence = formats::with_opened(examined, formats::open(path, &progress).as_ref());
    judge(&evidence.unwrap_or_else(|error| panic!("{error}")))
}

fn cases() -> Vec<(String, Json)> {
    let text = std::fs::read_to_string(folder().join("hostile/cases.json")).unwrap();
    let Json::Object(cases) = serde_json::from_str(&text).unwrap() else { panic!("cases.json is no object") };
    assert!(cases.len() > 100);
    cases.into_iter().collect()
}

fn texts(list: &Json) -> Vec<&str> {
    list.as_array().unwrap().iter().filter_map(Json::as_str).collect()
}

#[test]
fn every_hostile_file_is_called_what_it_is_and_names_what_it_would_do() {
    let mut complaints = Complaints::default();
    for (name, expected) in cases() {
        let safety = safety_of(&folder().join("hostile").join(&name));
        let what = format!("{name}: verdict");
        complaints.unless_equal(&what, &safety.verdict.code(), &expected["verdict"].as_str().unwrap());
        let named: Vec<String> = safety
            .imports
            .iter()
            .filter(|import| import.class >= Class::Unknown)
            .map(|judged| format!("{}.{}", judged.import.module, judged.import.name))
            .collect();
        for wanted in texts(&expected["names"]) {
            if !named.iter().any(|name| name == wanted) {
                complaints.add(format!("{name}: {wanted} is not named, only {named:?}"));
            }
        }
        let codes: Vec<&str> = safety.findings.iter().map(|finding| finding.code).collect();
        for wanted in texts(&expected["findings"]) {
            if !codes.contains(&wanted) {
                complaints.add(format!("{name}: no finding {wanted}, only {codes:?}"));
            }
        }
        if safety.reason.is_empty() {
            complaints.add(format!("{name}: no reason"));
        }
    }
    complaints.check();
}

#[test]
fn no_honest_file_is_called_dangerous_or_damaged() {
    let mut complaints = Complaints::default();
    for fixture in fixtures() {
        let safety = safety_of(&fixture.path);
        let is_broken_on_purpose = fixture
            .open()
            .problems()
            .iter()
            .any(|problem| problem.severity == ckptscope::model::Severity::Error);
        if safety.verdict == Verdict::Dangerous || safety.verdict == Verdict::Damaged && !is_broken_on_purpose
        {
            complaints.add(format!("{}: {} {}", fixture.name, safety.verdict.code(), safety.reason));
        }
        // Plain state dictionaries and models of layers that everyone has: nothing unknown about them.
        let is_plain = ["safetensors/", "gguf/", "onnx/", "tensorflow/"]
            .iter()
            .any(|kind| fixture.name.starts_with(kind));
        if is_plain && safety.verdict == Verdict::UnknownCode {
            complaints.add(format!("{}: {}", fixture.name, safety.reason));
        }
    }
    complaints.check();
}

#[test]
fn a_state_dictionary_imports_tensor_constructors_and_containers_only() {
    let safety = safety_of(&crate::support::fixture("pytorch/state_dict").path);
    assert_eq!((safety.verdict, safety.findings.len()), (Verdict::Clean, 0), "{}", safety.reason);
    assert!(safety.imports.iter().all(|import| import.class <= Class::Container), "{:?}", safety.imports);
    assert!(
        safety
            .calls
            .iter()
            .any(|(call, _)| call.target == "torch._utils._rebuild_tensor_v2" && call.count > 1)
    );
}

#[test]
fn a_call_is_shown_with_its_arguments_and_where_it_stands() {
    let safety = safety_of(&folder().join("hostile/in_a_state_dict.pkl"));
    let (call, class) = &safety.calls[0];
    assert_eq!((call.target.as_str(), *class, call.opcode), ("posix.system", Class::Dangerous, "REDUCE"));
    assert_eq!(call.arguments, ["(\"echo ckptscope\")"]);
    let bytes = std::fs::read(folder().join("hostile/in_a_state_dict.pkl")).unwrap();
    assert_eq!(bytes[call.offset as usize], b'R');
    let import = &safety.imports[0].import;
    assert_eq!(bytes[import.offset.unwrap() as usize], b'c');
}

#[test]
fn a_folder_is_looked_through_with_everything_in_it() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::create_dir(scratch.path().join("inner")).unwrap();
    let hostile = folder().join("hostile/zip_reduce.pt");
    std::fs::copy(hostile, scratch.path().join("inner/optimizer.bin")).unwrap();
    std::fs::copy(
        crate::support::fixture("safetensors/metadata").path,
        scratch.path().join("model.safetensors"),
    )
    .unwrap();
    let safety = safety_of(scratch.path());
    assert_eq!(safety.verdict, Verdict::Dangerous);
    assert!(safety.findings[0].place.starts_with("inner/optimizer.bin/"), "{:?}", safety.findings[0]);
}

#[test]
fn thousands_of_findings_are_counted_and_few_are_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("many.pkl");
    let mut bytes = b"\x80\x02]".to_vec();
    for _ in 0..5000 {
        bytes.extend(b"\x82\x07a");
    }
    for index in 0..5000 {
        bytes.extend(format!("cmine\nClass{index}\na").bytes());
    }
    bytes.push(b'.');
    std::fs::write(&path, bytes).unwrap();
    let safety = safety_of(&path);
    assert!(
        safety.findings.len() < 300 && safety.more > 4000,
        "{} and {}",
        safety.findings.len(),
        safety.more
    );
    assert_eq!(safety.verdict, Verdict::UnknownCode);
}
