//! `scan` and `inspect --verify`: what they say, and the status they end with.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::{json, program, run, saved, stderr, stdout};

fn hostile(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hostile").join(name)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn a_scan_says_what_would_be_called_and_runs_nothing() {
    let folder = TempDir::new().expect("a temporary folder");
    let output = program()
        .args(["scan"])
        .arg(hostile("in_a_state_dict.pkl"))
        .current_dir(folder.path())
        .output()
        .expect("the program starts");
    let text = stdout(&output);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert!(text.contains("Verdict     Dangerous\n"), "{text}");
    assert!(text.contains("posix.system would be called with (\"echo ckptscope\")"), "{text}");
    assert!(text.ends_with("Nothing of the file was run.\n"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0);
}

#[test]
fn json_has_the_verdict_the_imports_and_the_health() {
    let found = json(&run(&["scan", "--json"], &hostile("in_a_state_dict.pkl")));
    assert_eq!((&found["schema"], &found["verdict"]), (&Value::from(1), &Value::from("dangerous")));
    let global = &found["globals"][0];
    assert_eq!((global["module"].as_str(), global["name"].as_str()), (Some("posix"), Some("system")));
    assert_eq!((global["class"].as_str(), global["count"].as_u64()), (Some("known-dangerous"), Some(1)));
    assert!(global["offset"].is_u64() && found["findings"][0]["message"].is_string());
    let healthy = json(&run(&["scan", "--json"], &fixture("pytorch/state_dict.pt")));
    assert_eq!(healthy["verdict"], "clean");
    assert!(healthy["health"]["nan"].is_array() && healthy["health"]["tensors"].as_u64() > Some(0));
    let quick = json(&run(&["scan", "--json", "--no-health"], &fixture("pytorch/state_dict.pt")));
    assert!(quick["health"].is_null() && quick["checked"] == serde_json::json!(["safety"]));
}

#[test]
fn fail_on_takes_levels_and_verdicts() {
    for (file, level, status) in [
        ("hostile/in_a_state_dict.pkl", "dangerous", 1),
        ("hostile/in_a_state_dict.pkl", "error", 1),
        ("hostile/harmless_lambda.h5", "dangerous", 0),
        ("hostile/harmless_lambda.h5", "unknown-code", 1),
        ("hostile/zip_wrong_checksum.pt", "damaged", 1),
        ("hostile/zip_wrong_checksum.pt", "dangerous", 0),
        ("pytorch/state_dict.pt", "warning", 0),
    ] {
        let output = run(&["scan", "--fail-on", level], &fixture(file));
        assert_eq!(output.status.code(), Some(status), "{file} --fail-on {level}: {}", stdout(&output));
    }
}

#[test]
fn sarif_names_the_rule_the_file_and_the_place() {
    let folder = TempDir::new().expect("a temporary folder");
    let log = folder.path().join("found.sarif");
    let output = program()
        .args(["scan", "--sarif"])
        .arg(&log)
        .arg(hostile("zip_reduce.pt"))
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&std::fs::read(&log).expect("written")).expect("JSON");
    assert_eq!(found["version"], "2.1.0");
    let first = &found["runs"][0]["results"][0];
    assert_eq!(
        (first["ruleId"].as_str(), first["level"].as_str()),
        (Some("dangerous-import"), Some("error"))
    );
    let rules = found["runs"][0]["tool"]["driver"]["rules"].as_array().expect("rules");
    let index = first["ruleIndex"].as_u64().expect("an index") as usize;
    assert_eq!(rules[index]["id"], first["ruleId"]);
    let location = &first["locations"][0];
    let uri = location["physicalLocation"]["artifactLocation"]["uri"].as_str().expect("a URI");
    assert!(uri.starts_with("file:///") && uri.ends_with("zip_reduce.pt"), "{uri}");
    assert_eq!(location["logicalLocations"][0]["fullyQualifiedName"], "m/data.pkl");
    let printed = run(&["scan", "--sarif", "-"], &hostile("zip_reduce.pt"));
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).expect("JSON"), found);
}

#[test]
fn what_cannot_be_looked_at_is_an_error() {
    let (_folder, path) = saved("notes.bin", b"dear diary, nothing happened");
    for path in [path, PathBuf::from("no-such-file.pt")] {
        let output = run(&["scan", "--json"], &path);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
        assert!(stderr(&output).lines().count() == 1, "{}", stderr(&output));
    }
}

#[test]
fn verifying_a_whole_file_prints_hashes_and_ends_well() {
    for file in [
        "pytorch/state_dict.pt",
        "keras/compressed_and_big_endian.h5",
        "keras/growing_in_two_dimensions.h5",
        "keras/texts.h5",
        "keras/many_links.h5",
        "safetensors/metadata.safetensors",
    ] {
        let output = run(&["inspect", "--verify"], &fixture(file));
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{file}: {text}");
        assert!(text.contains("SHA-256") && text.contains("Verified\n"), "{file}: {text}");
    }
    let found = json(&run(&["inspect", "--json", "--verify"], &fixture("pytorch/state_dict.pt")));
    assert!(found["verified"]["checksums"].as_u64() > Some(3), "{}", found["verified"]);
    assert!(found["tensors"][0]["sha256"].is_string());
}

