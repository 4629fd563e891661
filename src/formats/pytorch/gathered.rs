//! What the objects of one file come to together: one catalogue over several pickles, and its counts.

use std::collections::HashMap;

use super::catalogue::{Catalogue, Naming};
use super::rebuild::{Rebuilder, Rebuilt};
use super::script_code::ScriptCode;
use super::state_dict::{Section, Walk};
use super::storage::{Storage, StorageMap};
use super::view::View;
use crate::formats::containers::pickle::NodeId;
use crate::model::{
    CheckpointParts, LayerInfo, Problem, PythonTypes, RoleEvidence, TensorId, TensorInfo, TensorRole, Value,
};

/// Everything found so far.
#[derive(Default)]
pub struct Gathered {
    catalogue: Catalogue,
    storages: Vec<Storage>,
    by_key: HashMap<String, usize>,
    /// Modules found.
    pub layers: Vec<LayerInfo>,
    /// Whether a part was found that is clearly a model's.
    pub found_model: bool,
    versioned_modules: Vec<String>,
    /// What is odd about the file.
    pub problems: Vec<Problem>,
    /// Classes of TorchScript, by which the modules in pickles are understood.
    pub code: ScriptCode,
    python_types: PythonTypes,
}

impl Gathered {
    /// One more object: its tensors' names begin with the keys of `prefix`. Gives what of it is no tensor.
    pub fn object(&mut self, view: &View, map: &dyn StorageMap, prefix: &[String]) -> Value {
        self.part(view, view.root, map, prefix, Section::Outer)
    }

    /// One value of a pickle, of which it is known what it is for.
    pub fn part(
        &mut self,
        view: &View,
        root: NodeId,
        map: &dyn StorageMap,
        prefix: &[String],
        section: Section,
    ) -> Value {
        let mut rebuilder = Rebuilder::new(view, map);
        rebuilder.storages = std::mem::take(&mut self.storages);
        rebuilder.by_key = std::mem::take(&mut self.by_key);
        let mut walk = Walk::new(rebuilder, std::mem::take(&mut self.code));
        walk.catalogue = std::mem::take(&mut self.catalogue);
        walk.layers = std::mem::take(&mut self.layers);
        walk.python_types = std::mem::take(&mut self.python_types);
        let metadata = walk.run(root, prefix, section);
        self.found_model |= walk.found_model;
        self.versioned_modules.append(&mut walk.versioned_modules);
        self.catalogue = walk.catalogue;
        self.layers = walk.layers;
        self.python_types = walk.python_types;
        self.code = walk.code;
        self.storages = walk.rebuilder.storages;
        self.by_key = walk.rebuilder.by_key;
        metadata
    }

    /// The tensor that one value of a pickle stands for, not yet in the catalogue.
    pub fn make(&mut self, view: &View, id: NodeId, map: &dyn StorageMap) -> Option<Rebuilt> {
        let mut rebuilder = Rebuilder::new(view, map);
        rebuilder.storages = std::mem::take(&mut self.storages);
        rebuilder.by_key = std::mem::take(&mut self.by_key);
        let made = rebuilder.tensor(id);
        self.storages = rebuilder.storages;
        self.by_key = rebuilder.by_key;
        made
    }

    /// Storages of what comes next are others than those before, whatever their keys.
    pub fn forget_keys(&mut self) {
        self.by_key.clear();
    }

    /// Whether a storage of that key was asked for.
    pub fn has_key(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// A storage that no pickle names; gives its place among all.
    pub fn storage(&mut self, storage: Storage) -> usize {
        self.storages.push(storage);
        self.storages.len() - 1
    }

    /// A tensor that no pickle describes; `None` when there are too many. Its role is one that the file gives.
    pub fn tensor(&mut self, made: &Rebuilt, naming: Naming) -> Option<TensorId> {
        let is_told = naming.role != TensorRole::Unknown;
        let id = self.catalogue.add(made, naming, &self.storages)?;
        if let Some(tensor) = self.catalogue.tensors.get_mut(id.index()) {
            tensor.role_evidence = is_told.then_some(RoleEvidence::Declared);
        }
        Some(id)
    }

    /// The catalogue so far.
    pub fn tensors(&mut self) -> &mut Vec<TensorInfo> {
        &mut self.catalogue.tensors
    }

    /// The whole, as a checkpoint.
    pub fn finish(
        self,
        format: &'static str,
        framework: Option<String>,
        metadata: Value,
        file_bytes: u64,
    ) -> CheckpointParts {
        let (tensors, found, reader) = self.catalogue.finish(self.storages);
        let mut problems = self.problems;
        problems.extend(found);
        CheckpointParts {
            format,
            framework,
            counts_known: self.found_model && !tensors.is_empty(),
            versioned_modules: self.versioned_modules,
            tensors,
            layers: self.layers,
            metadata,
            problems,
            file_bytes,
            python_types: self.python_types,
            reader: Box::new(reader),
        }
    }
}
