//! What fuzzing kept: every input of `tests/fuzz/corpus/` goes through its target once more.

use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../fuzz/targets.rs"]
mod targets;

/// One input must be dealt with in this time, on a slow and busy machine.
const LONGEST: Duration = Duration::from_secs(20);

#[test]
fn every_kept_input_of_fuzzing_ends_in_an_answer() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let mut files: Vec<_> = std::fs::read_dir(corpus.join(name)).unwrap().map(Result::unwrap).collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        assert!(!files.is_empty(), "no corpus of {name}");
        for file in files {
            let data = std::fs::read(file.path()).unwrap();
            let start = Instant::now();
            let answered = std::panic::catch_unwind(|| target(&data));
            assert!(answered.is_ok(), "{name}/{} panicked", file.file_name().display());
            assert!(start.elapsed() < LONGEST, "{name}/{} took too long", file.file_name().display());
        }
    }
}
