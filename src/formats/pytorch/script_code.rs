//! Classes of TorchScript, as the sources under `code/` declare them.
//!
//! A pickled module of TorchScript has attributes only; which of them are parameters and which are buffers stands in
//! the class that the archive carries as source text:
//!
//! ```text
//! class BatchNorm1d(Module):
//!   __parameters__ = ["weight", "bias", ]
//!   __buffers__ = ["running_mean", "running_var", ]
//!   weight : Tensor
//!   eps : Final[float] = 1.0000000000000001e-05
//!   def forward(self: __torch__.torch.nn.modules.batchnorm.BatchNorm1d,
//!     input: Tensor) -> Tensor:
//! ```
//!
//! Written by `PythonPrintImpl::printNamedType`,
//! <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/csrc/jit/serialization/python_print.cpp>. Only the declarations
//! are read, line by line; bodies of methods are passed over.

use std::collections::{HashMap, HashSet};

use crate::formats::containers::zip::ZipArchive;
use crate::model::Value;

/// Bytes of one source file, and of all.
const SOURCE_BYTES: (u64, u64) = (8 << 20, 64 << 20);

/// Bytes of one signature: they can go over several lines.
const SIGNATURE_BYTES: usize = 4096;

/// Signatures that are kept per class.
const METHODS: usize = 256;

/// All classes of an archive, by their full name (`__torch__.torch.nn.modules.linear.Linear`).
#[derive(Debug, Default)]
pub struct ScriptCode {
    classes: HashMap<String, ScriptClass>,
}

/// One class.
#[derive(Debug, Default)]
pub struct ScriptClass {
    /// Whether it is a module.
    pub is_module: bool,
    /// Attributes that are parameters.
    pub parameters: HashSet<String>,
    /// Attributes that are buffers.
    pub buffers: HashSet<String>,
    /// Attributes that never change: they are not in the pickle.
    pub constants: Vec<(String, Value)>,
    /// Signatures, without bodies.
    pub methods: Vec<String>,
}

impl ScriptCode {
    /// Reads the sources of an archive whose members begin with `root`.
    pub fn read(archive: &ZipArchive, root: &str) -> Self {
        let folder = format!("{root}code/");
        let mut code = Self::default();
        let mut total = 0;
        for entry in archive.entries() {
            let Some(path) = entry.name.strip_prefix(&folder).and_then(|path| path.strip_suffix(".py"))
            else {
                continue;
            };
            total += entry.size;
            if total > SOURCE_BYTES.1 {
                break;
            }
            if let Ok(bytes) = archive.read(entry, SOURCE_BYTES.0) {
                code.add(&path.replace('/', "."), &String::from_utf8_lossy(&bytes));
            }
        }
        code
    }

    /// The class of that full name.
    pub fn class(&self, name: &str) -> Option<&ScriptClass> {
        self.classes.get(name)
    }

    fn add(&mut self, module: &str, text: &str) {
        let mut name = None;
        let mut class = ScriptClass::default();
        let mut signature: Option<String> = None;
        for line in text.lines() {
            if let Some(head) = line.strip_prefix("class ") {
                if let Some(name) = name.replace(head) {
                    self.close(module, name, std::mem::take(&mut class));
                }
                class.is_module = head.contains("(Module)");
                signature = None;
                continue;
            }
            if let Some(open) = &mut signature {
                open.push(' ');
                open.push_str(line.trim());
            } else {
                let Some(declaration) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) else {
                    continue;
                };
                if let Some(rest) = declaration.strip_prefix("def ") {
                    signature = Some(rest.to_owned());
                } else {
                    class.declare(declaration);
                }
            }
            if let Some(whole) = &signature
                && (whole.ends_with(':') || whole.len() > SIGNATURE_BYTES)
            {
                if class.methods.len() < METHODS && whole.len() <= SIGNATURE_BYTES {
                    class.methods.push(without_own_type(whole.trim_end_matches(':')));
                }
                signature = None;
            }
        }
        if let Some(name) = name {
            self.close(module, name, class);
        }
    }

    fn close(&mut self, module: &str, head: &str, class: ScriptClass) {
        let name = head.split(['(', ':']).next().unwrap_or(head).trim();
        self.classes.insert(format!("{module}.{name}"), class);
    }
}

impl ScriptClass {
    fn declare(&mut self, line: &str) {
        if let Some(list) = line.strip_prefix("__parameters__ = ") {
            self.parameters = names(list);
        } else if let Some(list) = line.strip_prefix("__buffers__ = ") {
            self.buffers = names(list);
        } else if let Some((name, rest)) = line.split_once(" : Final[")
            && let Some((_, value)) = rest.split_once("] = ")
        {
            self.constants.push((name.to_owned(), literal(value)));
        }
    }
}

/// The texts of a list as it is written in source: `["weight", "bias", ]`.
fn names(list: &str) -> HashSet<String> {
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A constant: a number, a truth value or text as it is written.
fn literal(text: &str) -> Value {
    match text {
        "None" => Value::Null,
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        _ => {
            if let Ok(value) = text.parse() {
                Value::Int(value)
            } else if let Ok(value) = text.parse() {
                Value::Float(value)
            } else {
                let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                Value::Text(inner.unwrap_or(text).to_owned())
            }
        }
    }
}

/// The signature without the type of its first argument, which is the class itself.
fn without_own_type(signature: &str) -> String {
    let Some((name, rest)) = signature.split_once('(') else { return signature.to_owned() };
    let end = rest.find([',', ')']).unwrap_or(rest.len());
    let (first, after) = rest.split_at(end);
    let own = first.split(':').next().unwrap_or(first);
    format!("{name}({own}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_read_and_bodies_passed_over() {
        let mut code = ScriptCode::default();
        code.add(
            "__torch__.net",
            "class Net(Module):\n  __parameters__ = [\"w\", ]\n  __buffers__ = [\"b\", \"c\", ]\n  w : Tensor\n  \
             k : Final[int] = 3\n  def forward(self: __torch__.net.Net,\n    x: Tensor,\n    y: int=3) -> Tensor:\n    \
             w = self.w\n    return w\nclass Pair(NamedTuple):\n  a : int\n",
        );
        let net = code.class("__torch__.net.Net").expect("the first class");
        assert!(net.is_module && net.parameters.contains("w") && net.buffers.len() == 2);
        assert_eq!(net.methods, ["forward(self, x: Tensor, y: int=3) -> Tensor"]);
        assert_eq!(net.constants, [("k".to_owned(), Value::Int(3))]);
        assert!(code.class("__torch__.net.Pair").is_some_and(|class| !class.is_module));
    }
}
