//! Names for people: from checkpoint keys, which are the shortest way to a variable, to the layers that hold it.
//!
//! TensorFlow saves a Keras layer's kernel as `layer_with_weights-0/kernel` or, in a SavedModel, even as `variables/0`.
//! Its own name stands beside it (`conv_1/kernel`), and the object graph tells all the ways that lead to it.

use std::collections::{HashMap, HashSet, VecDeque};

use super::object_graph::{Graph, Kind, NodeId, unescape};
use crate::model::layer_tree::natural_cmp;
use crate::raw::limits;

/// Attributes that list what hangs elsewhere too: Keras's lists of variables, bookkeeping, metrics, signatures.
pub fn is_list_of_others(name: &str) -> bool {
    matches!(
        name,
        "variables"
            | "trainable_variables"
            | "non_trainable_variables"
            | "_variables"
            | "_all_variables"
            | "_trainable_variables"
            | "_non_trainable_variables"
            | "_trainable_weights"
            | "_non_trainable_weights"
            | "regularization_losses"
            | "losses"
            | "keras_api"
            | "signatures"
            | "optimizer"
    )
}

/// Attributes in which Keras keeps a model's layers under numbers.
fn is_layer_list(name: &str) -> bool {
    matches!(name, "_operations" | "_layers" | "layers" | "_self_tracked_trackables" | "_tracked")
}

