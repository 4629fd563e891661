//! LevelDB-style table of the TensorFlow index.
