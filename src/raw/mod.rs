//! Bounded access to bytes, shared by all readers.
//!
//! Knows nothing of tensors or frameworks; every read states what it is for, so that errors can say it.

pub mod cursor;
pub mod limits;
pub mod pieces;
mod scattered;
pub mod source;
pub mod strided;

pub use cursor::ByteCursor;
pub use source::ByteSource;
pub use strided::{Strided, read_range, read_strided, read_strided_at};
