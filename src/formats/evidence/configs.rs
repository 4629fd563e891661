//! JSON documents: Keras configurations that carry or name code, and the templates and paths of others.
//!
//! Keras 2 writes a lambda as `[base64 of marshalled code, defaults, closure]`, Keras 3 as an object of class `__lambda__`;
//! functions and classes of its own Keras 3 names by module, and imports that module. Marshalled code is never
//! unmarshalled: the names in it are read out of its bytes, as text.
//!
//! Source: `deserialize_keras_object` and `_retrieve_class_or_fn` in
//! <https://github.com/keras-team/keras/blob/v3.9.0/keras/src/saving/serialization_lib.py>.

use serde_json::{Map, Value as Json};

use super::Examiner;
use crate::formats::containers::zip_records::escapes;
use crate::formats::keras::parse_json;
use crate::model::{Oddity, ReadError};
use crate::raw::{ByteSource, limits};

/// Bytes of a document that is parsed.
const DOCUMENT_BYTES: u64 = 64 << 20;

/// Names that are kept of one piece of code.
const NAMES: usize = 64;

impl Examiner<'_> {
    /// A JSON document, if it is one. Returns what it is.
    pub(super) fn json(
        &mut self,
        source: &ByteSource,
        head: &[u8],
        place: &str,
    ) -> Result<Option<&'static str>, ReadError> {
        let begins = String::from_utf8_lossy(head);
        let begins = begins.trim_start_matches('\u{feff}').trim_start();
        // JSON holds no control characters; values of tensors that happen to begin like it soon do.
        let is_binary = head.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace());
        if is_binary || !begins.starts_with(['{', '"', '[']) || source.len() > DOCUMENT_BYTES {
            return Ok(None);
        }
        let bytes = source.read_all("a JSON document", limits::TEXT_BYTES)?;
        let text = String::from_utf8_lossy(&bytes);
        if self.configuration(text.trim_start_matches('\u{feff}').trim(), place) {
            Ok(Some("a JSON document"))
        } else {
            Ok(None)
        }
    }

    /// Looks through a configuration. Returns whether the text is JSON.
    pub(super) fn configuration(&mut self, text: &str, place: &str) -> bool {
        let Ok(mut json) = parse_json(text) else { return false };
        // The text of `to_json()` saved as JSON once more.
        if let Json::String(inner) = &json {
            match parse_json(inner) {
                Ok(parsed) => json = parsed,
                Err(_) => return true,
            }
        }
        let mut open = vec![(&json, String::new())];
        while let Some((value, layer)) = open.pop() {
            match value {
                Json::Object(entries) => {
                    let name = entries.get("config").and_then(|config| config.get("name"));
                    let name = name.or_else(|| entries.get("name")).and_then(Json::as_str);
                    let layer = name.map_or(layer, str::to_owned);
                    self.object(entries, &layer, place);
                    open.extend(entries.values().map(|value| (value, layer.clone())));
                }
                Json::Array(items) => {
                    if let [Json::String(code), _, _] = items.as_slice() {
                        self.marshalled(code, &layer, place);
                    }
                    open.extend(items.iter().map(|value| (value, layer.clone())));
                }
                _ => {}
            }
        }
        true
    }

    fn object(&mut self, entries: &Map<String, Json>, layer: &str, place: &str) {
        let text = |key: &str| entries.get(key).and_then(Json::as_str);
        for (key, value) in entries {
            if let (true, Some(template)) = (key.ends_with("chat_template"), value.as_str()) {
                self.template(key, template, place);
            }
        }
        if let Some(map) = entries.get("auto_map").and_then(Json::as_object) {
            let named: Vec<&str> = map.values().filter_map(Json::as_str).take(5).collect();
            let detail = format!(
                "auto_map names {}, which transformers runs when trust_remote_code is set",
                named.join(", ")
            );
            self.evidence.observe(Oddity::PythonSource, place, None, detail);
        }
        if let Some(map) = entries.get("weight_map").and_then(Json::as_object) {
            let outside =
                map.values().filter_map(Json::as_str).find(|file| escapes(file) || file.contains('/'));
            if let Some(file) = outside {
                let detail = format!("the index names {file:?}, which lies outside of its folder");
                self.evidence.observe(Oddity::OutsidePath, place, None, detail);
            }
        }
        let Some(class) = text("class_name") else { return };
        let config = entries.get("config");
        let function = config.and_then(|config| config.get("function"));
        if class == "__lambda__" {
            let code = config.and_then(|config| config.get("code")).or(config).and_then(Json::as_str);
            self.marshalled(code.unwrap_or_default(), layer, place);
        } else if class == "Lambda" {
            let named = function.and_then(Json::as_str);
            let module = config.and_then(|config| config.get("module")).and_then(Json::as_str);
            let detail = match (named, module) {
                (Some(name), Some(module)) => {
                    format!("layer {layer:?} is a Lambda that calls {module}.{name}")
                }
                (Some(name), None) => format!("layer {layer:?} is a Lambda that calls {name}"),
                _ => format!("layer {layer:?} is a Lambda"),
            };
            self.evidence.observe(Oddity::LambdaLayer, place, None, detail);
            if let (Some(name), Some(module)) = (named, module) {
                self.named_import(module, name, place);
            }
        }
        let name = if class == "function" { config.and_then(Json::as_str).unwrap_or(class) } else { class };
        if let Some(module) = text("module").filter(|module| !module.is_empty()) {
            self.named_import(module, name, place);
        }
        let registered = text("registered_name").unwrap_or(class);
        if registered.contains('>') {
            let detail = format!(
                "{layer:?} is of class {registered:?}, which the loading program must have registered"
            );
            self.evidence.observe(Oddity::CustomObject, place, None, detail);
        }
    }

    /// Base64 of marshalled Python code.
    fn marshalled(&mut self, text: &str, layer: &str, place: &str) {
        let Some(code) = base64(text) else { return };
        // `TYPE_CODE`, with or without the flag of a reference; sources: `Python/marshal.c`.
        if !matches!(code.first(), Some(0xe3 | b'c')) || code.len() < 16 {
            return;
        }
        let names = names_in(&code);
        let listed =
            if names.is_empty() { String::new() } else { format!(", which names {}", names.join(", ")) };
        let detail = format!("layer {layer:?} carries {} bytes of compiled Python code{listed}", code.len());
        self.observe_about(Oddity::MarshalledCode, place, detail, names);
    }
}

