//! Would a checkpoint load into a model of which only the configuration is known.
//!
//! A configuration says how many weights each layer has, not what they are called: layers are held against each other by
//! name and number of elements, and where the names are others, by their order, as Keras loads them.

use std::collections::HashMap;

use crate::model::{Checkpoint, LayerInfo, RenameRule, TensorId, TensorRole};

/// What a load would find, layer by layer. Layers are indices into the model's [`Checkpoint::layers`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigurationReport {
    /// Layers that have weights.
    pub layers: usize,
    /// Layers whose weights are there, in the right number.
    pub matched: Vec<usize>,
    /// Layers without weights in the checkpoint.
    pub missing: Vec<usize>,
    /// Layers with another number of elements, and what the checkpoint has.
    pub other_size: Vec<(usize, u64)>,
    /// Layers whose weights the configuration does not determine.
    pub not_known: Vec<usize>,
    /// Tensors of layers that the model lacks.
    pub unexpected: Vec<TensorId>,
    /// Whether the layers were matched by their order, for their names differ.
    pub by_order: bool,
    /// Elements of the model that would be filled.
    pub elements_filled: u64,
    /// Elements of the model, without those of `not_known`.
    pub elements: u64,
}

impl ConfigurationReport {
    /// Whether nothing is known to stand against the load.
    pub fn loads(&self) -> bool {
        self.missing.is_empty() && self.other_size.is_empty() && self.unexpected.is_empty()
    }

    /// `None` where the model has tensors of its own, or no layer tells its weights.
    pub(super) fn of(checkpoint: &Checkpoint, model: &Checkpoint) -> Option<Self> {
        let layers = model.layers();
        if model.totals().tensors > 0 || layers.iter().all(|layer| layer.configured.is_none()) {
            return None;
        }
        // A nested model counts what its layers count again.
        let holds_layers = |index: usize| {
            let next: Option<&LayerInfo> = layers.get(index + 1);
            let own = &layers[index].segments;
            next.is_some_and(|next| next.segments.len() > own.len() && next.segments.starts_with(own))
        };
        let wanted: Vec<usize> = (0..layers.len()).filter(|&index| !holds_layers(index)).collect();
        let is_weight = |role| matches!(role, TensorRole::Parameter | TensorRole::Unknown);
        let offered: Vec<TensorId> = checkpoint
            .tensors()
            .filter(|(_, tensor)| is_weight(tensor.role) && tensor.tied_to.is_none())
            .map(|(id, _)| id)
            .collect();
        let places = wanted.iter().map(|&index| (layers[index].path.clone(), index)).collect();
        let by_name = by_name_in(checkpoint, &offered, layers, &wanted, &places);
        if by_name.loads() {
            return Some(by_name);
        }
        let by_class = by_name_in(checkpoint, &offered, layers, &wanted, &container_names(layers, &wanted));
        if by_class.loads() {
            return Some(by_class);
        }
        Some(by_order(checkpoint, &offered, layers, &wanted).unwrap_or(by_name))
    }
}

/// What the file of `save_weights` calls layers: their class in snake case, numbered from the second on, named or not.
/// Source: `_save_container_state`, <https://github.com/keras-team/keras/blob/v3.11.0/keras/src/saving/saving_lib.py>.
fn container_names(layers: &[LayerInfo], wanted: &[usize]) -> HashMap<String, usize> {
    let rules = ["s/(.)([A-Z][a-z]+)/\\1_\\2/g", "s/([a-z])([A-Z])/\\1_\\2/g"];
    let rules: Vec<RenameRule> = rules.iter().filter_map(|rule| RenameRule::parse(rule).ok()).collect();
    let mut used: HashMap<String, usize> = HashMap::new();
    let mut names = HashMap::new();
    for (index, layer) in layers.iter().enumerate() {
        let class = layer.class.as_deref().unwrap_or_default();
        let name = RenameRule::apply_all(&rules, class).to_lowercase();
        let count = used.entry(name.clone()).or_default();
        let numbered = if *count == 0 { name } else { format!("{name}_{count}") };
        *count += 1;
        if wanted.binary_search(&index).is_ok() {
            names.insert(numbered, index);
        }
    }
    names
}

fn by_name_in(
    checkpoint: &Checkpoint,
    offered: &[TensorId],
    layers: &[LayerInfo],
    wanted: &[usize],
    places: &HashMap<String, usize>,
) -> ConfigurationReport {
    let mut held: HashMap<usize, u64> = HashMap::new();
    let mut report = ConfigurationReport::default();
    for &id in offered {
        let tensor = checkpoint.tensor(id);
        // A layer may hold others that the configuration does not list: the query of an attention.
        let mut path = tensor.layer.as_str();
        let owner = loop {
            match (places.get(path), path.rfind(['.', '/'])) {
                (Some(&index), _) => break Some(index),
                (None, Some(end)) => path = &path[..end],
                (None, None) => break None,
            }
        };
        match owner {
            Some(index) => *held.entry(index).or_default() += tensor.elements(),
            None => report.unexpected.push(id),
        }
    }
    for &index in wanted {
        let found = held.get(&index).copied();
        match (layers[index].configured.map(|count| count.parameters), found) {
            (Some(0), None) => continue,
            (None, _) => report.not_known.push(index),
            (Some(count), Some(found)) if count == found => {
                report.matched.push(index);
                report.elements_filled = report.elements_filled.saturating_add(count);
            }
            (Some(_), Some(found)) => report.other_size.push((index, found)),
            (Some(_), None) => report.missing.push(index),
        }
        report.layers += 1;
        report.elements =
            report.elements.saturating_add(layers[index].configured.map_or(0, |count| count.parameters));
    }
    report
}

/// `None` unless as many layers with the same numbers of elements stand in the same order.
fn by_order(
    checkpoint: &Checkpoint,
    offered: &[TensorId],
    layers: &[LayerInfo],
    wanted: &[usize],
) -> Option<ConfigurationReport> {
    let mut sums: Vec<(&str, u64)> = Vec::new();
    for &id in offered {
        let tensor = checkpoint.tensor(id);
        match sums.last_mut() {
            Some((layer, sum)) if *layer == tensor.layer => *sum += tensor.elements(),
            _ => sums.push((tensor.layer.as_str(), tensor.elements())),
        }
    }
    let counts: Option<Vec<(usize, u64)>> =
        wanted.iter().map(|&index| Some((index, layers[index].configured?.parameters))).collect();
    let counts: Vec<(usize, u64)> = counts?.into_iter().filter(|(_, count)| *count > 0).collect();
    if counts.is_empty() || !counts.iter().map(|(_, count)| count).eq(sums.iter().map(|(_, sum)| sum)) {
        return None;
    }
    let elements = counts.iter().map(|(_, count)| count).fold(0u64, |sum, &count| sum.saturating_add(count));
    Some(ConfigurationReport {
        layers: counts.len(),
        matched: counts.into_iter().map(|(index, _)| index).collect(),
        by_order: true,
        elements_filled: elements,
        elements,
        ..ConfigurationReport::default()
    })
}
