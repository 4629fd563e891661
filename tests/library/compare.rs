//! Comparing two checkpoints: against numpy's numbers, against itself, mirrored, and on any number of threads.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

use ckptscope::analysis::diff::{Comparison, DiffRow, DiffTree, PairDiff, PairStatus, Tolerance, ValueDiff};
use ckptscope::analysis::pairing::{MatchedBy, Pairing, PairingOptions};
use ckptscope::jobs::compare::{CompareObserver, CompareOptions, compare};
use ckptscope::model::{
    Checkpoint, CheckpointParts, Dtype, Progress, PythonTypes, ReadError, RenameRule, Shape, TensorId,
    TensorInfo, TensorReader, Value,
};
use serde_json::Value as Json;

use crate::support::{Complaints, fixtures, folder, open};

fn pair_of(name: &str, ending: &str) -> (Checkpoint, Checkpoint) {
    let side = |side: &str| open(&folder().join(format!("compare/{name}_{side}.{ending}"))).unwrap();
    (side("left"), side("right"))
}

fn compared(left: &Checkpoint, right: &Checkpoint) -> Comparison {
    compared_with(left, right, &CompareOptions::default())
}

fn compared_with(left: &Checkpoint, right: &Checkpoint, options: &CompareOptions) -> Comparison {
    compare(left, right, options, &Progress::new(), &()).unwrap()
}

fn of_left<'a>(left: &Checkpoint, comparison: &'a Comparison, name: &str) -> &'a PairDiff {
    let id = left.find(name).unwrap();
    comparison.pairs.iter().find(|pair| pair.pair.left == id).unwrap_or_else(|| panic!("no pair for {name}"))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1e-3)
}

#[test]
fn metrics_of_every_kind_of_number_are_those_of_numpy() {
    let expected: Json =
        serde_json::from_str(&std::fs::read_to_string(folder().join("compare/differences.json")).unwrap())
            .unwrap();
    let mut complaints = Complaints::default();
    for (case, ending) in [("fine_tune", "pt"), ("edges", "safetensors")] {
        let (left, right) = pair_of(case, ending);
        let comparison = compared(&left, &right);
        for (name, wanted) in expected[case].as_object().unwrap() {
            let Some(found) = &of_left(&left, &comparison, name).values else {
                complaints.add(format!("{case} {name}: no values"));
                continue;
            };
            for (key, seen) in [
                ("elements", found.elements),
                ("changed", found.changed),
                ("sign_flips", found.sign_flips),
                ("nan_appeared", found.nan_appeared),
                ("nan_gone", found.nan_gone),
                ("not_finite", found.not_finite),
            ] {
                complaints.unless_equal(
                    &format!("{case} {name}: {key}"),
                    &seen,
                    &wanted[key].as_u64().unwrap(),
                );
            }
            for (key, seen) in [
                ("max_abs", Some(found.max_abs)),
                ("mean_abs", Some(found.mean_abs)),
                ("l2", Some(found.l2)),
                ("l2_left", Some(found.l2_left)),
                ("l2_right", Some(found.l2_right)),
                ("cosine", found.cosine),
            ] {
                let wanted = wanted[key].as_f64();
                if !seen.zip(wanted).map_or(seen == wanted, |(a, b)| close(a, b)) {
                    complaints.add(format!("{case} {name}: {key} is {seen:?}, should be {wanted:?}"));
                }
            }
            let largest = found.largest.first().map(|change| change.index);
            complaints.unless_equal(
                &format!("{case} {name}: largest"),
                &largest,
                &wanted["largest_index"].as_u64(),
            );
        }
    }
    complaints.check();
}

