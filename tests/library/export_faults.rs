//! Exports that fail: a full disk, a source that changes, a cancel, a name that is taken. The old files stay as they were,
//! and nothing else is left.

use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ckptscope::export::{ExportError, ExportFormat, ExportPlan, ExportRequest, Verify};
use ckptscope::jobs::export::export;
use ckptscope::model::{
    Checkpoint, CheckpointParts, Dtype, Progress, PythonTypes, ReadError, TensorId, TensorReader, Value,
};
use sha2::{Digest as _, Sha256};

use crate::export::{made, run};
use crate::support::{self, open};

/// What is at the target before an export, and must be there after one that failed.
fn old_file(target: &Path, format: ExportFormat) -> PathBuf {
    if format != ExportFormat::NpyFolder {
        fs::write(target, b"old").unwrap();
        return target.to_owned();
    }
    fs::create_dir(target).unwrap();
    fs::write(target.join("old.npy"), b"old").unwrap();
    target.join("old.npy")
}

/// A small file system in memory, where the system lets us have one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={bytes},mode=755");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

#[test]
fn a_disk_that_fills_up_meanwhile_costs_nothing_but_the_export() {
    let Some(disk) = SmallDisk::mount(8 << 20) else {
        println!("SKIP: no file system in memory can be mounted here");
        return;
    };
    let folder = disk.0.path().to_owned();
    let shards = ExportFormat::ALL.map(|format| (format, None)).into_iter();
    for (format, shard_bytes) in shards.chain([(ExportFormat::Safetensors, Some(150_000))]) {
        let what = format!("{} {shard_bytes:?}", format.id());
        let target = folder.join("out").with_extension(format.extension());
        let old = old_file(&target, format);
        if shard_bytes.is_some() {
            fs::write(folder.join("out.safetensors.index.json"), b"{}").unwrap();
            fs::write(folder.join("out-00001-of-00006.safetensors"), b"old shard").unwrap();
        }
        let before = listing(&folder);
        // Once a third is read, somebody else takes all that is left.
        let (read, other) = (AtomicU64::new(0), folder.join("other"));
        let filler = other.clone();
        let tensors =
            ["a", "b", "c", "d", "e", "f"].map(|name| (name, Dtype::Uint8, vec![100_000], vec![7; 100_000]));
        let checkpoint = made(tensors.to_vec(), move |bytes| {
            let done = read.fetch_add(bytes, Ordering::Relaxed);
            if done < 200_000 && done + bytes >= 200_000 {
                let mut file = fs::File::create(&filler).unwrap();
                while file.write_all(&[0; 4096]).is_ok() {}
            }
            Ok(())
        });
        let mut request = ExportRequest::new(&checkpoint, format, &target);
        (request.replace, request.shard_bytes) = (true, shard_bytes);
        let error = run(&checkpoint, request).unwrap_err();
        assert!(
            matches!(&error, ExportError::Write(error) if error.kind() == std::io::ErrorKind::StorageFull),
            "{what}: {error}"
        );
        assert_eq!(fs::read(&old).unwrap(), b"old", "{what}");
        fs::remove_file(&other).unwrap();
        assert_eq!(listing(&folder), before, "{what}");
        // What was written is given back: there is room for as much again.
        fs::write(&other, vec![0; 7 << 20]).unwrap_or_else(|error| panic!("{what}: {error}"));
        for name in listing(&folder) {
            let path = folder.join(name);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.unwrap();
        }
    }
}

#[test]
fn a_disk_that_is_too_small_is_told_before_anything_is_written() {
    let Some(disk) = SmallDisk::mount(1 << 20) else {
        println!("SKIP: no file system in memory can be mounted here");
        return;
    };
    let checkpoint = made(vec![("a", Dtype::Uint8, vec![2 << 20], vec![0; 2 << 20])], |_| {
        Err(ReadError::unsupported("nothing may be read"))
    });
    let request = ExportRequest::new(&checkpoint, ExportFormat::Npz, disk.0.path().join("out.npz"));
    let error = run(&checkpoint, request).unwrap_err();
    assert!(error.to_string().contains("not enough space: 2.0 MiB are needed"), "{error}");
    assert_eq!(listing(disk.0.path()), [] as [&str; 0]);
}

fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_disk_that_is_read_only_is_told_and_stays_as_it_is() {
    let Some(disk) = SmallDisk::mount(1 << 20) else {
        println!("SKIP: no file system in memory can be mounted here");
        return;
    };
    let folder = disk.0.path();
    let checkpoint = made(vec![("a", Dtype::Uint8, vec![9], vec![1; 9])], |_| Ok(()));
    let targets =
        ExportFormat::ALL.map(|format| (format, folder.join(format.id()).with_extension(format.extension())));
    let old: Vec<PathBuf> = targets.iter().map(|(format, target)| old_file(target, *format)).collect();
    let before = listing(folder);
    let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(folder).status();
    assert!(remount.is_ok_and(|status| status.success()), "it was mounted before");
    for ((format, target), old) in targets.iter().zip(old) {
        let request = ExportRequest { replace: true, ..ExportRequest::new(&checkpoint, *format, target) };
        let error = run(&checkpoint, request).unwrap_err();
        assert!(error.to_string().contains("Read-only file system"), "{}: {error}", format.id());
        assert_eq!(fs::read(old).unwrap(), b"old", "{}", format.id());
    }
    assert_eq!(listing(folder), before);
}

#[test]
fn a_failure_while_reading_leaves_the_old_file_and_nothing_else() {
    for format in ExportFormat::ALL {
        for (name, fault) in [("changed", 0), ("cancelled", 1)] {
            let folder = tempfile::tempdir().unwrap();
            let target = folder.path().join("out").with_extension(format.extension());
            if format == ExportFormat::NpyFolder {
                fs::create_dir(&target).unwrap();
                fs::write(target.join("old.npy"), b"old").unwrap();
            } else {
                fs::write(&target, b"old").unwrap();
            }
            let progress = Arc::new(Progress::new());
            let (read, cancel) = (AtomicU64::new(0), Arc::clone(&progress));
            let checkpoint = made(
                vec![
                    ("a", Dtype::Uint8, vec![96], vec![1; 96]),
                    ("b", Dtype::Uint8, vec![9600], vec![2; 9600]),
                ],
                move |bytes| {
                    if read.fetch_add(bytes, Ordering::Relaxed) > 4000 {
                        if fault == 0 {
                            return Err(ReadError::FileChanged);
                        }
                        cancel.cancel();
                    }
                    Ok(())
                },
            );
            let request = ExportRequest {
                replace: true,
                verify: Verify::Never,
                ..ExportRequest::new(&checkpoint, format, &target)
            };
            let plan = ExportPlan::new(&checkpoint, request).unwrap();
            let error = export(&checkpoint, &plan, &progress).unwrap_err();
            assert_eq!(error.is_cancelled(), fault == 1, "{name} {}: {error}", format.id());
            let old = if format == ExportFormat::NpyFolder { target.join("old.npy") } else { target.clone() };
            assert_eq!(fs::read(old).unwrap(), b"old", "{name} {}", format.id());
            assert_eq!(
                listing(folder.path()).len(),
                1,
                "{name} {}: {:?}",
                format.id(),
                listing(folder.path())
            );
        }
    }
}

/// Cuts the file off that another checkpoint reads, once some bytes came.
struct Cutting {
    inner: Checkpoint,
    read: AtomicU64,
    after: u64,
}

impl TensorReader for Cutting {
    fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.inner.read_chunks(id, progress, &mut |bytes| {
            if self.read.fetch_add(bytes.len() as u64, Ordering::Relaxed) >= self.after {
                let file = fs::OpenOptions::new().write(true).open(self.inner.path()).unwrap();
                file.set_len(4096).unwrap();
            }
            sink(bytes)
        })
    }
}

#[test]
fn a_source_that_is_cut_off_is_an_error_before_and_while_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.safetensors");
    let whole = fs::read(support::folder().join("analysis/values.safetensors")).unwrap();
    for format in ExportFormat::ALL {
        for meanwhile in [false, true] {
            let target = folder.path().join("out").with_extension(format.extension());
            let old = old_file(&target, format);
            fs::write(&source, &whole).unwrap();
            let inner = open(&source).unwrap();
            let parts = CheckpointParts {
                format: "safetensors",
                framework: None,
                tensors: inner.tensors().map(|(_, tensor)| tensor.clone()).collect(),
                layers: Vec::new(),
                metadata: Value::empty(),
                problems: Vec::new(),
                file_bytes: 0,
                counts_known: false,
                versioned_modules: Vec::new(),
                python_types: PythonTypes::default(),
                reader: Box::new(Cutting { inner, read: AtomicU64::new(0), after: u64::from(meanwhile) }),
            };
            let checkpoint = Checkpoint::new(&source, parts);
            if !meanwhile {
                fs::OpenOptions::new().write(true).open(&source).unwrap().set_len(4096).unwrap();
            }
            let request = ExportRequest { replace: true, ..ExportRequest::new(&checkpoint, format, &target) };
            let error = run(&checkpoint, request).unwrap_err();
            let what = format!("{} {meanwhile}: {error}", format.id());
            assert!(error.to_string().contains("changed on disk"), "{what}");
            assert_eq!(fs::read(&old).unwrap(), b"old", "{what}");
            assert_eq!(listing(folder.path()).len(), 2, "{what}: {:?}", listing(folder.path()));
            if target.is_dir() {
                fs::remove_dir_all(&target).unwrap();
            } else {
                fs::remove_file(&target).unwrap();
            }
        }
    }
}

