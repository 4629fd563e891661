//! The layer table: parameters per layer, as the framework prints it.
//!
//! Layers come from the file where it describes them, otherwise from the groups of tensor names.

use std::collections::HashMap;

use crate::model::{Checkpoint, NodeId, TensorRole};

/// One layer of the table.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LayerRow {
    /// Its name in the model; empty for tensors that hang in no layer.
    pub path: String,
    /// Class, where the file says it.
    pub class: Option<String>,
    /// Elements of parameters inside, tied ones once; `None` where the file holds no weights and does not tell.
    pub parameters: Option<u64>,
    /// Those known or assumed to be trained.
    pub trainable: Option<u64>,
    /// Elements of buffers (saved, not trained, not counted as parameters).
    pub buffers: u64,
    /// Output shape, where the file tells; `None` for a dimension that is not fixed.
    pub output_shape: Option<Vec<Option<u64>>>,
    /// Shapes of its further outputs, where it has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further_outputs: Vec<Vec<Option<u64>>>,
}

/// The layers of a checkpoint in the model's order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LayerTable {
    /// A layer inside another one is a row of its own, and is counted in both.
    pub rows: Vec<LayerRow>,
}

impl LayerTable {
    /// The table of a checkpoint.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let mut rows =
            if checkpoint.layers().is_empty() { from_names(checkpoint) } else { from_layers(checkpoint) };
        // Buffers and parameters of the root only are still worth a row.
        rows.retain(|row| !row.path.is_empty() || row.parameters != Some(0) || row.buffers > 0);
        Self { rows }
    }
}

fn from_layers(checkpoint: &Checkpoint) -> Vec<LayerRow> {
    let tree = checkpoint.layer_tree();
    let mut nodes: HashMap<usize, NodeId> = HashMap::new();
    for id in (0..tree.len() as u32).map(NodeId) {
        if let Some(layer) = tree.node(id).layer {
            nodes.insert(layer, id);
        }
    }
    let buffers = buffers_by_node(checkpoint);
    checkpoint
        .layers()
        .iter()
        .enumerate()
        .map(|(index, layer)| {
            let node = nodes.get(&index);
            let has_tensors = checkpoint.tensors().len() > 0;
            let told = has_tensors || layer.configured.is_some();
            LayerRow {
                path: layer.path.clone(),
                class: layer.class.clone(),
                parameters: told.then(|| node.map_or(0, |&id| tree.node(id).parameters)),
                trainable: told.then(|| node.map_or(0, |&id| tree.node(id).trainable)),
                buffers: node.and_then(|id| buffers.get(id)).copied().unwrap_or(0),
                output_shape: layer.output_shape.clone(),
                further_outputs: layer.further_outputs.clone(),
            }
        })
        .collect()
}

/// Elements of buffers inside each group, at any depth.
fn buffers_by_node(checkpoint: &Checkpoint) -> HashMap<NodeId, u64> {
    let tree = checkpoint.layer_tree();
    let mut buffers: HashMap<NodeId, u64> = HashMap::new();
    for (id, tensor) in checkpoint.tensors().filter(|(_, tensor)| tensor.role == TensorRole::Buffer) {
        let mut node = Some(tree.parent_of(id));
        while let Some(id) = node {
            let sum = buffers.entry(id).or_default();
            *sum = sum.saturating_add(tensor.elements());
            node = tree.node(id).parent;
        }
    }
    buffers
}

/// A row for each group that directly holds a parameter or a buffer, in file order.
fn from_names(checkpoint: &Checkpoint) -> Vec<LayerRow> {
    let tree = checkpoint.layer_tree();
    let mut rows: Vec<LayerRow> = Vec::new();
    let mut groups: Vec<NodeId> = Vec::new();
    // The row of each group, counted from 1; 0: none so far.
    let mut positions = vec![0u32; tree.len()];
    for (id, tensor) in checkpoint.tensors() {
        let (parameters, buffers) = match tensor.role {
            TensorRole::Parameter | TensorRole::Unknown if tensor.tied_to.is_some() => (0, 0),
            TensorRole::Parameter | TensorRole::Unknown => (tensor.elements(), 0),
            TensorRole::Buffer => (0, tensor.elements()),
            TensorRole::Optimizer | TensorRole::Ema | TensorRole::Other => continue,
        };
        let group = tree.parent_of(id);
        let position = &mut positions[group.0 as usize];
        if *position == 0 {
            groups.push(group);
            rows.push(LayerRow {
                path: tensor.layer.clone(),
                class: tree.node(group).class.clone(),
                parameters: Some(0),
                trainable: Some(0),
                buffers: 0,
                output_shape: None,
                further_outputs: Vec::new(),
            });
            *position = rows.len() as u32;
        }
        let row = &mut rows[*position as usize - 1];
        row.parameters = row.parameters.map(|sum| sum.saturating_add(parameters));
        row.buffers = row.buffers.saturating_add(buffers);
        if tensor.trainable != Some(false) {
            row.trainable = row.trainable.map(|sum| sum.saturating_add(parameters));
        }
    }
    // Two models in one file have layers of the same name; the dictionaries around them tell them apart.
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(rows.len());
    let mut again: Vec<usize> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        if let Some(first) = seen.insert(&row.path, index) {
            again.extend([first, index]);
        }
    }
    for index in again {
        rows[index].path = tree.path(groups[index]);
    }
    rows
}
