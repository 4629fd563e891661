//! Which storage a tensor is a view of: a key of the file, bytes inside the pickle, or a row of a table beside it.

use super::super::legacy_layout;
use super::super::names::Known;
use super::super::storage::{Place, Storage};
use super::super::view::{Listed, View};
use super::{Rebuilder, Rebuilt, broken};
use crate::formats::containers::pickle::{Node, NodeId};
use crate::model::{Dtype, Progress, ReadError, Severity, Shape};
use crate::raw::limits;

/// A storage that was found.
pub(super) struct Found {
    /// Position in [`Rebuilder::storages`].
    pub(super) index: usize,
    /// The dtype that its class names.
    pub(super) dtype: Option<Dtype>,
    /// Elements before the first of the part that is meant (torch < 0.4 has views of storages).
    pub(super) before: u64,
    /// Elements that the reference claims.
    pub(super) count: Option<u64>,
    /// What should be known about it.
    pub(super) note: Option<(Severity, &'static str, String)>,
}

impl Rebuilder<'_> {
    /// The storage of a persistent id, or one inside the pickle. On failure why, with the dtype as far as it is known.
    pub(super) fn storage(&mut self, id: NodeId) -> Result<Found, (String, Option<Dtype>)> {
        let view = self.view;
        if let Some((call, Known::LoadFromBytes)) = view.call(id) {
            let holder = call.args;
            let found = |index, dtype| Found { index, dtype, before: 0, count: None, note: None };
            if let Some((index, dtype)) = self.by_node.get(&holder) {
                return Ok(found(*index, dtype.clone()));
            }
            let inner = view.args(call).first().copied().unwrap_or(id);
            let (storage, dtype) = view
                .bytes(inner, limits::INFLATED_BYTES)
                .unwrap_or_else(|| Err(ReadError::unsupported("its storage is not written as bytes")))
                .and_then(|bytes| legacy_layout::single_storage(&bytes, &Progress::new()))
                .map_err(|error| (format!("the storage inside the pickle cannot be read: {error}"), None))?;
            self.storages.push(storage);
            self.by_node.insert(holder, (self.storages.len() - 1, dtype.clone()));
            return Ok(found(self.storages.len() - 1, dtype));
        }
        if let Some(listed) = view.listed(id) {
            let index = self.of_key(&listed.storage).map_err(|why| (why, Some(listed.dtype.clone())))?;
            let (dtype, before) = (Some(listed.dtype.clone()), listed.offset);
            return Ok(Found { index, dtype, before, count: None, note: None });
        }
        let (key, dtype, count, before) = stored(view, id).map_err(|text| (text, None))?;
        let index = self.of_key(&key).map_err(|why| (why, dtype.clone()))?;
        let held = self.storages.get(index).map_or(0, |storage| storage.place.len());
        let claimed =
            count.and_then(|count| dtype.as_ref().map_or(Some(count), |dtype| dtype.bytes_for(count)));
        let note = (claimed != Some(held)).then(|| {
            let claimed =
                claimed.map_or_else(|| "an impossible number of".to_owned(), |bytes| bytes.to_string());
            let text = format!("its storage {key:?} should have {claimed} bytes, but has {held}");
            (Severity::Warning, "storage-size", text)
        });
        Ok(Found { index, dtype, before, count, note })
    }

    /// The storage of a key; why not, where it is missing.
    fn of_key(&mut self, key: &str) -> Result<usize, String> {
        let index = if let Some(&index) = self.by_key.get(key) {
            index
        } else {
            let place = self.map.find(key);
            self.storages.push(Storage { place, big_endian: self.map.big_endian() });
            self.by_key.insert(key.to_owned(), self.storages.len() - 1);
            self.storages.len() - 1
        };
        match self.storages.get(index).map(|storage| &storage.place) {
            Some(Place::Missing(why)) => Err(why.clone()),
            _ => Ok(index),
        }
    }

    /// A storage that stands for itself: `tensor.untyped_storage()`, saved. One row of elements; bytes where it has no type.
    pub(super) fn bare_storage(&mut self, id: NodeId) -> Rebuilt {
        match self.storage(id) {
            Ok(found) => {
                let dtype = found.dtype.unwrap_or(Dtype::Uint8);
                let held = self.storages.get(found.index).map_or(0, |storage| storage.place.len());
                let held = held / u64::from(dtype.bits().div_ceil(8).max(1));
                let mut made = Rebuilt::over(
                    found.index,
                    dtype,
                    Shape::from(vec![found.count.unwrap_or(held.saturating_sub(found.before))]),
                );
                made.offset = found.before;
                made.notes.push((Severity::Info, "storage", "a storage without a tensor over it".to_owned()));
                made.notes.extend(found.note);
                made
            }
            Err((why, dtype)) => {
                let mut made = broken(&why);
                made.dtype = dtype.unwrap_or(made.dtype);
                made
            }
        }
    }

    /// A tensor of the table beside the pickle.
    pub(super) fn listed(&mut self, listed: &Listed) -> Rebuilt {
        match self.of_key(&listed.storage) {
            Ok(index) => {
                let mut made = Rebuilt::over(index, listed.dtype.clone(), Shape::from(listed.sizes.clone()));
                made.strides = Some(listed.strides.clone().into());
                made.offset = listed.offset;
                made
            }
            Err(why) => Rebuilt::without_values(listed.dtype.clone(), Shape::from(listed.sizes.clone()), why),
        }
    }
}

/// Takes apart `('storage', class, key, location, count[, view])`: key, dtype, elements, elements before the view.
pub fn stored(view: &View, id: NodeId) -> Result<(String, Option<Dtype>, Option<u64>, u64), String> {
    let wrong = || "its storage is not a reference to one".to_owned();
    let Node::Persistent(inner) = view.graph.node(id) else { return Err(wrong()) };
    let parts = view.graph.tuple(inner).ok_or_else(wrong)?;
    let &[kind, class, key, _location, count, ref rest @ ..] = parts else { return Err(wrong()) };
    if view.graph.text(kind) != Some("storage") {
        return Err(wrong());
    }
    let Known::Storage(dtype) = view.known(class) else {
        let name = view.class_name(class).unwrap_or_else(|| "of no class".to_owned());
        return Err(format!("its storage class {name} is not known"));
    };
    let dtype = dtype.clone();
    let key = match view.graph.text(key) {
        Some(key) => key.to_owned(),
        None => view.graph.int(key).map(|key| key.to_string()).ok_or_else(wrong)?,
    };
    // (key of the view, elements before it, elements in it): torch < 0.4.
    let before = rest
        .first()
        .and_then(|&view_of| view.graph.tuple(view_of))
        .and_then(|parts| parts.get(1).copied())
        .and_then(|before| view.graph.unsigned(before));
    Ok((key, dtype, view.graph.unsigned(count), before.unwrap_or(0)))
}