#[test]
fn a_flipped_bit_in_a_stored_tensor_is_found() {
    let mut bytes = std::fs::read(fixture("pytorch/state_dict.pt")).expect("readable");
    // Somewhere in the middle of the first storage.
    let at = bytes.windows(7).position(|window| window == b"/data/0").expect("a storage") + 80;
    bytes[at] ^= 0x10;
    let (_folder, path) = saved("flipped.pt", &bytes);
    let output = run(&["inspect", "--verify"], &path);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("data/0: its checksum is"), "{}", stdout(&output));
    // Without being asked, what can be shown is shown.
    assert_eq!(run(&["inspect"], &path).status.code(), Some(0));
}

#[test]
fn the_records_of_an_event_file_are_verified() {
    let folder = fixture("logs");
    let log = folder.join("tensorboard_v2/train/events.out.tfevents.1700000000.host.0.v2");
    let whole = json(&run(&["inspect", "--verify", "--json"], &log));
    assert_eq!(
        (&whole["format"], &whole["verified"]["damage"]),
        (&"tensorboard".into(), &serde_json::json!([]))
    );
    let records = whole["verified"]["records"].as_u64().expect("a number");
    assert!(records > 2 && whole["verified"]["checksums"] == records * 2, "{whole}");
    let mut bytes = std::fs::read(&log).expect("readable");
    let at = bytes.len() - 8;
    bytes[at] ^= 1;
    let (_folder, path) = saved("events.out.tfevents.1", &bytes);
    let output = run(&["inspect", "--verify"], &path);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("\nDamaged\n"), "{}", stdout(&output));
    // Without being asked to check it, a log is no checkpoint.
    assert_eq!(run(&["inspect"], &path).status.code(), Some(2));
}

#[test]
fn files_of_other_formats_with_the_same_tensors_have_one_hash_over_all() {
    let contents = |name: &str| {
        let found = json(&run(&["inspect", "--verify", "--json"], &fixture(name)));
        found["verified"]["contents_sha256"].as_str().expect("a hash").to_owned()
    };
    let of_zip = contents("parity/zip.pt");
    assert_eq!(of_zip, contents("parity/legacy.pth"));
    assert_eq!(of_zip, contents("parity/single.safetensors"));
    assert_ne!(of_zip, contents("pytorch/state_dict.pt"));
}

#[test]
fn a_file_that_lost_its_end_is_damaged() {
    for (name, file) in [
        ("cut.safetensors", "safetensors/batch_norm.safetensors"),
        ("cut.gguf", "gguf/tensor_types.gguf"),
        ("cut.npy", "numpy/single.npy"),
        ("cut.onnx", "onnx/dtypes.onnx"),
        ("cut.h5", "keras/keras2_model.h5"),
        ("cut.pth", "parity/legacy.pth"),
    ] {
        let bytes = std::fs::read(fixture(file)).expect("readable");
        // More than what pads the last tensor.
        let (_folder, path) = saved(name, &bytes[..bytes.len() - 40]);
        let output = run(&["inspect", "--verify"], &path);
        let is_told = output.status.code() == Some(1) && stdout(&output).contains("\ndamage: ");
        let is_refused = output.status.code() == Some(2) && stdout(&output).is_empty();
        assert!(is_told || is_refused, "{name}: {:?} {}", output.status.code(), stdout(&output));
    }
}

/// Ends within this time, on a slow and busy machine.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn what_is_no_file_is_one_sentence_and_no_wait() {
    let folder = TempDir::new().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("folder.pt")).expect("made");
    let mut odd = vec![at("folder.pt"), at("missing.pt")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(at("loop_b.pt"), at("loop_a.pt")).expect("linked");
        std::os::unix::fs::symlink(at("loop_a.pt"), at("loop_b.pt")).expect("linked");
        let made = std::process::Command::new("mkfifo").arg(at("pipe.pt")).status();
        odd.extend(made.is_ok_and(|status| status.success()).then(|| at("pipe.pt")));
        odd.extend([at("loop_a.pt"), PathBuf::from("/dev/zero"), PathBuf::from("/dev/tty")]);
    }
    for path in odd {
        for command in ["inspect", "summary", "scan"] {
            let start = Instant::now();
            let output = run(&[command], &path);
            assert!(start.elapsed() < SOON, "{command} {}", path.display());
            assert_eq!(output.status.code(), Some(2), "{command} {}: {}", path.display(), stdout(&output));
            let message = stderr(&output);
            assert!(message.lines().count() == 1 && message.len() > 20, "{message}");
            assert!(!message.contains("panicked"), "{message}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_utf_8_opens() {
    use std::os::unix::ffi::OsStrExt;
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"m\xff\xfe.pt"));
    std::fs::copy(fixture("pytorch/state_dict.pt"), &path).expect("copied");
    for command in ["inspect", "scan"] {
        let output = run(&[command, "--json"], &path);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
}

#[cfg(unix)]
#[test]
fn a_file_without_permission_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path) = saved("secret.pt", b"\x80\x02}.");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).expect("set");
    if std::fs::File::open(&path).is_ok() {
        return; // this user may read everything
    }
    for command in ["inspect", "scan"] {
        let output = run(&[command], &path);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("ermission"), "{}", stderr(&output));
    }
}
