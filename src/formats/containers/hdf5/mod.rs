//! HDF5 files: groups, attributes, and datasets as file ranges or chunks.
//!
//! The one place that touches the HDF5 library. [`walk`] lists a whole file once, within bounds; what the
//! groups mean is for the formats above. Nothing outside the file is ever opened: external links, external
//! storage and virtual datasets are refused. Soft and external links are listed and not followed.
//!
//! ```text
//! [user block] superblock ─▶ root group ─▶ links ─▶ object headers ─┬▶ attributes
//!                                                                  └▶ data: compact │ contiguous range │ chunk index ─▶ chunks
//! ```
//! Source: HDF5 File Format Specification 3.0, <https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html>.

mod adapter;
mod attributes;
mod chunk_tree;
mod chunk_values;
mod dataset;
mod fletcher;
mod fractal_heap;
mod header;
mod links;
mod record_tree;

pub use dataset::{Dataset, Outside};
pub use links::Link;

use std::collections::HashMap;

use crate::model::{Problem, Progress, ReadError, Value};
use crate::raw::{ByteSource, limits};

/// The first bytes of a superblock. Section II.A of the specification.
const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Fewest bytes that one object (its header) takes: bounds the number of distinct groups and datasets, so that
/// hard links that form a cycle end.
const OBJECT_BYTES: u64 = 32;

/// Groups listed in one file.
const GROUPS: u64 = 200_000;

/// Whether an HDF5 file begins in `source`: at offset 0, or after a user block of 512, 1024, 2048, … bytes.
pub fn has_signature(source: &ByteSource, head: &[u8]) -> bool {
    if head.starts_with(SIGNATURE) {
        return true;
    }
    let mut offset = 512u64;
    // A user block beyond 64 KiB is legal, but looking further would read every unknown file.
    while offset <= 1 << 16 && offset < source.len() {
        let mut found = [0; SIGNATURE.len()];
        match source.read_at("the HDF5 signature", offset, &mut found) {
            Ok(()) if found == SIGNATURE => return true,
            Ok(()) => offset *= 2,
            Err(_) => return false,
        }
    }
    false
}

/// One group of a file, with its attributes.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Absolute path; empty for the root.
    pub path: String,
    /// Attributes, sorted by name: the file keeps no order that means anything.
    pub attributes: Vec<(String, Value)>,
    /// Names of the groups directly inside.
    pub groups: Vec<String>,
    /// Links that are not followed.
    pub links: Vec<Link>,
}

impl Group {
    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// A text attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attribute(name).and_then(Value::as_text)
    }

    /// A list of texts, also when it is split over attributes `name0`, `name1`, … because an object header
    /// message holds at most 64 KiB.
    pub fn texts(&self, name: &str) -> Option<Vec<&str>> {
        let mut found: Option<Vec<&str>> = None;
        if let Some(value) = self.attribute(name) {
            found.get_or_insert_default().extend(texts_of(value));
        } else {
            for index in 0.. {
                let Some(value) = self.attribute(&format!("{name}{index}")) else { break };
                found.get_or_insert_default().extend(texts_of(value));
            }
        }
        found
    }
}

fn texts_of(value: &Value) -> impl Iterator<Item = &str> {
    let items = if let Value::List(items) = value { items.as_slice() } else { std::slice::from_ref(value) };
    items.iter().filter_map(Value::as_text)
}

/// Everything that a file's hard links lead to.
#[derive(Debug, Default)]
pub struct Tree {
    /// Groups, outer before inner; the root is the first.
    pub groups: Vec<Group>,
    /// Datasets in the order of the groups.
    pub datasets: Vec<Dataset>,
    /// What could not be listed.
    pub problems: Vec<Problem>,
    groups_by_path: HashMap<String, usize>,
    datasets_by_path: HashMap<String, usize>,
}

impl Tree {
    /// The group of an absolute path; the root's is empty.
    pub fn group(&self, path: &str) -> Option<&Group> {
        self.groups_by_path.get(path).and_then(|&index| self.groups.get(index))
    }

    /// Position of the dataset of an absolute path.
    pub fn dataset(&self, path: &str) -> Option<usize> {
        self.datasets_by_path.get(path).copied()
    }