/// `layer-0`, `layer_with_weights-0`: what Keras calls the layers of a model that it built from a list or a graph.
pub fn is_layer_alias(name: &str) -> bool {
    name.strip_prefix("layer-")
        .or_else(|| name.strip_prefix("layer_with_weights-"))
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The best way from the root to each object, and the names of those that are layers.
#[derive(Default)]
pub struct Names<'a> {
    graph: Option<&'a Graph>,
    parents: HashMap<NodeId, (NodeId, &'a str)>,
    own: HashMap<NodeId, String>,
}

impl<'a> Names<'a> {
    /// Finds the ways of `graph`. `keras` names a layer where Keras described it; `optimizers` are not entered.
    pub fn new(
        graph: &'a Graph,
        keras: impl Fn(NodeId) -> Option<String>,
        optimizers: &HashSet<NodeId>,
    ) -> Self {
        let mut names = Self { graph: Some(graph), ..Self::default() };
        names.find_ways(graph, optimizers);
        for id in 0..graph.nodes.len() as NodeId {
            if let Some(name) = keras(id) {
                names.own.insert(id, name);
            }
        }
        for (id, node) in (0..).zip(&graph.nodes) {
            let full_name = match &node.kind {
                Kind::Variable { name, .. } => Some(name.as_str()),
                _ => node.attributes.first().map(|(name, _)| name.as_str()),
            };
            if let Some(full_name) = full_name.filter(|name| name.contains('/')) {
                names.learn(id, full_name);
            }
        }
        names
    }

    /// Breadth first, so a way is as short as possible; [`limits::NESTING`] bounds its length.
    fn find_ways(&mut self, graph: &'a Graph, optimizers: &HashSet<NodeId>) {
        let mut open = VecDeque::from([(0, 0)]);
        let mut seen = HashSet::from([0]);
        while let Some((id, depth)) = open.pop_front() {
            let Some(node) = graph.node(id) else { continue };
            if depth >= limits::NESTING {
                continue;
            }
            let mut children: Vec<(&str, NodeId)> =
                node.children.iter().map(|(name, child)| (name.as_str(), *child)).collect();
            // Of two names, `layer_with_weights-0` is the one in keys.
            children.sort_by_key(|(name, _)| name.starts_with("layer-"));
            for (name, child) in children {
                if !is_list_of_others(name) && !optimizers.contains(&child) && seen.insert(child) {
                    self.parents.insert(child, (id, name));
                    open.push_back((child, depth + 1));
                }
            }
        }
    }

    /// Attributes and objects from the root to `id`; `None` where only lists lead to it.
    fn way(&self, id: NodeId) -> Option<Vec<(&'a str, NodeId)>> {
        let mut way = Vec::new();
        let mut at = id;
        while at != 0 {
            let &(parent, name) = self.parents.get(&at)?;
            way.push((name, at));
            at = parent;
        }
        way.reverse();
        Some(way)
    }

    /// Names the layers on the way to a variable by the variable's own name, from its end: `conv_1/kernel` says that the
    /// `layer_with_weights-0` whose `kernel` it is is called `conv_1`.
    fn learn(&mut self, id: NodeId, full_name: &str) {
        let Some(way) = self.way(id) else { return };
        // The numbers inside Keras's lists of layers stand for layers; the lists themselves for nothing.
        let mut steps = Vec::with_capacity(way.len());
        let mut in_list = false;
        for &(name, id) in &way {
            if is_layer_list(name) {
                in_list = true;
                continue;
            }
            steps.push((name, id, in_list || is_layer_alias(name)));
            in_list = false;
        }
        let mut parts = full_name.rsplit('/');
        let Some((&(leaf, ..), layers)) = steps.split_last() else { return };
        let leaf = unescape(leaf);
        if parts.next() != Some(leaf.strip_prefix('_').unwrap_or(&leaf)) {
            return;
        }
        for (&(_, id, unnamed), part) in layers.iter().rev().zip(parts) {
            if unnamed && !part.is_empty() {
                self.own.entry(id).or_insert_with(|| part.to_owned());
            }
        }
    }

    /// The name of a layer's own, where one is known.
    pub fn own(&self, id: NodeId) -> Option<&str> {
        self.own.get(&id).map(String::as_str)
    }

    /// Where an object hangs: attribute names, with those of layers replaced by the layers' own names.
    pub fn path(&self, id: NodeId) -> Option<Vec<String>> {
        let way = self.way(id)?;
        let mut path: Vec<String> = Vec::with_capacity(way.len());
        let mut list = None;
        for (name, id) in way {
            let skipped: Option<&str> = list.take();
            match self.own(id) {
                Some(own) => path.push(own.to_owned()),
                None if is_layer_list(name) => list = Some(name),
                None => {
                    path.extend(skipped.map(str::to_owned));
                    path.push(unescape(name));
                }
            }
        }
        path.extend(list.map(str::to_owned));
        Some(path)
    }

    /// The same for a variable, whose own name may lack the underscore of a private attribute (`_kernel`).
    pub fn variable_path(&self, id: NodeId, full_name: &str) -> Option<Vec<String>> {
        let mut path = self.path(id)?;
        let last = full_name.rsplit('/').next().unwrap_or_default();
        if let Some(leaf) = path.last_mut()
            && leaf.strip_prefix('_') == Some(last)
        {
            last.clone_into(leaf);
        }
        Some(path)
    }

    /// The layers' own names along the way to an object, joined by `/`; empty where it hangs in none.
    pub fn layer_path(&self, id: NodeId) -> String {
        let way = self.way(id).unwrap_or_default();
        let names: Vec<&str> = way.iter().filter_map(|&(_, id)| self.own(id)).collect();
        names.join("/")
    }

    /// The objects on the way to one, itself included.
    pub fn objects_to(&self, id: NodeId) -> Vec<NodeId> {
        self.way(id).unwrap_or_default().into_iter().map(|(_, id)| id).collect()
    }

    /// Every layer with a name of its own, in the model's order, each once.
    pub fn layers(&self, optimizers: &HashSet<NodeId>) -> Vec<NodeId> {
        let Some(graph) = self.graph else { return Vec::new() };
        let mut layers = Vec::new();
        let mut seen = HashSet::from([0]);
        // Depth first, children in the model's order; every object once, so the walk ends.
        let mut open: Vec<NodeId> = vec![0];
        while let Some(id) = open.pop() {
            if id != 0 && self.own.contains_key(&id) && self.parents.contains_key(&id) {
                layers.push(id);
            }
            let mut inside: Vec<NodeId> = Vec::new();
            for (name, child) in in_model_order(graph, id) {
                if !is_list_of_others(name) && !optimizers.contains(&child) && seen.insert(child) {
                    inside.push(child);
                }
            }
            // The last pushed is the first visited.
            open.extend(inside.into_iter().rev());
        }
        layers
    }
}

/// Children with `layer-10` after `layer-2`, and before other attributes.
fn in_model_order(graph: &Graph, id: NodeId) -> Vec<(&str, NodeId)> {
    let Some(node) = graph.node(id) else { return Vec::new() };
    let mut children: Vec<(&str, NodeId)> =
        node.children.iter().map(|(name, child)| (name.as_str(), *child)).collect();
    children.sort_by(|(a, _), (b, _)| {
        let plain = |name: &str| !name.starts_with("layer-");
        plain(a)
            .cmp(&plain(b))
            .then_with(|| if plain(a) { std::cmp::Ordering::Equal } else { natural_cmp(a, b) })
    });
    children
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::tensorflow::object_graph::Node;

    fn graph(nodes: &[(&[(&str, NodeId)], &str)]) -> Graph {
        let nodes = nodes.iter().map(|(children, full_name)| Node {
            children: children.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect(),
            attributes: if full_name.is_empty() {
                Vec::new()
            } else {
                vec![((*full_name).to_owned(), String::new())]
            },
            ..Node::default()
        });
        Graph::of(nodes.collect())
    }

    fn names(graph: &Graph) -> Names<'_> {
        Names::new(graph, |_| None, &HashSet::new())
    }

    #[test]
    fn layers_are_called_by_their_own_names() {
        let graph = graph(&[
            (&[("variables", 5), ("net", 1)], ""),
            (&[("layer-0", 2), ("layer_with_weights-0", 2)], ""),
            (&[("cell", 3)], ""),
            (&[("kernel", 4)], ""),
            (&[], "rnn/lstm_cell/kernel"),
            (&[("0", 4)], ""),
        ]);
        let names = names(&graph);
        assert_eq!(
            names.variable_path(4, "rnn/lstm_cell/kernel").expect("found"),
            ["net", "rnn", "cell", "kernel"]
        );
        assert_eq!((names.layer_path(4).as_str(), names.layers(&HashSet::new())), ("rnn", vec![2]));
        assert_eq!(names.path(5), None);
    }

    #[test]
    fn lists_of_layers_are_left_out_where_their_layers_have_names() {
        let graph = graph(&[
            (&[("_operations", 1), ("blocks", 5)], ""),
            (&[("0", 2), ("1", 4)], ""),
            (&[("_kernel", 3)], ""),
            (&[], "dense/kernel"),
            (&[("kernel", 6)], ""),
            (&[("0", 7)], ""),
            (&[], ""),
            (&[], "odd/name"),
        ]);
        let names = names(&graph);
        assert_eq!(names.variable_path(3, "dense/kernel").expect("found"), ["dense", "kernel"]);
        assert_eq!(names.path(6).expect("found"), ["_operations", "1", "kernel"]);
        assert_eq!(names.path(7).expect("found"), ["blocks", "0"]);
    }
}
