//! The layout of torch before 0.1.10: a tar archive of four members.
//!
//! ```text
//! sys_info    pickle of a dictionary {protocol_version, little_endian, type_sizes}
//! pickle      the object; tensors and storages are persistent ids: keys of the tables
//! storages    pickle: count; per storage a pickle (key, location, storage class), i64 element count, raw elements;
//!             then a pickle of views: [(key, key of the whole, first element, elements), …]
//! tensors     pickle: count; per tensor a pickle (key, key of the storage, tensor class), i32 dimensions, 4 bytes
//!             of padding, i64 sizes, i64 strides, i64 storage offset
//! ```
//!
//! Numbers of the tables are little-endian; elements are as `sys_info` says.
//! Source: `legacy_load` in <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/serialization.py>.

use std::collections::HashMap;

use super::names::Known;
use super::storage::{Listed as Storages, Place};
use super::view::{Listed, View};
use crate::formats::containers::pickle::{self, Node, NodeId};
use crate::formats::containers::tar::{self, TarEntry};
use crate::model::{Dtype, Problem, Progress, ReadError};
use crate::raw::{ByteSource, limits};

/// Members that the layout has, and no other archive.
const MEMBERS: [&str; 4] = ["sys_info", "pickle", "storages", "tensors"];

/// Whether the bytes begin like this layout: torch writes `sys_info` first.
pub fn detect(head: &[u8]) -> bool {
    tar::first_name(head).is_some_and(|name| MEMBERS.contains(&name.trim_start_matches("./")))
}

/// What a file of this layout holds.
pub struct Tar {
    /// The object.
    pub view: View,
    /// Its storages.
    pub storages: Storages,
    /// What is wrong with the tables.
    pub problems: Vec<Problem>,
}

/// Reads the tables and the object.
pub fn open(source: &ByteSource, progress: &Progress) -> Result<Tar, ReadError> {
    let entries = tar::entries(source, progress)?;
    let member = |name: &str| -> Result<ByteSource, ReadError> {
        let Some(TarEntry { offset, size, .. }) = entries.iter().find(|entry| entry.name == name) else {
            return Err(ReadError::unsupported(format!("the tar archive has no member {name:?}")));
        };
        source.slice(format!("member {name:?} of the tar archive"), *offset, *size)
    };
    let mut problems = Vec::new();
    let mut tables = Tables { storages: HashMap::new(), listed: HashMap::new() };
    let big_endian = member("sys_info").and_then(|info| is_big_endian(&info, progress)).unwrap_or(false);
    for (name, read) in [
        (
            "storages",
            Tables::read_storages as fn(&mut Tables, &ByteSource, &Progress) -> Result<(), ReadError>,
        ),
        ("tensors", Tables::read_tensors),
    ] {
        if let Err(error) = member(name).and_then(|table| read(&mut tables, &table, progress)) {
            if error.is_cancelled() {
                return Err(error);
            }
            let text = format!("the table of {name} cannot be read to its end: {error}");
            problems.push(Problem::error("tables", text));
        }
    }
    let object = member("pickle")?;
    let view = View::new(pickle::parse(&object, 0, progress)?, object).with_listed(tables.listed);
    let places = tables.storages.into_iter().map(|(key, storage)| (key, storage.0)).collect();
    Ok(Tar { view, storages: Storages { places, big_endian }, problems })
}

fn is_big_endian(info: &ByteSource, progress: &Progress) -> Result<bool, ReadError> {
    let view = View::new(pickle::parse(info, 0, progress)?, info.clone());
    let flag = view.mapping(view.root).and_then(|entries| view.entry(&entries, "little_endian"));
    Ok(flag.is_some_and(|flag| view.graph.node(flag) == Node::Bool(false)))
}

/// The two tables, by key.
struct Tables {
    storages: HashMap<String, (Place, Dtype)>,
    /// Tensors, and storages as rows of elements.
    listed: HashMap<String, Listed>,
}

