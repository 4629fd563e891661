//! Statistics, histograms, planes, norms and spectra against numpy, and that they do not depend on how the
//! values were read.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

use ckptscope::analysis::scan::{Scanned, scan, scan_together};
use ckptscope::analysis::slice::{self, Plane};
use ckptscope::analysis::{Distinct, StatisticsBuilder, element::Element, norms, spectrum};
use ckptscope::model::{Checkpoint, Progress, TensorId};
use serde_json::Value as Json;

use crate::safetensors_file;
use crate::support::{bytes_of, folder, open};

fn numpy() -> (Checkpoint, Json) {
    let folder = folder().join("analysis");
    let expected = std::fs::read_to_string(folder.join("values.json")).unwrap();
    (open(&folder.join("values.safetensors")).unwrap(), serde_json::from_str(&expected).unwrap())
}

/// What a scan of all tensors finds.
pub fn scanned(checkpoint: &Checkpoint, threads: usize) -> BTreeMap<TensorId, Scanned> {
    let ids: Vec<TensorId> = checkpoint.tensors().map(|(id, _)| id).collect();
    let found = Mutex::new(BTreeMap::new());
    scan(checkpoint, &ids, threads, &Progress::new(), &|id, result| {
        assert!(found.lock().unwrap().insert(id, result.unwrap()).is_none(), "{id:?} came twice");
    })
    .unwrap();
    found.into_inner().unwrap()
}

fn numbers(list: &Json) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_close(found: f64, expected: f64, relative: f64) {
    assert!(
        (found - expected).abs() <= relative * expected.abs().max(found.abs()).max(1e-12),
        "{found} is not {expected}"
    );
}

