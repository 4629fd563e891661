//! The rules of health: each speaks of what it is about, in sentences, and of nothing that is normal.

use std::collections::BTreeMap;

use ckptscope::analysis::health::{self, Rule};
use ckptscope::analysis::scan::TensorStatistics;
use ckptscope::model::{Severity, TensorId};

use crate::statistics::{bytes, file_of, floats, scanned};

/// Name, dtype, shape, values.
type Written<'a> = (&'a str, &'a [u64], Vec<f32>);

/// Rules and levels per tensor of a file of these.
fn health_of(tensors: &[Written<'_>]) -> Vec<(String, Rule, Severity)> {
    let encoded: Vec<Vec<u8>> = tensors.iter().map(|tensor| bytes(&tensor.2)).collect();
    let entries: Vec<_> = tensors
        .iter()
        .zip(&encoded)
        .map(|((name, shape, _), bytes)| (*name, "F32", *shape, bytes.as_slice()))
        .collect();
    let (_folder, checkpoint) = file_of(&entries);
    let found: BTreeMap<TensorId, TensorStatistics> =
        scanned(&checkpoint, 2).into_iter().map(|(id, scanned)| (id, scanned.found)).collect();
    let health = health::judge(&checkpoint, |id| found.get(&id).map(Ok));
    let name = |id: TensorId| checkpoint.tensor(id).name.clone();
    let mut found: Vec<_> =
        health.findings.iter().map(|finding| (name(finding.tensor), finding.rule, finding.level)).collect();
    found.sort();
    found
}

#[test]
fn each_ill_tensor_is_named_with_what_ails_it() {
    let healthy = floats(64);
    let with = |index: usize, value: f32| {
        let mut values = healthy.clone();
        values[index] = value;
        values
    };
    let mut dead_row = healthy.clone();
    dead_row[8..16].fill(0.0);
    let found = health_of(&[
        ("a.weight", &[8, 8], healthy.clone()),
        ("b.weight", &[8, 8], with(3, f32::NAN)),
        ("c.weight", &[8, 8], with(3, f32::INFINITY)),
        ("d.weight", &[8, 8], vec![0.0; 64]),
        ("e.weight", &[8, 8], vec![0.5; 64]),
        ("f.weight", &[8, 8], dead_row),
        ("g.weight", &[8, 8], with(0, 1e6)),
        ("h.weight", &[8, 8], healthy.iter().map(|value| value * 1e-39).collect()),
        ("bn.running_var", &[64], with(0, -1.0).iter().map(|value| value.abs() * value.signum()).collect()),
    ]);
    let expected = [
        ("b.weight", Rule::NotANumber, Severity::Error),
        ("c.weight", Rule::Infinite, Severity::Error),
        ("bn.running_var", Rule::RunningVariance, Severity::Error),
        ("d.weight", Rule::AllZero, Severity::Warning),
        ("e.weight", Rule::Constant, Severity::Warning),
        ("f.weight", Rule::DeadSlices, Severity::Warning),
        ("g.weight", Rule::ExtremeValues, Severity::Warning),
        ("h.weight", Rule::Denormal, Severity::Warning),
    ];
    let mut expected = expected.map(|(name, rule, level)| (name.to_owned(), rule, level));
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn findings_are_sentences_with_the_numbers() {
    let healthy = floats(64);
    let zero_in = |range: std::ops::Range<usize>, step: usize| {
        let mut values = healthy.clone();
        values[range].iter_mut().step_by(step).for_each(|value| *value = 0.0);
        values
    };
    let (row, two_columns) = (zero_in(8..16, 1), zero_in(0..64, 4));
    let (row, two_columns) = (bytes(&row), bytes(&two_columns));
    let (_folder, checkpoint) =
        file_of(&[("a.weight", "F32", &[8, 8], &row), ("b.weight", "F32", &[8, 8], &two_columns)]);
    let found = scanned(&checkpoint, 1);
    let health = health::judge(&checkpoint, |id| found.get(&id).map(|scanned| Ok(&scanned.found)));
    let said: Vec<&str> = health.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(said, ["Row 1 of 8 is zero", "2 of 8 columns (0, 4) are zero"]);
}

#[test]
fn what_is_normal_is_at_most_information() {
    let found = health_of(&[
        ("fc.weight", &[8, 8], floats(64)),
        ("fc.bias", &[8], vec![0.0; 8]),
        ("norm.weight", &[8], vec![1.0; 8]),
        ("bn.running_mean", &[8], vec![0.0; 8]),
        ("bn.num_batches_tracked", &[], vec![0.0]),
        ("scale", &[1], vec![0.0]),
        ("attn_mask", &[2, 2], vec![0.0, f32::NEG_INFINITY, 0.0, 0.0]),
        ("lora_B.weight", &[8, 2], vec![0.0; 16]),
    ]);
    assert!(found.iter().all(|(_, _, level)| *level == Severity::Info), "{found:?}");
}

#[test]
fn a_layer_that_explodes_stands_out_among_its_siblings() {
    let healthy = floats(64);
    let names: Vec<String> = (0..6).map(|layer| format!("layers.{layer}.mlp.weight")).collect();
    let tensors: Vec<Written<'_>> = names
        .iter()
        .enumerate()
        .map(|(layer, name)| {
            let factor = if layer == 4 { 50.0 } else { 1.0 };
            (name.as_str(), [8u64, 8].as_slice(), healthy.iter().map(|value| value * factor).collect())
        })
        .collect();
    assert_eq!(
        health_of(&tensors),
        [("layers.4.mlp.weight".to_owned(), Rule::SpreadAgainstSiblings, Severity::Warning)]
    );
    // The same numbers in another number of dimensions are another kind of weight.
    let mut alone = tensors;
    alone[4].1 = &[8, 8, 1, 1];
    assert_eq!(health_of(&alone), []);
}
