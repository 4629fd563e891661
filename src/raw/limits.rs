//! Every cap on counts, depths and sizes that come from files, each with its reason.

/// Bytes handed to a sink at a time: large enough to amortise a read, small enough to stay in cache.
pub const CHUNK_BYTES: usize = 1 << 20;

/// Bytes of the JSON header of safetensors: a million tensors with long names take 165 MB.
pub const SAFETENSORS_HEADER_BYTES: u64 = 256 << 20;

/// The safetensors library refuses larger headers (`MAX_HEADER_SIZE` in its `tensor.rs`).
pub const SAFETENSORS_LIBRARY_HEADER_BYTES: u64 = 100_000_000;

/// Tensors in one checkpoint. The largest public checkpoints have about 100,000.
pub const TENSORS: usize = 4_000_000;

/// Dimensions of one tensor. PyTorch and TensorFlow stop at 64 and 254; numpy at 64.
pub const RANK: usize = 256;

/// Depth of metadata that is kept; deeper values are elided. Python's own recursion limit is 1000.
pub const METADATA_DEPTH: usize = 128;

/// Values of metadata that are kept per checkpoint; shared pickle nodes can stand for 10^30 of them.
pub const METADATA_NODES: usize = 2_000_000;

/// Bytes of one text or JSON document inside a checkpoint (configurations reach some megabytes).
pub const TEXT_BYTES: u64 = 256 << 20;

/// Bytes of one pickle stream. A `pickle.dump(state_dict)` holds its values, so this is generous.
pub const PICKLE_BYTES: u64 = 8 << 30;

/// Nodes of one pickle's object graph: an honest file of 100,000 tensors has about 3 million.
pub const PICKLE_NODES: usize = 40_000_000;

/// Opcodes of one pickle stream: what its lists and its stack can take in memory grows with them.
pub const PICKLE_STEPS: u32 = 200_000_000;

/// Entries of a zip archive. One per storage in a PyTorch file.
pub const ZIP_ENTRIES: usize = 4_000_000;

/// Bytes that one compressed member may inflate to when it must be held in memory.
pub const INFLATED_BYTES: u64 = 1 << 30;

/// Bytes that a compressed file or member may unpack to in a temporary file. Deflate packs zeros 1000 times.
pub const UNPACKED_BYTES: u64 = 8 << 30;

/// Bytes of one HDF5 dataset that must be held in memory at once (chunked or filtered ones).
pub const HDF5_DATASET_BYTES: u64 = 400 << 20;

/// Nesting of HDF5 groups and of protobuf messages.
pub const NESTING: usize = 100;

/// Bytes that an expanded view may stand for beyond the bytes that are stored.
pub const EXPANDED_BYTES: u64 = 256 << 20;

/// Bytes of one element or record, which are held in memory: numpy's text and structured records have any size.
pub const RECORD_BYTES: u64 = 16 << 20;

/// Plain values of a distributed checkpoint that are read; each is an archive of its own.
pub const PICKLED_VALUES: usize = 50_000;

/// Bytes of all those plain values together.
pub const PICKLED_VALUE_BYTES: u64 = 256 << 20;

/// Scales of one quantised tensor. There is one per row of a matrix, so an honest tensor has fewer.
pub const FACTORS: u64 = 16 << 20;

/// Points of one training log that are kept, over all its series. Ten million take 160 MB and far outnumber any screen.
pub const LOG_POINTS: usize = 20_000_000;

/// Series of one training log. Logs of one scalar per layer reach some thousands.
pub const LOG_SERIES: usize = 50_000;

/// Bytes of one record of an event file that are read. Larger ones are pictures and graphs, and skipped.
pub const LOG_RECORD_BYTES: u64 = 64 << 20;

/// Bytes of one line of a text log.
pub const LOG_LINE_BYTES: usize = 16 << 20;

/// Nesting of JSON logs; trainers write four levels.
pub const JSON_DEPTH: usize = 64;

/// Buckets of one logged histogram. TensorFlow writes at most 1,549, TensorBoard 30.
pub const LOG_BUCKETS: usize = 100_000;

/// Files of a folder, and of the folders in it, that are looked at for curves.
pub const FOLDER_FILES: usize = 100_000;
