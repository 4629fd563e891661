//! A configuration without weights: `model.to_json()` of Keras 1, 2 and 3, and the `config.json` of an archive.
//!
//! Lists the layers with their output shapes and the numbers of weights, as far as the configuration determines these.

use super::catalogue::DatasetReader;
use super::{Described, config, parse_document};
use crate::formats::Probe;
use crate::formats::places::Places;
use crate::model::{CheckpointParts, LayerInfo, Problem, PythonTypes, ReadError, Value};
use crate::raw::limits;

/// Whether the path is such a document.
pub(super) fn detect(probe: &Probe) -> bool {
    config::looks_like_model(probe.head())
}

/// Reads the document.
pub(super) fn open(probe: &Probe) -> Result<CheckpointParts, ReadError> {
    let source = probe.source().ok_or_else(|| ReadError::unsupported("not a file"))?;
    let bytes = source.read_all("the configuration", limits::TEXT_BYTES)?;
    let mut text = String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}').trim().to_owned();
    if text.starts_with('"') {
        // The text of `to_json()` saved as JSON once more.
        text = serde_json::from_str(&text)
            .map_err(|error| ReadError::malformed("the configuration", 0, error.to_string()))?;
    }
    config::parse_json(&text)
        .map_err(|error| ReadError::malformed("the configuration", 0, format!("it is not JSON: {error}")))?;
    let mut described = Described::default();
    let document = parse_document("model_config", &text, &mut described);
    let layers: Vec<LayerInfo> = described.model.iter().flat_map(|model| model.layer_infos(true)).collect();
    let mut outermost = layers.iter().filter(|layer| layer.segments.len() == 1);
    let counts_known = !layers.is_empty() && outermost.all(|layer| layer.configured.is_some());
    described.problems.push(Problem::info(
        "keras-config",
        if layers.is_empty() {
            "the configuration lists no layers, and the file holds no weights"
        } else {
            "the file describes layers and holds no weights"
        },
    ));
    // Keras 1 and 2 record their version beside the configuration.
    let mut metadata: Vec<(String, Value)> = ["keras_version", "backend"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), document.get(name)?.clone())))
        .collect();
    let framework = super::framework_of(&metadata).unwrap_or_else(|| "keras".to_owned());
    metadata.push(("model_config".to_owned(), document));
    Ok(CheckpointParts {
        format: "keras-config",
        framework: Some(framework),
        tensors: Vec::new(),
        layers,
        metadata: Value::Map(metadata),
        problems: described.problems,
        file_bytes: source.len(),
        counts_known,
        versioned_modules: Vec::new(),
        python_types: PythonTypes::default(),
        reader: Box::new(DatasetReader { datasets: Vec::new(), order: Places::default() }),
    })
}
