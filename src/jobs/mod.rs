//! Work off the frame thread: threads, progress, cancel.