#[test]
fn integers_beyond_53_bits_are_compared_to_the_last_digit_also_with_floats() {
    let file = |name: &str, dtype: &str, bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let entry = ("x", dtype, [5u64].as_slice(), bytes);
        std::fs::write(&path, crate::safetensors_file::file(&[entry])).unwrap();
        (open(&path).unwrap(), folder)
    };
    let beyond = (1i64 << 53) + 1;
    let integers = [beyond, 1 << 60, 5, -3, i64::MAX].map(i64::to_le_bytes).concat();
    let others = [beyond, (1 << 60) + 1, 5, -3, i64::MAX - 1].map(i64::to_le_bytes).concat();
    let floats = [beyond as f64, 2f64.powi(60), 5.5, -3.0, 2f64.powi(63)].map(f64::to_le_bytes).concat();
    let ((left, _a), (integers_right, _b)) = (file("a", "I64", &integers), file("b", "I64", &others));
    let (floats_right, _c) = file("c", "F64", &floats);
    let values = |right: &Checkpoint| compared(&left, right).pairs[0].values.clone().unwrap();
    let found = values(&integers_right);
    assert_eq!((found.changed, found.max_abs, found.l2), (2, 1.0, 2f64.sqrt()));
    let found = values(&floats_right);
    assert_eq!((found.changed, found.max_abs, found.l2), (3, 1.0, 1.5));
    assert_eq!(found.largest.iter().map(|change| change.index).collect::<Vec<_>>(), [0, 4, 2]);
}

#[test]
fn a_fine_tuned_model_reads_as_what_was_done_to_it() {
    let (left, right) = pair_of("fine_tune", "pt");
    let comparison = compared(&left, &right);
    let summary = comparison.summary();
    assert_eq!((summary.identical, summary.changed, summary.reshaped), (36, 2, 1));
    assert_eq!((summary.dtype_changed, summary.renamed), (1, 1));
    assert_eq!((summary.only_left, summary.only_right), (0, 0));
    let head = of_left(&left, &comparison, "model.head.weight");
    assert_eq!((head.pair.by, head.status), (MatchedBy::Content, PairStatus::Identical));
    assert_eq!(right.tensor(head.pair.right).name, "model.classifier.weight");
    let flipped = of_left(&left, &comparison, "model.blocks.11.attn.weight").values.clone().unwrap();
    assert_eq!((flipped.changed, flipped.sign_flips, flipped.largest[0].index), (1, 1, 2 * 8 + 3));
    let metadata: Vec<&str> = comparison.metadata.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(metadata, ["epoch"]);
    assert!(comparison.differs());
}

#[test]
fn layers_roll_up_what_is_below_them() {
    let (left, right) = pair_of("fine_tune", "pt");
    let comparison = compared(&left, &right);
    let tree = DiffTree::of(&left, &right, &comparison);
    let root = tree.node(tree.tree.root());
    assert_eq!((root.identical, root.different), (35, 5));
    let values: Vec<&ValueDiff> = comparison.pairs.iter().filter_map(|pair| pair.values.as_ref()).collect();
    let squares: f64 = values.iter().map(|values| values.l2 * values.l2).sum();
    assert!(close(root.l2(), squares.sqrt()));
    assert_eq!(root.changed, values.iter().map(|values| values.changed).sum::<u64>());
    assert_eq!(tree.rows.iter().filter(|row| matches!(row, DiffRow::Pair(_))).count(), 40);
}

#[test]
fn a_checkpoint_against_itself_differs_in_nothing() {
    for fixture in fixtures() {
        let (left, right) = (fixture.open(), fixture.open());
        let comparison = compared(&left, &right);
        let strange: Vec<_> = comparison
            .pairs
            .iter()
            .filter(|pair| pair.differs() && pair.status != PairStatus::Unreadable)
            .map(|pair| &left.tensor(pair.pair.left).name)
            .collect();
        assert!(strange.is_empty(), "{}: {strange:?}", fixture.name);
        assert!(
            comparison.pairing.only_left.is_empty() && comparison.pairing.only_right.is_empty(),
            "{}",
            fixture.name
        );
        assert!(comparison.metadata.is_empty(), "{}: {:?}", fixture.name, comparison.metadata);
    }
}

