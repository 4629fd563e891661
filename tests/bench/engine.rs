//! Time to open against the number of tensors, and the throughput of statistics per dtype.
//!
//! `cargo bench` measures; `plain_sum` is the yardstick for throughput: it reads the same bytes once and adds them up.
//! (Not named `main.rs`, which cargo would take for a test of the name `bench`.)

#![allow(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::io::Write;

use ckptscope::analysis::StatisticsBuilder;
use ckptscope::formats;
use ckptscope::model::{Dtype, Progress};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

#[path = "../support/safetensors_file.rs"]
mod safetensors_file;

fn main() {
    divan::main();
}

#[divan::bench(args = [100, 1_000, 10_000, 100_000])]
fn open_safetensors(bencher: Bencher<'_, '_>, tensors: usize) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&safetensors_file::many(tensors)).expect("written");
    let path = file.path();
    bencher
        .counter(ItemsCount::new(tensors))
        .bench(|| formats::open(path, &Progress::new()).expect("a checkpoint").totals().tensors);
}

#[divan::bench(args = [100, 1_000, 10_000, 100_000])]
fn open_and_build_the_layer_tree(bencher: Bencher<'_, '_>, tensors: usize) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&safetensors_file::many(tensors)).expect("written");
    let path = file.path();
    bencher
        .counter(ItemsCount::new(tensors))
        .bench(|| formats::open(path, &Progress::new()).expect("a checkpoint").layer_tree().len());
}

/// As large as the pieces that readers deliver, several of them.
const BYTES: usize = 16 << 20;

/// Values as weights have them: around zero, no NaN, in the byte order and width of the dtype.
fn weights(dtype: &Dtype) -> Vec<u8> {
    let mut state = 1u64;
    let mut bytes = Vec::with_capacity(BYTES);
    while bytes.len() < BYTES {
        let mut sum = 0.0;
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += (state >> 40) as f64 / f64::from(1 << 24) - 0.5;
        }
        let value = sum * 0.05;
        match dtype {
            Dtype::Float64 => bytes.extend(value.to_le_bytes()),
            Dtype::Float32 => bytes.extend((value as f32).to_le_bytes()),
            Dtype::Bfloat16 => bytes.extend(half::bf16::from_f64(value).to_le_bytes()),
            Dtype::Float16 => bytes.extend(half::f16::from_f64(value).to_le_bytes()),
            Dtype::Int64 => bytes.extend(((value * 1e6) as i64).to_le_bytes()),
            _ => bytes.push((state >> 32) as u8),
        }
    }
    bytes
}

const DTYPES: [&str; 8] =
    ["float32", "float64", "float16", "bfloat16", "int64", "int8", "float8_e4m3fn", "complex64"];

#[divan::bench(args = DTYPES, sample_count = 20)]
fn statistics(bencher: Bencher<'_, '_>, dtype: &str) {
    let dtype = Dtype::from_name(dtype).expect("a dtype");
    let bytes = weights(if dtype == Dtype::Complex64 { &Dtype::Float32 } else { &dtype });
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        let mut builder = StatisticsBuilder::new(&dtype);
        for piece in bytes.chunks(1 << 20) {
            builder.push(divan::black_box(piece));
        }
        builder.finish()
    });
}

#[divan::bench(sample_count = 20)]
fn plain_sum(bencher: Bencher<'_, '_>) {
    let bytes = weights(&Dtype::Float32);
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        let words = divan::black_box(&bytes).as_chunks::<8>().0;
        words.iter().fold(0u64, |sum, &word| sum.wrapping_add(u64::from_le_bytes(word)))
    });
}

#[divan::bench(args = [16, 1_000, 10_000])]
fn statistics_of_a_small_tensor(bencher: Bencher<'_, '_>, elements: usize) {
    let bytes = &weights(&Dtype::Float32)[..elements * 4];
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        let mut builder = StatisticsBuilder::new(&Dtype::Float32);
        builder.push(divan::black_box(bytes));
        builder.finish()
    });
}
