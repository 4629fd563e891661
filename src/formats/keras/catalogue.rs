//! Collects the tensors that a layout finds in an HDF5 file, and reads their values.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use crate::formats::containers::hdf5::{Dataset, Tree};
use crate::formats::places::Places;
use crate::model::{Problem, Progress, ReadError, TensorId, TensorInfo, TensorReader, TensorRole, Value};

/// What a layout says about one dataset.
pub(super) struct Entry {
    /// Keys that lead to it: the layer's, then the variable's.
    pub path: Vec<String>,
    /// Path of the layer that holds it.
    pub layer: String,
    /// What it is for.
    pub role: TensorRole,
    /// Whether training changes it.
    pub trainable: Option<bool>,
}

/// Tensors in the order in which a layout found them.
pub(super) struct Catalogue<'a> {
    pub tree: &'a Tree,
    pub tensors: Vec<TensorInfo>,
    pub problems: Vec<Problem>,
    order: Places<usize>,
    used: Vec<bool>,
    paths: HashSet<Vec<String>>,
    by_offset: HashMap<u64, TensorId>,
}

impl<'a> Catalogue<'a> {
    pub fn new(tree: &'a Tree) -> Self {
        Self {
            tree,
            tensors: Vec::with_capacity(tree.datasets.len()),
            problems: Vec::new(),
            order: Places::default(),
            used: vec![false; tree.datasets.len()],
            paths: HashSet::with_capacity(tree.datasets.len()),
            by_offset: HashMap::new(),
        }
    }

    /// Whether a dataset is in the catalogue already.
    pub fn has(&self, index: usize) -> bool {
        self.used.get(index).copied().unwrap_or(true)
    }

    /// Whether a dataset holds integers, which no gradient changes: quantised weights, counters, lookup tables.
    pub fn is_integer(&self, index: usize) -> bool {
        self.tree
            .datasets
            .get(index)
            .is_some_and(|dataset| dataset.dtype.is_numeric() && !dataset.dtype.is_float())
    }

    /// Adds a dataset, once.
    pub fn add(&mut self, index: usize, mut entry: Entry) {
        let Some(dataset) = self.tree.datasets.get(index) else { return };
        if self.has(index) {
            return;
        }
        if let Some(used) = self.used.get_mut(index) {
            *used = true;
        }
        if self.paths.contains(&entry.path) {
            // Two weights of one name: their paths in the file differ.
            entry.path = segments(&dataset.path);
        }
        self.paths.insert(entry.path.clone());
        let id = TensorId(self.tensors.len() as u32);
        let mut tensor = TensorInfo::new(
            entry.path.join("."),
            dataset.dtype.clone(),
            dataset.shape.clone(),
            dataset.stored_bytes,
        );
        tensor.path = entry.path.into();
        tensor.stored_name = Some(dataset.path.clone());
        tensor.layer = entry.layer;
        tensor.role = entry.role;
        tensor.trainable = entry.trainable;
        tensor.offset = dataset.offset;
        if let Some(offset) = dataset.offset.filter(|_| dataset.stored_bytes > 0) {
            // A hard link: the same dataset under a second name.
            let first = *self.by_offset.entry(offset).or_insert(id);
            if first != id
                && self
                    .tensors
                    .get(first.index())
                    .is_some_and(|other| other.shape == tensor.shape && other.dtype == tensor.dtype)
            {
                tensor.tied_to = Some(first);
                tensor.stored_bytes = 0;
            }
        }
        if let Some(defect) = &dataset.defect {
            let problem =
                Problem::error("hdf5-dataset", format!("its values cannot be read: {defect}")).on(id);
            self.problems.push(problem);
        }
        self.tensors.push(tensor);
        self.order.push(Ok(index));
    }

    /// Adds every dataset that no layout claimed, under its path in the file.
    pub fn add_rest(&mut self, role: TensorRole) {
        for index in 0..self.tree.datasets.len() {
            let Some(dataset) = self.tree.datasets.get(index).filter(|_| !self.has(index)) else { continue };
            let path = segments(&dataset.path);
            let layer = path.split_last().map(|(_, groups)| groups.join(".")).unwrap_or_default();
            self.add(index, Entry { path, layer, role, trainable: None });
        }
    }

    /// The tensors, the findings, and which dataset each tensor is.
    pub fn finish(self) -> (Vec<TensorInfo>, Vec<Problem>, Places<usize>) {
        (self.tensors, self.problems, self.order)
    }
}

/// The keys of an absolute path.
pub(super) fn segments(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Attributes that are metadata rather than structure: the root's by name, those of other objects under their path.
pub(super) fn attribute_metadata(tree: &Tree, structural: &dyn Fn(&str) -> bool) -> Vec<(String, Value)> {
    let mut metadata = tree.root().attributes.clone();
    let groups = tree.groups.iter().skip(1).map(|group| (&group.path, &group.attributes));
    let datasets = tree.datasets.iter().map(|dataset| (&dataset.path, &dataset.attributes));
    for (path, attributes) in groups.chain(datasets) {
        let kept: Vec<_> = attributes.iter().filter(|(name, _)| !structural(name)).cloned().collect();
        if !kept.is_empty() {
            metadata.push((path.clone(), Value::Map(kept)));
        }
    }
    metadata.extend(
        tree.datasets.iter().filter_map(|dataset| Some((dataset.path.clone(), dataset.texts.clone()?))),
    );
    let links: Vec<(String, Value)> = tree
        .groups
        .iter()
        .flat_map(|group| group.links.iter().map(|link| (format!("{}/{}", group.path, link.name), link)))
        .map(|(path, link)| {
            let kind = if link.is_external { "external" } else { "soft" };
            (path, Value::Map(vec![(kind.to_owned(), Value::Text(link.target.clone()))]))
        })
        .collect();
    if !links.is_empty() {
        metadata.push(("links".to_owned(), Value::Map(links)));
    }
    metadata
}

/// Reads values of the datasets that the catalogue lists.
pub(super) struct DatasetReader {
    pub datasets: Vec<Dataset>,
    pub order: Places<usize>,
}

impl TensorReader for DatasetReader {
    fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let dataset = self.datasets.get(*self.order.get(id)?);
        dataset.ok_or_else(|| ReadError::unsupported("no such dataset"))?.read_chunks(progress, sink)
    }

    fn read_at(&self, id: TensorId, offset: u64, buffer: &mut [u8]) -> Option<Result<(), ReadError>> {
        let dataset = self.order.get(id).ok().and_then(|&index| self.datasets.get(index))?;
        dataset.read_at(offset, buffer)
    }
}