impl Tables {
    fn read_storages(&mut self, table: &ByteSource, progress: &Progress) -> Result<(), ReadError> {
        let mut position = 0;
        let count = next(table, &mut position, progress)?;
        for _ in 0..count.graph.unsigned(count.root).unwrap_or(0) {
            let at = position;
            let row = next(table, &mut position, progress)?;
            let (key, class) = match row.graph.items(row.root) {
                Some(&[key, _location, class]) => (key_of(&row, key), class),
                _ => (None, row.root),
            };
            let (Some(key), Known::Storage(dtype)) = (key, row.known(class)) else {
                return Err(ReadError::malformed("a storage of the table", at, "its class is not known"));
            };
            let dtype = dtype.clone().unwrap_or(Dtype::Uint8);
            let elements = u64::from_le_bytes(array(table, &mut position)?);
            let bytes = dtype.bytes_for(elements).ok_or_else(|| {
                ReadError::malformed("a storage of the table", at, format!("{elements} elements overflow"))
            })?;
            let place = table.slice(format!("storage {key:?}"), position, bytes)?;
            position += bytes;
            self.add_storage(key, Place::Range(place), dtype, elements);
        }
        let views = next(table, &mut position, progress)?;
        for &view in views.graph.items(views.root).unwrap_or_default() {
            let Some(&[key, whole, first, elements]) = views.graph.items(view) else { continue };
            let (Some(key), Some(whole)) = (key_of(&views, key), key_of(&views, whole)) else { continue };
            let numbers = views.graph.unsigned(first).zip(views.graph.unsigned(elements));
            let Some(((first, elements), (Place::Range(place), dtype))) =
                numbers.zip(self.storages.get(&whole).cloned())
            else {
                continue;
            };
            let range = dtype.bytes_for(first).zip(dtype.bytes_for(elements));
            if let Some((from, len)) = range
                && let Ok(part) = place.slice("a view of a storage", from, len)
            {
                self.add_storage(key, Place::Range(part), dtype, elements);
            }
        }
        Ok(())
    }

    fn add_storage(&mut self, key: String, place: Place, dtype: Dtype, elements: u64) {
        let row = Listed {
            storage: key.clone(),
            dtype: dtype.clone(),
            offset: 0,
            sizes: vec![elements],
            strides: vec![1],
        };
        self.listed.insert(key.clone(), row);
        self.storages.insert(key, (place, dtype));
    }

    fn read_tensors(&mut self, table: &ByteSource, progress: &Progress) -> Result<(), ReadError> {
        let mut position = 0;
        let count = next(table, &mut position, progress)?;
        for _ in 0..count.graph.unsigned(count.root).unwrap_or(0) {
            let at = position;
            let row = next(table, &mut position, progress)?;
            let keys = match row.graph.items(row.root) {
                Some(&[key, storage, _class]) => key_of(&row, key).zip(key_of(&row, storage)),
                _ => None,
            };
            let Some((key, storage)) = keys else {
                return Err(ReadError::malformed("a tensor of the table", at, "it has no keys"));
            };
            let rank = u32::from_le_bytes(array(table, &mut position)?) as usize;
            if rank > limits::RANK {
                let what = "the number of dimensions of a tensor".into();
                return Err(ReadError::OverLimit { what, value: rank as u64, limit: limits::RANK as u64 });
            }
            // The number of dimensions once was written as 8 bytes.
            let _: [u8; 4] = array(table, &mut position)?;
            let mut numbers = || -> Result<Vec<u64>, ReadError> {
                (0..rank).map(|_| Ok(u64::from_le_bytes(array(table, &mut position)?))).collect()
            };
            let (sizes, strides) = (numbers()?, numbers()?);
            let offset = u64::from_le_bytes(array(table, &mut position)?);
            let dtype = self.storages.get(&storage).map(|(_, dtype)| dtype.clone());
            let dtype = dtype.unwrap_or_else(|| Dtype::Other("unknown".into(), 0));
            self.listed.insert(key, Listed { storage, dtype, offset, sizes, strides });
        }
        Ok(())
    }
}

/// The next pickle of a table.
fn next(table: &ByteSource, position: &mut u64, progress: &Progress) -> Result<View, ReadError> {
    let parsed = pickle::parse(table, *position, progress)?;
    *position = parsed.end;
    Ok(View::new(parsed, table.clone()))
}

/// A key: the address that the object had, as text or number.
fn key_of(view: &View, id: NodeId) -> Option<String> {
    match view.graph.node(id) {
        Node::BigInt(_) => view.graph.digits(id).map(str::to_owned),
        Node::Int(key) => Some(key.to_string()),
        _ => view.graph.text(id).map(str::to_owned),
    }
}

fn array<const N: usize>(table: &ByteSource, position: &mut u64) -> Result<[u8; N], ReadError> {
    let mut bytes = [0; N];
    table.read_at("a number of the table", *position, &mut bytes)?;
    *position += N as u64;
    Ok(bytes)
}
