//! A PyTorch file inside another: of any layout, as a part of what is gathered.

use super::gathered::Gathered;
use super::rebuild::Rebuilt;
use super::state_dict::Section;
use super::storage::{NoStorages, StorageMap};
use super::view::View;
use super::{legacy_layout, zip_layout};
use crate::formats::containers::pickle;
use crate::formats::containers::zip::ZipArchive;
use crate::model::{Progress, ReadError, Value};
use crate::raw::ByteSource;

/// Walks the object of the file under the keys of `prefix`; gives what of it is no tensor.
pub fn read(
    source: &ByteSource,
    gathered: &mut Gathered,
    prefix: &[String],
    section: Section,
    progress: &Progress,
) -> Result<Value, ReadError> {
    with(source, gathered, progress, |gathered, view, map| {
        gathered.part(view, view.root, map, prefix, section)
    })
}

/// The one tensor that the file holds, not yet named.
pub fn tensor(
    source: &ByteSource,
    gathered: &mut Gathered,
    progress: &Progress,
) -> Result<Rebuilt, ReadError> {
    let made = with(source, gathered, progress, |gathered, view, map| gathered.make(view, view.root, map))?;
    made.ok_or_else(|| ReadError::unsupported("the file holds no tensor"))
}

fn with<T>(
    source: &ByteSource,
    gathered: &mut Gathered,
    progress: &Progress,
    look: impl FnOnce(&mut Gathered, &View, &dyn StorageMap) -> T,
) -> Result<T, ReadError> {
    let head = source.read_up_to("the start of a file inside the archive", 0, 64)?;
    // Keys of another file mean other storages.
    gathered.forget_keys();
    let value = if head.starts_with(b"PK\x03\x04") {
        let zip = zip_layout::open(&ZipArchive::open(source)?, progress)?;
        look(gathered, &zip.view, &zip.storages)
    } else if legacy_layout::detect(&head) {
        let legacy = legacy_layout::open(source, progress)?;
        look(gathered, &legacy.view, &legacy.storages)
    } else {
        let view = View::new(pickle::parse(source, 0, progress)?, source.clone());
        look(gathered, &view, &NoStorages)
    };
    gathered.forget_keys();
    Ok(value)
}
