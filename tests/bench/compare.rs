//! Throughput of comparing values that are in memory; the bytes counted are those of both sides.
//!
//! `cargo bench --bench compare`

use ckptscope::analysis::diff::{DiffBuilder, Tolerance};
use ckptscope::model::Dtype;
use divan::Bencher;
use divan::counter::BytesCount;

fn main() {
    divan::main();
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

#[divan::bench(args = [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16])]
fn all_changed(bencher: Bencher<'_, '_>, dtype: &Dtype) {
    let bytes = (dtype.bits() / 8) as usize;
    run(bencher, dtype, &values(bytes, 1), &values(bytes, 2));
}

#[divan::bench(args = [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16])]
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
