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
        let mut builder = Builder::new(tensors.len());
        for (index, tensor) in tensors.iter().enumerate() {
            let mut node = NodeId(0);
            let mut parts = segments(&tensor.path).peekable();
            while let Some(part) = parts.next() {
                if parts.peek().is_none() {
                    break;
                }
                node = builder.child(node, part);
            }
            builder.tree.nodes[node.0 as usize].tensors.push(TensorId(index as u32));
            builder.tree.tensor_parents.push(node);
            builder.tree.add_totals(node, tensor);
        }
        if tensors.is_empty() {
            builder.add_layers(layers);
        }
        for (index, layer) in layers.iter().enumerate() {
            let found = segments(&layer.segments).try_fold(NodeId(0), |node, part| builder.find(node, part));
            if let Some(node) = found.filter(|&node| node != NodeId(0) || layer.segments.is_empty()) {
                let entry = &mut builder.tree.nodes[node.0 as usize];
                entry.class.clone_from(&layer.class);
                entry.layer = Some(index);
            }
        }
        builder.tree
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

/// A tree that grows, and the names in it.
struct Builder<'a> {
    tree: LayerTree,
    /// Of each node.
    names: Vec<&'a str>,
    /// Children of the groups that have more than [`Self::SEARCHED`], by parent and name.
    known: HashMap<(NodeId, &'a str), NodeId>,
}

impl<'a> Builder<'a> {
    /// So few children are searched one by one: most groups have no more, and need no entries in a table.
    const SEARCHED: usize = 16;

    fn new(tensors: usize) -> Self {
        let tree =
            LayerTree { nodes: vec![LayerNode::default()], tensor_parents: Vec::with_capacity(tensors) };
        Self { tree, names: vec![""], known: HashMap::new() }
    }

    fn find(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        let children = &self.tree.nodes[parent.0 as usize].children;
        let is_named = |id: &NodeId| self.names[id.0 as usize] == name;
        // Tensors of one layer stand together: the newest group is nearly always the one.
        if let Some(&newest) = children.last().filter(|id| is_named(id)) {
            return Some(newest);
        }
        if children.len() > Self::SEARCHED {
            return self.known.get(&(parent, name)).copied();
        }
        children.iter().copied().find(is_named)
    }

    fn child(&mut self, parent: NodeId, name: &'a str) -> NodeId {
        if let Some(id) = self.find(parent, name) {
            return id;
        }
        let id = NodeId(self.tree.nodes.len() as u32);
        let entry = &mut self.tree.nodes[parent.0 as usize];
        entry.children.push(id);
        match entry.children.len() - 1 {
            Self::SEARCHED => {
                let names = &self.names;
                self.known.extend(
                    entry.children[..Self::SEARCHED].iter().map(|&id| ((parent, names[id.0 as usize]), id)),
                );
                self.known.insert((parent, name), id);
            }
            before if before > Self::SEARCHED => {
                self.known.insert((parent, name), id);
            }
            _ => {}
        }
        let depth = entry.depth + 1;
        self.names.push(name);
        self.tree.nodes.push(LayerNode {
            name: name.to_owned(),
            parent: Some(parent),
            depth,
            ..LayerNode::default()
        });
        id
    }

    /// A file that describes its layers and holds no tensors still has a tree.
    fn add_layers(&mut self, layers: &'a [LayerInfo]) {
        for layer in layers {
            let mut node = NodeId(0);
            for part in segments(&layer.segments) {
                node = self.child(node, part);
            }
            if let Some(count) = layer.configured {
                let entry = &mut self.tree.nodes[node.0 as usize];
                (entry.parameters, entry.trainable) = (count.parameters, count.trainable);
                if layer.segments.len() == 1 {
                    let root = &mut self.tree.nodes[0];
                    root.parameters = root.parameters.saturating_add(count.parameters);
                    root.trainable = root.trainable.saturating_add(count.trainable);
                }
            }
        }
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
    fn a_group_is_one_however_its_tensors_are_scattered_and_however_many_stand_beside_it() {
        let names = |suffix: &'static str| (0..40).map(move |index| format!("blocks.{index}.{suffix}"));
        let tensors: Vec<TensorInfo> =
            names("weight").chain(names("bias")).map(|name| parameter(&name, 1)).collect();
        let tree = LayerTree::build(&tensors, &[]);
        assert_eq!(tree.len(), 42);
        let blocks = tree.node(tree.root()).children[0];
        for (index, &block) in tree.node(blocks).children.iter().enumerate() {
            let index = index as u32;
            assert_eq!(tree.node(block).name, index.to_string());
            assert_eq!(tree.node(block).tensors, [TensorId(index), TensorId(40 + index)]);
        }
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
