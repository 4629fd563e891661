//! The Keras format: which layout, then its catalogue. Plain HDF5 files of any origin are read here too.
//!
//! ```text
//! HDF5 file  ─┬ layer_names ─────▶ h5_layout      (Keras 1, 2; `.h5` of Keras 3)
//!             ├ …/vars groups ───▶ saved_layout   (`.weights.h5`)
//!             └ anything else ───▶ a plain tree of groups and datasets
//! `.keras` archive or folder,
//! weights in pieces ─────────────▶ archive_layout ▶ config.json + saved_layout
//! a configuration alone ─────────▶ config_layout
//! ```
//! Layers: config (parse) ▶ graph (what flows where) ▶ `output_shape`, `sliding`, `recurrent` (the rules) and `weights`.
//! Python code inside a configuration (Lambda layers) is named and never looked into.

mod archive_layout;
mod catalogue;
mod config;
mod config_layout;
mod graph;
mod h5_layout;
mod optimizer_slots;
mod output_shape;
mod recurrent;
mod saved_layout;
mod settings;
mod sliding;
mod variables;
mod weights;

use self::catalogue::{Catalogue, DatasetReader};
use self::config::Layer;
pub(super) use self::config::parse_json;
use super::containers::hdf5;
use super::{Format, Probe};
use crate::model::{
    CheckpointParts, LayerInfo, Problem, Progress, PythonTypes, ReadError, TensorRole, Value,
};

/// Keras checkpoints and plain HDF5 files.
pub struct Keras;

impl Format for Keras {
    fn name(&self) -> &'static str {
        "Keras"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["h5", "hdf5", "keras", "json"]
    }

    fn detect(&self, probe: &Probe) -> bool {
        archive_layout::detect(probe)
            || config_layout::detect(probe)
            || probe.source().is_some_and(|source| hdf5::has_signature(source, probe.head()))
    }

    fn open(&self, probe: &Probe, progress: &Progress) -> Result<CheckpointParts, ReadError> {
        if archive_layout::detect(probe) {
            return archive_layout::open(probe, progress);
        }
        if config_layout::detect(probe) {
            return config_layout::open(probe);
        }
        let Some(source) = probe.source() else {
            return Err(ReadError::unsupported("not a file"));
        };
        let tree = hdf5::walk(source, true, progress)?;
        Ok(parts_of_tree(tree, None, source.len()))
    }
}

/// What is told beside the weights.
#[derive(Default)]
struct Described {
    model: Option<Layer>,
    metadata: Vec<(String, Value)>,
    problems: Vec<Problem>,
    framework: Option<String>,
}

/// The catalogue of one HDF5 file by itself, or as the weights of an archive: then with what the archive tells, and
/// the identifier of its layout.
fn parts_of_tree(
    mut tree: hdf5::Tree,
    archive: Option<(Described, &'static str)>,
    file_bytes: u64,
) -> CheckpointParts {
    let in_archive = archive.is_some();
    let (described, layout) = archive.unwrap_or_else(|| (described_by_root(&tree), "keras-h5"));
    let model = described.model.as_ref();
    let version = described
        .metadata
        .iter()
        .find(|(name, _)| name == "keras_version")
        .and_then(|(_, value)| value.as_text())
        .unwrap_or_default();
    let is_h5 = h5_layout::matches(&tree);
    let is_saved = !is_h5 && (in_archive || saved_layout::matches(&tree));
    let mut catalogue = Catalogue::new(&tree);
    let mut layers: Vec<LayerInfo> = Vec::new();
    let structural: &dyn Fn(&str) -> bool = if is_h5 {
        layers = h5_layout::read(&mut catalogue, model);
        &h5_layout::is_structural
    } else if is_saved {
        layers = saved_layout::read(&mut catalogue, model, version.starts_with("2."));
        &saved_layout::is_structural
    } else {
        &|_| false
    };
    catalogue.add_rest(TensorRole::Unknown);
    if let Some(model) = model {
        layers = model.layer_infos(false);
    }
    let (tensors, found, order) = catalogue.finish();
    let mut metadata = described.metadata;
    for (name, value) in catalogue::attribute_metadata(&tree, structural) {
        if !structural(&name) && metadata.iter().all(|(known, _)| *known != name) {
            metadata.push((name, value));
        }
    }
    let mut problems = described.problems;
    problems.append(&mut tree.problems);
    problems.extend(found);
    let framework = if is_h5 || is_saved { described.framework } else { None };
    CheckpointParts {
        format: if is_h5 || is_saved { layout } else { "hdf5" },
        framework,
        tensors,
        layers,
        metadata: Value::Map(metadata),
        problems,
        file_bytes,
        counts_known: is_h5 || is_saved,
        versioned_modules: Vec::new(),
        python_types: PythonTypes::default(),
        reader: Box::new(DatasetReader { datasets: tree.datasets, order }),
    }
}

/// The model that the root attributes of an HDF5 file describe.
fn described_by_root(tree: &hdf5::Tree) -> Described {
    let root = tree.root();
    let weights = tree.group("/model_weights");
    let mut described = Described::default();
    for (name, value) in &root.attributes {
        if h5_layout::is_structural(name) {
            continue;
        }
        let parsed = match (name.as_str(), value.as_text()) {
            ("model_config" | "training_config", Some(text)) => parse_document(name, text, &mut described),
            _ => value.clone(),
        };
        described.metadata.push((name.clone(), parsed));
    }
    // Files of weights and some whole models carry the versions on the group of the weights.
    for name in ["keras_version", "backend"] {
        let known = described.metadata.iter().any(|(key, _)| key == name);
        if let Some(value) = weights.and_then(|group| group.attribute(name)).filter(|_| !known) {
            described.metadata.push((name.to_owned(), value.clone()));
        }
    }
    let framework = framework_of(&described.metadata);
    described.framework = Some(match framework {
        Some(framework) => framework,
        // Every Keras since 1.1 records its version in this layout; the others record none.
        None if h5_layout::matches(tree) => "keras 1".to_owned(),
        None => "keras".to_owned(),
    });
    described
}

/// `keras 2.15.0, tensorflow`, where the version is recorded.
fn framework_of(metadata: &[(String, Value)]) -> Option<String> {
    let text =
        |name: &str| metadata.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_text());
    let version = text("keras_version")?;
    Some(match text("backend") {
        Some(backend) => format!("keras {version}, {backend}"),
        None => format!("keras {version}"),
    })
}

/// Parses a JSON document; `model_config` also gives the layers. Text that is not JSON stays text, with a warning.
fn parse_document(name: &str, text: &str, described: &mut Described) -> Value {
    match config::parse_json(text) {
        Ok(json) => {
            if name == "model_config" {
                described.model = Layer::model(&json);
                for path in described.model.iter().flat_map(Layer::layers_with_code) {
                    described.problems.push(Problem::warning(
                        "keras-code",
                        format!("layer {path:?} carries Python code, which is shown as text and never run"),
                    ));
                }
            }
            Value::from_json(json)
        }
        Err(error) => {
            described.problems.push(Problem::warning(
                "keras-config",
                format!("{name} is not JSON ({error}); layers are shown without their configuration"),
            ));
            Value::Text(text.to_owned())
        }
    }
}
