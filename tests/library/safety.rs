//! What files would do when they are loaded: hostile ones are found out, honest ones are not accused.

use std::path::Path;

use ckptscope::analysis::safety::{Class, Safety, Verdict, judge};
use ckptscope::formats;
use ckptscope::model::{Oddity, Progress};
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
fn links_to_other_files_are_found_in_a_group_of_very_many() {
    let evidence =
        formats::examine(&crate::support::fixture("keras/many_links").path, true, &Progress::new());
    let evidence = evidence.unwrap();
    assert_eq!(evidence.observed.get(&Oddity::ExternalLink), Some(&121));
    // The one that is too long for the blocks of the group's heap.
    assert!(evidence.observations.iter().any(|seen| seen.detail.contains("/shelf/far leads to")));
    assert_eq!(judge(&evidence).verdict, Verdict::UnknownCode);
}

#[test]
fn words_in_lines_are_no_pickles() {
    let scratch = tempfile::tempdir().unwrap();
    for text in
        ["cat\ndog\nfrog\n", "cat\ndog\nRat\n", "cls\nsep\n.", "import os\nos.system('x')\n", "(a note).\n"]
    {
        let path = scratch.path().join("labels.txt");
        std::fs::write(&path, text).unwrap();
        assert!(formats::examine(&path, true, &Progress::new()).is_err(), "{text:?}");
    }
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

/// The same sequence on every machine and in every run.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        // Constants of Knuth's MMIX.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }
}

/// Changes some bytes as damage and as malice would: bits, lengths, things cut out, doubled and put in.
fn mutated(original: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len());
        let end = (at + 1 + dice.roll(16)).min(bytes.len());
        match dice.roll(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => bytes[at..end].fill(0xff),
            4 => bytes[at..end].fill(0),
            5 => {
                // Opcodes, signatures and brackets.
                const PIECES: [&[u8]; 6] =
                    [b"cos\nsystem\n", b"PK\x03\x04", b"\x80\x04", b"((((", b"[[[[{", b"\x93R."];
                bytes.splice(at..at, PIECES[dice.roll(6)].iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.roll(8);
                }
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

#[test]
fn thousands_of_mutants_of_hostile_files_end_in_an_answer() {
    /// One mutant must be dealt with in this time, on a slow and busy machine.
    const LONGEST: std::time::Duration = std::time::Duration::from_secs(20);
    const MUTANTS: usize = 20;
    let scratch = tempfile::tempdir().unwrap();
    let mut dice = Dice(1);
    for (name, _) in cases() {
        if name == "zip_bomb.pt" {
            continue; // it inflates to the same 12 MB each time
        }
        let original = std::fs::read(folder().join("hostile").join(&name)).unwrap();
        let path = scratch.path().join(&name);
        for number in 0..MUTANTS {
            let bytes = mutated(&original, &mut dice);
            std::fs::write(&path, &bytes).unwrap();
            let start = std::time::Instant::now();
            let examined = formats::examine(&path, true, &Progress::new());
            let opened = formats::open(&path, &Progress::new());
            if let Ok(evidence) = formats::with_opened(examined, opened.as_ref()) {
                let safety = judge(&evidence);
                assert!(!safety.reason.is_empty());
            }
            assert!(start.elapsed() < LONGEST, "mutant {number} of {name} took {:?}", start.elapsed());
        }
    }
}

#[test]
fn small_files_that_ask_for_much_get_little() {
    let scratch = tempfile::tempdir().unwrap();
    let marks = [&b"\x80\x02"[..], &b"(".repeat(1 << 20)].concat();
    let starts: Vec<u8> = b"\x80\x02N.".iter().chain([0x80, 2].repeat(1 << 18).iter()).copied().collect();
    let nested = (0..40).fold(b"\x80\x02N.".to_vec(), |inner, _| {
        [
            &b"\x80\x02ctorch.storage\n_load_from_bytes\n(B"[..],
            &(inner.len() as u32).to_le_bytes(),
            &inner,
            b"tR.",
        ]
        .concat()
    });
    let mut doubled = (0..60).fold(b"\x80\x02]q\x00".to_vec(), |mut bytes, slot: u8| {
        bytes.extend([b'(', b'h', slot, b'h', slot, b't', b'q', slot + 1]);
        bytes
    });
    doubled.push(b'.');
    let calls = [&b"\x80\x02cmine\nf\n"[..], &b")R".repeat(200_000), b"."].concat();
    for (name, bytes) in
        [("marks", marks), ("starts", starts), ("nested", nested), ("doubled", doubled), ("calls", calls)]
    {
        let path = scratch.path().join(format!("{name}.pkl"));
        std::fs::write(&path, bytes).unwrap();
        let start = std::time::Instant::now();
        let evidence = formats::examine(&path, true, &Progress::new());
        assert!(start.elapsed().as_secs() < 20, "{name} took {:?}", start.elapsed());
        assert!(evidence.is_ok(), "{name}");
    }
}
