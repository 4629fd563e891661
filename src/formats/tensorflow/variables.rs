//! What the variables of a checkpoint are: parameters, optimizer state or bookkeeping, and in which layer.
//!
//! Works from keys and object graphs alone; reads no values. Evidence, the strongest first: the variable lists that
//! Keras saves in a SavedModel, the slots that an optimizer keeps, the structure of a Keras model in the object graph,
//! names that TensorFlow itself gives. Without evidence the role is unknown and no counts are claimed.

use std::collections::{HashMap, HashSet};

use super::bundle::Variable;
use super::collections::Collections;
use super::evidence::{Evidence, in_metrics, in_optimizer};
use super::layers;
use super::naming::Names;
use super::object_graph::{GRAPH_KEY, Graph, Kind, NodeId, VALUE_SUFFIX, key_parts, unescape};
use super::saved_model::SavedModel;
use super::tf1_names;
use crate::model::{Dtype, LayerInfo, TensorId, TensorInfo, TensorRole};

/// The catalogue with its meaning.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// In the order of the variables.
    pub tensors: Vec<TensorInfo>,
    /// In the model's order.
    pub layers: Vec<LayerInfo>,
    /// Whether the model's parameters are known.
    pub counts_known: bool,
}

/// Weights that Keras layers keep but do not train. Source: `trainable=False` in the `add_weight` calls of `keras/src/layers`.
pub(super) const UNTRAINED: [&str; 7] =
    ["moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev", "sn_u", "vector_u"];

/// Gives every variable its name, role and layer.
pub fn describe(
    variables: &[Variable],
    checkpoint_graph: Option<&Graph>,
    saved: Option<&SavedModel>,
    collections: &Collections,
) -> Catalogue {
    let mut catalogue = Catalogue { tensors: names(variables), ..Catalogue::default() };
    match (checkpoint_graph, saved.and_then(|saved| saved.graph.as_ref())) {
        (None, None) => catalogue.counts_known = tf1_names::give_roles(&mut catalogue.tensors, collections),
        (checkpoint, _) => by_graph(&mut catalogue, variables, checkpoint, saved),
    }
    catalogue
}

fn names(variables: &[Variable]) -> Vec<TensorInfo> {
    let mut taken = HashSet::new();
    variables
        .iter()
        .map(|variable| {
            let stripped = variable.key.strip_suffix(VALUE_SUFFIX);
            let mut name = stripped.map_or_else(
                || variable.key.clone(),
                |path| path.split('/').map(unescape).collect::<Vec<_>>().join("/"),
            );
            if !taken.insert(name.clone()) {
                name.clone_from(&variable.key);
            }
            let mut tensor =
                TensorInfo::new(name, variable.dtype.clone(), variable.shape.clone(), variable.stored_bytes);
            tensor.layer =
                tensor.name.rsplit_once('/').map(|(layer, _)| layer.to_owned()).unwrap_or_default();
            tensor.stored_name = Some(variable.key.clone());
            tensor.offset = variable.offset;
            tensor
        })
        .collect()
}

pub(super) fn is_bookkeeping(last: &str, dtype: &Dtype) -> bool {
    let integer = matches!(dtype, Dtype::Int64 | Dtype::Int32 | Dtype::Uint64 | Dtype::Uint32);
    integer && matches!(last, "global_step" | "step" | "steps" | "save_counter" | "epoch" | "iterations")
}

/// What is known of each variable, by the tensor's index.
#[derive(Default)]
struct Known {
    /// Object of the checkpoint's graph.
    id: Option<NodeId>,
    /// Object of the SavedModel's graph.
    saved_id: Option<NodeId>,
    /// The name that the program gave the variable.
    full_name: String,
}