#[test]
fn the_open_checkpoint_is_never_replaced_and_other_files_only_when_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.safetensors");
    fs::copy(support::folder().join("analysis/values.safetensors"), &source).unwrap();
    let before = Sha256::digest(fs::read(&source).unwrap());
    let checkpoint = open(&source).unwrap();
    let link = folder.path().join("link.safetensors");
    fs::hard_link(&source, &link).unwrap();
    for target in [&source, &link] {
        let request = ExportRequest {
            replace: true,
            ..ExportRequest::new(&checkpoint, ExportFormat::Safetensors, target)
        };
        let error = run(&checkpoint, request).unwrap_err();
        assert!(error.to_string().contains("is the checkpoint that is exported"), "{error}");
    }
    assert_eq!(Sha256::digest(fs::read(&source).unwrap()), before);
    let other = folder.path().join("other.npz");
    fs::write(&other, b"old").unwrap();
    let request = ExportRequest::new(&checkpoint, ExportFormat::Npz, &other);
    let error = run(&checkpoint, request.clone()).unwrap_err();
    assert!(error.to_string().ends_with("exists already"), "{error}");
    assert_eq!(fs::read(&other).unwrap(), b"old");
    run(&checkpoint, ExportRequest { replace: true, ..request }).unwrap();
    assert!(open(&other).is_ok());
}

fn bytes_tensors(count: usize) -> Checkpoint {
    let tensors = (0..count).map(|index| {
        let name: &'static str = Box::leak(format!("layers.{index}.w").into_boxed_str());
        (name, Dtype::Uint8, vec![100], vec![index as u8; 100])
    });
    made(tensors.collect(), |_| Ok(()))
}

#[test]
fn shards_of_an_earlier_export_go_with_its_index_and_no_other_file_does() {
    let folder = tempfile::tempdir().unwrap();
    let request = |checkpoint: &Checkpoint| ExportRequest {
        shard_bytes: Some(100),
        replace: true,
        ..ExportRequest::new(checkpoint, ExportFormat::Safetensors, folder.path().join("model.safetensors"))
    };
    let (five, three) = (bytes_tensors(5), bytes_tensors(3));
    run(&five, request(&five)).unwrap();
    for stranger in [
        "model-00001-of-00009.safetensors",
        "model-00004-of-00005.safetensors.bak",
        "other-00004-of-00005.safetensors",
    ] {
        fs::write(folder.path().join(stranger), b"a stranger").unwrap();
    }
    let (plan, exported) = run(&three, request(&three)).unwrap();
    assert_eq!(
        plan.warnings,
        [
            "5 shards of an earlier export under this name are removed, such as model-00001-of-00005.safetensors"
        ]
    );
    assert_eq!(
        listing(folder.path()),
        [
            "model-00001-of-00003.safetensors",
            "model-00001-of-00009.safetensors",
            "model-00002-of-00003.safetensors",
            "model-00003-of-00003.safetensors",
            "model-00004-of-00005.safetensors.bak",
            "model.safetensors.index.json",
            "other-00004-of-00005.safetensors",
        ]
    );
    assert_eq!(open(&exported.path).unwrap().tensors().len(), 3);
}

#[test]
fn shards_of_another_program_stay_and_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    let shard = "model-00004-of-00005.safetensors";
    fs::write(
        &index,
        format!("{{\"metadata\":{{}},\"weight_map\":{{\"w\":\"{shard}\",\"x\":\"../{shard}\"}}}}"),
    )
    .unwrap();
    fs::write(folder.path().join(shard), b"theirs").unwrap();
    let checkpoint = bytes_tensors(2);
    let mut request =
        ExportRequest::new(&checkpoint, ExportFormat::Safetensors, folder.path().join("model.safetensors"));
    (request.shard_bytes, request.replace) = (Some(100), true);
    let (plan, _) = run(&checkpoint, request.clone()).unwrap();
    assert_eq!(
        plan.warnings,
        [format!("1 shards of another program stay, whose index is replaced, such as {shard}")]
    );
    assert_eq!(fs::read(folder.path().join(shard)).unwrap(), b"theirs");
    // One file beside the index of a set, and the other way round.
    request.shard_bytes = None;
    let (plan, _) = run(&checkpoint, request.clone()).unwrap();
    assert!(plan.warnings[0].contains("the index of an earlier set stays"), "{:?}", plan.warnings);
    request.shard_bytes = Some(100);
    let plan = ExportPlan::new(&checkpoint, request).unwrap();
    assert!(plan.warnings[0].starts_with("model.safetensors stays beside the shards"), "{:?}", plan.warnings);
}
