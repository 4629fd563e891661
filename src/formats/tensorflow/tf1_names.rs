//! Roles of variables where no object graph tells: by the names that TF1's optimizers and averages give, and by the
//! collections of a graph that stands beside.

use std::collections::{HashMap, HashSet};

use super::collections::Collections;
use super::variables::{UNTRAINED, is_bookkeeping};
use crate::model::{Dtype, TensorId, TensorInfo, TensorRole};

/// Endings of slot variables in TF1 checkpoints. Source: `_get_or_make_slot`'s callers in `tensorflow/python/training`.
const TF1_SLOTS: [&str; 17] = [
    "Adam",
    "Adam_1",
    "AdaMax",
    "AdaMax_1",
    "Adagrad",
    "AdagradDA",
    "AdagradDA_1",
    "Adadelta",
    "Adadelta_1",
    "Ftrl",
    "Ftrl_1",
    "Momentum",
    "RMSProp",
    "RMSProp_1",
    "RMSProp_2",
    "adam_m",
    "adam_v",
];

/// Roles that a name and the collections of a TF1 graph give, for checkpoints without an object graph.
/// Whether the parameters are known.
pub fn give_roles(tensors: &mut [TensorInfo], collections: &Collections) -> bool {
    let keys: HashMap<String, usize> =
        tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.clone(), index)).collect();
    let mut bases = HashSet::new();
    let mut layers = HashSet::new();
    for (index, tensor) in tensors.iter_mut().enumerate() {
        let (path, last) = tensor.name.rsplit_once('/').unwrap_or(("", &tensor.name));
        let base = base_of(path, &keys).filter(|&base| base != index);
        if collections.trainable.contains(&tensor.name) {
            tensor.role = TensorRole::Parameter;
            tensor.trainable = Some(true);
            layers.insert(tensor.layer.clone());
        } else if TF1_SLOTS.contains(&last)
            && let Some(base) = base
        {
            bases.insert(base);
            tensor.role = TensorRole::Optimizer;
            tensor.slot_of = Some(TensorId(base as u32));
        } else if last == "ExponentialMovingAverage" && base.is_some() {
            tensor.role = TensorRole::Ema;
            tensor.slot_of = base.map(|base| TensorId(base as u32));
        } else if last.starts_with("beta1_power") || last.starts_with("beta2_power") {
            tensor.role = TensorRole::Optimizer;
        } else if is_bookkeeping(last, &tensor.dtype) || tensor.dtype == Dtype::String {
            tensor.role = TensorRole::Other;
        }
    }
    set_apart(tensors);
    // A variable with slots is one that an optimizer trains, where no graph tells.
    if collections.trainable.is_empty() {
        for &base in &bases {
            if let Some(tensor) = tensors.get_mut(base) {
                tensor.role = TensorRole::Parameter;
                tensor.trainable = Some(true);
            }
        }
    }
    let told = !layers.is_empty();
    for tensor in tensors.iter_mut().filter(|tensor| tensor.role == TensorRole::Unknown) {
        let last = tensor.name.rsplit('/').next().unwrap_or_default();
        // What a layer keeps beside what it trains is part of the model, as Keras counts.
        let beside = told
            && (collections.model.contains(&tensor.name)
                || (collections.variables.contains(&tensor.name) && layers.contains(&tensor.layer)));
        if beside || ((told || !bases.is_empty()) && UNTRAINED.contains(&last)) {
            tensor.role = TensorRole::Parameter;
            tensor.trainable = Some(false);
        }
    }
    told
}

/// Groups slots and averages under their own name, apart from the variables that they belong to: `dense/bias/Adam`
/// stands at `Adam`, `dense`, `bias`.
fn set_apart(tensors: &mut [TensorInfo]) {
    let mut taken: HashSet<Box<[String]>> = tensors.iter().map(|tensor| tensor.path.clone()).collect();
    for tensor in tensors.iter_mut().filter(|tensor| tensor.slot_of.is_some()) {
        if let Some((variable, slot)) = tensor.name.rsplit_once('/') {
            let path: Box<[String]> = Box::new([slot.to_owned(), variable.to_owned()]);
            if taken.insert(path.clone()) {
                tensor.path = path;
            }
        }
    }
}

/// The variable that a slot's path means: itself, or what is left when scopes of the optimizer are taken from its front.
fn base_of(path: &str, keys: &HashMap<String, usize>) -> Option<usize> {
    let mut rest = path;
    loop {
        if let Some(&index) = keys.get(rest) {
            return Some(index);
        }
        rest = rest.split_once('/')?.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Shape;

    #[test]
    fn slots_of_tf1_are_told_from_the_variables_they_belong_to() {
        use TensorRole::{Optimizer, Other, Parameter, Unknown};

        let keys = [
            "beta1_power",
            "global_step",
            "l/bias",
            "l/bias/Adam",
            "l/moving_mean",
            "train/l/bias/Adam_1",
            "odd/Adam",
        ];
        let mut tensors: Vec<TensorInfo> = keys
            .iter()
            .map(|key| {
                let dtype = if key.contains("step") { Dtype::Int64 } else { Dtype::Float32 };
                TensorInfo::new(*key, dtype, Shape::default(), 4)
            })
            .collect();
        give_roles(&mut tensors, &Collections::default());
        let roles: Vec<_> = tensors.iter().map(|t| (t.role, t.trainable)).collect();
        assert_eq!(
            roles,
            [
                (Optimizer, None),
                (Other, None),
                (Parameter, Some(true)),
                (Optimizer, None),
                (Parameter, Some(false)),
                (Optimizer, None),
                (Unknown, None),
            ]
        );
    }
}
