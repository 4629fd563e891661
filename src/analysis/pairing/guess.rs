//! The last resort: tensors of the same shape, in the same order. A guess, and marked as one.

use std::collections::HashMap;

use super::{MatchedBy, Pair, Pairing, frameworks};
use crate::model::{Checkpoint, Shape, TensorId, TensorInfo, TensorRole};

/// What must be the same for a guess: the shape (outputs first), and whether it belongs to the model or to an optimizer.
fn key(tensor: &TensorInfo) -> (Shape, bool) {
    (frameworks::shape_with_outputs_first(tensor), is_of_model(tensor))
}

fn is_of_model(tensor: &TensorInfo) -> bool {
    matches!(tensor.role, TensorRole::Parameter | TensorRole::Buffer | TensorRole::Unknown)
}

type Groups<K> = HashMap<K, (Vec<TensorId>, Vec<TensorId>)>;

/// Pairs in file order where both sides have equally many of a shape; else where they have equally many of a shape and
/// parameter name. Single numbers are never guessed: every counter looks like every other.
pub(super) fn by_shape(pairing: &mut Pairing, left: &Checkpoint, right: &Checkpoint) {
    let with_name = |tensor: &TensorInfo| (key(tensor), frameworks::neutral_leaf(tensor).to_owned());
    // Names first: of a kernel and a bias with one shape, each finds its like.
    pair_equal_groups(pairing, left, right, with_name);
    pair_equal_groups(pairing, left, right, key);
}

fn pair_equal_groups<K: Eq + std::hash::Hash>(
    pairing: &mut Pairing,
    left: &Checkpoint,
    right: &Checkpoint,
    key: impl Fn(&TensorInfo) -> K,
) {
    let mut groups: Groups<K> = HashMap::new();
    for &id in pairing.only_left.iter().filter(|id| left.tensor(**id).elements() > 1) {
        groups.entry(key(left.tensor(id))).or_default().0.push(id);
    }
    for &id in pairing.only_right.iter().filter(|id| right.tensor(**id).elements() > 1) {
        groups.entry(key(right.tensor(id))).or_default().1.push(id);
    }
    for (a, b) in groups.into_values().filter(|(a, b)| a.len() == b.len()) {
        pairing.pairs.extend(a.into_iter().zip(b).map(|(a, b)| Pair::new(a, b, MatchedBy::Shape)));
    }
    pairing.remove_paired();
}
