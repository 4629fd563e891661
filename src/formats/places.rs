//! What a reader keeps of each tensor: where its values are, or why they are not to be had.
//!
//! Every [`crate::model::TensorReader`] begins with this look-up, so that a tensor without values is refused with
//! its own reason and an unknown one alike everywhere.

use crate::model::{ReadError, TensorId};

/// One entry per tensor, in catalogue order.
pub struct Places<T>(Vec<Result<T, Box<str>>>);

impl<T> Places<T> {
    /// The next tensor's entry; `Err` is the reason that a read of it will give.
    pub fn push(&mut self, place: Result<T, String>) {
        self.0.push(place.map_err(Into::into));
    }

    /// Where the values of `id` are, or why they cannot be read.
    pub fn get(&self, id: TensorId) -> Result<&T, ReadError> {
        match self.0.get(id.index()) {
            Some(Ok(place)) => Ok(place),
            Some(Err(fault)) => Err(ReadError::unsupported(fault.to_string())),
            None => Err(ReadError::unsupported("no such tensor")),
        }
    }
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Places of tensors that have no faults of their own.
impl<T> FromIterator<T> for Places<T> {
    fn from_iter<I: IntoIterator<Item = T>>(places: I) -> Self {
        Self(places.into_iter().map(Ok).collect())
    }
}
