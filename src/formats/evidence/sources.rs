//! Code that is text: TorchScript, and templates that programs of language models fill in.

use std::path::PathBuf;

use super::Examiner;
use crate::formats::gguf::Gguf;
use crate::formats::{Format, Probe};
use crate::model::{Observation, Oddity, ReadError, Value};
use crate::raw::ByteSource;

/// Bytes of one source that are looked at.
pub const SOURCE_BYTES: u64 = 4 << 20;

/// Operators of TorchScript that read or write files.
///
/// Source: the schemas of `aten/src/ATen/native/native_functions.yaml` and `torch/csrc/jit/runtime/register_prim_ops.cpp`.
const FILE_OPERATORS: [&str; 6] = [
    "torch.save(",
    "torch.from_file(",
    "ops.aten.save(",
    "ops.aten.from_file(",
    "torch.load(",
    "ops.prim.PythonOp",
];

/// What a chat template has no use for: the way from a value to the interpreter around it.
const ESCAPES: [&str; 10] = [
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
        for (number, line) in text.lines().enumerate() {
            if let Some(operator) = FILE_OPERATORS.iter().find(|operator| line.contains(**operator)) {
                let text = format!("line {} calls {}", number + 1, operator.trim_end_matches('('));
                self.evidence.observe(Oddity::ScriptFileAccess, place, None, text);
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
        let names: Vec<String> =
            ESCAPES.iter().filter(|name| text.contains(**name)).map(|&name| name.to_owned()).collect();
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
