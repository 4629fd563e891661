//! The model configuration: classes, names and nesting of layers, and which of them are trained.
//!
//! Pure: JSON text in, [`Layer`]s out. Knows nothing of files. Layouts of the JSON:
//!
//! ```text
//! Keras 1, 2.0–2.2   {"class_name": "Sequential", "config": [layer, …]}
//! Keras 2            {"class_name": "Functional", "config": {"name", "layers": [layer, …]}}
//! Keras 3            the same, with "module", "registered_name", "build_config", "compile_config"
//! layer              {"class_name", "config": {"name", "trainable", …}, "name", "inbound_nodes"}
//! ```
//! Source: `keras/src/legacy/saving/legacy_h5_format.py` and `keras/src/saving/serialization_lib.py` of Keras 3.

use serde_json::Value as Json;

use super::graph::{self, Call, Flow};
use super::{settings, weights};
use crate::model::{LayerInfo, Value};

/// Shape of one tensor that flows between layers; `None` for a dimension that is not fixed.
pub(super) type FlowShape = Vec<Option<u64>>;

/// One layer or nested model.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    /// Its name, unique among its siblings.
    pub name: String,
    /// Its class, such as `Conv2D`.
    pub class: String,
    /// Its own configuration.
    pub config: Json,
    /// The same under today's names, where it is of Keras 1.
    modern: Option<Json>,
    /// What the saved file calls it among its siblings: its class in snake case, numbered.
    pub saved_key: String,
    /// Whether it is trained: its own flag and those of the models around it.
    pub trainable: bool,
    /// Layers of a nested model, or the layer inside a wrapper.
    pub children: Vec<Layer>,
    /// Whether it is a model, whose children are layers of their own rather than a wrapper's inside.
    pub is_model: bool,
    /// Whether it is a mathematical operation between layers (Keras 3), which is no layer.
    pub is_operation: bool,
    /// Shape of its input, where the file tells (`build_config` since Keras 2.12).
    pub input_shape: Option<FlowShape>,
    /// Where the graph of a functional model uses it.
    pub calls: Vec<Call>,
    /// The optimizer that a whole model was compiled with, as its configuration describes it.
    pub optimizer: Option<Json>,
}

impl Layer {
    /// The model of a configuration; `None` when the JSON describes none.
    pub fn model(json: &Json) -> Option<Self> {
        let mut model = Self::parse(json, true).filter(|model| !model.children.is_empty())?;
        model.optimizer = json.get("compile_config").and_then(|compiled| compiled.get("optimizer")).cloned();
        Some(model)
    }

    fn parse(json: &Json, parent_trainable: bool) -> Option<Self> {
        // A registered class of the user has its package in front: `package>Class`.
        let class = json.get("class_name")?.as_str()?.rsplit('>').next()?.to_owned();
        let config = json.get("config").cloned().unwrap_or(Json::Null);
        let name = [config.get("name"), json.get("name")]
            .into_iter()
            .flatten()
            .find_map(Json::as_str)
            .unwrap_or_default()
            .to_owned();
        let own = config.get("trainable").and_then(Json::as_bool).unwrap_or(true);
        let mut trainable = parent_trainable && own;
        let listed = config.as_array().or_else(|| config.get("layers")?.as_array());
        let mut children: Vec<Self> = Vec::new();
        if let Some(listed) = listed {
            children.extend(listed.iter().filter_map(|layer| Self::parse(layer, trainable)));
            number(&mut children);
        } else {
            // Wrappers (Bidirectional, TimeDistributed): the flag of the layer inside decides too.
            for key in ["layer", "backward_layer"] {
                if let Some(inner) = config.get(key).and_then(|inner| Self::parse(inner, trainable)) {
                    trainable &= inner.trainable;
                    children.push(inner);
                }
            }
        }
        let (class, modern) = match settings::modern(&class, &config) {
            Some((class, modern)) => (class, Some(modern)),
            None => (class, None),
        };
        let input_shape = [
            json.get("build_config").and_then(|build| build.get("input_shape")),
            config.get("build_input_shape"),
        ]
        .into_iter()
        .flatten()
        .find_map(graph::from_json);
        let module = json.get("module").and_then(Json::as_str).unwrap_or_default();
        Some(Self {
            calls: graph::calls(json),
            input_shape,
            name,
            class,
            saved_key: String::new(),
            trainable,
            is_model: listed.is_some(),
            is_operation: module.starts_with("keras.src.ops") || module.starts_with("keras.ops"),
            children,
            config,
            modern,
            optimizer: None,
        })
    }