/// A pair's numbers with the sides changed over.
fn mirrored(values: &ValueDiff) -> (u64, u64, u64, u64, [u64; 4], Option<u64>) {
    let bits = [values.max_abs, values.mean_abs, values.l2_right, values.l2_left].map(f64::to_bits);
    (
        values.changed,
        values.sign_flips,
        values.nan_gone,
        values.nan_appeared,
        bits,
        values.cosine.map(f64::to_bits),
    )
}

#[test]
fn the_comparison_the_other_way_round_is_the_mirror_image() {
    for (case, ending) in [("fine_tune", "pt"), ("edges", "safetensors"), ("turned", "safetensors")] {
        let (left, right) = pair_of(case, ending);
        let (forward, back) = (compared(&left, &right), compared(&right, &left));
        assert_eq!(forward.pairing.only_left, back.pairing.only_right);
        assert_eq!(forward.pairs.len(), back.pairs.len());
        for pair in &forward.pairs {
            let other = back.pairs.iter().find(|other| other.pair.left == pair.pair.right).unwrap();
            let name = &left.tensor(pair.pair.left).name;
            assert_eq!(
                (other.pair.right, other.pair.by, other.status),
                (pair.pair.left, pair.pair.by, pair.status),
                "{name}"
            );
            // With turned axes the elements come in another order, so sums may differ in the last bit.
            if let (Some(a), Some(b), None) = (&pair.values, &other.values, &pair.pair.axes) {
                let (changed, flips, appeared, gone, [max, mean, l2_left, l2_right], cosine) = mirrored(b);
                let bits = [a.max_abs, a.mean_abs, a.l2_left, a.l2_right].map(f64::to_bits);
                assert_eq!(
                    (a.changed, a.sign_flips, a.nan_appeared, a.nan_gone),
                    (changed, flips, appeared, gone),
                    "{name}"
                );
                assert_eq!(
                    (bits, a.cosine.map(f64::to_bits)),
                    ([max, mean, l2_left, l2_right], cosine),
                    "{name}"
                );
            }
        }
    }
}

/// Tensors in memory, read at positions or only in order and in pieces of an odd size.
struct InMemory {
    tensors: Vec<Vec<u8>>,
    /// Bytes per piece; `None` for reads at positions.
    in_order: Option<usize>,
    fails: bool,
}

impl TensorReader for InMemory {
    fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        if self.fails {
            return Err(ReadError::FileChanged);
        }
        for piece in self.tensors[id.index()].chunks(self.in_order.unwrap_or(1 << 20)) {
            progress.advance(piece.len() as u64)?;
            if sink(piece).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn read_at(&self, id: TensorId, offset: u64, buffer: &mut [u8]) -> Option<Result<(), ReadError>> {
        if self.in_order.is_some() {
            return None;
        }
        let start = offset as usize;
        buffer.copy_from_slice(&self.tensors[id.index()][start..start + buffer.len()]);
        Some(Ok(()))
    }
}

fn in_memory(tensors: &[(&str, &[f32])], in_order: Option<usize>, fails: bool) -> Checkpoint {
    let info = |(name, values): &(&str, &[f32])| {
        TensorInfo::new(
            *name,
            Dtype::Float32,
            Shape::from(vec![values.len() as u64]),
            values.len() as u64 * 4,
        )
    };
    let bytes = |(_, values): &(&str, &[f32])| values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let reader = InMemory { tensors: tensors.iter().map(bytes).collect(), in_order, fails };
    Checkpoint::new(
        Path::new("memory"),
        CheckpointParts {
            format: "safetensors",
            framework: None,
            tensors: tensors.iter().map(info).collect(),
            layers: Vec::new(),
            metadata: Value::empty(),
            problems: Vec::new(),
            file_bytes: 0,
            counts_known: false,
            versioned_modules: Vec::new(),
            python_types: PythonTypes::default(),
            reader: Box::new(reader),
        },
    )
}

/// Numbers between −1 and 1 that follow no pattern the code could profit from.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn threads_and_pieces_decide_nothing_but_the_time() {
    // More than two segments of 4 Mi elements, and an end that fills no block.
    let a = noise(9 * 1024 * 1024 + 77, 1);
    let mut b = a.clone();
    for (index, value) in noise(b.len() / 3, 2).into_iter().enumerate() {
        b[index * 3] += value * 0.01;
    }
    let small = noise(5000, 3);
    let side = |values: &[f32], in_order| in_memory(&[("big", values), ("small", &small)], in_order, false);
    let one = CompareOptions { threads: 1, ..CompareOptions::default() };
    let first = compared_with(&side(&a, None), &side(&b, None), &one);
    let values = first.pairs[0].values.as_ref().unwrap();
    assert_eq!((values.elements, values.deltas.total()), (a.len() as u64, values.changed));
    for (threads, left_pieces, right_pieces) in [
        (2, None, None),
        (5, None, None),
        (2, Some(100_004), None),
        (2, None, Some(4)),
        (3, Some(777_772), Some(1 << 20)),
    ] {
        let options = CompareOptions { threads, ..CompareOptions::default() };
        let again = compared_with(&side(&a, left_pieces), &side(&b, right_pieces), &options);
        assert_eq!(again.pairs, first.pairs, "{threads} threads, {left_pieces:?} and {right_pieces:?} bytes");
    }
}

