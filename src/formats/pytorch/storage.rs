//! Where the bytes of storages are, each looked up once.
//!
//! A storage is named by a key of its file; several tensors can be views of one.

use std::collections::HashMap;

use crate::formats::containers::zip::{ZipArchive, ZipEntry};
use crate::model::{Dtype, ReadError};
use crate::raw::{ByteSource, limits};

/// The bytes of one storage.
#[derive(Debug, Clone)]
pub enum Place {
    /// A range of the file, or bytes in memory.
    Range(ByteSource),
    /// A compressed member of an archive: inflated when its values are wanted.
    Member(Box<(ZipArchive, ZipEntry)>),
    /// Not there: why.
    Missing(String),
}

impl Place {
    /// Bytes there.
    pub fn len(&self) -> u64 {
        match self {
            Self::Range(source) => source.len(),
            Self::Member(member) => member.1.size,
            Self::Missing(_) => 0,
        }
    }

    /// Where it begins in the file, where it is a range of one.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Range(source) => Some(source.file_offset()),
            _ => None,
        }
    }

    /// The bytes, inflated if need be.
    pub fn open(&self) -> Result<ByteSource, ReadError> {
        match self {
            Self::Range(source) => Ok(source.clone()),
            Self::Member(member) => member.0.member(&member.1, limits::INFLATED_BYTES),
            Self::Missing(why) => Err(ReadError::unsupported(why.clone())),
        }
    }
}

/// A storage of the file.
#[derive(Debug, Clone)]
pub struct Storage {
    /// Its bytes.
    pub place: Place,
    /// Whether its elements are big-endian.
    pub big_endian: bool,
}

/// Finds storages by their key.
pub trait StorageMap {
    /// The storage of that key.
    fn find(&self, key: &str) -> Place;
    /// Whether elements are big-endian.
    fn big_endian(&self) -> bool;
}

/// No storages: a plain pickle has none outside itself.
pub struct NoStorages;

impl StorageMap for NoStorages {
    fn find(&self, key: &str) -> Place {
        Place::Missing(format!(
            "storage {key:?} is not in the file: a plain pickle keeps no storages beside it"
        ))
    }

    fn big_endian(&self) -> bool {
        false
    }
}

/// Storages of a legacy file: where each begins and how many bytes it has, or why it cannot be found.
#[derive(Default)]
pub struct Listed {
    /// By key.
    pub places: HashMap<String, Place>,
    /// Whether elements are big-endian.
    pub big_endian: bool,
}

impl StorageMap for Listed {
    fn find(&self, key: &str) -> Place {
        let missing = || Place::Missing(format!("storage {key:?} is not in the file"));
        self.places.get(key).cloned().unwrap_or_else(missing)
    }

    fn big_endian(&self) -> bool {
        self.big_endian
    }
}

/// Storages of an archive: members whose name is `before` + key + `after`.
pub struct Members {
    /// The archive.
    pub archive: ZipArchive,
    /// What stands before the key.
    pub before: String,
    /// What stands behind it.
    pub after: &'static str,
    /// Whether elements are big-endian.
    pub big_endian: bool,
}

impl StorageMap for Members {
    fn find(&self, key: &str) -> Place {
        let name = format!("{}{key}{}", self.before, self.after);
        let Some(entry) = self.archive.entry(&name) else {
            return Place::Missing(format!("storage {name:?} is not in the archive"));
        };
        if !entry.stored {
            return Place::Member(Box::new((self.archive.clone(), entry.clone())));
        }
        match self.archive.member(entry, limits::INFLATED_BYTES) {
            Ok(source) => Place::Range(source),
            Err(error) => Place::Missing(error.to_string()),
        }
    }

    fn big_endian(&self) -> bool {
        self.big_endian
    }
}

/// Size of the units whose bytes are reversed in big-endian data.
pub fn swap_unit(dtype: &Dtype, big_endian: bool) -> u32 {
    let bytes = dtype.bits().div_ceil(8);
    match (big_endian, dtype.is_complex()) {
        (false, _) => 1,
        (true, true) => bytes / 2,
        (true, false) => bytes,
    }
}