/// The texts in marshalled code: `z`, `Z`: a byte of length; `a`, `A`, `u`, `t`, `s`: four; each perhaps with the flag 0x80.
fn names_in(code: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < code.len() && names.len() < NAMES {
        let rest = code.get(at..).unwrap_or_default();
        let found = match rest {
            [kind, len, ..] if matches!(kind & 0x7f, b'z' | b'Z') => {
                rest.get(2..2 + usize::from(*len)).map(|text| (2, text))
            }
            [kind, a, b, 0, 0, ..] if matches!(kind & 0x7f, b'a' | b'A' | b'u' | b't' | b's') => {
                let len = usize::from(u16::from_le_bytes([*a, *b]));
                rest.get(5..5 + len).map(|text| (5, text))
            }
            _ => None,
        };
        let is_text = |text: &[u8]| text.len() > 1 && text.iter().all(|byte| (0x20..0x7f).contains(byte));
        match found.filter(|(_, text)| is_text(text)) {
            Some((before, text)) => {
                let name: String = String::from_utf8_lossy(text).chars().take(120).collect();
                if !names.contains(&name) {
                    names.push(name);
                }
                at += before + text.len();
            }
            None => at += 1,
        }
    }
    names
}

/// Standard or URL-safe base64, line ends allowed; `None` for what is none.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for c in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => continue,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_out_of_marshalled_code() {
        let code = base64("4wEAAAAAAAAAAAAAAAEAAAADAAAA8wYAAACXAHwAUwCpAU6pACkB2gF4cwEAAAAg+govdG1wL21oLnB5+gg8bGFtYmRhPnIGAAAAOwAAAHMGAAAAgACoYYAA8wAAAAA=")
            .expect("base64");
        assert_eq!(code.first(), Some(&0xe3));
        assert_eq!(names_in(&code), ["/tmp/mh.py", "<lambda>"]);
        assert!(base64("not base64!").is_none());
    }
}
