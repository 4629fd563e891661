//! What the variables of a checkpoint are: parameters, optimizer state or bookkeeping, and in which layer.
//!
//! Works from keys and object graphs alone; reads no values. Evidence, the strongest first: the variable lists that
//! Keras saves in a SavedModel, the slots that an optimizer keeps, the structure of a Keras model in the object graph,
//! names that TensorFlow itself gives. Without evidence the role is unknown and no counts are claimed.

use std::collections::{HashMap, HashSet};

use super::bundle::Variable;
use super::object_graph::{GRAPH_KEY, Graph, Kind, NodeId, VALUE_SUFFIX, key_parts, unescape};
use super::saved_model::SavedModel;
use crate::model::{Dtype, LayerInfo, TensorInfo, TensorRole, Value, layer_tree};

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
const UNTRAINED: [&str; 10] = [
    "moving_mean",
    "moving_variance",
    "moving_stddev",
    "renorm_mean",
    "renorm_stddev",
    "sn_u",
    "vector_u",
    "seed_generator_state",
    "_random_generator",
    "_state_var",
];

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

/// Gives every variable its name, role and layer.
pub fn describe(
    variables: &[Variable],
    checkpoint_graph: Option<&Graph>,
    saved: Option<&SavedModel>,
) -> Catalogue {
    let mut catalogue = Catalogue { tensors: names(variables), ..Catalogue::default() };
    match (checkpoint_graph, saved.and_then(|saved| saved.graph.as_ref())) {
        (None, None) => by_name(&mut catalogue.tensors),
        (checkpoint, saved_graph) => by_graph(&mut catalogue, checkpoint, saved_graph, saved),
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

/// Roles that a name alone gives, for checkpoints without an object graph.
fn by_name(tensors: &mut [TensorInfo]) {
    let keys: HashMap<String, usize> =
        tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.clone(), index)).collect();
    let mut bases = HashSet::new();
    for tensor in tensors.iter_mut() {
        let (path, last) = tensor.name.rsplit_once('/').unwrap_or(("", &tensor.name));
        if TF1_SLOTS.contains(&last)
            && let Some(base) = base_of(path, &keys)
        {
            bases.insert(base);
            tensor.role = TensorRole::Optimizer;
        } else if last == "ExponentialMovingAverage" && base_of(path, &keys).is_some() {
            tensor.role = TensorRole::Ema;
        } else if last.starts_with("beta1_power") || last.starts_with("beta2_power") {
            tensor.role = TensorRole::Optimizer;
        } else if is_bookkeeping(last, &tensor.dtype) || tensor.dtype == Dtype::String {
            tensor.role = TensorRole::Other;
        }
    }
    // A variable with slots is one that an optimizer trains.
    for &base in &bases {
        if let Some(tensor) = tensors.get_mut(base) {
            tensor.role = TensorRole::Parameter;
            tensor.trainable = Some(true);
        }
    }
    if !bases.is_empty() {
        for tensor in tensors.iter_mut().filter(|tensor| tensor.role == TensorRole::Unknown) {
            let last = tensor.name.rsplit('/').next().unwrap_or_default();
            if UNTRAINED.contains(&last) {
                tensor.role = TensorRole::Parameter;
                tensor.trainable = Some(false);
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

fn is_bookkeeping(last: &str, dtype: &Dtype) -> bool {
    let integer = matches!(dtype, Dtype::Int64 | Dtype::Int32 | Dtype::Uint64 | Dtype::Uint32);
    integer && matches!(last, "global_step" | "step" | "steps" | "save_counter" | "epoch" | "iterations")
}

/// Parts of a key under which optimizers keep their state.
fn in_optimizer(parts: &[&str]) -> bool {
    if parts.contains(&".OPTIMIZER_SLOT") {
        return true;
    }
    let at = parts.iter().position(|part| {
        let lower = part.to_ascii_lowercase();
        lower == "optimizer" || lower.ends_with("_optimizer") || lower == "optimizers"
    });
    // Keras 3 optimizers also point to the variables that they train.
    at.is_some_and(|at| !parts.get(at..).unwrap_or_default().contains(&"_trainable_variables"))
}

fn in_metrics(parts: &[&str]) -> bool {
    parts.iter().any(|part| {
        matches!(*part, "metrics" | "_metrics" | "compiled_metrics" | "_loss_tracker" | "loss_tracker")
    })
}

/// What an object graph says of each variable: found once, asked per key.
struct Evidence<'a> {
    checkpoint: Option<&'a Graph>,
    saved: Option<&'a Graph>,
    keras: &'a HashMap<NodeId, super::saved_model::KerasObject>,
    /// Objects of the checkpoint's graph that optimizers hold.
    optimizer: HashSet<NodeId>,
    /// The same of the SavedModel's graph.
    saved_optimizer: HashSet<NodeId>,
    /// Objects of the checkpoint's graph that Keras models hold.
    model: HashSet<NodeId>,
    /// Variables of the SavedModel's graph that its root lists.
    listed: Option<HashSet<NodeId>>,
    /// Of those, the ones that are trained.
    listed_trainable: Option<HashSet<NodeId>>,
    /// Objects of the checkpoint's graph that have slots.
    slotted: HashSet<NodeId>,
    /// Ends of the names of optimizer variables: `conv_1/kernel` of `Adam/m/conv_1/kernel`.
    slot_names: HashSet<String>,
}

/// Attributes that lead from an optimizer to what it trains.
fn leaves_optimizer(name: &str) -> bool {
    name == "_trainable_variables"
}

impl<'a> Evidence<'a> {
    fn new(
        checkpoint: Option<&'a Graph>,
        saved: Option<&'a Graph>,
        keras: &'a HashMap<NodeId, super::saved_model::KerasObject>,
    ) -> Self {
        let optimizers = checkpoint.map(Graph::optimizers).unwrap_or_default();
        let optimizer = checkpoint
            .map(|graph| graph.reachable(&optimizers, |name, _| leaves_optimizer(name)))
            .unwrap_or_default();
        let saved_optimizer = saved
            .map(|graph| graph.reachable(&graph.optimizers(), |name, _| leaves_optimizer(name)))
            .unwrap_or_default();
        let mut evidence = Self {
            checkpoint,
            saved,
            keras,
            optimizer,
            saved_optimizer,
            model: HashSet::new(),
            listed: saved.and_then(|graph| listed(graph, "variables")),
            listed_trainable: saved.and_then(|graph| listed(graph, "trainable_variables")),
            slotted: HashSet::new(),
            slot_names: HashSet::new(),
        };
        if let Some(graph) = checkpoint {
            let models: Vec<NodeId> = (0..)
                .zip(&graph.nodes)
                .filter(|(_, node)| node.children.iter().any(|(name, _)| is_layer_alias(name)))
                .map(|(id, _)| id)
                .collect();
            evidence.model = graph.reachable(&models, |name, id| {
                evidence.optimizer.contains(&id)
                    || matches!(name, "optimizer" | "keras_api")
                    || in_metrics(&[name])
            });
            for node in &graph.nodes {
                for &(variable, slot) in &node.slots {
                    evidence.slotted.insert(variable);
                    evidence.optimizer.insert(slot);
                }
            }
            for (id, node) in (0..).zip(&graph.nodes) {
                if evidence.optimizer.contains(&id) {
                    for (full_name, _) in &node.attributes {
                        let ends = full_name.match_indices('/').map(|(at, _)| &full_name[at + 1..]);
                        evidence.slot_names.extend(ends.take(16).map(str::to_owned));
                    }
                }
            }
        }
        evidence
    }

    fn has_slots(&self, id: NodeId, graph: &Graph) -> bool {
        self.slotted.contains(&id)
            || graph
                .node(id)
                .is_some_and(|node| node.attributes.iter().any(|(name, _)| self.slot_names.contains(name)))
    }
}

/// `layer-0`, `layer_with_weights-0`: what Keras calls the layers of a model that it built from a list or a graph.
fn is_layer_alias(name: &str) -> bool {
    name.strip_prefix("layer-")
        .or_else(|| name.strip_prefix("layer_with_weights-"))
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The members of a list that hangs on the root.
fn listed(graph: &Graph, name: &str) -> Option<HashSet<NodeId>> {
    let list = graph.node(graph.child(0, name)?)?;
    // A list of variables, not a variable of that name.
    if matches!(list.kind, Kind::Variable { .. }) {
        return None;
    }
    Some(list.children.iter().map(|(_, id)| *id).collect())
}

fn by_graph(
    catalogue: &mut Catalogue,
    checkpoint: Option<&Graph>,
    saved_graph: Option<&Graph>,
    saved: Option<&SavedModel>,
) {
    let no_keras = HashMap::new();
    let keras = saved.map_or(&no_keras, |saved| &saved.keras);
    let evidence = Evidence::new(checkpoint, saved_graph, keras);
    let by_key: HashMap<&str, NodeId> = checkpoint
        .map(|graph| {
            (0..)
                .zip(&graph.nodes)
                .flat_map(|(id, node)| node.attributes.iter().map(move |(_, key)| (key.as_str(), id)))
                .collect()
        })
        .unwrap_or_default();
    let trains_in_model = checkpoint.is_some_and(|graph| {
        evidence.model.iter().any(|&id| !evidence.optimizer.contains(&id) && evidence.has_slots(id, graph))
    });
    let mut layers = Layers::default();
    let mut model_seen = false;
    for tensor in &mut catalogue.tensors {
        let key = tensor.stored_name.clone().unwrap_or_default();
        let parts = key_parts(&key);
        let last = parts.last().copied().unwrap_or_default();
        let is_value = key.ends_with(VALUE_SUFFIX);
        if key == GRAPH_KEY || !is_value || in_metrics(&parts) {
            tensor.role = TensorRole::Other;
            continue;
        }
        let id = by_key.get(key.as_str()).copied();
        let saved_id = saved_graph.and_then(|graph| {
            let way = graph.walk(&parts);
            way.last().copied().filter(|_| way.len() == parts.len())
        });
        if in_optimizer(&parts)
            || id.is_some_and(|id| evidence.optimizer.contains(&id))
            || saved_id.is_some_and(|id| evidence.saved_optimizer.contains(&id))
        {
            tensor.role = TensorRole::Optimizer;
            continue;
        }
        if parts.len() == 1 && is_bookkeeping(last, &tensor.dtype) {
            tensor.role = TensorRole::Other;
            continue;
        }
        let described = saved_graph.zip(saved_id).and_then(|(graph, id)| match &graph.node(id)?.kind {
            Kind::Variable { trainable, .. } => Some((id, *trainable)),
            _ => None,
        });
        if let Some((id, trainable)) = described {
            tensor.trainable =
                Some(evidence.listed_trainable.as_ref().map_or(trainable, |list| list.contains(&id)));
            let counted = match &evidence.listed {
                Some(list) => list.contains(&id),
                None => trainable,
            };
            if counted {
                tensor.role = TensorRole::Parameter;
            }
            model_seen |= evidence.listed.is_some() && counted;
        } else if let Some((graph, id)) = checkpoint.zip(id) {
            let in_model = evidence.model.contains(&id);
            let has_slots = evidence.has_slots(id, graph);
            if in_model || has_slots {
                tensor.role = TensorRole::Parameter;
                model_seen |= in_model;
                tensor.trainable = if has_slots {
                    Some(true)
                } else if trains_in_model || UNTRAINED.contains(&last) {
                    Some(false)
                } else {
                    None
                };
            }
        }
        layers.note(&evidence, &parts, tensor);
    }
    catalogue.counts_known = model_seen;
    catalogue.layers = layers.finish(&evidence);
}

/// Layers met on the way to the variables, by object.
#[derive(Default)]
struct Layers {
    found: HashMap<NodeId, (Vec<String>, Option<String>)>,
    saved_side: bool,
}

impl Layers {
    /// Notes the layers along a key, and gives the tensor the innermost one's name.
    fn note(&mut self, evidence: &Evidence<'_>, parts: &[&str], tensor: &mut TensorInfo) {
        let Some(graph) = evidence.saved.or(evidence.checkpoint) else { return };
        self.saved_side = evidence.saved.is_some();
        let way = graph.walk(parts);
        let mut path: Vec<String> = Vec::new();
        for (depth, &id) in way.iter().enumerate().take(way.len().saturating_sub(1)) {
            let name = if self.saved_side {
                keras_name(evidence, id).map(str::to_owned)
            } else if parts.get(depth).is_some_and(|part| is_layer_alias(part)) {
                layer_name_from_variables(graph, id)
            } else {
                None
            };
            let Some(name) = name else { continue };
            path.push(name);
            self.found.entry(id).or_insert_with(|| {
                let keys: Vec<String> = parts.iter().take(depth + 1).map(|part| unescape(part)).collect();
                (keys, Some(path.join("/")))
            });
        }
        if !path.is_empty() {
            tensor.layer = path.join("/");
        }
    }

    /// All layers in the model's order: those that hold variables, and those of the root that Keras lists without.
    fn finish(mut self, evidence: &Evidence<'_>) -> Vec<LayerInfo> {
        let Some(graph) = evidence.saved.or(evidence.checkpoint) else { return Vec::new() };
        let mut layers = Vec::new();
        let mut seen = HashSet::from([0]);
        // Depth first, children in the model's order; every object once, so the walk ends.
        let mut open: Vec<(NodeId, Vec<String>, Vec<String>)> = vec![(0, Vec::new(), Vec::new())];
        while let Some((id, keys, path)) = open.pop() {
            let mut here = path;
            if id != 0 {
                let own = if self.saved_side { keras_name(evidence, id).map(str::to_owned) } else { None };
                let (segments, path) = match self.found.remove(&id) {
                    Some((segments, path)) => (segments, path.unwrap_or_default()),
                    None => match own {
                        Some(name) => {
                            (keys.clone(), here.iter().cloned().chain([name]).collect::<Vec<_>>().join("/"))
                        }
                        None => (Vec::new(), String::new()),
                    },
                };
                if !path.is_empty() {
                    here = path.split('/').map(str::to_owned).collect();
                    layers.push(layer_info(evidence, id, path, segments));
                }
            }
            // An object under two names counts under its first; the last pushed is the first visited.
            let mut inside = Vec::new();
            for (name, child) in ordered_children(graph, id) {
                let leaves = matches!(name, "keras_api" | "optimizer" | "variables" | "trainable_variables");
                // Layers do not hang deeper than this.
                if !leaves && keys.len() < crate::raw::limits::NESTING && seen.insert(child) {
                    let keys = keys.iter().cloned().chain([unescape(name)]).collect();
                    inside.push((child, keys, here.clone()));
                }
            }
            open.extend(inside.into_iter().rev());
        }
        layers
    }
}

/// Children with `layer-10` after `layer-2`, and before other attributes; an object under two names under its first.
fn ordered_children(graph: &Graph, id: NodeId) -> Vec<(&str, NodeId)> {
    let Some(node) = graph.node(id) else { return Vec::new() };
    let mut children: Vec<(&str, NodeId)> =
        node.children.iter().map(|(name, child)| (name.as_str(), *child)).collect();
    children.sort_by(|(a, _), (b, _)| {
        let plain = |name: &str| !name.starts_with("layer-");
        plain(a)
            .cmp(&plain(b))
            .then_with(|| if plain(a) { std::cmp::Ordering::Equal } else { layer_tree::natural_cmp(a, b) })
    });
    children
}

/// The name that Keras gives a layer object.
fn keras_name<'a>(evidence: &Evidence<'a>, id: NodeId) -> Option<&'a str> {
    let object = evidence.keras.get(&id)?;
    if object.identifier == "_tf_keras_metric" {
        return None;
    }
    object.json.get("name").and_then(serde_json::Value::as_str).filter(|name| !name.is_empty())
}

/// `conv_1` for an object whose variable `kernel` has the full name `conv_1/kernel`.
fn layer_name_from_variables(graph: &Graph, id: NodeId) -> Option<String> {
    for (name, child) in &graph.node(id)?.children {
        for (full_name, _) in &graph.node(*child)?.attributes {
            if let Some((layer, last)) = full_name.rsplit_once('/')
                && last == unescape(name)
                && !layer.is_empty()
            {
                return Some(layer.to_owned());
            }
        }
    }
    None
}

fn layer_info(evidence: &Evidence<'_>, id: NodeId, path: String, segments: Vec<String>) -> LayerInfo {
    let json = evidence.keras.get(&id).map(|object| &object.json);
    let class = json.and_then(|json| json.get("class_name")).and_then(serde_json::Value::as_str);
    let config = json.and_then(|json| json.get("config")).cloned().map(Value::from_json);
    LayerInfo {
        path,
        segments,
        class: class.map(str::to_owned),
        config: config.unwrap_or_default(),
        output_shape: evidence.saved.and_then(|graph| output_shape(graph, id)),
        ..LayerInfo::default()
    }
}

/// The shape of what a layer returns, from its traced call.
fn output_shape(graph: &Graph, id: NodeId) -> Option<Vec<Option<u64>>> {
    let call = graph.child(id, "__call__")?;
    let Kind::Function(Some(name)) = &graph.node(call)?.kind else { return None };
    // A call that was traced without any fixed dimension tells nothing.
    graph
        .function_outputs
        .get(name)
        .filter(|dims| dims.is_empty() || dims.iter().any(Option::is_some))
        .cloned()
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
                location: Location::Memory(Vec::new()),
            })
            .collect()
    }

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
        let roles: Vec<_> =
            describe(&variables(&keys), None, None).tensors.iter().map(|t| (t.role, t.trainable)).collect();
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

    #[test]
    fn names_for_people_lose_the_attribute_and_stay_unique() {
        let keys = ["a/w/.ATTRIBUTES/VARIABLE_VALUE", "a/w", "b..c/w/.ATTRIBUTES/VARIABLE_VALUE"];
        let names: Vec<_> = names(&variables(&keys)).into_iter().map(|t| (t.name, t.stored_name)).collect();
        assert_eq!(names[0], ("a/w".to_owned(), Some(keys[0].to_owned())));
        assert_eq!(names[2].0, "b.c/w");
    }
}
