//! What the object graphs say of each variable: found once, asked per key.
//!
//! The strongest first: the lists of variables that Keras keeps in a SavedModel, the slots and lists of an optimizer,
//! the structure of a Keras model.

use std::collections::{HashMap, HashSet};

use super::naming::is_layer_alias;
use super::object_graph::{Graph, Kind, NodeId};

/// See the module. Ids of objects are those of the checkpoint's graph, unless they say `saved`.
#[derive(Default)]
pub struct Evidence {
    /// Objects that optimizers hold.
    pub optimizer: HashSet<NodeId>,
    /// The same of the SavedModel's graph.
    pub saved_optimizer: HashSet<NodeId>,
    /// Objects that Keras models hold.
    pub model: HashSet<NodeId>,
    /// Variables of the SavedModel's graph that its root lists.
    pub saved_listed: Option<HashSet<NodeId>>,
    /// Of those, the ones that are trained.
    pub saved_trainable: Option<HashSet<NodeId>>,
    /// Variables of optimizers, with the variable that each belongs to.
    pub slots: HashMap<NodeId, NodeId>,
    /// Variables that an optimizer trains.
    pub trained: HashSet<NodeId>,
    /// Whether the trained ones are of a model, whose others are then not trained.
    pub trains_model: bool,
    /// Averages that an optimizer keeps of the variables.
    pub averages: HashSet<NodeId>,
}

/// Parts of a key under which optimizers keep their state.
pub fn in_optimizer(parts: &[&str]) -> bool {
    if parts.contains(&".OPTIMIZER_SLOT") {
        return true;
    }
    let at = parts.iter().position(|part| {
        let lower = part.to_ascii_lowercase();
        lower == "optimizer" || lower.ends_with("_optimizer") || lower == "optimizers"
    });
    // Keras 3 optimizers also point to the variables that they train.
    at.is_some_and(|at| !parts.get(at..).unwrap_or_default().iter().any(|part| leaves_optimizer(part)))
}

/// Parts of a key under which Keras keeps what its metrics count.
pub fn in_metrics(parts: &[&str]) -> bool {
    parts.iter().any(|part| {
        matches!(
            *part,
            "metrics"
                | "_metrics"
                | "compiled_metrics"
                | "_compile_metrics"
                | "_loss_tracker"
                | "loss_tracker"
        )
    })
}

/// Attributes that lead from an optimizer to what it trains.
fn leaves_optimizer(name: &str) -> bool {
    name == "_trainable_variables"
}

impl Evidence {
    /// Looks through the graph of a checkpoint and that of a SavedModel.
    pub fn new(checkpoint: Option<&Graph>, saved: Option<&Graph>) -> Self {
        let mut evidence = Self::default();
        if let Some(graph) = saved {
            evidence.saved_optimizer = graph.reachable(&graph.optimizers(), |name, _| leaves_optimizer(name));
            evidence.saved_listed = listed(graph, "variables");
            evidence.saved_trainable = listed(graph, "trainable_variables");
        }
        if let Some(graph) = checkpoint {
            let optimizers = graph.optimizers();
            evidence.optimizer = graph.reachable(&optimizers, |name, _| leaves_optimizer(name));
            evidence.find_slots(graph);
            for &optimizer in &optimizers {
                evidence.read_lists(graph, optimizer);
            }
            evidence.find_slots_by_name(graph);
            evidence.trained.extend(evidence.slots.values().copied());
            evidence.find_model(graph);
            evidence.trains_model = evidence.trained.iter().any(|id| evidence.model.contains(id));
        }
        evidence
    }

    /// Slots that hang on their variables.
    fn find_slots(&mut self, graph: &Graph) {
        for node in &graph.nodes {
            for &(variable, slot) in &node.slots {
                self.slots.insert(slot, variable);
                self.optimizer.insert(slot);
            }
        }
    }

    /// Keras 3 keeps the variables that it trains in a list, and what it keeps of each in lists of the same order.
    fn read_lists(&mut self, graph: &Graph, optimizer: NodeId) {
        let items = |list: NodeId| -> HashMap<&str, NodeId> {
            let children = graph.node(list).map(|node| node.children.as_slice()).unwrap_or_default();
            children.iter().map(|(index, id)| (index.as_str(), *id)).collect()
        };
        let Some(trained) = graph.child(optimizer, "_trainable_variables").map(items) else { return };
        self.trained.extend(trained.values().copied());
        for (name, list) in graph.node(optimizer).map(|node| node.children.as_slice()).unwrap_or_default() {
            let kept = items(*list);
            // A list of another length keeps something else.
            if leaves_optimizer(name) || kept.len() != trained.len() {
                continue;
            }
            for (index, slot) in kept {
                if let Some(&variable) = trained.get(index) {
                    self.slots.entry(slot).or_insert(variable);
                    if name == "_model_variables_moving_average" {
                        self.averages.insert(slot);
                    }
                }
            }
        }
    }

    /// `Adam/m/conv_1/kernel` belongs to `conv_1/kernel`.
    fn find_slots_by_name(&mut self, graph: &Graph) {
        let full_names = |inside: bool| {
            let optimizer = &self.optimizer;
            (0..)
                .zip(&graph.nodes)
                .filter(move |(id, _)| optimizer.contains(id) == inside)
                .flat_map(|(id, node)| node.attributes.iter().map(move |(name, _)| (id, name.as_str())))
        };
        let variables: HashMap<&str, NodeId> = full_names(false).map(|(id, name)| (name, id)).collect();
        let mut found = Vec::new();
        for (slot, name) in full_names(true) {
            let ends = name.match_indices('/').filter_map(|(at, _)| name.get(at + 1..));
            if let Some(&variable) = ends.take(16).find_map(|end| variables.get(end)) {
                found.push((slot, variable));
            }
        }
        for (slot, variable) in found {
            self.slots.entry(slot).or_insert(variable);
        }
    }

    /// Keras models have numbered layers; every layer of Keras 3 has lists of its losses and of the calls that lead to it.
    fn find_model(&mut self, graph: &Graph) {
        let is_model = |id: NodeId, names: &[(String, NodeId)]| {
            names.iter().any(|(name, _)| is_layer_alias(name))
                || (graph.child(id, "_losses").is_some() && graph.child(id, "_inbound_nodes").is_some())
        };
        let models: Vec<NodeId> = (0..)
            .zip(&graph.nodes)
            .filter(|(id, node)| is_model(*id, &node.children))
            .map(|(id, _)| id)
            .collect();
        self.model = graph.reachable(&models, |name, id| {
            self.optimizer.contains(&id) || matches!(name, "optimizer" | "keras_api") || in_metrics(&[name])
        });
    }
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
