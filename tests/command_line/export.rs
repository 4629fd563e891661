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

/// Zeros in one tensor, without taking them from the disk.
#[cfg(unix)]
fn large(folder: &Path, len: u64) -> PathBuf {
    let path = folder.join("large.safetensors");
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{len}],"data_offsets":[0,{len}]}}}}"#);
    let start = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    fs::write(&path, &start).expect("written");
    let file = fs::OpenOptions::new().write(true).open(&path).expect("opened");
    file.set_len(start.len() as u64 + len).expect("extended");
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
    let source = large(folder.path(), 64 << 20);
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

/// What is at a path: a file's bytes, or those of all files of a folder; hashed, for there is much of it.
#[cfg(unix)]
fn content(path: &Path) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let mut hasher = Sha256::new();
    if path.is_dir() {
        for name in listing(path) {
            hasher.update(&name);
            hasher.update(fs::read(path.join(name)).expect("it is there"));
        }
    } else {
        hasher.update(fs::read(path).expect("it is there"));
    }
    hasher.finalize().to_vec()
}

/// Killed at whatever moment, the target is the old file or the whole new one.
#[cfg(unix)]
#[test]
fn a_kill_leaves_the_old_file_or_the_whole_new_one() {
    use std::hash::{BuildHasher as _, RandomState};
    const KILLS: u32 = 6;
    let folder = tempfile::TempDir::new().expect("a folder");
    let source = large(folder.path(), 16 << 20);
    for (name, format) in [
        ("out.safetensors", "safetensors"),
        ("out.pt", "pytorch"),
        ("out.npz", "npz"),
        ("out.h5", "hdf5"),
        ("out", "npy"),
    ] {
        let target = folder.path().join(name);
        let start = || {
            let mut command = program();
            command.args(["export", "--force", "--format", format, "--to"]).args([&target, &source]);
            command.stdout(std::process::Stdio::null()).spawn().expect("the program starts")
        };
        let began = std::time::Instant::now();
        assert!(start().wait().expect("it ends").success(), "{name}");
        let (took, new) = (began.elapsed(), content(&target));
        for _ in 0..KILLS {
            let old_file = if format == "npy" {
                fs::remove_dir_all(&target).expect("removed");
                fs::create_dir(&target).expect("made");
                target.join("old.npy")
            } else {
                target.clone()
            };
            fs::write(&old_file, b"old").expect("written");
            let old = content(&target);
            let part = RandomState::new().hash_one(()) % 1000;
            let wait = took.mul_f64(part as f64 / 900.0);
            let mut child = start();
            std::thread::sleep(wait);
            let _ = child.kill(); // it may have ended
            child.wait().expect("it ends");
            let found = content(&target);
            assert!(found == old || found == new, "{name} after {wait:?}: {:?}", listing(folder.path()));
            // A folder has a name from the beginning, a hidden one; a file has it for the moment between its own name and the
            // target's, and is whole by then.
            if cfg!(target_os = "linux") && format != "npy" {
                for hidden in listing(folder.path()).iter().filter(|entry| entry.starts_with(".ckptscope-")) {
                    let hidden = folder.path().join(hidden);
                    assert!(content(&hidden) == new, "{name} after {wait:?}");
                    fs::remove_file(hidden).expect("removed");
                }
                assert_eq!(listing(folder.path()), ["large.safetensors", name], "{name} after {wait:?}");
            }
        }
        if format != "npy" {
            fs::remove_file(&target).expect("removed");
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