fn by_graph(
    catalogue: &mut Catalogue,
    variables: &[Variable],
    checkpoint: Option<&Graph>,
    saved: Option<&SavedModel>,
) {
    let saved_graph = saved.and_then(|saved| saved.graph.as_ref());
    let evidence = Evidence::new(checkpoint, saved_graph);
    let keras_name = |id| saved.and_then(|saved| layers::keras_name(&saved.keras, id));
    // The SavedModel's graph knows more of the layers; ids differ between the two.
    let (names, optimizers) = match (saved_graph, checkpoint) {
        (Some(graph), _) => {
            (Names::new(graph, keras_name, &evidence.saved_optimizer), &evidence.saved_optimizer)
        }
        (None, Some(graph)) => (Names::new(graph, |_| None, &evidence.optimizer), &evidence.optimizer),
        (None, None) => return,
    };
    let known = identify(&catalogue.tensors, checkpoint, saved_graph);
    for (tensor, known) in catalogue.tensors.iter_mut().zip(&known) {
        catalogue.counts_known |= give_role(tensor, known, &evidence, checkpoint, saved_graph);
    }
    catalogue.counts_known |= find_statistics(&mut catalogue.tensors, &evidence);
    if let Some(saved) = saved {
        freeze(&mut catalogue.tensors, &known, &names, saved);
    }
    let naming_id = |known: &Known| if saved_graph.is_some() { known.saved_id } else { known.id };
    rename(&mut catalogue.tensors, &known, &names, &naming_id, &evidence);
    tie_duplicates(&mut catalogue.tensors, variables, &known, |known| {
        naming_id(known).is_some_and(|id| names.path(id).is_some())
    });
    link_slots(&mut catalogue.tensors, &known, &evidence);
    catalogue.layers = layers::describe(&names, optimizers, saved);
}

/// Finds the object of each key.
fn identify(tensors: &[TensorInfo], checkpoint: Option<&Graph>, saved: Option<&Graph>) -> Vec<Known> {
    let mut by_key: HashMap<&str, (NodeId, &str)> = HashMap::new();
    for (id, node) in checkpoint.into_iter().flat_map(|graph| (0..).zip(&graph.nodes)) {
        for (name, key) in &node.attributes {
            by_key.insert(key, (id, name));
        }
    }
    let identify = |tensor: &TensorInfo| {
        let parts = key_parts(tensor.stored_name());
        let found = by_key.get(tensor.stored_name());
        let saved_id = saved.and_then(|graph| {
            let way = graph.walk(&parts);
            way.last().copied().filter(|_| way.len() == parts.len())
        });
        let described = saved.zip(saved_id).and_then(|(graph, id)| match &graph.node(id)?.kind {
            Kind::Variable { name, .. } => Some(name.as_str()),
            _ => None,
        });
        let full_name = found.map(|(_, name)| *name).or(described).unwrap_or_default();
        let full_name = full_name.strip_suffix(":0").unwrap_or(full_name).to_owned();
        Known { id: found.map(|(id, _)| *id), saved_id, full_name }
    };
    tensors.iter().map(identify).collect()
}

/// Gives a tensor its role. Whether it was told by the structure of a model, so that counts may be claimed.
fn give_role(
    tensor: &mut TensorInfo,
    known: &Known,
    evidence: &Evidence,
    checkpoint: Option<&Graph>,
    saved: Option<&Graph>,
) -> bool {
    let key = tensor.stored_name().to_owned();
    let parts = key_parts(&key);
    let last = parts.last().copied().unwrap_or_default();
    if key == GRAPH_KEY || !key.ends_with(VALUE_SUFFIX) || in_metrics(&parts) {
        tensor.role = TensorRole::Other;
        return false;
    }
    let is_average = known.full_name.ends_with("/ExponentialMovingAverage")
        || known.id.is_some_and(|id| evidence.averages.contains(&id));
    if is_average {
        tensor.role = TensorRole::Ema;
        return false;
    }
    if in_optimizer(&parts)
        || known.id.is_some_and(|id| evidence.optimizer.contains(&id))
        || known.saved_id.is_some_and(|id| evidence.saved_optimizer.contains(&id))
    {
        tensor.role = TensorRole::Optimizer;
        return false;
    }
    let is_seed = matches!(last, "_state_var" | "seed_generator_state")
        || known.full_name.ends_with("/seed_generator_state");
    if is_seed || (parts.len() == 1 && is_bookkeeping(last, &tensor.dtype)) || tensor.dtype == Dtype::String {
        tensor.role = TensorRole::Other;
        return false;
    }
    let in_model = known.id.is_some_and(|id| evidence.model.contains(&id));
    let described = saved.zip(known.saved_id).and_then(|(graph, id)| match &graph.node(id)?.kind {
        Kind::Variable { trainable, .. } => Some((id, *trainable)),
        _ => None,
    });
    if let Some((id, trainable)) = described {
        let listed = evidence.saved_trainable.as_ref();
        tensor.trainable = Some(listed.map_or(trainable, |list| list.contains(&id)));
        let counted = match &evidence.saved_listed {
            Some(list) => list.contains(&id),
            // Of a module that is no Keras model: all its variables are its weights, trained or not.
            None => trainable || in_model || tensor.dtype.is_float(),
        };
        if counted {
            tensor.role = TensorRole::Parameter;
        }
        return counted;
    }
    if checkpoint.is_none() {
        return false;
    }
    let trained = known.id.is_some_and(|id| evidence.trained.contains(&id));
    if in_model || trained {
        tensor.role = TensorRole::Parameter;
        let last = known.full_name.rsplit('/').next().unwrap_or(last);
        tensor.trainable = if trained {
            Some(true)
        } else if evidence.trains_model || UNTRAINED.contains(&last) {
            Some(false)
        } else {
            None
        };
    }
    in_model
}

