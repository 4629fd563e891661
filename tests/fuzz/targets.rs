//! What each fuzz target does with bytes, in one place: the fuzzer calls it, and `cargo test` replays the kept corpus.
//!
//! An error is an answer; a panic, a hang or memory that the bytes do not justify is a finding.

#![allow(dead_code, reason = "each fuzz target uses one of them")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ckptscope::analysis::safety::judge;
use ckptscope::formats::containers::protobuf::{Message, SourceFields};
use ckptscope::formats::containers::sstable::Table;
use ckptscope::formats::containers::{hdf5 as hdf5_container, npy as npy_container, tar as tar_container};
use ckptscope::formats::containers::{pickle as pickle_container, zip::ZipArchive, zip_records::Records};
use ckptscope::formats::tensorflow::text_form::{binary, looks_like};
use ckptscope::formats::{Format, Probe, examine_bytes};
use ckptscope::formats::{
    gguf::Gguf, keras::Keras, numpy::Numpy, onnx::Onnx, pytorch::PyTorch, safetensors::Safetensors,
    tensorflow::TensorFlow,
};
use ckptscope::model::{Checkpoint, Progress};
use ckptscope::raw::ByteSource;
use ckptscope::training_logs::LOG_FORMATS;
use ckptscope::training_logs::tensorboard::frames;

/// Runs a target on bytes.
pub type Target = fn(&[u8]);

/// All targets by name, which is that of their file and of their corpus.
pub const TARGETS: [(&str, Target); 17] = [
    ("examine", examine),
    ("gguf", gguf),
    ("hdf5", hdf5),
    ("keras", keras),
    ("logs", logs),
    ("npy", npy),
    ("numpy", numpy),
    ("onnx", onnx),
    ("pickle", pickle),
    ("protobuf", protobuf),
    ("prototext", prototext),
    ("pytorch", pytorch),
    ("safetensors", safetensors),
    ("sstable", sstable),
    ("tar", tar),
    ("tensorflow", tensorflow),
    ("zip", zip),
];

fn source(data: &[u8]) -> ByteSource {
    ByteSource::from_vec(data.to_vec())
}

/// Opens bytes as a file of one format and uses all of it.
fn open(format: &dyn Format, data: &[u8]) {
    let Ok(probe) = Probe::of_source(PathBuf::from("fuzzed"), source(data)) else { return };
    if !format.detect(&probe) {
        return;
    }
    let progress = Progress::new();
    let Ok(parts) = format.open(&probe, &progress) else { return };
    let checkpoint = Checkpoint::new(Path::new("fuzzed"), parts);
    let _ = checkpoint.layer_tree();
    for (id, _) in checkpoint.tensors() {
        let mut left = 1usize << 24;
        let _ = checkpoint.read_chunks(id, &progress, &mut |piece| {
            left = left.saturating_sub(piece.len());
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
}

/// Everything that `ckptscope scan` does without reading values.
pub fn examine(data: &[u8]) {
    if let Ok(evidence) = examine_bytes(&source(data), &Progress::new()) {
        let _ = judge(&evidence);
    }
}

pub fn gguf(data: &[u8]) {
    open(&Gguf, data);
}

pub fn hdf5(data: &[u8]) {
    let progress = Progress::new();
    let Ok(tree) = hdf5_container::walk(&source(data), false, &progress) else { return };
    for dataset in &tree.datasets {
        let _ = dataset.read_chunks(&progress, &mut |_| ControlFlow::Continue(()));
    }
}

pub fn keras(data: &[u8]) {
    open(&Keras, data);
}

pub fn logs(data: &[u8]) {
    let head = &data[..data.len().min(4096)];
    for format in LOG_FORMATS {
        // Detection of text goes by the name as well: each is asked by every name it knows.
        let mut names = format.extensions().iter().map(|extension| format!("fuzzed.{extension}"));
        if names.any(|name| format.detect(head, &name)) {
            let _ = format.read(&source(data), &Progress::new());
        }
    }
    let _ = frames::check(&source(data), &Progress::new());
}

pub fn npy(data: &[u8]) {
    let _ = npy_container::Header::read(|len| Ok(data[..data.len().min(len as usize)].to_vec()));
}

pub fn numpy(data: &[u8]) {
    open(&Numpy, data);
}

pub fn onnx(data: &[u8]) {
    open(&Onnx, data);
}

pub fn pickle(data: &[u8]) {
    let source = source(data);
    let _ = pickle_container::parse(&source, 0, &Progress::new());
    let _ = pickle_container::scan(&source, 0, 1 << 20, &Progress::new());
}

pub fn protobuf(data: &[u8]) {
    let mut open = vec![Message::new(data, 0)];
    let mut left = 100_000;
    while let Some(message) = open.pop() {
        for field in message.map_while(Result::ok) {
            left -= 1;
            if left == 0 {
                return;
            }
            let _ = (field.text(), field.varints());
            open.extend(field.message().ok());
        }
    }
    let source = source(data);
    if let Ok(fields) = SourceFields::new(&source, 0, source.len()) {
        fields.for_each(drop);
    }
}

pub fn prototext(data: &[u8]) {
    if let Some(root) = looks_like(data) {
        let _ = binary(&source(data), root);
    }
}

pub fn pytorch(data: &[u8]) {
    open(&PyTorch, data);
}

pub fn safetensors(data: &[u8]) {
    open(&Safetensors, data);
}

pub fn sstable(data: &[u8]) {
    if let Ok(mut table) = Table::open(&source(data)) {
        let _ = table.visit(&mut |_| Ok(()));
    }
}

pub fn tar(data: &[u8]) {
    let _ = tar_container::first_name(data);
    let _ = tar_container::entries(&source(data), &Progress::new());
}

pub fn tensorflow(data: &[u8]) {
    open(&TensorFlow, data);
}

pub fn zip(data: &[u8]) {
    let source = source(data);
    let _ = Records::read(&source, &Progress::new());
    if let Ok(archive) = ZipArchive::open(&source) {
        for entry in archive.entries() {
            let _ = archive.read(entry, 1 << 24);
        }
    }
}
