//! TorchScript archives: modules by their sources, constants beside the pickle, and what else `torch.jit.save` writes.
//!
//! ```text
//! <root>/data.pkl, data/<key>              the module, its tensors
//! <root>/code/__torch__/….py               classes of the modules
//! <root>/constants.pkl, constants/<key>    a tuple: CONSTANTS.c0, CONSTANTS.c1, … of the sources
//! <root>/bytecode.pkl                      mobile only: (version, (method, …), …)
//! <root>/traced_inputs.pkl                 what a module was traced with: shapes, for the storages are left empty
//! <root>/extra/<name>                      files of the user's (`_extra_files`)
//! ```
//!
//! Source: <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/csrc/jit/serialization/export_module.cpp>.

use super::gathered::Gathered;
use super::metadata::{key_text, simple};
use super::script_code::ScriptCode;
use super::state_dict::Section;
use super::storage::NoStorages;
use super::zip_layout::{Zip, members, pickle_of, texts};
use crate::formats::containers::zip::ZipArchive;
use crate::model::{Problem, Progress, TensorRole, Value};

/// Methods and operators of a mobile archive that are listed.
const METHODS: usize = 1000;

/// Whether the archive is TorchScript.
pub fn detect(archive: &ZipArchive, root: &str) -> bool {
    archive.entry(&format!("{root}constants.pkl")).is_some()
}

/// Gathers everything; gives the metadata.
pub fn read(zip: &Zip, archive: &ZipArchive, gathered: &mut Gathered, progress: &Progress) -> Value {
    gathered.code = ScriptCode::read(archive, &zip.root);
    let mut metadata = gathered.object(&zip.view, &zip.storages, &[]);
    // A frozen module has its weights among the constants, and nothing says which those are.
    let is_frozen = gathered.tensors().is_empty();
    let mut more = Vec::new();

    let class = zip.view.class(zip.view.root);
    let methods =
        class.as_ref().and_then(|class| gathered.code.class(class)).map(|class| class.methods.clone());
    if let Some(methods) = methods.filter(|methods| !methods.is_empty()) {
        more.push(("methods".to_owned(), Value::List(methods.into_iter().map(Value::Text).collect())));
    }
    let role = if is_frozen { TensorRole::Unknown } else { TensorRole::Other };
    if let Some(value) = constants(zip, archive, gathered, role, progress) {
        more.push(("CONSTANTS".to_owned(), value));
    }
    let inputs = traced_inputs(zip, archive, gathered, progress);
    more.extend(inputs.map(|value| ("traced_inputs".to_owned(), value)));
    more.extend(bytecode(zip, archive, progress).map(|value| ("bytecode".to_owned(), value)));
    for (key, folder, ending) in [("extra", "extra/", ""), ("code", "code/", ".py")] {
        let files = texts(archive, &format!("{}{folder}", zip.root), |name| name.ends_with(ending));
        if !files.is_empty() {
            more.push((key.to_owned(), Value::Map(files)));
        }
    }
    if is_frozen {
        gathered.found_model = false;
    }
    match &mut metadata {
        Value::Object { fields, .. } | Value::Map(fields) => fields.extend(more),
        other => {
            let whole = std::mem::take(other);
            more.insert(0, ("object".to_owned(), whole));
            *other = Value::Map(more);
        }
    }
    metadata
}

/// The tensors among the constants, under the names that the sources use; gives the others.
fn constants(
    zip: &Zip,
    archive: &ZipArchive,
    gathered: &mut Gathered,
    role: TensorRole,
    progress: &Progress,
) -> Option<Value> {
    let entry = archive.entry(&format!("{}constants.pkl", zip.root))?;
    let view = match pickle_of(archive, entry, progress) {
        Ok(view) => view,
        Err(error) => {
            gathered
                .problems
                .push(Problem::error("constants", format!("the constants cannot be read: {error}")));
            return None;
        }
    };
    gathered.forget_keys();
    let map = members(archive, &zip.root, "constants/", "");
    let before = gathered.tensors().len();
    let mut others = Vec::new();
    for (index, &item) in view.graph.items(view.root).unwrap_or_default().iter().enumerate() {
        let name = format!("c{index}");
        let prefix = ["CONSTANTS".to_owned(), name.clone()];
        let is_tensor = view.is_tensor(item);
        let value = gathered.part(&view, item, &map, &prefix, Section::Other);
        if !is_tensor {
            others.push((name, value));
        }
    }
    for tensor in gathered.tensors().iter_mut().skip(before) {
        tensor.role = role;
    }
    (!others.is_empty()).then_some(Value::Map(others))
}

/// Types and shapes of a traced module's inputs, by method.
fn traced_inputs(
    zip: &Zip,
    archive: &ZipArchive,
    gathered: &mut Gathered,
    progress: &Progress,
) -> Option<Value> {
    let entry = archive.entry(&format!("{}traced_inputs.pkl", zip.root))?;
    let view = pickle_of(archive, entry, progress).ok()?;
    let mut methods = Vec::new();
    for (method, inputs) in view.mapping(view.root)?.into_iter().take(METHODS) {
        let mut texts = Vec::new();
        for input in view.sequence(inputs).unwrap_or_default().into_iter().take(METHODS) {
            let made = gathered.make(&view, input, &NoStorages);
            texts.push(match made {
                Some(made) => Value::Text(format!("{} {}", made.dtype, made.shape)),
                None => simple(&view, input).unwrap_or(Value::Elided("not a tensor")),
            });
        }
        methods.push((key_text(&view, method), Value::List(texts)));
    }
    gathered.forget_keys();
    Some(Value::Map(methods))
}

/// Version and methods of the mobile interpreter's program.
/// Source: <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/csrc/jit/serialization/export_bytecode.cpp>.
fn bytecode(zip: &Zip, archive: &ZipArchive, progress: &Progress) -> Option<Value> {
    let entry = archive.entry(&format!("{}bytecode.pkl", zip.root))?;
    let view = pickle_of(archive, entry, progress).ok()?;
    let (&version, methods) = view.graph.items(view.root)?.split_first()?;
    let names = methods.iter().take(METHODS).filter_map(|&method| {
        let &name = view.graph.items(method)?.first()?;
        Some(Value::Text(view.graph.text(name)?.to_owned()))
    });
    Some(Value::Map(vec![
        ("version".to_owned(), view.graph.int(version).map_or(Value::Null, Value::Int)),
        ("methods".to_owned(), Value::List(names.collect())),
    ]))
}
