//! Throughput of comparisons: of two files against reading both, and of values that are in memory. The bytes counted
//! are those of both sides.
//!
//! `cargo bench --bench compare --no-default-features`

#![allow(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::io::Write;

use ckptscope::analysis::diff::{DiffBuilder, Tolerance};
use ckptscope::analysis::scan;
use ckptscope::formats;
use ckptscope::jobs::compare::{CompareOptions, compare};
use ckptscope::model::{Dtype, Progress};
use divan::Bencher;
use divan::counter::BytesCount;

#[path = "../support/reading.rs"]
mod reading;
#[allow(dead_code, reason = "other benchmarks use more of it")]
#[path = "../support/safetensors_file.rs"]
mod safetensors_file;

fn main() {
    if !std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        against_reading();
    }
    divan::main();
}

/// Tensors of each file, and bytes of each: 256 MB.
const COMPARED: (usize, usize) = (32, 8 << 20);

/// Prints the rate of comparing two files beside that of reading both.
#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
fn against_reading() {
    let threads = scan::threads();
    println!("Comparing two files against reading both: {threads} threads, page cache");
    println!("{}", reading::HEADING);
    let (tensors, bytes) = COMPARED;
    for (dtype, name, width) in [(Dtype::Float32, "F32", 4), (Dtype::Bfloat16, "BF16", 2)] {
        for (what, changed) in [("identical", 0), ("1 of 16 changed", tensors / 16), ("all changed", tensors)]
        {
            let file = |right: bool| {
                let values =
                    |seed| -> Vec<u8> { values(width, seed).into_iter().cycle().take(bytes).collect() };
                let (same, other) = (values(1), values(2));
                let names: Vec<String> = (0..tensors).map(|index| format!("layers.{index}.weight")).collect();
                let shape = [(bytes / width) as u64];
                let content =
                    |index| if right && index < changed { other.as_slice() } else { same.as_slice() };
                let entries: Vec<_> = names
                    .iter()
                    .enumerate()
                    .map(|(index, tensor)| (tensor.as_str(), name, shape.as_slice(), content(index)))
                    .collect();
                let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
                file.write_all(&safetensors_file::file(&entries)).expect("written");
                file
            };
            let (left, right) = (file(false), file(true));
            let open = |path| formats::open(path, &Progress::new()).expect("a checkpoint");
            let (a, b) = (open(left.path()), open(right.path()));
            let both = (2 * tensors * bytes) as u64;
            let ratio = reading::against_reading(&[left.path(), right.path()], both, threads, || {
                compare(&a, &b, &CompareOptions::default(), &Progress::new(), &()).expect("not cancelled");
            });
            println!("{}", ratio.line(&format!("{dtype}, {what}")));
        }
    }
    println!();
}

/// Elements compared at a time: both sides of `float32` stay in the second-level cache.
const ELEMENTS: usize = 32 * 1024;

/// Small finite numbers in any dtype of 2 or 4 bytes: the high bytes vary little.
fn values(bytes_per_element: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut bytes: Vec<u8> = (0..ELEMENTS * bytes_per_element).map(|_| next()).collect();
    for element in bytes.chunks_exact_mut(bytes_per_element) {
        if let Some(high) = element.last_mut() {
            *high = 0x3c | (*high & 0x80);
        }
    }
    bytes
}

#[divan::bench(args = [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16], max_time = 2)]
fn all_changed(bencher: Bencher<'_, '_>, dtype: &Dtype) {
    let bytes = (dtype.bits() / 8) as usize;
    run(bencher, dtype, &values(bytes, 1), &values(bytes, 2));
}

#[divan::bench(args = [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16], max_time = 2)]
fn identical(bencher: Bencher<'_, '_>, dtype: &Dtype) {
    let bytes = (dtype.bits() / 8) as usize;
    run(bencher, dtype, &values(bytes, 1), &values(bytes, 1));
}

fn run(bencher: Bencher<'_, '_>, dtype: &Dtype, left: &[u8], right: &[u8]) {
    let empty = DiffBuilder::new(dtype, dtype, Tolerance::default(), 0);
    bencher.counter(BytesCount::new(left.len() + right.len())).bench_local(|| {
        let mut builder = empty.clone();
        if let Some(builder) = &mut builder {
            builder.push(divan::black_box(left), divan::black_box(right));
        }
        builder
    });
}