#[test]
fn kernels_of_keras_and_torch_are_compared_element_by_element() {
    let (left, right) = pair_of("turned", "safetensors");
    let comparison = compared(&left, &right);
    let conv = of_left(&left, &comparison, "conv.kernel");
    assert_eq!((conv.status, conv.pair.by), (PairStatus::Identical, MatchedBy::FoundRule));
    let dense = of_left(&left, &comparison, "dense.kernel");
    let values = dense.values.as_ref().unwrap();
    assert_eq!((dense.status, values.changed), (PairStatus::Changed, 1));
    // The position counts over the right, in whose order both are compared.
    assert_eq!(values.largest[0].index, 6 + 2);
    assert_eq!(of_left(&left, &comparison, "norm.gamma").status, PairStatus::Identical);
    assert!(comparison.pairing.only_left.is_empty() && comparison.pairing.only_right.is_empty());
}

#[test]
fn a_turned_tensor_can_be_asked_for_by_name() {
    let matrix: Vec<f32> = (0..6u8).map(f32::from).collect();
    let left = in_memory(&[("w", &matrix)], None, false);
    let options = CompareOptions {
        pairing: PairingOptions {
            transpose: ckptscope::model::NameFilter::parse("w").ok(),
            ..PairingOptions::default()
        },
        ..CompareOptions::default()
    };
    // A vector has nothing to turn.
    assert!(!compared_with(&left, &left, &options).differs());
}

#[test]
fn wrappers_are_found_and_told() {
    let left = open(&folder().join("compare/net.pt")).unwrap();
    for (file, rule) in [
        ("load_data_parallel.pt", "s/(^|\\.)module\\./$1/g"),
        ("load_wrapped.pt", "s/^/model_state_dict./"),
        ("load_prefixed.pt", "s/^/backbone.net./"),
    ] {
        let right = open(&folder().join("compare").join(file)).unwrap();
        let comparison = compared(&left, &right);
        let rules: Vec<_> =
            comparison.pairing.rules.iter().map(|rule| (rule.rule.to_string(), rule.matched)).collect();
        assert_eq!(rules, [(rule.to_owned(), 12)], "{file}");
        assert_eq!((comparison.summary().identical, comparison.summary().renamed), (12, 12), "{file}");
    }
}

