//! Fixtures cut short and with bits flipped: the result is a value or an error. Never a panic, a hang, or memory
//! that the file does not justify.
//!
//! Which lengths and bytes are tried is fixed, so a failure repeats. `CKPTSCOPE_ROBUSTNESS=full` tries every one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use ckptscope::analysis::StatisticsBuilder;
use ckptscope::analysis::safety::judge;
use ckptscope::model::Progress;

use crate::support::{Fixture, fixtures_of, open, read};

/// Larger files take too long to damage everywhere; each layout has a fixture below this size.
const LARGEST_FILE: usize = 48 * 1024;

/// One damaged file must be dealt with in this time, on a slow and busy machine.
const LONGEST: Duration = Duration::from_secs(20);

/// No fixture justifies one allocation above this.
const LARGEST_ALLOCATION: usize = 128 << 20;

/// Remembers the largest single request since the start of the test program.
struct Watching;

static LARGEST_SEEN: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is an unsafe trait; this one only passes requests on")]
// SAFETY: every call goes unchanged to the system's allocator.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST_SEEN.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST_SEEN.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST_SEEN.fetch_max(size, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Everything that a user's click would do with the file.
fn use_whole(path: &Path) {
    // What it would do when it is loaded; an error is an answer.
    let _ = ckptscope::formats::examine(path, true, &Progress::new()).map(|evidence| judge(&evidence));
    let Ok(checkpoint) = open(path) else { return };
    let _ = checkpoint.layer_tree();
    let _ = format!("{:?}", checkpoint.metadata());
    for (id, tensor) in checkpoint.tensors() {
        let mut statistics = StatisticsBuilder::new(&tensor.dtype);
        // An error on one tensor is an answer.
        if read(&checkpoint, id, |piece| statistics.push(piece)).is_ok() {
            let _ = statistics.finish();
        }
    }
}

/// The files of a fixture: itself, or everything in the folder that its case has to itself.
fn files(fixture: &Fixture, root: &Path) -> (PathBuf, Vec<PathBuf>) {
    let relative = fixture.path.strip_prefix(root).unwrap();
    let top = root.join(relative.iter().next().unwrap());
    let mut files = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(path) = folders.pop() {
        if path.is_dir() {
            folders.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    files.sort();
    (top, files)
}

/// Damages one copy after another and reports each case's name before it runs.
fn damage(fixture: &Fixture, root: &Path, report: &dyn Fn(String)) {
    let (_, files) = files(fixture, root);
    let scratch = tempfile::tempdir().unwrap();
    let place = |file: &Path| scratch.path().join(file.strip_prefix(root).unwrap());
    for file in &files {
        std::fs::create_dir_all(place(file).parent().unwrap()).unwrap();
        std::fs::copy(file, place(file)).unwrap();
    }
    let target = place(&fixture.path);
    let full = std::env::var("CKPTSCOPE_ROBUSTNESS").is_ok_and(|value| value == "full");
    for file in &files {
        let original = std::fs::read(file).unwrap();
        if original.is_empty() || original.len() > LARGEST_FILE {
            continue;
        }
        let name = file.strip_prefix(root).unwrap().display();
        let step = |cases: usize| if full { 1 } else { original.len().div_ceil(cases) };
        for length in (0..original.len()).step_by(step(120)) {
            report(format!("{name} cut to {length} bytes"));
            std::fs::write(place(file), &original[..length]).unwrap();
            use_whole(&target);
        }
        let mut damaged = original.clone();
        for index in (0..original.len()).step_by(step(240)) {
            // A different bit from byte to byte, so that signs, lengths and letters are all met.
            let bit = (index * 5 + 3) % 8;
            report(format!("{name} with bit {bit} of byte {index} flipped"));
            damaged[index] ^= 1 << bit;
            std::fs::write(place(file), &damaged).unwrap();
            use_whole(&target);
            damaged[index] = original[index];
        }
        std::fs::write(place(file), &original).unwrap();
    }
}

/// Runs all fixtures of a format on a thread of their own, so that a hang is seen and named.
fn survives(format: &str) {
    let format = format.to_owned();
    let root = crate::support::folder().join(&format);
    let (sender, receiver) = sync_channel::<String>(0);
    let worker = std::thread::Builder::new()
        .name(format!("damage {format}"))
        .spawn(move || {
            for fixture in fixtures_of(&format) {
                damage(&fixture, &root, &|case| sender.send(case).expect("the test listens"));
            }
        })
        .unwrap();
    let mut case = String::from("nothing yet");
    loop {
        match receiver.recv_timeout(LONGEST) {
            Ok(next) => {
                let largest = LARGEST_SEEN.load(Ordering::Relaxed);
                assert!(largest < LARGEST_ALLOCATION, "{case}: {} MiB allocated at once", largest >> 20);
                case = next;
            }
            Err(RecvTimeoutError::Timeout) => panic!("{case}: no end after {LONGEST:?}"),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    assert!(worker.join().is_ok(), "{case}: panicked");
}

#[test]
fn damaged_pytorch_files_end_in_a_value_or_an_error() {
    survives("pytorch");
}

#[test]
fn damaged_safetensors_files_end_in_a_value_or_an_error() {
    survives("safetensors");
}

#[test]
fn damaged_keras_files_end_in_a_value_or_an_error() {
    survives("keras");
}

#[test]
fn damaged_tensorflow_files_end_in_a_value_or_an_error() {
    survives("tensorflow");
}

#[test]
fn damaged_files_of_the_other_formats_end_in_a_value_or_an_error() {
    let own_test = ["pytorch", "safetensors", "keras", "tensorflow"];
    for format in crate::support::formats().iter().filter(|format| !own_test.contains(&format.as_str())) {
        survives(format);
    }
}

#[test]
fn a_name_of_another_format_changes_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    for (fixture, name) in [
        ("pytorch/state_dict", "weights.safetensors"),
        ("keras/parity_archive", "model.pt"),
        ("keras/parity_h5", "model.ckpt"),
        ("safetensors/metadata", "pytorch_model.bin"),
    ] {
        let fixture = crate::support::fixture(fixture);
        let renamed = scratch.path().join(name);
        std::fs::copy(&fixture.path, &renamed).unwrap();
        assert_eq!(open(&renamed).unwrap().format(), fixture.open().format(), "{name}");
    }
}
