//! HDF5: groups and contiguous datasets, written in one pass.
//!
//! The values come first, then the headers that point at them, then the superblock at the front: the libraries at hand hold a
//! whole file in memory while they write it. A Keras checkpoint gets the layout that its `load_weights` reads ([`keras`]);
//! of others the dots in a name separate groups. Tied tensors are one dataset with several names.

mod keras;
mod messages;

use std::collections::{HashMap, HashSet};
use std::io::{SeekFrom, Write};

use super::plan::PlannedFile;
use super::values::Values;
use super::write::Out;
use super::{ExportError, ExportPlan};
use crate::model::{Checkpoint, TensorRole, Value};
use messages::{Header, kind};

/// Gives each tensor its groups and its name in the file.
pub(super) fn place(checkpoint: &Checkpoint, plan: &mut ExportPlan) {
    let is_keras = keras::is_keras(checkpoint);
    let places: Vec<Vec<String>> = plan
        .tensors
        .iter()
        .map(|tensor| {
            let source = checkpoint.tensor(tensor.id);
            let stored = source
                .stored_name
                .as_deref()
                .filter(|_| tensor.name == source.name && (is_keras || checkpoint.format() == "hdf5"));
            match keras::weight(checkpoint, plan, tensor).filter(|_| is_keras) {
                Some(weight) => weight.keys(),
                None => match stored.filter(|stored| stored.starts_with('/')) {
                    Some(stored) => {
                        stored.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
                    }
                    None => tensor.name.split(['.', '/']).map(str::to_owned).collect(),
                },
            }
        })
        .collect();
    let groups: HashSet<&[String]> =
        places.iter().flat_map(|keys| (1..keys.len()).filter_map(|depth| keys.get(..depth))).collect();
    let is_name = |key: &String| !key.is_empty() && key != "." && !key.contains('\0');
    // A name that is a group too, or no name, cannot be split: then all names stay whole.
    let fits = |keys: &Vec<String>| {
        !keys.is_empty()
            && keys.iter().all(is_name)
            && !groups.contains(keys.as_slice())
            && keys.len() <= DEPTH
    };
    let all_fit = places.iter().all(fits);
    for (tensor, keys) in plan.tensors.iter_mut().zip(places) {
        tensor.keys = if all_fit {
            keys
        } else {
            let whole = tensor.name.replace(['/', '\0'], "|");
            vec![if whole == "." { "tensor".to_owned() } else { whole }]
        };
    }
}

/// What Keras, which tells its two layouts apart by the name of the file, would make of another name.
pub(super) fn warning(checkpoint: &Checkpoint, plan: &ExportPlan) -> Option<String> {
    if !keras::is_keras(checkpoint) {
        return None;
    }
    let is_listed = !keras::lists(checkpoint, plan).is_empty();
    match (is_listed, plan.request.target.to_string_lossy().ends_with(".weights.h5")) {
        (true, true) => {
            Some("Keras reads this layout only from a name that does not end with .weights.h5".to_owned())
        }
        (false, false) => {
            Some("Keras reads this layout only from a name that ends with .weights.h5".to_owned())
        }
        _ => None,
    }
}

/// Dimensions of one dataset: the library's limit, `H5S_MAX_RANK`.
const RANK: usize = 32;

/// Nesting of groups.
const DEPTH: usize = 100;

#[derive(Default)]
struct Group {
    links: Vec<(String, Child)>,
    places: HashMap<String, usize>,
    attributes: Vec<(String, Attribute)>,
}

enum Child {
    Group(Group),
    Dataset(usize),
}

enum Attribute {
    Text(String),
    Texts(Vec<String>),
    Int(i64),
    Float(f64),
}

impl Group {
    /// The group inside, made where it is missing; `None` where a dataset has the name.
    fn group(&mut self, name: &str) -> Option<&mut Self> {
        let place = match self.places.get(name) {
            Some(&place) => place,
            None => self.add(name, Child::Group(Self::default())),
        };
        match self.links.get_mut(place) {
            Some((_, Child::Group(group))) => Some(group),
            _ => None,
        }
    }

    fn add(&mut self, name: &str, child: Child) -> usize {
        let place = self.links.len();
        self.links.push((name.to_owned(), child));
        self.places.insert(name.to_owned(), place);
        place
    }

    fn at(&mut self, path: &[String]) -> Option<&mut Self> {
        path.iter().try_fold(self, |group, name| group.group(name))
    }
}

