//! Groups built from tensor names, with totals per group.
//!
//! Pure: made once per checkpoint from the catalogue. Which rows are open or selected is view state and lives elsewhere.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::{LayerInfo, TensorId, TensorInfo, TensorRole};

/// Index of a node in its tree; 0 is the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// One group: a layer, a module, a dictionary of the file.
#[derive(Debug, Clone, Default)]
pub struct LayerNode {
    /// Its own part of the name.
    pub name: String,
    /// The group around it; `None` for the root.
    pub parent: Option<NodeId>,
    /// Distance from the root.
    pub depth: u32,
    /// Class of the layer or module, where the file says it.
    pub class: Option<String>,
    /// Index into [`super::Checkpoint::layers`], where this node is one.
    pub layer: Option<usize>,
    /// Groups inside, in file order.
    pub children: Vec<NodeId>,
    /// Tensors directly inside, in file order.
    pub tensors: Vec<TensorId>,
    /// Tensors inside, at any depth.
    pub total_tensors: u64,
    /// Elements of parameters inside, tied ones once.
    pub parameters: u64,
    /// Elements of parameters inside known to be trained.
    pub trainable: u64,
    /// Elements of all tensors inside.
    pub elements: u64,
    /// Bytes of all tensors inside, as stored.
    pub bytes: u64,
}

/// The groups of a checkpoint.
#[derive(Debug, Clone, Default)]
pub struct LayerTree {
    nodes: Vec<LayerNode>,
    tensor_parents: Vec<NodeId>,
}

impl LayerTree {
    /// Builds the tree from the parts of each tensor's path: keys are split at `.` and `/`.
    pub fn build(tensors: &[TensorInfo], layers: &[LayerInfo]) -> Self {
        let mut tree =
            Self { nodes: vec![LayerNode::default()], tensor_parents: Vec::with_capacity(tensors.len()) };
        let mut known: HashMap<(NodeId, String), NodeId> = HashMap::new();
        for (index, tensor) in tensors.iter().enumerate() {
            let mut node = NodeId(0);
            let mut parts = segments(&tensor.path).peekable();
            while let Some(part) = parts.next() {
                if parts.peek().is_none() {
                    break;
                }
                node = tree.child(&mut known, node, part);
            }
            tree.nodes[node.0 as usize].tensors.push(TensorId(index as u32));
            tree.tensor_parents.push(node);
            tree.add_totals(node, tensor);
        }
        if tensors.is_empty() {
            tree.add_layers(&mut known, layers);
        }
        for (index, layer) in layers.iter().enumerate() {
            let mut node = NodeId(0);
            let mut found = true;
            for part in segments(&layer.segments) {
                match known.get(&(node, part.to_owned())) {
                    Some(&child) => node = child,
                    None => found = false,
                }
            }
            if found && (node != NodeId(0) || layer.segments.is_empty()) {
                let entry = &mut tree.nodes[node.0 as usize];
                entry.class.clone_from(&layer.class);
                entry.layer = Some(index);
            }
        }
        tree
    }

    fn child(&mut self, known: &mut HashMap<(NodeId, String), NodeId>, parent: NodeId, name: &str) -> NodeId {
        // Tensors of one layer stand together: the newest group is nearly always the one.
        let newest = self.nodes[parent.0 as usize].children.last().copied();
        if let Some(id) = newest.filter(|id| self.nodes[id.0 as usize].name == name) {
            return id;
        }
        if let Some(&id) = known.get(&(parent, name.to_owned())) {
            return id;
        }
        let id = NodeId(self.nodes.len() as u32);
        let depth = self.nodes[parent.0 as usize].depth + 1;
        self.nodes.push(LayerNode {
            name: name.to_owned(),
            parent: Some(parent),
            depth,
            ..LayerNode::default()
        });
        self.nodes[parent.0 as usize].children.push(id);
        known.insert((parent, name.to_owned()), id);
        id
    }

    /// A file that describes its layers and holds no tensors still has a tree.
    fn add_layers(&mut self, known: &mut HashMap<(NodeId, String), NodeId>, layers: &[LayerInfo]) {
        for layer in layers {
            let mut node = NodeId(0);
            for part in segments(&layer.segments) {
                node = self.child(known, node, part);
            }
            if let Some(count) = layer.configured {
                let entry = &mut self.nodes[node.0 as usize];
                (entry.parameters, entry.trainable) = (count.parameters, count.trainable);
                if layer.segments.len() == 1 {
                    let root = &mut self.nodes[0];
                    root.parameters = root.parameters.saturating_add(count.parameters);
                    root.trainable = root.trainable.saturating_add(count.trainable);
                }
            }
        }
    }

