//! Time to open against the number of tensors, and the throughput of statistics per dtype.
//!
//! `cargo bench --no-default-features` measures, in a few minutes. Statistics of a file come first, as a share of the
//! rate at which the same threads read the same file and do nothing else.
//! `plain_sum` is the yardstick for bytes in memory: it reads them once and adds them up.
//! (Not named `main.rs`, which cargo would take for a test of the name `bench`.)

#![allow(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::io::Write;
use std::time::{Duration, Instant};

use ckptscope::analysis::{StatisticsBuilder, scan};
use ckptscope::formats;
use ckptscope::model::{Dtype, Progress, TensorId};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

#[path = "../support/reading.rs"]
mod reading;
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
    println!("Statistics and bucket table of a file against reading it: {threads} threads, page cache");
    println!("{}", reading::HEADING);
    for dtype in [Dtype::Float32, Dtype::Bfloat16, Dtype::Float16, Dtype::Int8, Dtype::Float64, Dtype::Int64]
    {
        let file = written(&dtype);
        let checkpoint = formats::open(file.path(), &Progress::new()).expect("a checkpoint");
        let ids: Vec<TensorId> = checkpoint.tensors().map(|(id, _)| id).collect();
        let bytes = checkpoint.totals().tensor_bytes;
        let ratio = reading::against_reading(&[file.path()], bytes, threads, || {
            scan::scan(&checkpoint, &ids, threads, &Progress::new(), &|_, found| drop(found))
                .expect("not cancelled");
        });
        println!("{}", ratio.line(dtype.name()));
    }
    println!();
    until_cancelled();
}

/// Bytes of the file whose scan is cancelled: zeros that take no space, enough for seconds.
const CANCELLED: u64 = 16 << 30;

/// Prints how long a scan goes on after it was cancelled.
#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
fn until_cancelled() {
    let header = format!(
        "{{\"weight\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[0,{CANCELLED}]}}}}",
        CANCELLED / 4
    );
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&(header.len() as u64).to_le_bytes()).expect("written");
    file.write_all(header.as_bytes()).expect("written");
    file.as_file().set_len(8 + header.len() as u64 + CANCELLED).expect("a sparse file");
    let checkpoint = formats::open(file.path(), &Progress::new()).expect("a checkpoint");
    let mut times: Vec<Duration> = (0..20)
        .map(|round| {
            let progress = Progress::new();
            std::thread::scope(|scope| {
                let scanning = scope.spawn(|| {
                    let found =
                        scan::scan(&checkpoint, &[TensorId(0)], scan::threads(), &progress, &|_, found| {
                            drop(found);
                        });
                    (found.is_err(), Instant::now())
                });
                std::thread::sleep(Duration::from_millis(50 + 7 * round));
                let asked = Instant::now();
                progress.cancel();
                let (cancelled, ended) = scanning.join().expect("no panic");
                assert!(cancelled, "the scan was over too early");
                ended - asked
            })
        })
        .collect();
    times.sort_unstable();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "A scan ends {:.1} ms after it is cancelled (median of {}; at most {:.1} ms)",
        milliseconds(times[times.len() / 2]),
        times.len(),
        milliseconds(times[times.len() - 1])
    );
    println!();
}

fn written(dtype: &Dtype) -> tempfile::NamedTempFile {
    let bytes = weights(dtype);
    let (name, width) = match dtype {
        Dtype::Float32 => ("F32", 4),
        Dtype::Float64 => ("F64", 8),
        Dtype::Int64 => ("I64", 8),
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

#[divan::bench(args = [100, 1_000, 10_000, 100_000], max_time = 5)]
fn open_safetensors(bencher: Bencher<'_, '_>, tensors: usize) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&safetensors_file::many(tensors)).expect("written");
    let path = file.path();
    bencher
        .counter(ItemsCount::new(tensors))
        .bench(|| formats::open(path, &Progress::new()).expect("a checkpoint").totals().tensors);
}

#[divan::bench(args = [100, 1_000, 10_000, 100_000], max_time = 5)]
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

#[divan::bench(args = DTYPES, max_time = 2)]
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

#[divan::bench(max_time = 2)]
fn plain_sum(bencher: Bencher<'_, '_>) {
    let bytes = weights(&Dtype::Float32);
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        let words = divan::black_box(&bytes).as_chunks::<8>().0;
        words.iter().fold(0u64, |sum, &word| sum.wrapping_add(u64::from_le_bytes(word)))
    });
}

#[divan::bench(args = [16, 1_000, 10_000], max_time = 2)]
fn statistics_of_a_small_tensor(bencher: Bencher<'_, '_>, elements: usize) {
    let bytes = &weights(&Dtype::Float32)[..elements * 4];
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        let mut builder = StatisticsBuilder::new(&Dtype::Float32);
        builder.push(divan::black_box(bytes));
        builder.finish()
    });
}