/// Writes the file.
pub(super) fn write(
    checkpoint: &Checkpoint,
    file: &PlannedFile,
    values: &mut Values<'_>,
    out: &mut dyn Out,
) -> Result<(), ExportError> {
    let plan = values.plan();
    let mut out = Positioned { out, position: 0 };
    out.append(&[0; messages::SUPERBLOCK_BYTES])?;
    let mut data: HashMap<usize, u64> = HashMap::with_capacity(file.tensors.len());
    for &index in &file.tensors {
        let tensor = values.tensor(index)?;
        if tensor.alias_of.is_some() {
            continue;
        }
        let at = out.align()?;
        values.copy(index, &mut out)?;
        data.insert(index, if tensor.bytes == 0 { messages::UNDEFINED } else { at });
    }
    let mut datasets: HashMap<usize, u64> = HashMap::with_capacity(data.len());
    let mut root = Group::default();
    for &index in &file.tensors {
        let tensor = values.tensor(index)?;
        let own = tensor.alias_of.unwrap_or(index);
        if let (None, Some(&address)) = (datasets.get(&own), data.get(&own)) {
            let tensor = values.tensor(own)?;
            datasets.insert(own, out.dataset(tensor, address)?);
        }
        let Some((name, groups)) = tensor.keys.split_last() else { continue };
        let group = root.at(groups).ok_or_else(|| ExportError::refused("a name is a group too"))?;
        group.add(name, Child::Dataset(own));
    }
    attributes(checkpoint, plan, &mut root);
    let root = out.group(root, &datasets)?;
    let end = out.position;
    out.out.seek(SeekFrom::Start(0))?;
    out.out.write_all(&messages::superblock(root, end))?;
    Ok(())
}

/// The lists by which Keras finds its weights, and the metadata.
fn attributes(checkpoint: &Checkpoint, plan: &ExportPlan, root: &mut Group) {
    let mut weights = Vec::new();
    if keras::is_keras(checkpoint) {
        let lists = keras::lists(checkpoint, plan);
        if lists.is_empty() {
            // The model's own variables, whose group is asked for even where there are none (`H5IOStore.get`).
            root.group("vars");
        }
        for (path, list, names) in lists {
            if let Some(group) = root.at(&path) {
                split_list(list, names, &mut group.attributes);
            }
            if list == "layer_names" {
                weights = path;
            }
        }
    }
    let has_optimizer =
        plan.tensors.iter().any(|tensor| checkpoint.tensor(tensor.id).role == TensorRole::Optimizer);
    let Value::Map(entries) = checkpoint.metadata() else { return };
    for (key, value) in entries.iter().filter(|(key, _)| plan.request.metadata.keeps(key)) {
        // Paths are attributes of other objects, which may not be in the new file.
        if key.starts_with('/') || key == "links" || !has_optimizer && value.get("param_groups").is_some() {
            continue;
        }
        root.attributes.extend(attribute(checkpoint, value).map(|attribute| (key.clone(), attribute)));
    }
    // Keras takes weights without a version for those of Keras 1, and the loader looks beside them.
    for key in ["keras_version", "backend"] {
        let Some(Value::Text(text)) = checkpoint.metadata().get(key) else { continue };
        if let Some(group) = root.at(&weights)
            && keras::is_keras(checkpoint)
            && group.attributes.iter().all(|(known, _)| known != key)
        {
            group.attributes.push((key.to_owned(), Attribute::Text(text.clone())));
        }
    }
}

fn attribute(checkpoint: &Checkpoint, value: &Value) -> Option<Attribute> {
    Some(match value {
        Value::Text(text) | Value::BigInt(text) => Attribute::Text(text.clone()),
        Value::Int(number) => Attribute::Int(*number),
        Value::Bool(flag) => Attribute::Int((*flag).into()),
        Value::Float(number) => Attribute::Float(*number),
        Value::Null | Value::Tensor(_) | Value::Elided(_) | Value::Bytes { .. } => return None,
        Value::List(_) | Value::Map(_) | Value::Object { .. } => {
            Attribute::Text(value.to_json(&|id| checkpoint.tensor(id).name.clone()).to_string())
        }
    })
}

/// One list as one attribute, or as several with a number behind the name where it is long, as Keras reads it
/// (`HDF5_OBJECT_HEADER_LIMIT`).
fn split_list(name: &str, names: Vec<String>, attributes: &mut Vec<(String, Attribute)>) {
    const LIMIT: usize = 64_512;
    let width = names.iter().map(String::len).max().unwrap_or(0).max(1);
    if names.len() * width <= LIMIT {
        attributes.push((name.to_owned(), Attribute::Texts(names)));
        return;
    }
    for (number, part) in names.chunks((LIMIT / width).max(1)).enumerate() {
        attributes.push((format!("{name}{number}"), Attribute::Texts(part.to_vec())));
    }
}