    /// The configuration that rules read.
    pub fn rule_config(&self) -> &Json {
        self.modern.as_ref().unwrap_or(&self.config)
    }

    /// The child of that name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The child that the saved file calls so.
    pub fn saved_child(&self, key: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.saved_key == key)
    }

    /// The layers inside as the catalogue lists them: in the model's order, a nested model before its layers.
    /// `count` asks for the numbers of weights that the configuration determines.
    pub fn layer_infos(&self, count: bool) -> Vec<LayerInfo> {
        let flow = graph::follow(self);
        let mut infos = Vec::new();
        let mut open = Vec::new();
        self.push_children(&flow, &[], &mut open);
        while let Some((layer, flow, segments)) = open.pop() {
            let configured = if count { weights::count(layer, flow) } else { None };
            let mut outputs = flow.outputs.iter().flatten().cloned();
            infos.push(LayerInfo {
                path: segments.join("."),
                segments: segments.clone(),
                class: Some(layer.class.clone()),
                // The children of a model have entries of their own.
                config: if layer.is_model { Value::Null } else { Value::from_json(layer.config.clone()) },
                output_shape: outputs.next(),
                further_outputs: outputs.collect(),
                configured,
            });
            if layer.is_model {
                layer.push_children(flow, &segments, &mut open);
            }
        }
        infos
    }

    /// Puts the layers inside on a stack, the first on top. A sequential model's input is not one of its layers.
    fn push_children<'l>(
        &'l self,
        flow: &'l Flow,
        around: &[String],
        open: &mut Vec<(&'l Self, &'l Flow, Vec<String>)>,
    ) {
        for (index, child) in self.children.iter().enumerate().rev() {
            let flow = flow.children.get(index).unwrap_or(graph::UNKNOWN);
            if !(self.class == "Sequential" && child.class == "InputLayer") {
                open.push((child, flow, around.iter().cloned().chain([child.name.clone()]).collect()));
            }
        }
    }

    /// Paths of the layers that carry Python bytecode.
    pub fn layers_with_code(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut open: Vec<(&Self, String)> = vec![(self, String::new())];
        while let Some((layer, path)) = open.pop() {
            if layer.children.is_empty() && carries_code(&layer.class, &layer.config) {
                found.push(path.clone());
            }
            for child in layer.children.iter().rev() {
                let path =
                    if path.is_empty() { child.name.clone() } else { format!("{path}.{}", child.name) };
                open.push((child, path));
            }
        }
        found
    }
}

/// Keras 2 writes a lambda as `[base64 of marshalled code, defaults, closure]`, Keras 3 as an object of class `__lambda__`.
fn carries_code(class: &str, config: &Json) -> bool {
    let mut open = vec![config];
    while let Some(value) = open.pop() {
        match value {
            Json::Object(entries) => {
                if entries.get("class_name").and_then(Json::as_str) == Some("__lambda__")
                    || (class == "Lambda"
                        && entries.iter().any(|(key, value)| {
                            matches!(key.as_str(), "function" | "output_shape" | "mask")
                                && is_marshalled(value)
                        }))
                {
                    return true;
                }
                open.extend(entries.values());
            }
            Json::Array(items) => open.extend(items),
            _ => {}
        }
    }
    false
}

fn is_marshalled(value: &Json) -> bool {
    matches!(value.as_array().map(Vec::as_slice), Some([Json::String(_), _, _]))
}

/// Gives children the names under which Keras saves them.
/// Source: `_save_container_state` in `keras/src/saving/saving_lib.py`.
fn number(children: &mut [Layer]) {
    let mut used = std::collections::HashMap::new();
    for child in children.iter_mut().filter(|child| !child.is_operation) {
        let snake = snake_case(&child.class);
        let count = used.entry(snake.clone()).or_insert(0u32);
        child.saved_key = if *count == 0 { snake } else { format!("{snake}_{count}") };
        *count += 1;
    }
}

