//! HDF5 files: groups, attributes, datasets as file ranges or chunks.