/// Counts what is written.
struct Positioned<'a> {
    out: &'a mut dyn Out,
    position: u64,
}

impl Write for Positioned<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.position += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

impl Positioned<'_> {
    /// Writes something to a multiple of eight bytes; gives where.
    fn append(&mut self, bytes: &[u8]) -> Result<u64, ExportError> {
        let at = self.align()?;
        self.write_all(bytes)?;
        Ok(at)
    }

    fn align(&mut self) -> Result<u64, ExportError> {
        let gap = self.position.next_multiple_of(8) - self.position;
        self.write_all([0; 8].get(..gap as usize).unwrap_or_default())?;
        Ok(self.position)
    }

    fn dataset(&mut self, tensor: &super::PlannedTensor, address: u64) -> Result<u64, ExportError> {
        let datatype = messages::datatype(&tensor.dtype)
            .ok_or_else(|| ExportError::refused(format!("HDF5 holds no {} values", tensor.dtype)))?;
        if tensor.shape.rank() > RANK {
            return Err(ExportError::refused(format!(
                "{} has more dimensions than HDF5 allows",
                tensor.name
            )));
        }
        let mut header = Header::default();
        header.push(kind::DATASPACE, &messages::dataspace(tensor.shape.dims()))?;
        header.push(kind::DATATYPE, &datatype)?;
        header.push(kind::FILL_VALUE, &messages::FILL_VALUE)?;
        header.push(kind::LAYOUT, &messages::contiguous(address, tensor.bytes))?;
        self.append(&header.finish()?)
    }

    /// Writes a group after all that is in it. The depth is bounded by [`DEPTH`].
    fn group(&mut self, group: Group, datasets: &HashMap<usize, u64>) -> Result<u64, ExportError> {
        let mut links = Vec::with_capacity(group.links.len());
        for (name, child) in group.links {
            let address = match child {
                Child::Group(inner) => self.group(inner, datasets)?,
                Child::Dataset(index) => match datasets.get(&index) {
                    Some(&address) => address,
                    None => return Err(ExportError::refused("a tensor without a dataset")),
                },
            };
            links.push(messages::link(&name, address)?);
        }
        let mut header = Header::default();
        header.push(kind::LINK_INFO, &messages::link_info())?;
        header.push(kind::GROUP_INFO, &[0, 0])?;
        for (name, attribute) in &group.attributes {
            let message = self.attribute(name, attribute)?;
            header.push(kind::ATTRIBUTE, &message)?;
        }
        for link in links {
            header.push(kind::LINK, &link)?;
        }
        self.append(&header.finish()?)
    }

    fn attribute(&mut self, name: &str, attribute: &Attribute) -> Result<Vec<u8>, ExportError> {
        let number = |dtype| messages::datatype(&dtype).unwrap_or_default();
        let scalar = messages::dataspace(&[]);
        match attribute {
            Attribute::Int(value) => {
                messages::attribute(name, &number(crate::model::Dtype::Int64), &scalar, &value.to_le_bytes())
            }
            Attribute::Float(value) => messages::attribute(
                name,
                &number(crate::model::Dtype::Float64),
                &scalar,
                &value.to_le_bytes(),
            ),
            Attribute::Text(text) => {
                let length = u32::try_from(text.len()).map_err(|_| {
                    ExportError::refused(format!("the attribute {name} is too long for HDF5"))
                })?;
                let heap = self.append(&messages::heap(text.as_bytes()))?;
                let reference = messages::heap_reference(length, heap);
                messages::attribute(name, &messages::variable_text(), &scalar, &reference)
            }
            Attribute::Texts(texts) => {
                let width = texts.iter().map(String::len).max().unwrap_or(0).max(1);
                let mut data = vec![0; width * texts.len()];
                for (slot, text) in data.chunks_exact_mut(width).zip(texts) {
                    if let Some(slot) = slot.get_mut(..text.len()) {
                        slot.copy_from_slice(text.as_bytes());
                    }
                }
                let count = messages::dataspace(&[texts.len() as u64]);
                messages::attribute(name, &messages::fixed_text(width as u32), &count, &data)
            }
        }
    }
}
