//! Time to open against the number of tensors, and the throughput of statistics per dtype.
//!
//! `cargo bench --no-default-features` measures, in a few minutes. Statistics of a file come first, as a share of the
//! rate at which the same threads read the same file and do nothing else, in turns: that share holds on a busy machine.
//! `plain_sum` is the yardstick for bytes in memory: it reads them once and adds them up.
//! (Not named `main.rs`, which cargo would take for a test of the name `bench`.)

#![allow(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ckptscope::analysis::{StatisticsBuilder, scan};
use ckptscope::formats;
use ckptscope::model::{Dtype, Progress, TensorId};
use ckptscope::raw::ByteSource;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

#[path = "../support/safetensors_file.rs"]
mod safetensors_file;

fn main() {
    if !std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        against_reading();
    }
    divan::main();
}

/// Values per tensor of the file that is scanned, and its tensors: 256 MB of `float32`.
const SCANNED: (usize, usize) = (8 << 20, 8);

/// Prints the rate of a whole-file scan beside that of reading alone.
#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
fn against_reading() {
    let threads = scan::threads();
    println!(
        "statistics and bucket table of a file, {threads} threads, page cache, median of 9 rounds in turns"
    );
    println!("  dtype      reading GB/s   scanning GB/s   share");
    for dtype in [Dtype::Float32, Dtype::Bfloat16, Dtype::Float16, Dtype::Int8, Dtype::Float64] {
        let path = written(&dtype);
        let checkpoint = formats::open(path.path(), &Progress::new()).expect("a checkpoint");
        let ids: Vec<TensorId> = checkpoint.tensors().map(|(id, _)| id).collect();
        let bytes = checkpoint.totals().tensor_bytes;
        let (mut reading, mut scanning) = (Vec::new(), Vec::new());
        for _ in 0..9 {
            reading.push(seconds(|| read_alone(path.path(), bytes, threads)));
            scanning.push(seconds(|| {
                scan::scan(&checkpoint, &ids, threads, &Progress::new(), &|_, found| drop(found))
                    .expect("not cancelled");
            }));
        }
        let rate = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            bytes as f64 / times[times.len() / 2] / 1e9
        };
        let (reading, scanning) = (rate(&mut reading), rate(&mut scanning));
        println!("  {:<10} {reading:>12.2} {scanning:>15.2} {:>7.2}", dtype.name(), scanning / reading);
    }
    println!();
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn written(dtype: &Dtype) -> tempfile::NamedTempFile {
    let bytes = weights(dtype);
    let (name, width) = match dtype {
        Dtype::Float32 => ("F32", 4),
        Dtype::Float64 => ("F64", 8),
        Dtype::Bfloat16 => ("BF16", 2),
        Dtype::Float16 => ("F16", 2),
        _ => ("I8", 1),
    };
    let (elements, tensors) = SCANNED;
    let values: Vec<u8> = bytes.iter().copied().cycle().take(elements * width).collect();
    let names: Vec<String> = (0..tensors).map(|index| format!("layers.{index}.weight")).collect();
    let shape = [elements as u64];
    let entries: Vec<_> =
        names.iter().map(|tensor| (tensor.as_str(), name, shape.as_slice(), values.as_slice())).collect();
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&safetensors_file::file(&entries)).expect("written");
    file
}

/// The same reads as a scan makes, without looking at the bytes.
fn read_alone(path: &Path, bytes: u64, threads: usize) {
    const PIECE: usize = 256 << 10;
    let source = ByteSource::open(path).expect("readable");
    let next = AtomicU64::new(0);
    let work = || {
        let mut buffer = vec![0u8; PIECE];
        loop {
            let start = next.fetch_add(PIECE as u64, Ordering::Relaxed);
            if start >= bytes {
                return;
            }
            let length = (bytes - start).min(PIECE as u64) as usize;
            source.read_at("values", start, &mut buffer[..length]).expect("readable");
            divan::black_box(&mut buffer);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
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
