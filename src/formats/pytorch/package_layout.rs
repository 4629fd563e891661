//! `torch.package`: several pickles with common storages, and the Python sources that they need.
//!
//! ```text
//! <root>/<package>/<resource>.pkl     objects
//! <root>/.data/<key>.storage          storages of all of them
//! <root>/.data/ts_code/<id>/data.pkl  TorchScript modules that objects refer to; their sources in ts_code/code/
//! <root>/.data/extern_modules         modules that are not in the package, one a line
//! <root>/.data/python_version
//! <root>/<package>/….py               sources, and other files
//! ```
//!
//! Source: <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/package/package_exporter.py>.

use super::gathered::Gathered;
use super::script_code::ScriptCode;
use super::zip_layout::{members, note, pickle_of, root_of, texts};
use crate::formats::containers::zip::ZipArchive;
use crate::model::{Problem, Progress, ReadError, Value};

/// What the archive has and no other has.
const MARK: &str = ".data/extern_modules";

/// Objects that are read.
const OBJECTS: usize = 10_000;

/// Whether the archive is a package.
pub fn detect(archive: &ZipArchive) -> bool {
    root_of(archive, MARK).is_some()
}

/// Gathers all objects; gives the metadata.
pub fn read(archive: &ZipArchive, gathered: &mut Gathered, progress: &Progress) -> Result<Value, ReadError> {
    let root = root_of(archive, MARK).unwrap_or_default();
    let map = members(archive, root, ".data/", ".storage");
    // TorchScript writes the ending into the key.
    let script_map = members(archive, root, ".data/", "");
    let objects: Vec<_> = archive
        .entries()
        .iter()
        .filter_map(|entry| {
            let name = entry.name.strip_prefix(root)?.strip_suffix(".pkl")?;
            let is_object = !name.starts_with(".data/") || name.starts_with(".data/ts_code/");
            is_object.then_some((entry, name))
        })
        .take(OBJECTS)
        .collect();
    // One object is the checkpoint; several are parts of it.
    let single = objects.len() == 1;
    gathered.code = ScriptCode::read(archive, &format!("{root}.data/ts_code/"));
    let mut metadata = Value::empty();
    let mut parts = Vec::new();
    let mut failed = None;
    for &(entry, name) in &objects {
        let prefix: Vec<String> = name
            .strip_prefix(".data/")
            .unwrap_or(name)
            .split('/')
            .map(str::to_owned)
            .filter(|_| !single)
            .collect();
        match pickle_of(archive, entry, progress) {
            Ok(view) => {
                let is_script = name.starts_with(".data/");
                let value = gathered.object(&view, if is_script { &script_map } else { &map }, &prefix);
                if single {
                    metadata = value;
                } else if !value.is_empty() {
                    parts.push((prefix.join("."), value));
                }
            }
            Err(error) if error.is_cancelled() => return Err(error),
            Err(error) => {
                let text = format!("the object {:?} cannot be read: {error}", entry.name);
                gathered.problems.push(Problem::error("package-object", text));
                failed = Some(error);
            }
        }
    }
    if let Some(error) = failed.filter(|_| single) {
        return Err(error);
    }
    let mut package = Vec::new();
    if let Some(version) = note(archive, root, ".data/python_version") {
        package.push(("python_version".to_owned(), Value::Text(version)));
    }
    let externs = note(archive, root, MARK).unwrap_or_default();
    let externs: Vec<Value> = externs.lines().map(|line| Value::Text(line.to_owned())).collect();
    if !externs.is_empty() {
        package.push(("extern_modules".to_owned(), Value::List(externs)));
    }
    let is_source = |name: &str| name.ends_with(".py") && !name.starts_with(".data/");
    let is_file = |name: &str| {
        let is_known = name.starts_with(".data/") || name.ends_with(".pkl") || name == "byteorder";
        !is_known && !is_source(name)
    };
    for (key, found) in
        [("sources", texts(archive, root, is_source)), ("files", texts(archive, root, is_file))]
    {
        if !found.is_empty() {
            package.push((key.to_owned(), Value::Map(found)));
        }
    }
    let package = ("package".to_owned(), Value::Map(package));
    match &mut metadata {
        Value::Object { fields, .. } | Value::Map(fields) => {
            fields.extend(parts);
            fields.push(package);
        }
        other => *other = Value::Map(vec![("object".to_owned(), std::mem::take(other)), package]),
    }
    Ok(metadata)
}
