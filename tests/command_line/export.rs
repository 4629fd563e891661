//! `export`: what it prints, and that a full disk, a read-only target or a kill leave the old file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::{f32s, json, program, safetensors_file, saved, small_model, stderr, stdout};

fn export(from: &Path, to: &Path, options: &[&str]) -> Output {
    program().arg("export").arg(from).arg("--to").arg(to).args(options).output().expect("the program starts")
}

fn listing(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// 64 MiB in one tensor, without taking them from the disk.
#[cfg(unix)]
fn large(folder: &Path) -> PathBuf {
    let path = folder.join("large.safetensors");
    let header = br#"{"w":{"dtype":"U8","shape":[67108864],"data_offsets":[0,67108864]}}"#;
    let start = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    fs::write(&path, &start).expect("written");
    let file = fs::OpenOptions::new().write(true).open(&path).expect("opened");
    file.set_len(start.len() as u64 + (64 << 20)).expect("extended");
    path
}

#[test]
fn chosen_tensors_are_written_under_new_names() {
    let (folder, path) = small_model();
    let target = folder.path().join("out.safetensors");
    let output =
        export(&path, &target, &["--select", "fc1.*", "--strip-prefix", "fc1.", "--add-prefix", "head."]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert!(stdout(&output).starts_with("Exported 2 of 3 tensors (36 B): "), "{}", stdout(&output));
    let found =
        json(&program().args(["inspect", "--json"]).arg(&target).output().expect("the program starts"));
    let names: Vec<&str> = found["tensors"]
        .as_array()
        .expect("tensors")
        .iter()
        .filter_map(|tensor| tensor["name"].as_str())
        .collect();
    assert_eq!(names, ["head.weight", "head.bias"]);
}

#[test]
fn a_dry_run_tells_what_would_be_converted_and_writes_nothing() {
    let (folder, path) = small_model();
    let target = folder.path().join("out.npz");
    let output = export(&path, &target, &["--dtype", "bf16", "--dry-run"]);
    let text = stdout(&output);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert!(text.contains("Would export 3 tensors"), "{text}");
    assert!(!target.exists());
    let found = json(&export(&path, &target, &["--dtype", "float16", "--json"]));
    assert_eq!((&found["written"], &found["verified"]), (&true.into(), &true.into()));
    assert_eq!(found["tensors"][0]["dtype"], "float16");
    assert_eq!(found["tensors"][0]["exact"], false);
}

#[test]
fn statistics_become_a_table() {
    let (folder, path) = small_model();
    let target = folder.path().join("statistics.csv");
    let output = export(&path, &target, &["--statistics"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let table = fs::read_to_string(&target).expect("a table");
    let mut lines = table.lines();
    assert!(lines.next().expect("a head").starts_with("name,dtype,shape,role,elements,bytes,min,max,mean"));
    assert!(
        lines.next().expect("a row").starts_with("fc1.weight,float32,\"[2, 3]\",parameter,6,24,1,5,3,"),
        "{table}"
    );
}

#[test]
fn a_target_without_a_format_and_one_that_exists_are_refused() {
    let (folder, path) = small_model();
    let output = export(&path, &folder.path().join("out.xyz"), &[]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(stderr(&output).contains("give --format"), "{}", stderr(&output));
    let (_other, old) = saved("old.npz", b"old");
    let output = export(&path, &old, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("exists already"), "{}", stderr(&output));
    assert_eq!(fs::read(&old).expect("it is there"), b"old");
    let output = export(&path, &path, &["--force"]);
    assert!(stderr(&output).contains("is the checkpoint that is exported"), "{}", stderr(&output));
}

/// A file may not grow beyond what the shell allows, as on a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let source = large(folder.path());
    for name in ["out.safetensors", "out.pt", "out.npz", "out.h5"] {
        let target = folder.path().join(name);
        fs::write(&target, b"old").expect("written");
        let script = "trap '' XFSZ; ulimit -f 2048; exec \"$0\" export \"$1\" --to \"$2\" --force";
        let output = std::process::Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_ckptscope")])
            .args([&source, &target])
            .output()
            .expect("a shell");
        assert_eq!(output.status.code(), Some(2), "{name}: {}", stderr(&output));
        assert!(
            stderr(&output).starts_with("ckptscope: nothing was exported: cannot write"),
            "{name}: {}",
            stderr(&output)
        );
        assert_eq!(fs::read(&target).expect("it is there"), b"old", "{name}");
        fs::remove_file(&target).expect("removed");
        assert_eq!(listing(folder.path()), ["large.safetensors"], "{name}");
    }
}

#[cfg(unix)]
#[test]
fn a_target_that_may_not_be_changed_stays() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = small_model();
    let target = folder.path().join("out.npz");
    fs::write(&target, b"old").expect("written");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o444)).expect("changed");
    let output = export(&path, &target, &["--force"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("may not be changed"), "{}", stderr(&output));
    assert_eq!(fs::read(&target).expect("it is there"), b"old");
}

/// Killed at several moments, the target is the old file or the whole new one.
#[cfg(unix)]
#[test]
fn a_kill_leaves_the_old_file_or_the_whole_new_one() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let source = large(folder.path());
    let target = folder.path().join("out.safetensors");
    let whole = fs::metadata(&source).expect("it is there").len();
    for wait in [1, 4, 9, 16, 25, 36, 49, 64] {
        fs::write(&target, b"old").expect("written");
        let mut child = program()
            .args(["export", "--force", "--to"])
            .args([&target, &source])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(std::time::Duration::from_millis(wait));
        let _ = child.kill(); // it may have ended
        child.wait().expect("it ends");
        let len = fs::metadata(&target).expect("it is there").len();
        // The header is padded to eight bytes.
        assert!(len == 3 || (whole..whole + 8).contains(&len), "after {wait} ms: {len} bytes");
        if cfg!(target_os = "linux") {
            assert_eq!(listing(folder.path()), ["large.safetensors", "out.safetensors"], "after {wait} ms");
        }
    }
}

#[test]
fn tensors_of_one_role_can_be_chosen() {
    let weight = f32s(&[1.0]);
    let file = safetensors_file::file(&[
        ("a.weight", "F32", &[1], &weight),
        ("n.running_mean", "F32", &[1], &weight),
    ]);
    let (folder, path) = saved("model.safetensors", &file);
    let output = export(&path, &folder.path().join("out.npz"), &["--role", "buffer"]);
    assert!(stdout(&output).starts_with("Exported 1 of 2 tensors"), "{}", stdout(&output));
    let output = export(&path, &folder.path().join("none.npz"), &["--select", "nothing"]);
    assert!(stderr(&output).contains("no tensor is selected"), "{}", stderr(&output));
}