    /// Adds what another file holds, as if it were in this one. Of two datasets of one path the first stays.
    pub fn append(&mut self, other: Self) {
        for group in other.groups {
            let known = self.groups_by_path.get(&group.path).and_then(|&index| self.groups.get_mut(index));
            if let Some(known) = known {
                let new = |name: &str| !known.attributes.iter().any(|(other, _)| other == name);
                let attributes: Vec<_> = group.attributes.into_iter().filter(|(name, _)| new(name)).collect();
                known.attributes.extend(attributes);
                let groups: Vec<_> =
                    group.groups.into_iter().filter(|name| !known.groups.contains(name)).collect();
                known.groups.extend(groups);
            } else {
                self.groups_by_path.insert(group.path.clone(), self.groups.len());
                self.groups.push(group);
            }
        }
        for dataset in other.datasets {
            if !self.datasets_by_path.contains_key(&dataset.path) {
                self.datasets_by_path.insert(dataset.path.clone(), self.datasets.len());
                self.datasets.push(dataset);
            }
        }
        self.problems.extend(other.problems);
    }

    /// The root group.
    pub fn root(&self) -> &Group {
        const EMPTY: &Group =
            &Group { path: String::new(), attributes: Vec::new(), groups: Vec::new(), links: Vec::new() };
        self.groups.first().unwrap_or(EMPTY)
    }
}

/// Lists all groups and datasets. `in_file` says whether offsets in `source` are offsets in a file (not in memory).
pub fn walk(source: &ByteSource, in_file: bool, progress: &Progress) -> Result<Tree, ReadError> {
    let adapter = adapter::Adapter::new(source.clone());
    let (watch, widths) = (adapter.watch(), adapter.widths());
    let file = hdf5::File::from_source(adapter).map_err(|error| broken("/", &error))?;
    let mut tree = Tree::default();
    let end = file.superblock().eof_address;
    if end > source.len() {
        tree.problems.push(Problem::error(
            "truncated",
            format!(
                "The HDF5 file says it ends at byte {end}, but it has {}; it is cut off or damaged",
                source.len()
            ),
        ));
    }
    let most_objects = source.len() / OBJECT_BYTES + 1;
    let most_groups = most_objects.min(GROUPS);
    let mut open = vec![(file.root(), String::new(), 0usize)];
    // Groups by where they are: a group may have many names, also inside itself.
    let mut known: HashMap<u64, String> = HashMap::new();
    while let Some((group, path, depth)) = open.pop() {
        progress.advance(0)?;
        watch.take();
        let (attributes, unreadable) = attributes::of_group(&group);
        let at = watch.take().first_read;
        if let Some(first) = at.and_then(|at| known.get(&at)) {
            tree.problems.push(Problem::info(
                "hdf5-links",
                format!("{path} is another name of group {}, whose contents are listed once", shown(first)),
            ));
            continue;
        }
        known.extend(at.map(|at| (at, path.clone())));
        if let Some(reason) = unreadable {
            tree.problems.push(Problem::warning(
                "hdf5-attributes",
                format!("attributes of {} could not be read: {reason}", shown(&path)),
            ));
        }
        let mut soft_links = Vec::new();
        let datasets = group.iter_datasets();
        soft_links.extend(watch.take().soft_links);
        match datasets {
            Ok(datasets) => {
                for (name, dataset) in datasets {
                    if tree.datasets.len() as u64 >= most_objects || tree.datasets.len() >= limits::TENSORS {
                        tree.problems.push(Problem::warning(
                            "hdf5-links",
                            "there are more links to datasets than the file can hold datasets; the rest is not listed",
                        ));
                        return Ok(tree);
                    }
                    let dataset_path = format!("{path}/{name}");
                    tree.datasets_by_path.insert(dataset_path.clone(), tree.datasets.len());
                    // The library does not say where a dataset is; opening it again reads its header last.
                    let header = if dataset::has_chunk_tree(&dataset) {
                        watch.take();
                        group.dataset(&name).ok().and_then(|_| watch.take().last_header).zip(widths)
                    } else {
                        None
                    };
                    tree.datasets.push(Dataset::new(dataset, dataset_path, source, in_file, header));
                }
            }
            Err(error) => tree.problems.push(listing_failed("datasets", &path, &error)),
        }
        let mut names = Vec::new();
        match group.iter_groups() {
            Ok(groups) if depth < limits::NESTING => {
                let mut inner = Vec::new();
                for (name, child) in groups {
                    inner.push((child, format!("{path}/{name}"), depth + 1));
                    names.push(name);
                }
                if (tree.groups.len() + open.len() + inner.len()) as u64 > most_groups {
                    tree.problems.push(Problem::warning(
                        "hdf5-links",
                        "groups link to each other in a cycle, or there are too many; the rest is not listed",
                    ));
                    inner.clear();
                }
                open.extend(inner.into_iter().rev());
            }
            Ok(mut groups) => {
                if groups.next().is_some() {
                    tree.problems.push(Problem::warning(
                        "hdf5-depth",
                        format!("groups nested deeper than {} are not listed", limits::NESTING),
                    ));
                }
            }
            Err(error) => tree.problems.push(listing_failed("groups", &path, &error)),
        }
        let soft = std::mem::take(&mut soft_links);
        let links = at.zip(widths).map(|(at, widths)| links::of_group(source, at, widths, &soft));
        let (links, unread) = links.unwrap_or_default();
        if let Some(reason) = unread {
            let message = format!("links of {} could not be read: {reason}", shown(&path));
            tree.problems.push(Problem::warning(UNREAD_LINKS, message));
        }
        tree.groups_by_path.insert(path.clone(), tree.groups.len());
        tree.groups.push(Group { path, attributes, groups: names, links });
    }
    let links = tree.groups.iter().map(|group| group.links.len()).sum::<usize>();
    if links > 0 {
        tree.problems.push(Problem::info(
            "hdf5-links",
            format!(
                "the file has {links} soft or external link{}, listed with the metadata and not followed",
                if links == 1 { "" } else { "s" }
            ),
        ));
    }
    if tree.groups.len() == 1 && tree.datasets.is_empty() {
        // Nothing at all, because the root cannot be listed: that is no catalogue with a gap but a broken file.
        if let Some(index) = tree.problems.iter().position(|problem| problem.code == LISTING) {
            let problem = tree.problems.swap_remove(index);
            return Err(ReadError::malformed("the HDF5 file", 0, problem.message));
        }
    }
    Ok(tree)
}

