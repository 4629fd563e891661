//! Pickle streams to an object graph; nothing is ever called.
//!
//! A pickle is a program for a small stack machine. [`parse`] runs that program with all its powers removed:
//! containers, numbers and text become nodes, and every call of a class or function becomes a [`Node::Call`]
//! that keeps what would have been called and with what. What the names mean is for the formats to say.
//!
//! ```text
//! source ──Window──▶ opcodes ──Machine──▶ Graph (nodes with ids, no nesting) + root + where the stream ended
//! ```
//!
//! Source of the opcodes: `CPython`'s `Lib/pickletools.py` (protocols 0 to 5) and PEP 307, 3154, 574.
//!
//! Left out: persistent ids stay as they are, out-of-band buffers are refused, and large byte strings are
//! not read but kept as ranges of the source.

mod graph;
mod linear;
mod memo;
mod opcodes;
mod operands;
mod vm;
mod window;

pub use graph::{Call, Content, Global, Graph, Node, NodeId, Trick};
pub use linear::{Linear, Named, scan};
pub use vm::{Follows, Parsed, Partial, parse, parse_as_far, parse_interleaved};
