//! `storage_data` of a distributed checkpoint: in which file, and where in it, every chunk and value is.

use std::collections::HashMap;
use std::path::Path;

use super::chunked::DataFile;
use super::view::View;
use crate::formats::containers::pickle::NodeId;
use crate::formats::shard_index::beside;
use crate::model::Problem;
use crate::raw::limits;

/// One item of a file, or why it cannot be read.
pub struct Item {
    /// First index per dimension of the chunk; none for a plain value.
    pub offsets: Vec<u64>,
    /// Which file, and where in it; or why it is not to be had.
    pub place: Result<(usize, (u64, u64)), String>,
}

/// `storage_data`: where every item is.
#[derive(Default)]
pub struct Stored {
    /// By the name of the value.
    pub items: HashMap<String, Vec<Item>>,
    /// Those that are there.
    pub files: Vec<DataFile>,
    /// About those that are not.
    pub problems: Vec<Problem>,
}

impl Stored {
    /// Reads it; files are looked for, not opened. `metadata` is the path of the `.metadata` file.
    pub fn read(view: &View, data: Option<NodeId>, metadata: &Path) -> Self {
        let mut stored = Self::default();
        let mut by_name: HashMap<String, Result<usize, String>> = HashMap::new();
        for (index, info) in data.and_then(|id| view.mapping(id)).unwrap_or_default() {
            let index = view.attributes(index).unwrap_or_default();
            let Some(name) = view.entry(&index, "fqn").and_then(|id| view.graph.text(id)) else { continue };
            let offsets = view.entry(&index, "offset").and_then(|id| dimensions(view, id));
            let info = view.attributes(info).unwrap_or_default();
            let number = |key: &str| view.entry(&info, key).and_then(|id| view.graph.unsigned(id));
            let file = view.entry(&info, "relative_path").and_then(|id| view.graph.text(id));
            let place = match (file, number("offset"), number("length")) {
                (Some(file), Some(offset), Some(len)) => {
                    let transformed = view
                        .entry(&info, "transform_descriptors")
                        .and_then(|id| view.sequence(id))
                        .is_some_and(|descriptors| !descriptors.is_empty());
                    stored.place(&mut by_name, metadata, file, (offset, len)).and_then(|place| {
                        if transformed {
                            Err(format!("its part in {file:?} is compressed"))
                        } else {
                            Ok(place)
                        }
                    })
                }
                _ => Err("the .metadata file does not say where it is".to_owned()),
            };
            let item = Item { offsets: offsets.unwrap_or_default(), place };
            if let Some(items) = stored.items.get_mut(name) {
                items.push(item);
            } else {
                stored.items.insert(name.to_owned(), vec![item]);
            }
        }
        stored
    }

    /// A range of a file, which is looked for once.
    fn place(
        &mut self,
        by_name: &mut HashMap<String, Result<usize, String>>,
        metadata: &Path,
        file: &str,
        range: (u64, u64),
    ) -> Result<(usize, (u64, u64)), String> {
        if !by_name.contains_key(file) {
            let found = beside(metadata, file).and_then(|path| DataFile::find(&path));
            let found = match found {
                Ok(found) => {
                    self.files.push(found);
                    Ok(self.files.len() - 1)
                }
                Err(error) => {
                    let text = format!("file {file:?} cannot be read: {error}");
                    self.problems.push(Problem::error("missing-shard", text));
                    Err(format!("it is in {file:?}, which cannot be read"))
                }
            };
            by_name.insert(file.to_owned(), found);
        }
        let index = by_name.get(file).cloned().unwrap_or_else(|| Err(String::new()))?;
        let bytes = self.files.get(index).map_or(0, |file| file.len);
        match range.0.checked_add(range.1) {
            Some(end) if end <= bytes => Ok((index, range)),
            _ => Err(format!(
                "its part needs {} bytes at offset {} of {file:?}, which has {bytes}; it may be cut off",
                range.1, range.0
            )),
        }
    }
}

/// A `torch.Size`.
pub fn dimensions(view: &View, id: NodeId) -> Option<Vec<u64>> {
    let items = view.sequence(id).filter(|items| items.len() <= limits::RANK)?;
    items.into_iter().map(|item| view.graph.unsigned(item)).collect()
}