const LISTING: &str = "hdf5-group";

/// Links that are not known, so that they may lead anywhere.
pub const UNREAD_LINKS: &str = "hdf5-unread-links";

fn listing_failed(what: &str, path: &str, error: &hdf5::Error) -> Problem {
    Problem::error(LISTING, format!("the {what} of group {} could not be listed: {error}", shown(path)))
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

fn broken(path: &str, error: &hdf5::Error) -> ReadError {
    ReadError::malformed(format!("HDF5 object {path}"), 0, error.to_string())
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use hdf5::{AttrValue, FileBuilder};

    use super::*;

    fn file() -> Vec<u8> {
        let mut builder = FileBuilder::new();
        builder.set_attr("keras_version", AttrValue::String("2.15.0".to_owned()));
        let mut group = builder.create_group("dense");
        group.create_dataset("kernel").with_f32_data(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).with_shape(&[3, 2]);
        group.set_attr("weight_names0", AttrValue::StringArray(vec!["a".to_owned()]));
        group.set_attr("weight_names1", AttrValue::StringArray(vec!["b".to_owned(), "c".to_owned()]));
        builder.add_group(group.finish());
        builder.finish().expect("a file")
    }

    fn tree(bytes: Vec<u8>) -> Result<Tree, ReadError> {
        walk(&ByteSource::from_vec(bytes), false, &Progress::new())
    }

    fn values(dataset: &Dataset) -> Result<Vec<u8>, ReadError> {
        let mut all = Vec::new();
        dataset.read_chunks(&Progress::new(), &mut |bytes| {
            all.extend_from_slice(bytes);
            ControlFlow::Continue(())
        })?;
        Ok(all)
    }

    #[test]
    fn groups_attributes_and_values_are_found() {
        let tree = tree(file()).expect("readable");
        assert_eq!(tree.root().text("keras_version"), Some("2.15.0"));
        let kernel = &tree.datasets[tree.dataset("/dense/kernel").expect("listed")];
        assert_eq!(kernel.shape.dims(), [3, 2]);
        let bytes: Vec<u8> = [1f32, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(values(kernel).expect("values"), bytes);
    }

    #[test]
    fn an_attribute_that_was_split_is_joined() {
        let tree = tree(file()).expect("readable");
        let group = tree.group("/dense").expect("listed");
        assert_eq!(group.texts("weight_names"), Some(vec!["a", "b", "c"]));
        assert_eq!(group.texts("layer_names"), None);
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error_or_a_shorter_tree() {
        let whole = file();
        for len in 0..whole.len() {
            if let Ok(tree) = tree(whole[..len].to_vec()) {
                assert!(tree.problems.iter().any(|problem| problem.code == "truncated"), "{len} bytes");
                for dataset in &tree.datasets {
                    let _ = values(dataset);
                }
            }
        }
    }

    #[test]
    fn a_flipped_byte_never_panics() {
        let whole = file();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            if let Ok(tree) = tree(bytes) {
                for dataset in &tree.datasets {
                    let _ = values(dataset);
                }
            }
        }
    }

    #[test]
    fn a_user_block_may_stand_before_the_signature() {
        let mut bytes = vec![0; 1024];
        bytes.extend(file());
        let source = ByteSource::from_vec(bytes.clone());
        assert!(has_signature(&source, &bytes[..512]));
        assert!(!has_signature(&ByteSource::from_vec(vec![0; 4096]), &[0; 16]));
    }
}