/// Where an optimizer tells what is trained, what batch normalisation keeps is known by its name, whoever holds the layer.
/// Whether every variable of the model is now known.
fn find_statistics(tensors: &mut [TensorInfo], evidence: &Evidence) -> bool {
    if evidence.trained.is_empty() {
        return false;
    }
    for tensor in tensors.iter_mut().filter(|tensor| tensor.role == TensorRole::Unknown) {
        if UNTRAINED.contains(&key_parts(tensor.stored_name()).last().copied().unwrap_or_default()) {
            (tensor.role, tensor.trainable) = (TensorRole::Parameter, Some(false));
        }
    }
    tensors.iter().all(|tensor| tensor.role != TensorRole::Unknown)
}

/// Marks the variables of layers that Keras describes as not trained.
fn freeze(tensors: &mut [TensorInfo], known: &[Known], names: &Names<'_>, saved: &SavedModel) {
    let frozen = |id: &NodeId| {
        let json = saved.keras.get(id).map(|object| &object.json);
        json.and_then(|json| json.get("trainable")).and_then(serde_json::Value::as_bool) == Some(false)
    };
    for (tensor, known) in tensors.iter_mut().zip(known) {
        let inside = known.saved_id.map(|id| names.objects_to(id)).unwrap_or_default();
        if tensor.trainable == Some(true) && inside.iter().any(frozen) {
            tensor.trainable = Some(false);
        }
    }
}

/// Replaces keys by the names of layers and variables, where these are known and differ from each other.
fn rename(
    tensors: &mut [TensorInfo],
    known: &[Known],
    names: &Names<'_>,
    naming_id: &impl Fn(&Known) -> Option<NodeId>,
    evidence: &Evidence,
) {
    let path_of = |known: &Known| -> Option<Vec<String>> {
        let found = naming_id(known).and_then(|id| names.variable_path(id, &known.full_name));
        // A variable that only lists lead to has nothing but its own name.
        found.or_else(|| {
            let parts = known.full_name.split('/').map(str::to_owned).collect::<Vec<_>>();
            (parts.len() > 1).then_some(parts)
        })
    };
    let by_id: HashMap<NodeId, &Known> = known.iter().filter_map(|known| Some((known.id?, known))).collect();
    let mut taken: HashSet<Vec<String>> = HashSet::new();
    // Of two variables of one name, the one that counts has it.
    let mut entries: Vec<(&mut TensorInfo, &Known)> = tensors.iter_mut().zip(known).collect();
    entries.sort_by_key(|(tensor, _)| tensor.role != TensorRole::Parameter);
    for (tensor, known) in entries {
        if !tensor.stored_name().ends_with(VALUE_SUFFIX) {
            continue;
        }
        let key = tensor.stored_name().to_owned();
        let parts: Vec<String> = key_parts(&key).into_iter().map(unescape).collect();
        let in_optimizer = matches!(tensor.role, TensorRole::Optimizer | TensorRole::Ema);
        let path = if let Some(at) = parts.iter().position(|part| part == ".OPTIMIZER_SLOT") {
            // `….OPTIMIZER_SLOT/optimizer/m`: the state stands apart from the variables, in their order.
            let variable = known.id.and_then(|id| evidence.slots.get(&id)).and_then(|id| by_id.get(id));
            let variable = variable.and_then(|known| path_of(known));
            let variable = variable.unwrap_or_else(|| parts.iter().take(at).cloned().collect());
            Some(parts.iter().skip(at + 1).cloned().chain(variable).collect())
        } else if in_optimizer {
            optimizer_path(&parts, &known.full_name)
        } else {
            path_of(known)
        };
        let Some(path) = path.filter(|path| taken.insert(path.clone())) else {
            taken.insert(parts);
            continue;
        };
        tensor.name = path.join("/");
        let mut layer = naming_id(known).map(|id| names.layer_path(id)).unwrap_or_default();
        if layer.is_empty() {
            layer = path.split_last().map(|(_, layer)| layer.join("/")).unwrap_or_default();
        }
        tensor.layer = layer;
        tensor.path = path.into();
    }
}