    fn add_totals(&mut self, mut node: NodeId, tensor: &TensorInfo) {
        let elements = tensor.elements();
        let counted =
            if tensor.role == TensorRole::Parameter && tensor.tied_to.is_none() { elements } else { 0 };
        loop {
            let entry = &mut self.nodes[node.0 as usize];
            entry.total_tensors += 1;
            entry.elements = entry.elements.saturating_add(elements);
            entry.bytes = entry.bytes.saturating_add(tensor.stored_bytes);
            entry.parameters = entry.parameters.saturating_add(counted);
            if tensor.trainable != Some(false) {
                entry.trainable = entry.trainable.saturating_add(counted);
            }
            match entry.parent {
                Some(parent) => node = parent,
                None => return,
            }
        }
    }

    /// The outermost group.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// One group.
    pub fn node(&self, id: NodeId) -> &LayerNode {
        &self.nodes[id.0 as usize]
    }

    /// How many groups there are, the root included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no group but the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() <= 1
    }

    /// The group that directly holds a tensor.
    pub fn parent_of(&self, tensor: TensorId) -> NodeId {
        self.tensor_parents[tensor.index()]
    }

    /// All tensors inside a group, at any depth, in tree order.
    pub fn tensors_under(&self, id: NodeId) -> Vec<TensorId> {
        let mut found = Vec::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let node = self.node(id);
            found.extend_from_slice(&node.tensors);
            open.extend(node.children.iter().rev());
        }
        found
    }

    /// Names from the root to this group, joined by `.`.
    pub fn path(&self, mut id: NodeId) -> String {
        let mut names = Vec::new();
        while let Some(parent) = self.node(id).parent {
            names.push(self.node(id).name.as_str());
            id = parent;
        }
        names.reverse();
        names.join(".")
    }
}

/// The parts of a path of keys: each key split at `.` and `/`, empty parts left out.
pub fn segments(path: &[String]) -> impl Iterator<Item = &str> {
    path.iter().flat_map(|key| key.split(['.', '/'])).filter(|part| !part.is_empty())
}

/// Compares text with its numbers by value: `layers.2` before `layers.10`.
pub fn natural_cmp(left: &str, right: &str) -> Ordering {
    let (mut a, mut b) = (left.bytes().peekable(), right.bytes().peekable());
    loop {
        match (a.peek().copied(), b.peek().copied()) {
            (None, None) => return left.cmp(right),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let order = cmp_numbers(&mut a, &mut b);
                if order.is_ne() {
                    return order;
                }
            }
            (Some(x), Some(y)) => {
                if x != y {
                    return x.cmp(&y);
                }
                a.next();
                b.next();
            }
        }
    }
}

/// Compares the next runs of digits like the numbers they write, of any length, without collecting them.
fn cmp_numbers<'a>(
    a: &mut std::iter::Peekable<std::str::Bytes<'a>>,
    b: &mut std::iter::Peekable<std::str::Bytes<'a>>,
) -> Ordering {
    while a.next_if_eq(&b'0').is_some() {}
    while b.next_if_eq(&b'0').is_some() {}
    let mut order = Ordering::Equal;
    loop {
        match (a.next_if(u8::is_ascii_digit), b.next_if(u8::is_ascii_digit)) {
            // The longer number is the larger one; of two as long, the first different digit decides.
            (None, None) => return order,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => order = order.then(x.cmp(&y)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dtype, Shape};

    fn parameter(name: &str, elements: u64) -> TensorInfo {
        let mut tensor = TensorInfo::new(name, Dtype::Float32, Shape::from(vec![elements]), elements * 4);
        tensor.role = TensorRole::Parameter;
        tensor
    }

    #[test]
    fn groups_sum_what_is_inside() {
        let tensors = [parameter("a.b.weight", 6), parameter("a.b.bias", 2), parameter("a.weight", 1)];
        let tree = LayerTree::build(&tensors, &[]);
        let a = tree.node(tree.root()).children[0];
        assert_eq!((tree.node(a).parameters, tree.node(a).bytes, tree.node(a).total_tensors), (9, 36, 3));
        assert_eq!(tree.path(tree.parent_of(TensorId(0))), "a.b");
        assert_eq!(tree.tensors_under(a), [TensorId(2), TensorId(0), TensorId(1)]);
    }

    #[test]
    fn a_tied_tensor_is_counted_once() {
        let mut tensors = [parameter("a.weight", 6), parameter("b.weight", 6)];
        tensors[1].tied_to = Some(TensorId(0));
        assert_eq!(LayerTree::build(&tensors, &[]).node(NodeId(0)).parameters, 6);
    }

    #[test]
    fn layers_2_sorts_before_layers_10() {
        assert_eq!(natural_cmp("layers.2.w", "layers.10.w"), Ordering::Less);
        assert_eq!(natural_cmp("layers.02", "layers.2"), Ordering::Less);
        assert_eq!(natural_cmp("b", "a10"), Ordering::Greater);
    }
}