#[test]
fn a_given_rule_makes_renamed_tensors_the_same() {
    let values = noise(64, 4);
    let left = in_memory(&[("a.weight", &values), ("b.weight", &values[..8])], None, false);
    let right = in_memory(&[("x.b.weight", &values[..8]), ("x.a.weight", &values)], None, false);
    let rules = vec![RenameRule::parse("s/^x\\.//").unwrap()];
    let pairing = PairingOptions { rules, ..PairingOptions::default() };
    let comparison = compared_with(&left, &right, &CompareOptions { pairing, ..CompareOptions::default() });
    assert!(!comparison.differs());
    assert!(comparison.pairs.iter().all(|pair| pair.pair.by == MatchedBy::GivenRule));
}

#[test]
fn same_bytes_are_found_under_any_name_and_zeros_prove_nothing() {
    let (a, b, zeros) = (noise(64, 5), noise(64, 6), vec![0f32; 32]);
    let left = in_memory(&[("one", &a), ("two", &b), ("bias", &zeros)], None, false);
    let right = in_memory(&[("zwei", &b), ("eins", &a), ("null", &zeros)], Some(100), false);
    let comparison = compared(&left, &right);
    let by: Vec<_> = comparison
        .pairs
        .iter()
        .map(|pair| (right.tensor(pair.pair.right).name.as_str(), pair.pair.by))
        .collect();
    assert_eq!(by, [("eins", MatchedBy::Content), ("zwei", MatchedBy::Content), ("null", MatchedBy::Shape)]);
}

#[test]
fn tolerances_decide_what_counts_as_changed() {
    let (a, b) = ([1.0f32, 100.0, 0.0, f32::NAN], [1.001f32, 100.1, 0.0005, f32::NAN]);
    let (left, right) = (in_memory(&[("w", &a)], None, false), in_memory(&[("w", &b)], None, false));
    let changed = |absolute, relative| {
        let options =
            CompareOptions { tolerance: Tolerance { absolute, relative }, ..CompareOptions::default() };
        compared_with(&left, &right, &options).pairs[0].values.as_ref().unwrap().changed
    };
    assert_eq!(
        (changed(0.0, 0.0), changed(0.002, 0.0), changed(0.0, 0.002), changed(0.001, 0.002)),
        (3, 1, 1, 0)
    );
}

#[test]
fn what_cannot_be_read_is_a_result_of_its_pair() {
    let values = noise(64, 7);
    let (good, bad) =
        (in_memory(&[("w", &values)], None, false), in_memory(&[("w", &values)], Some(64), true));
    for (left, right, side) in [(&good, &bad, "right"), (&bad, &good, "left"), (&bad, &bad, "")] {
        let comparison = compared(left, right);
        let pair = &comparison.pairs[0];
        assert_eq!(pair.status, PairStatus::Unreadable);
        let problem = pair.problem.as_deref().unwrap();
        assert!(problem.contains(side) && problem.contains("changed on disk"), "{problem}");
        assert!(comparison.differs());
    }
}

#[derive(Default)]
struct Watcher {
    paired: Mutex<usize>,
    seen: Mutex<Vec<usize>>,
}

impl CompareObserver for Watcher {
    fn paired(&self, pairing: &Pairing) {
        *self.paired.lock().unwrap() = pairing.pairs.len();
    }

    fn compared(&self, index: usize, _: &PairDiff) {
        self.seen.lock().unwrap().push(index);
    }
}

#[test]
fn every_pair_is_told_once_and_progress_ends_at_the_total() {
    let (left, right) = pair_of("fine_tune", "pt");
    let (watcher, progress) = (Watcher::default(), Progress::new());
    compare(&left, &right, &CompareOptions::default(), &progress, &watcher).unwrap();
    let mut seen = watcher.seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..*watcher.paired.lock().unwrap()).collect::<Vec<_>>());
    assert!(progress.fraction().is_some_and(|fraction| fraction > 0.8), "{:?}", progress.fraction());
}

#[test]
fn a_cancelled_comparison_ends_without_a_result() {
    let (left, right) = pair_of("fine_tune", "pt");
    let progress = Progress::new();
    progress.cancel();
    assert!(compare(&left, &right, &CompareOptions::default(), &progress, &()).is_err());
}