/// `optimizer` and the variable's name, for what an optimizer keeps in a list: `optimizer/Adam/m/conv_1/kernel`.
fn optimizer_path(parts: &[String], full_name: &str) -> Option<Vec<String>> {
    let is_list = |part: &String| matches!(part.as_str(), "_variables" | "variables");
    let list = parts.iter().rposition(is_list)?;
    let name: Vec<String> = full_name.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    (!name.is_empty()).then(|| parts.iter().take(list).cloned().chain(name).collect())
}

/// Keras's `export` lists every weight twice, as two variables of one name. A second one whose bytes have the same
/// checksum is tied to the first, so that it is counted once. `hangs`: whether attributes, not lists, lead to a variable.
fn tie_duplicates(
    tensors: &mut [TensorInfo],
    variables: &[Variable],
    known: &[Known],
    hangs: impl Fn(&Known) -> bool,
) {
    let mut first: HashMap<(&str, Option<u32>, u64), usize> = HashMap::new();
    // Those that count go first: the copy is the one that no list of parameters has.
    let mut order: Vec<usize> = (0..tensors.len().min(known.len()).min(variables.len())).collect();
    order.sort_by_key(|&index| tensors.get(index).is_none_or(|tensor| tensor.role != TensorRole::Parameter));
    for index in order {
        let (Some(tensor), Some(known), Some(variable)) =
            (tensors.get(index), known.get(index), variables.get(index))
        else {
            continue;
        };
        let model = matches!(tensor.role, TensorRole::Parameter | TensorRole::Unknown);
        if known.full_name.is_empty() || variable.crc.is_none() || !model || tensor.elements() == 0 {
            continue;
        }
        let key = (known.full_name.as_str(), variable.crc, variable.stored_bytes);
        let Some(&earlier) = first.get(&key) else {
            first.insert(key, index);
            continue;
        };
        let Some(original) = tensors.get(earlier) else { continue };
        let same = original.dtype == tensor.dtype && original.shape == tensor.shape;
        if same && !hangs(known) && original.role == TensorRole::Parameter {
            let trainable = original.trainable;
            if let Some(copy) = tensors.get_mut(index) {
                copy.role = TensorRole::Parameter;
                copy.trainable = trainable;
                copy.tied_to = Some(TensorId(earlier as u32));
            }
        }
    }
}

/// Tells every slot which variable it belongs to.
fn link_slots(tensors: &mut [TensorInfo], known: &[Known], evidence: &Evidence) {
    let by_id: HashMap<NodeId, usize> =
        (0..).zip(known).filter_map(|(index, known)| Some((known.id?, index))).collect();
    for (tensor, known) in tensors.iter_mut().zip(known) {
        let variable = known.id.and_then(|id| evidence.slots.get(&id)).and_then(|id| by_id.get(id));
        if matches!(tensor.role, TensorRole::Optimizer | TensorRole::Ema) {
            tensor.slot_of = variable.map(|&index| TensorId(index as u32));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tensorflow::values::Location;
    use crate::model::Shape;

    fn variables(keys: &[&str]) -> Vec<Variable> {
        keys.iter()
            .map(|key| Variable {
                key: (*key).to_owned(),
                dtype: if key.contains("step") { Dtype::Int64 } else { Dtype::Float32 },
                shape: Shape::default(),
                stored_bytes: 4,
                offset: None,
                crc: None,
                location: Location::Memory(Vec::new()),
            })
            .collect()
    }

    #[test]
    fn names_for_people_lose_the_attribute_and_stay_unique() {
        let keys = ["a/w/.ATTRIBUTES/VARIABLE_VALUE", "a/w", "b..c/w/.ATTRIBUTES/VARIABLE_VALUE"];
        let names: Vec<_> = names(&variables(&keys)).into_iter().map(|t| (t.name, t.stored_name)).collect();
        assert_eq!(names[0], ("a/w".to_owned(), Some(keys[0].to_owned())));
        assert_eq!(names[2].0, "b.c/w");
    }
}
