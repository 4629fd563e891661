//! What Keras, TensorFlow and PyTorch call the same parameter, and how they lay out its axes.
//!
//! PyTorch keeps a linear weight as (out, in) and a convolution as (out, in, height, width); Keras and TensorFlow as
//! (in, out) and (height, width, in, out). Sources: the attribute `weight` of `torch.nn.Linear` and `torch.nn.Conv2d`
//! (<https://docs.pytorch.org/docs/2.8/generated/torch.nn.Conv2d.html>), and `kernel` in Keras's `Dense.build` and
//! `BaseConv.build` (<https://github.com/keras-team/keras/tree/v3.11.0/keras/src/layers>).

use std::collections::HashMap;

use super::{AppliedRule, MatchedBy, Pairing, Rule, permuted};
use crate::model::layer_tree::segments;
use crate::model::{Checkpoint, Shape, TensorId, TensorInfo, TensorRole};

/// Which way round the axes of a kernel lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Outputs first, as in PyTorch.
    OutputsFirst,
    /// Outputs last, as in Keras and TensorFlow.
    OutputsLast,
    /// One axis, or the same in both.
    Neutral,
}

/// What PyTorch calls a parameter of this name, and how its axes lie under this name.
fn parameter(leaf: &str) -> (&str, Layout) {
    match leaf {
        "kernel" | "weights" => ("weight", Layout::OutputsLast),
        "recurrent_kernel" => ("weight_hh_l0", Layout::OutputsLast),
        "weight" | "weight_ih_l0" | "weight_hh_l0" => (leaf, Layout::OutputsFirst),
        "gamma" | "embeddings" | "scale" => ("weight", Layout::Neutral),
        "beta" | "biases" => ("bias", Layout::Neutral),
        "moving_mean" => ("running_mean", Layout::Neutral),
        "moving_variance" | "moving_var" => ("running_var", Layout::Neutral),
        other => (other, Layout::Neutral),
    }
}

fn leaf(tensor: &TensorInfo) -> &str {
    let last = segments(&tensor.path).last().unwrap_or_default();
    last.strip_suffix(":0").unwrap_or(last)
}

/// For each axis of a kernel with outputs first, the axis of the one with outputs last. A matrix is transposed; in a
/// convolution the two channel axes go to the front and change places.
fn axes_from_outputs_last(rank: usize) -> Option<Box<[usize]>> {
    (2..=5).contains(&rank).then(|| [rank - 1, rank - 2].into_iter().chain(0..rank - 2).collect())
}

fn inverse(axes: &[usize]) -> Box<[usize]> {
    (0..axes.len()).map(|axis| axes.iter().position(|&from| from == axis).unwrap_or(axis)).collect()
}

/// How the axes of the left must be ordered to be those of the right; `None` where they are as they are.
pub(super) fn axes(left: &TensorInfo, right: &TensorInfo) -> Option<Box<[usize]>> {
    let rank = left.shape.rank();
    if rank != right.shape.rank() {
        return None;
    }
    match (parameter(leaf(left)).1, parameter(leaf(right)).1) {
        (Layout::OutputsLast, Layout::OutputsFirst) => axes_from_outputs_last(rank),
        (Layout::OutputsFirst, Layout::OutputsLast) => {
            axes_from_outputs_last(rank).map(|axes| inverse(&axes))
        }
        _ => None,
    }
}

/// The order of axes, of the two that frameworks use, that makes the left shape the right one.
pub(super) fn turned_either_way(left: &Shape, right: &Shape) -> Option<Box<[usize]>> {
    let to_first = axes_from_outputs_last(left.rank())?;
    let to_last = inverse(&to_first);
    [to_first, to_last].into_iter().find(|axes| permuted(left, axes) == *right)
}

/// The shape with outputs first, where the name tells that it has them last.
pub(super) fn shape_with_outputs_first(tensor: &TensorInfo) -> Shape {
    match parameter(leaf(tensor)).1 {
        Layout::OutputsLast => axes_from_outputs_last(tensor.shape.rank())
            .map_or_else(|| tensor.shape.clone(), |axes| permuted(&tensor.shape, &axes)),
        Layout::OutputsFirst | Layout::Neutral => tensor.shape.clone(),
    }
}

/// What PyTorch would call this parameter.
pub(super) fn neutral_leaf(tensor: &TensorInfo) -> &str {
    parameter(leaf(tensor)).0
}

/// Pairs tensors by the layer that holds them, as the file says it, and the parameter's name in either framework.
///
/// Formats keep the layer apart from wrapping keys (`model_state_dict`) and from numbered nodes of an object graph, so this
/// finds what names alone do not. Names that two tensors of one side share decide nothing.
pub(super) fn by_layer(pairing: &mut Pairing, left: &Checkpoint, right: &Checkpoint) {
    let key = |tensor: &TensorInfo| {
        let is_model =
            matches!(tensor.role, TensorRole::Parameter | TensorRole::Buffer | TensorRole::Unknown);
        (is_model && !tensor.layer.is_empty()).then(|| format!("{}\n{}", tensor.layer, neutral_leaf(tensor)))
    };
    let keys = |checkpoint: &Checkpoint, ids: &[TensorId]| {
        let mut keys: HashMap<String, usize> = HashMap::new();
        for key in ids.iter().filter_map(|&id| key(checkpoint.tensor(id))) {
            *keys.entry(key).or_default() += 1;
        }
        keys
    };
    let (on_left, on_right) = (keys(left, &pairing.only_left), keys(right, &pairing.only_right));
    let unique = |keys: &HashMap<String, usize>, tensor: &TensorInfo| {
        key(tensor).filter(|key| keys.get(key) == Some(&1))
    };
    let matched = pairing.by_key(
        left,
        right,
        MatchedBy::FoundRule,
        |tensor| unique(&on_left, tensor),
        |tensor| unique(&on_right, tensor),
    );
    if matched > 0 {
        pairing.rules.push(AppliedRule { rule: Rule::Layers, found: true, matched });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Dtype;

    fn tensor(name: &str, shape: &[u64]) -> TensorInfo {
        TensorInfo::new(name, Dtype::Float32, Shape::new(shape), 0)
    }

    #[test]
    fn kernels_of_keras_are_turned_to_weights_of_torch_and_back() {
        let (keras, torch) = (tensor("conv/kernel:0", &[3, 5, 8, 16]), tensor("conv.weight", &[16, 8, 3, 5]));
        let forward = axes(&keras, &torch).expect("turned");
        assert_eq!(permuted(&keras.shape, &forward), torch.shape);
        let back = axes(&torch, &keras).expect("turned");
        assert_eq!(permuted(&torch.shape, &back), keras.shape);
        assert_eq!(
            axes(&tensor("d.kernel", &[4, 4]), &tensor("d.weight", &[4, 4])).as_deref(),
            Some(&[1, 0][..])
        );
        assert_eq!(axes(&torch, &torch), None);
        assert_eq!(shape_with_outputs_first(&keras), torch.shape);
    }
}