/// A class name as Keras writes it in paths: `MaxPooling2D` is `max_pooling2d`.
/// Source: `to_snake_case` in `keras/src/utils/naming.py`.
pub(super) fn snake_case(class: &str) -> String {
    // A registered class carries its package: `package>Class`.
    let class = class.rsplit('>').next().unwrap_or(class);
    let chars: Vec<char> = class.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut snake = String::with_capacity(class.len() + 4);
    for (index, &c) in chars.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| chars.get(before));
        let after = chars.get(index + 1);
        if c.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase() || after.is_some_and(char::is_ascii_lowercase)
            })
        {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// Whether the first bytes of a JSON document are those of a model's configuration: an object that names a class,
/// with one of the keys that Keras puts beside it; or the same once more as a JSON text.
pub(super) fn looks_like_model(head: &[u8]) -> bool {
    const BESIDE: [&str; 7] =
        ["config", "module", "registered_name", "keras_version", "backend", "build_config", "compile_config"];
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let unquoted = text.strip_prefix('"').map(|inner| inner.replace("\\\"", "\""));
    let keys = outer_keys(unquoted.as_deref().unwrap_or(text));
    keys.iter().any(|key| key == "class_name") && keys.iter().any(|key| BESIDE.contains(&key.as_str()))
}

/// The keys of the outermost object, as far as the text goes.
fn outer_keys(text: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let (mut depth, mut key, mut in_text, mut escaped) = (0u32, String::new(), false, false);
    for c in text.chars() {
        if in_text {
            match c {
                '"' if !escaped => in_text = false,
                _ if depth == 1 => key.push(c),
                _ => {}
            }
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' => {
                in_text = true;
                key.clear();
            }
            ':' if depth == 1 => keys.push(std::mem::take(&mut key)),
            '{' | '[' => depth = depth.saturating_add(1),
            '}' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 && !c.is_whitespace() => break,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    keys
}

/// Parses JSON as Python writes it: `NaN`, `Infinity` and `-Infinity` are kept as text.
pub(in crate::formats) fn parse_json(text: &str) -> Result<Json, serde_json::Error> {
    serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&quote_non_finite(text)).map_err(|_| error))
}

fn quote_non_finite(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            // A string ends at the first quote that no backslash escapes.
            let mut escaped = false;
            let end = rest
                .char_indices()
                .skip(1)
                .find(|&(_, c)| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                })
                .map_or(rest.len(), |(index, _)| index + 1);
            let (string, after) = rest.split_at(end);
            quoted.push_str(string);
            rest = after;
        } else if let Some(word) =
            ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| rest.starts_with(word))
        {
            quoted.push('"');
            quoted.push_str(word);
            quoted.push('"');
            rest = rest.split_at(word.len()).1;
        } else {
            quoted.push(c);
            rest = rest.split_at(c.len_utf8()).1;
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> Layer {
        parse_json(text).ok().as_ref().and_then(Layer::model).expect("a model")
    }

    #[test]
    fn saved_paths_are_classes_in_snake_case() {
        for (class, snake) in [
            ("MaxPooling2D", "max_pooling2d"),
            ("PReLU", "p_re_lu"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("LSTM", "lstm"),
            ("mine>MyLayer", "my_layer"),
        ] {
            assert_eq!(snake_case(class), snake);
        }
    }

    #[test]
    fn a_layer_inside_a_frozen_model_is_not_trained() {
        let model = model(
            r#"{"class_name": "Functional", "config": {"name": "m", "layers": [
                {"class_name": "Functional", "config": {"name": "inner", "trainable": false, "layers": [
                    {"class_name": "Dense", "config": {"name": "d", "trainable": true}}]}},
                {"class_name": "Dense", "config": {"name": "e"}},
                {"class_name": "Dense", "config": {"name": "f"}}]}}"#,
        );
        assert!(!model.child("inner").and_then(|inner| inner.child("d")).expect("d").trainable);
        assert!(model.child("e").expect("e").trainable);
        assert_eq!(model.saved_child("dense_1").expect("the second Dense").name, "f");
        let paths: Vec<_> = model.layer_infos(false).into_iter().map(|layer| layer.path).collect();
        assert_eq!(paths, ["inner", "inner.d", "e", "f"]);
    }

    #[test]
    fn the_oldest_sequential_models_are_a_list() {
        let model = model(
            r#"{"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"name": "dense_1"}}]}"#,
        );
        assert_eq!(model.children[0].name, "dense_1");
    }

    #[test]
    fn python_writes_numbers_that_json_has_not() {
        let json = parse_json(r#"{"a": NaN, "b": [-Infinity, "NaN \" Infinity"]}"#).expect("parsed");
        assert_eq!(json["a"], "NaN");
        assert_eq!(json["b"][1], "NaN \" Infinity");
    }

    #[test]
    fn marshalled_lambdas_are_found() {
        let model = model(
            r#"{"class_name": "Sequential", "config": {"name": "m", "layers": [
                {"class_name": "Lambda", "config": {"name": "l", "function": ["4wEAAA==", null, null]}}]}}"#,
        );
        assert_eq!(model.layers_with_code(), ["l"]);
    }
}
