//! Which types of Python the values of a pickle had, where the metadata does not say.
//!
//! Readers fill it while they walk a pickle, and an export gives each container its type back. Nothing else needs it: to
//! look at, a tuple is a list. Containers of a file that is no pickle are not listed, nor are those inside a module, whose
//! tensors are told by the `state_dict` that the module would give.

use std::collections::HashMap;

/// The type of one value, beyond what its [`super::Value`] says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PythonType {
    /// `list`.
    List,
    /// `tuple`.
    Tuple,
    /// `set` or `frozenset`.
    Set,
    /// `torch.Size`.
    Size,
    /// `dict` or `OrderedDict`. A `dict` with keys of text is listed only where nothing but tensors is in it.
    Dict {
        /// An `OrderedDict`.
        ordered: bool,
        /// What its keys are.
        keys: Keys,
    },
    /// A dtype of torch; the value is its name, with `torch.` before it.
    Dtype,
    /// `torch.device`; the value is its text.
    Device,
    /// A complex number, whose value is text.
    Complex {
        /// Real part.
        re: f64,
        /// Imaginary part.
        im: f64,
    },
    /// `bytearray`.
    ByteArray,
    /// Another class or function; the value is its name.
    Global,
}

/// The keys of a dictionary, which the metadata has as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// All are text.
    Text,
    /// All are integers.
    Int,
    /// There are others, such as tuples, or some of each kind.
    Other,
}

/// Types by the keys that lead to a value, as in [`super::TensorInfo::path`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PythonTypes {
    by_path: HashMap<Box<[String]>, PythonType>,
    orders: HashMap<Box<[String]>, Vec<String>>,
    keys: usize,
}

/// Keys that are kept for all values together. An optimizer's state of 100,000 parameters has 300,000; hostile files can
/// nest millions of containers deeply. Those beyond come back as plain dictionaries and lists.
const KEYS: usize = 2_000_000;

impl PythonTypes {
    /// Notes the type of what lies under these keys.
    pub fn insert(&mut self, path: &[String], of: PythonType) {
        if self.keys + path.len() < KEYS {
            self.keys += path.len();
            self.by_path.insert(path.into(), of);
        }
    }

    /// Notes the order of a dictionary's keys, where the metadata lacks those of tensors.
    pub fn insert_order(&mut self, path: &[String], keys: Vec<String>) {
        if self.keys + path.len() + keys.len() < KEYS {
            self.keys += path.len() + keys.len();
            self.orders.insert(path.into(), keys);
        }
    }

    /// The order of a dictionary's keys; empty where it is that of the metadata or of the tensors.
    pub fn order(&self, path: &[String]) -> &[String] {
        self.orders.get(path).map(Vec::as_slice).unwrap_or_default()
    }

    /// Adds those of a part that lies under `prefix`.
    pub fn extend(&mut self, prefix: &[String], part: &Self) {
        for (path, &of) in &part.by_path {
            self.insert(&[prefix, path].concat(), of);
        }
        for (path, keys) in &part.orders {
            self.insert_order(&[prefix, path].concat(), keys.clone());
        }
    }

    /// The type of what lies under these keys; `None` where the metadata says all, or nothing is known.
    pub fn get(&self, path: &[String]) -> Option<PythonType> {
        self.by_path.get(path).copied()
    }
}
