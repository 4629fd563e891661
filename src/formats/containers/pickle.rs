//! Pickle opcodes to an object graph; nothing is ever called.