/// A safetensors file of these tensors; it goes with its folder.
pub fn file_of(tensors: &[safetensors_file::Entry<'_>]) -> (tempfile::TempDir, Checkpoint) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.safetensors");
    std::fs::write(&path, safetensors_file::file(tensors)).unwrap();
    let checkpoint = open(&path).unwrap();
    (folder, checkpoint)
}

/// Reproducible bytes.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1u64;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

/// Reproducible `f32` of magnitudes from 1e-3 to 1.
pub fn floats(count: usize) -> Vec<f32> {
    noise(count * 2)
        .as_chunks::<2>()
        .0
        .iter()
        .map(|&[a, b]| (f32::from(a) - 127.5) / 128.0 * 10f32.powi(-i32::from(b % 4)))
        .collect()
}

/// As they stand in a file.
pub fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn statistics_are_those_that_numpy_computes() {
    let (checkpoint, expected) = numpy();
    for (id, Scanned { found, .. }) in scanned(&checkpoint, 2) {
        let name = &checkpoint.tensor(id).name;
        let (found, expected) = (&found.statistics, &expected["tensors"][name]);
        let count = |key: &str| expected[key].as_u64().unwrap();
        assert_eq!(
            (found.count, found.nan, found.infinite(), found.zeros),
            (count("count"), count("nan"), count("inf"), count("zeros")),
            "{name}"
        );
        match found.distinct {
            Distinct::Exactly(distinct) => assert_eq!(distinct, count("distinct"), "{name}"),
            Distinct::AtLeast(distinct) => assert!(distinct <= count("distinct"), "{name}"),
        }
        for (value, key, relative) in [
            (found.mean, "mean", 1e-10),
            (found.std, "std", 1e-10),
            (found.skewness, "skewness", 1e-8),
            (found.kurtosis, "kurtosis", 1e-8),
            (Some(found.l1), "l1", 1e-12),
            (Some(found.l2), "l2", 1e-12),
        ] {
            match (value, expected[key].as_f64()) {
                (Some(value), Some(expected)) => assert_close(value, expected, relative),
                (value, expected) => assert_eq!(value, expected, "{name}: {key}"),
            }
        }
        let quantiles = found.quantiles.unwrap().values;
        for (value, expected) in quantiles.into_iter().zip(numbers(&expected["quantiles"])) {
            assert_close(
                value,
                expected,
                if matches!(found.distinct, Distinct::Exactly(_)) { 1e-9 } else { 0.01 },
            );
        }
        for (part, expected) in found
            .parts
            .iter()
            .flat_map(|parts| parts.iter())
            .zip(expected["parts"].as_array().into_iter().flatten())
        {
            for (value, expected) in
                [part.min, part.max, part.mean, part.std].into_iter().zip(numbers(expected))
            {
                assert_close(value, expected, 1e-10);
            }
        }
        assert_eq!(found.parts.is_some(), name == "complex");
    }
}

#[test]
fn histograms_are_those_that_numpy_counts_or_say_how_many_values_may_be_off() {
    let (checkpoint, expected) = numpy();
    for (id, Scanned { values, .. }) in scanned(&checkpoint, 1) {
        let name = &checkpoint.tensor(id).name;
        for (bins, expected) in expected["tensors"][name]["histograms"].as_object().unwrap() {
            let found = values.full_histogram(bins.parse().unwrap()).unwrap();
            let counts: Vec<u64> =
                expected["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect();
            for (seen, expected) in [(found.lo, &expected["lo"]), (found.hi, &expected["hi"])] {
                assert_close(seen, expected.as_f64().unwrap(), 1e-15);
            }
            assert_eq!(found.counts.iter().sum::<u64>(), counts.iter().sum::<u64>(), "{name}, {bins} bins");
            let off: u64 = found.counts.iter().zip(&counts).map(|(a, b)| a.abs_diff(*b)).sum::<u64>() / 2;
            assert!(off <= found.uncertain, "{name}, {bins} bins: {off} of {} off", found.uncertain);
            assert_eq!(found.uncertain == 0, name != "normal", "{name}, {bins} bins");
        }
    }
}

#[test]
fn results_do_not_depend_on_threads_or_on_where_pieces_are_cut() {
    // Three segments and a rest; the halves take the path of codes.
    let wide = bytes(&floats((3 << 20) + 12_345));
    let halves = noise((5 << 20) + 2);
    let (_folder, checkpoint) = file_of(&[
        ("small", "F32", &[100], &wide[..400]),
        ("wide", "F32", &[(3 << 20) + 12_345], &wide),
        ("halves", "BF16", &[(5 << 19) + 1], &halves),
        ("bytes", "F8_E4M3", &[5000], &halves[..5000]),
    ]);
    let one = scanned(&checkpoint, 1);
    for threads in [2, 3, 5] {
        assert_eq!(scanned(&checkpoint, threads), one, "{threads} threads");
    }
    for (id, whole) in &one {
        let content = bytes_of(&checkpoint, *id).unwrap();
        let width = checkpoint.tensor(*id).dtype.group_bytes();
        for size in [width * 1000, width * 70_001] {
            let mut builder = StatisticsBuilder::new(&checkpoint.tensor(*id).dtype);
            content.chunks(size).for_each(|piece| builder.push(piece));
            let (statistics, values) = builder.finish();
            assert_eq!(
                (&statistics, &values),
                (&whole.found.statistics, &whole.values),
                "pieces of {size} bytes"
            );
        }
    }
}

#[test]
fn the_order_of_elements_matters_to_no_count_and_hardly_to_sums() {
    let values = floats(50_000);
    let mut other = values.clone();
    other.reverse();
    other.rotate_left(1234);
    let of = |values: &[f32]| {
        let mut builder = StatisticsBuilder::new(&ckptscope::model::Dtype::Float32);
        builder.push(&bytes(values));
        builder.finish()
    };
    let ((one, table), (two, other_table)) = (of(&values), of(&other));
    assert_eq!(table, other_table);
    assert_eq!((one.min, one.max, one.zeros, one.quantiles), (two.min, two.max, two.zeros, two.quantiles));
    for (a, b) in [(one.mean, two.mean), (one.std, two.std), (one.kurtosis, two.kurtosis)] {
        assert_close(a.unwrap(), b.unwrap(), 1e-9);
    }
}

#[test]
fn the_order_of_merging_matters_to_no_count_and_hardly_to_sums() {
    let values = floats(60_000);
    // Parts of which some are small enough to be listed, and some are not.
    let parts: Vec<StatisticsBuilder> =
        [0..10_000, 10_000..10_005, 10_005..30_000, 30_000..33_000, 33_000..60_000]
            .map(|range| {
                let mut builder = StatisticsBuilder::new(&ckptscope::model::Dtype::Float32);
                builder.push(&bytes(&values[range]));
                builder
            })
            .into();
    let merged = |order: [usize; 5]| {
        let mut all = parts[order[0]].clone();
        order[1..].iter().for_each(|&part| all.merge(&parts[part]));
        all.finish()
    };
    let (one, table) = merged([0, 1, 2, 3, 4]);
    for order in [[4, 3, 2, 1, 0], [1, 3, 0, 4, 2], [2, 0, 4, 1, 3]] {
        let (other, other_table) = merged(order);
        assert_eq!(other_table, table, "{order:?}");
        assert_eq!(
            (other.count, other.zeros, other.min, other.max),
            (one.count, one.zeros, one.min, one.max)
        );
        for (a, b) in [(one.mean, other.mean), (one.std, other.std), (one.kurtosis, other.kurtosis)] {
            assert_close(a.unwrap(), b.unwrap(), 1e-10);
        }
    }
}

#[test]
fn tensors_taken_together_are_those_of_their_concatenation() {
    let values = floats(30_000);
    let all = bytes(&values);
    let (_folder, checkpoint) = file_of(&[
        ("a", "F32", &[10_000], &all[..40_000]),
        ("b", "F32", &[50], &all[40_000..40_200]),
        ("c", "F32", &[19_950], &all[40_200..]),
        ("whole", "F32", &[30_000], &all),
    ]);
    let ids: Vec<TensorId> = ["a", "b", "c"].iter().map(|name| checkpoint.find(name).unwrap()).collect();
    let together = scan_together(&checkpoint, &ids, 2, &Progress::new()).unwrap();
    let whole = &scanned(&checkpoint, 1)[&checkpoint.find("whole").unwrap()];
    assert_eq!(together.tensors, 3);
    assert_eq!(together.values, whole.values);
    assert_close(together.statistics.std.unwrap(), whole.found.statistics.std.unwrap(), 1e-12);
}

#[test]
fn a_cancelled_scan_stops_and_says_so() {
    let (checkpoint, _) = numpy();
    let ids: Vec<TensorId> = checkpoint.tensors().map(|(id, _)| id).collect();
    let progress = Progress::new();
    progress.cancel();
    assert!(scan(&checkpoint, &ids, 2, &progress, &|_, _| panic!("nothing is found")).is_err());
}

#[test]
fn norms_and_singular_values_are_those_of_numpy() {
    let (checkpoint, expected) = numpy();
    for name in ["matrix", "half"] {
        let (id, expected) = (checkpoint.find(name).unwrap(), &expected["tensors"][name]);
        let found = norms::norms(&checkpoint, id, &Progress::new()).unwrap();
        for (found, expected) in [(&found.rows, &expected["rows"]), (&found.columns, &expected["columns"])] {
            assert_eq!(found.len(), numbers(expected).len());
            found.iter().zip(numbers(expected)).for_each(|(a, b)| assert_close(*a, b, 1e-12));
        }
        let found = spectrum::spectrum(&checkpoint, id, &Progress::new()).unwrap();
        assert_eq!(found.method, spectrum::Method::Exact);
        let expected = numbers(&expected["singular_values"]);
        let scale = expected[0] * 1e-13;
        assert_eq!(found.singular_values.len(), expected.len());
        found
            .singular_values
            .iter()
            .zip(expected)
            .for_each(|(a, b)| assert!((a - b).abs() < scale, "{a} {b}"));
    }
    let mixed = checkpoint.find("mixed").unwrap();
    assert!(spectrum::spectrum(&checkpoint, mixed, &Progress::new()).is_err());
}

#[test]
fn any_plane_of_a_tensor_has_the_values_that_are_there() {
    let values: Vec<f32> = (0..2 * 3 * 4 * 5).map(|index| index as f32).collect();
    let (_folder, checkpoint) = file_of(&[("x", "F32", &[2, 3, 4, 5], &bytes(&values))]);
    let id = checkpoint.find("x").unwrap();
    let dims = [2u64, 3, 4, 5];
    let strides = [60u64, 20, 5, 1];
    for row_axis in 0..4 {
        for column_axis in (0..4).filter(|&axis| axis != row_axis) {
            let plane = Plane {
                row_axis: Some(row_axis),
                column_axis: Some(column_axis),
                fixed: vec![1, 2, 3, 4],
                rows: 1..dims[row_axis],
                columns: 0..dims[column_axis] - 1,
            };
            let window = slice::window(&checkpoint, id, &plane, &Progress::new()).unwrap();
            let grid = slice::grid(&checkpoint, id, &plane, 100, 100, &Progress::new()).unwrap();
            assert!(grid.is_exact);
            for row in 0..window.rows {
                for column in 0..window.columns {
                    let mut index = [1u64, 2, 3, 4];
                    index[row_axis] = row as u64 + 1;
                    index[column_axis] = column as u64;
                    let expected: u64 = index.iter().zip(strides).map(|(index, stride)| index * stride).sum();
                    assert_eq!(window.element(row, column), Some(Element::Float(expected as f64)));
                    assert_eq!(grid.cell(row, column).map(|cell| cell.mean), Some(expected as f32));
                }
            }
        }
    }
    let outside = Plane { rows: 0..5, ..Plane::of_last_axes(&dims) };
    assert!(slice::grid(&checkpoint, id, &outside, 10, 10, &Progress::new()).is_err());
}

#[test]
fn a_grid_with_fewer_cells_than_values_keeps_extremes_and_means() {
    let values: Vec<f32> = (0..6 * 7).map(|index| index as f32).collect();
    let (_folder, checkpoint) = file_of(&[("x", "F32", &[6, 7], &bytes(&values))]);
    let id = checkpoint.find("x").unwrap();
    let grid = slice::grid(&checkpoint, id, &Plane::of_last_axes(&[6, 7]), 2, 2, &Progress::new()).unwrap();
    assert!(!grid.is_exact);
    // Rows 0..3 and 3..6, columns 0..4 and 4..7.
    let cells: Vec<_> = grid.cells.iter().map(|cell| (cell.min, cell.max, cell.mean)).collect();
    assert_eq!(cells, [(0.0, 17.0, 8.5), (4.0, 20.0, 12.0), (21.0, 38.0, 29.5), (25.0, 41.0, 33.0)]);
}

#[test]
fn integers_beyond_53_bits_are_shown_digit_by_digit() {
    let value = 9_007_199_254_740_993i64;
    let (_folder, checkpoint) = file_of(&[("x", "I64", &[1], &value.to_le_bytes())]);
    let id = checkpoint.find("x").unwrap();
    let window = slice::window(&checkpoint, id, &Plane::of_last_axes(&[1]), &Progress::new()).unwrap();
    assert_eq!(window.elements[0].to_string(), "9007199254740993");
}

#[test]
fn positioned_reads_give_what_reading_in_order_gives() {
    for fixture in crate::support::fixtures() {
        let checkpoint = fixture.open();
        for (id, tensor) in checkpoint.tensors().filter(|(id, _)| checkpoint.is_random_access(*id)) {
            let mut whole = Vec::new();
            let read = checkpoint.read_chunks(id, &Progress::new(), &mut |piece| {
                whole.extend_from_slice(piece);
                ControlFlow::Continue(())
            });
            if read.is_err() {
                continue;
            }
            let group = tensor.dtype.group_bytes().max(1);
            let start = whole.len() / 2 / group * group;
            let mut part = vec![0; whole.len() - start];
            checkpoint.read_at(id, start as u64, &mut part).unwrap().unwrap();
            assert_eq!(part, whole[start..], "{}: {}", fixture.name, tensor.name);
        }
    }
}

#[test]
fn the_scan_of_every_fixture_ends_in_values_or_reasons() {
    for fixture in crate::support::fixtures() {
        let checkpoint = fixture.open();
        let ids: Vec<TensorId> = checkpoint.tensors().map(|(id, _)| id).collect();
        let count = Mutex::new(0);
        scan(&checkpoint, &ids, 3, &Progress::new(), &|_, _| *count.lock().unwrap() += 1).unwrap();
        assert_eq!(*count.lock().unwrap(), ids.len(), "{}", Path::new(&fixture.name).display());
    }
}
