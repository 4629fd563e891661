//! Whole pickled models and TorchScript: modules with their classes, parameters and buffers.
//!
//! Names follow `Module.state_dict()`: a module's own parameters, its persistent buffers, then its children.
//! Source: `torch/nn/modules/module.py` (`_save_to_state_dict`).

use std::collections::HashSet;

use super::catalogue::Naming;
use super::metadata::{key_text, simple};
use super::rebuild::Declared;
use super::state_dict::{Found, Section, Walk};
use crate::formats::containers::pickle::NodeId;
use crate::model::{LayerInfo, RoleEvidence, TensorRole, Value, role};
use crate::raw::limits;

/// Attributes that every module has and that say nothing.
const PLUMBING: &[&str] = &["_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"];

/// One module on its way into the catalogue.
struct Place {
    /// Where the model begins in [`Walk::path`].
    base: usize,
    /// The keys as they are stored, `_modules` and all.
    stored: String,
}

impl Walk<'_> {
    /// What a node comes to that is an `nn.Module` or a TorchScript module; `None` when it is neither.
    pub(super) fn module(&mut self, id: NodeId, section: Section) -> Option<Found> {
        if !self.is_module(id) {
            return None;
        }
        let class = self.rebuilder.view.class(id)?;
        let base = self.path.len();
        let stored = self.path.join(".");
        if !matches!(section, Section::Ema | Section::Optimizer) {
            self.found_model = true;
        }
        let fields = self.one(id, section, &Place { base, stored });
        Some(Found::Value(Value::Object { class, fields }))
    }

    fn is_module(&self, id: NodeId) -> bool {
        let view = self.rebuilder.view;
        let Some(attributes) = view.attributes(id) else { return false };
        let has = |key: &str| view.entry(&attributes, key).is_some();
        has("_parameters") && has("_modules")
            || view.class(id).is_some_and(|class| match self.code.class(&class) {
                Some(known) => known.is_module,
                None => class.starts_with("__torch__."),
            })
    }

    /// One module and those inside; gives its settings, and theirs under `_modules`.
    fn one(&mut self, id: NodeId, section: Section, place: &Place) -> Vec<(String, Value)> {
        let view = self.rebuilder.view;
        let attributes = view.attributes(id).unwrap_or_default();
        let class = view.class(id);
        let index = self.layers.len();
        self.layers.push(LayerInfo {
            path: self.path.get(place.base..).unwrap_or_default().join("."),
            segments: self.path.clone(),
            class: class.as_ref().map(|class| class.rsplit('.').next().unwrap_or_default().to_owned()),
            ..LayerInfo::default()
        });
        let group = |name: &str| {
            view.entry(&attributes, name).and_then(|node| view.mapping(node)).unwrap_or_default()
        };
        let is_script = view.entry(&attributes, "_parameters").is_none();

        let mut config = Vec::new();
        for (key, value) in group("_parameters") {
            self.member(key, value, section, Some(Declared::Parameter), (place, "_parameters."), &mut config);
        }
        let passing: HashSet<String> = view
            .entry(&attributes, "_non_persistent_buffers_set")
            .and_then(|node| view.sequence(node))
            .unwrap_or_default()
            .into_iter()
            .map(|item| key_text(view, item))
            .collect();
        let (unsaved, buffers): (Vec<_>, Vec<_>) =
            group("_buffers").into_iter().partition(|(key, _)| passing.contains(&key_text(view, *key)));
        for (key, value) in buffers {
            self.member(key, value, section, Some(Declared::Buffer), (place, "_buffers."), &mut config);
        }
        let mut children: Vec<(NodeId, NodeId)> = group("_modules");
        let mut later = Vec::new();
        for &(key, value) in &attributes {
            let name = key_text(view, key);
            if PLUMBING.contains(&name.as_str()) {
                continue;
            }
            if is_script && view.is_tensor(value) {
                let known = class.as_ref().and_then(|class| self.code.class(class));
                let (declared, inner) = match known {
                    Some(known) if known.parameters.contains(&name) => (Some(Declared::Parameter), section),
                    Some(known) if known.buffers.contains(&name) => (Some(Declared::Buffer), section),
                    Some(_) if section != Section::Ema => (None, Section::Other),
                    _ => (None, section),
                };
                self.member(key, value, inner, declared, (place, ""), &mut config);
            } else if is_script && self.is_module(value) {
                children.push((key, value));
            } else if let Some(value) = simple(view, value).filter(|_| !view.is_tensor(value)) {
                if !name.starts_with('_') {
                    config.push((name, value));
                }
            } else if !name.ends_with("_hooks") && !name.contains("_hooks_") {
                later.push((name, value));
            }
        }
        let mut modules = Vec::new();
        for (key, child) in children {
            if self.is_none(child) {
                continue;
            }
            let key = key_text(view, key);
            let between = if is_script { "" } else { "_modules." };
            let stored = join(&place.stored, &format!("{between}{key}"));
            if self.path.len() < limits::METADATA_DEPTH && self.is_module(child) && self.activate(child) {
                self.path.push(key);
                let settings = self.one(child, section, &Place { base: place.base, stored });
                let key = self.path.pop().unwrap_or_default();
                self.deactivate(child);
                let class = view.class(child).unwrap_or_default();
                modules.push((key, Value::Object { class, fields: settings }));
            }
        }
        // What is in no state_dict comes last, so that the tensors of the state_dict are first of those that share a storage.
        let before = self.catalogue.tensors.len();
        for (key, value) in unsaved {
            self.member(key, value, section, Some(Declared::Buffer), (place, "_buffers."), &mut config);
        }
        for tensor in self.catalogue.tensors.iter_mut().skip(before) {
            tensor.role_evidence = Some(RoleEvidence::NotSaved);
        }
        for (name, value) in later {
            let before = self.catalogue.tensors.len();
            let depth = self.path.len();
            self.path.push(name);
            let inner = if section == Section::Ema { Section::Ema } else { Section::Other };
            let found = self.find(value, inner);
            for tensor in self.catalogue.tensors.iter_mut().skip(before) {
                let inside = tensor.path.get(depth..).unwrap_or_default().join(".");
                tensor.stored_name = Some(join(&place.stored, &inside));
            }
            let name = self.path.pop().unwrap_or_default();
            if let Found::Value(value) = found
                && !value.is_empty()
            {
                config.push((name, value));
            }
        }
        if let Some(known) = class.as_ref().and_then(|class| self.code.class(class)) {
            config.extend(known.constants.iter().cloned());
        }
        if let Some(layer) = self.layers.get_mut(index) {
            layer.config = Value::Map(config.clone());
        }
        // A script's settings are attributes of its own code, which its layers show already.
        if !is_script && !modules.is_empty() {
            config.push(("_modules".to_owned(), Value::Map(modules)));
        }
        config
    }

    /// A parameter or buffer of a module. `place` is the module and what stands before the key as it is stored.
    fn member(
        &mut self,
        key: NodeId,
        value: NodeId,
        section: Section,
        declared: Option<Declared>,
        (place, between): (&Place, &str),
        config: &mut Vec<(String, Value)>,
    ) {
        if self.is_none(value) {
            return;
        }
        let view = self.rebuilder.view;
        let key = key_text(view, key);
        let Some(mut made) = self.rebuilder.tensor(value) else {
            // An object of a foreign class in place of a tensor: it can hold some.
            self.path.push(key);
            let found = self.find(value, Section::Other);
            let key = self.path.pop().unwrap_or_default();
            if let Found::Value(value) = found {
                config.push((key, value));
            }
            return;
        };
        let layer = self.path.get(place.base..).unwrap_or_default().join(".");
        let (role, evidence) = match (section, declared) {
            (Section::Ema, _) => (TensorRole::Ema, RoleEvidence::Keys),
            (Section::Optimizer, _) => (TensorRole::Optimizer, RoleEvidence::Keys),
            (_, Some(Declared::Parameter)) => (TensorRole::Parameter, RoleEvidence::Declared),
            (_, Some(Declared::Buffer)) => (TensorRole::Buffer, RoleEvidence::Declared),
            (Section::Other, None) => (TensorRole::Other, RoleEvidence::Keys),
            // Without its source TorchScript marks only what is trained.
            _ if made.requires_grad == Some(true) => (TensorRole::Parameter, RoleEvidence::Declared),
            _ => role::of_state_dict(&key, &made.dtype, &made.shape),
        };
        let trainable = if role == TensorRole::Parameter { made.requires_grad } else { None };
        let stored_name = (!between.is_empty()).then(|| join(&place.stored, &format!("{between}{key}")));
        // Its attributes can hold the tensor itself, or the module.
        let walked = made.attributes.is_some() && self.activate(value);
        if !walked {
            made.attributes = None;
        }
        self.path.push(key);
        let naming = Naming {
            name: self.path.join("."),
            path: self.path.clone(),
            stored_name,
            layer,
            role,
            trainable,
        };
        let found = self.add(made, naming);
        self.note_evidence(&found, Some(evidence));
        let key = self.path.pop().unwrap_or_default();
        if walked {
            self.deactivate(value);
        }
        if let Found::Value(value) = found {
            config.push((key, value));
        }
    }
}

fn join(before: &str, after: &str) -> String {
    if before.is_empty() { after.to_owned() } else { format!("{before}.{after}") }
}
