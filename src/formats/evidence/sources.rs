//! Code that is text: TorchScript, and templates that programs of language models fill in.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Examiner;
use crate::formats::gguf::Gguf;
use crate::formats::{Format, Probe};
use crate::model::{Observation, Oddity, ReadError, Value};
use crate::raw::ByteSource;

/// Libraries of operators that are named of one source.
const LIBRARIES_NAMED: usize = 50;

/// Bytes of one source that are looked at.
pub const SOURCE_BYTES: u64 = 4 << 20;

/// Operators of TorchScript that read or write files.
///
/// Source: the schemas of `aten/src/ATen/native/native_functions.yaml` and `torch/csrc/jit/runtime/register_prim_ops.cpp`.
const FILE_OPERATORS: [&str; 6] = [
    "torch.save",
    "torch.from_file",
    "ops.aten.save",
    "ops.aten.from_file",
    "torch.load",
    "ops.prim.PythonOp",
];

/// Libraries of operators that come with PyTorch and its companions, as `ops.NAME` calls them.
const OPERATOR_LIBRARIES: [&str; 20] = [
    "aten",
    "prim",
    "prims",
    "quantized",
    "quantized_decomposed",
    "sparse",
    "mkldnn",
    "mkldnn_prepacked",
    "prepacked",
    "onednn",
    "xnnpack",
    "metal",
    "vulkan",
    "metal_prepack",
    "vulkan_prepack",
    "static_runtime",
    "profiler",
    "torchvision",
    "image",
    "torchaudio",
];

/// What a chat template has no use for: the way from a value to the interpreter around it.
///
/// `attr` is the filter by which an attribute's name can be put together.
const ESCAPES: [&str; 13] = [
    "|attr(",
    "\\x5f\\x5f",
    "\\u005f",
    "__class__",
    "__globals__",
    "__builtins__",
    "__import__",
    "__subclasses__",
    "__mro__",
    "__init__",
    "__getattribute__",
    "os.system",
    "popen",
];

impl Examiner<'_> {
    /// One source of TorchScript.
    pub(super) fn script_source(&mut self, text: &[u8], place: &str) {
        let text = String::from_utf8_lossy(text);
        let line = |at: usize| text.get(..at).map_or(0, |before| before.matches('\n').count()) + 1;
        for operator in FILE_OPERATORS {
            // Whether the name ends there and is called: PyTorch writes no space before the bracket, but reads one.
            let call = text.match_indices(operator).find(|(at, name)| {
                let rest = text.get(at + name.len()..).unwrap_or_default();
                rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\\').starts_with(['(', '['])
            });
            if let Some((at, _)) = call {
                let text = format!("line {} calls {operator}", line(at));
                self.evidence.observe(Oddity::ScriptFileAccess, place, None, text);
            }
        }
        let mut named = BTreeSet::new();
        for (at, mark) in text.match_indices("ops.") {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let before = text.get(..at).unwrap_or_default();
            let before = before.strip_suffix("torch.").unwrap_or(before).chars().next_back();
            let rest = text.get(at + mark.len()..).unwrap_or_default();
            let library = rest.get(..rest.find(|c| !is_word(c)).unwrap_or(rest.len())).unwrap_or_default();
            let is_call = rest.get(library.len()..).is_some_and(|rest| rest.starts_with('.'));
            let is_own = before.is_none_or(|c| !is_word(c) && c != '.');
            if is_own && is_call && !OPERATOR_LIBRARIES.contains(&library) && named.insert(library) {
                let text = format!("line {} calls an operator of the library {library:?}", line(at));
                self.evidence.observe(Oddity::CustomOperator, place, None, text);
            }
            if named.len() >= LIBRARIES_NAMED {
                break;
            }
        }
    }

    /// The templates of a language model.
    pub(super) fn gguf(&mut self, source: &ByteSource, place: &str) -> Result<(), ReadError> {
        let probe = Probe::of_source(PathBuf::from("model.gguf"), source.clone())?;
        let parts = Gguf.open(&probe, self.progress)?;
        self.evidence.data_bytes += parts.tensors.iter().map(|tensor| tensor.stored_bytes).sum::<u64>();
        if let Value::Map(entries) = &parts.metadata {
            for (key, value) in entries.iter().filter(|(key, _)| key.contains("chat_template")) {
                self.template(key, value.as_text().unwrap_or_default(), place);
            }
        }
        Ok(())
    }

    /// A template in the metadata of a language model.
    pub(super) fn template(&mut self, key: &str, text: &str, place: &str) {
        // Names that are put together from pieces of text read as one without what stands between the pieces.
        let joined: String =
            text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '\'' | '"' | '~' | '+')).collect();
        let is_in = |name: &str| text.contains(name) || name.starts_with(['_', '|']) && joined.contains(name);
        let names = ESCAPES.iter().filter(|name| is_in(name));
        let names: Vec<String> = names.map(|&name| name.to_owned()).collect();
        if !names.is_empty() {
            let detail = format!("{key} is a template that names {}", names.join(", "));
            self.observe_about(Oddity::TemplateCode, place, detail, names);
        }
    }

    /// An observation with the names that it is about.
    pub(super) fn observe_about(&mut self, kind: Oddity, place: &str, detail: String, names: Vec<String>) {
        let before = self.evidence.observations.len();
        self.evidence.observe(kind, place, None, detail);
        if let Some(Observation { names: kept, .. }) = self.evidence.observations.get_mut(before) {
            *kept = names;
        }
    }
}
