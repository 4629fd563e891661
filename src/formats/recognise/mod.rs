//! Names for what is not a checkpoint, so that the message can say what to do.
//!
//! Runs after every format has declined. Looks at the probe's first and last bytes only, and names nothing that it
//! cannot tell from them; file names serve only to describe.

mod signatures;

use super::containers::sstable;
use super::containers::zip::ZipArchive;
use super::{Probe, packed};
use crate::raw::ByteSource;
use signatures::by_signature;

/// What the path seems to be, in words that complete "Not a checkpoint that Ckptscope reads: …".
pub fn looks_like(probe: &Probe) -> String {
    if let Some(entries) = probe.folder() {
        return folder(entries);
    }
    let Some(source) = probe.source() else {
        return "there is no such file".to_owned();
    };
    let head = probe.head();
    if source.is_empty() {
        return "the file is empty; the download or the save may have been interrupted".to_owned();
    }
    if head.starts_with(b"\x1f\x8b") {
        return gzip(probe, source);
    }
    if let Some(known) = by_signature(head) {
        return known.to_owned();
    }
    match probe.zip() {
        Some(Ok(archive)) => return zip(archive),
        Some(Err(error)) => {
            return format!("a zip archive that is damaged or cut off; download it again ({error})");
        }
        None => {}
    }
    let tail =
        source.read_up_to("the end of the file", source.len().saturating_sub(8), 8).unwrap_or_default();
    if sstable::has_magic(&tail) {
        return "a sorted table as TensorFlow's .index files are; if it was renamed, give it back its name beside its .data files".to_owned();
    }
    if let Some(len) = safetensors_header(head)
        && source.len() < len.saturating_add(8)
    {
        return format!(
            "the beginning of a safetensors file whose header needs {len} bytes, but {} are there; it is cut off, download it again",
            source.len() - 8
        );
    }
    if source.len() < 8 || (source.len() < 16 && !is_text(head)) {
        return format!(
            "a file of {} byte{}, too short to tell what it is; it may be cut off",
            source.len(),
            if source.len() == 1 { "" } else { "s" }
        );
    }
    if is_text(head) {
        return text(head).to_owned();
    }
    if let Some(known) = protobuf(head).or_else(|| by_shape(head)) {
        return known.to_owned();
    }
    if head.iter().all(|&byte| byte == 0) {
        return "it begins with nothing but zero bytes; the download or the copy was not completed"
            .to_owned();
    }
    if head.len() >= 12 && head.get(8..12).is_some_and(|crc| crc != [0; 4]) && is_tfrecord(head) {
        return "a TensorBoard event file or TFRecord; it holds a training log or data, not a checkpoint; ckptscope curves shows its scalars"
            .to_owned();
    }
    if probe.path().extension().is_some_and(|extension| extension == "bin")
        && probe.path().with_extension("xml").is_file()
    {
        return "perhaps the weights of an OpenVINO model, whose description is the .xml file beside it; open the checkpoint it was converted from"
            .to_owned();
    }
    if matches!(probe.file_name().as_str(), "fingerprint.pb" | "keras_metadata.pb") {
        return "a part of a TensorFlow SavedModel; open the folder it is in".to_owned();
    }
    let kind = match probe.path().extension().and_then(|extension| extension.to_str()) {
        Some("index") => "TensorFlow index",
        Some("pb") => "protobuf",
        _ => return "its content is not of a known kind (not recognised)".to_owned(),
    };
    format!(
        "its content is not that of the {kind} file its name says (not recognised); it may be cut off or damaged"
    )
}

fn folder(entries: &[String]) -> String {
    let ends = |suffix: &str| entries.iter().any(|entry| entry.ends_with(suffix));
    let visible = entries.iter().filter(|entry| !entry.starts_with('.')).count();
    if visible == 0 {
        return "the folder is empty".to_owned();
    }
    let has = |name: &str| entries.iter().any(|entry| entry == name);
    if has("manifest.ocdbt")
        || has("_CHECKPOINT_METADATA")
        || has("_sharding")
        || (has("_METADATA") && has("d"))
    {
        return "an Orbax checkpoint (JAX); restore it with orbax.checkpoint and save it as safetensors"
            .to_owned();
    }
    if has(".zgroup") || has(".zarray") || has("zarr.json") || has(".zmetadata") {
        return "a folder of Zarr arrays; load them with zarr in Python and save them with numpy".to_owned();
    }
    if has("Manifest.json") && has("Data") || has("coremldata.bin") {
        return "a Core ML package; open the checkpoint it was converted from".to_owned();
    }
    if ends(".pdmodel") || ends(".pdiparams") {
        return "a Paddle inference model; open the .pdparams file of the training in its place".to_owned();
    }
    if ends(".data-00000-of-00001") || entries.iter().any(|entry| entry.contains(".data-00000-of-")) {
        return "a folder with the data of TensorFlow checkpoints and no single index; open one .index file"
            .to_owned();
    }
    let starts = |prefix: &str| entries.iter().any(|entry| entry.starts_with(prefix));
    if ends("_model_states.pt") || ends("_optim_states.pt") {
        return "a DeepSpeed checkpoint in parts; open one of its *_model_states.pt files for the model or *_optim_states.pt for the optimizer of one process, or join them with zero_to_fp32.py".to_owned();
    }
    if starts("global_step") && entries.iter().any(|entry| entry == "latest") {
        return "a folder of DeepSpeed checkpoints; open one of the global_step folders in it".to_owned();
    }
    if entries.iter().any(|entry| entry == "latest_checkpointed_iteration.txt") {
        return "a folder of Megatron checkpoints; open one of the iter_ folders in it".to_owned();
    }
    if starts("mp_rank_") {
        return "a Megatron checkpoint in parts; open the model_optim_rng.pt in one of its mp_rank_ folders"
            .to_owned();
    }
    let openable: Vec<&String> = entries.iter().filter(|entry| may_be_checkpoint(entry)).collect();
    match openable.as_slice() {
        [] => {}
        [one] => return format!("a folder with one file that may be a checkpoint; open {one}"),
        [first, ..] => {
            return format!(
                "a folder with {} files that may be checkpoints; open one of them, such as {first}, or take them as a \
                 series with the commands curves and best",
                openable.len()
            );
        }
    }
    "a folder with no checkpoint directly in it".to_owned()
}

/// Endings of files that may be checkpoints.
const ENDINGS: [&str; 12] = [
    ".safetensors",
    ".pt",
    ".pth",
    ".bin",
    ".ckpt",
    ".keras",
    ".h5",
    ".index",
    ".pkl",
    ".npz",
    ".gguf",
    ".onnx",
];

fn may_be_checkpoint(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The weights of a model folder as the libraries of Hugging Face write it, in the order in which they prefer them.
/// Source: `WEIGHTS_NAME` and its like in `transformers/utils/__init__.py`, `peft/utils/constants.py` and
/// `diffusers/utils/constants.py`.
const MODEL_FILES: [&str; 6] = [
    "model.safetensors",
    "adapter_model.safetensors",
    "diffusion_pytorch_model.safetensors",
    "pytorch_model.bin",
    "adapter_model.bin",
    "tf_model.h5",
];

/// The file that a folder of a model stands for: its weights, or its only checkpoint where nothing was logged beside it.
pub fn stands_for(entries: &[String]) -> Option<&str> {
    let has = |name: &str| entries.iter().any(|entry| entry == name);
    if (has("config.json") || has("adapter_config.json"))
        && let Some(file) = MODEL_FILES.into_iter().find(|name| has(name))
    {
        return Some(file);
    }
    let is_log = |entry: &String| {
        [".csv", ".jsonl", "trainer_state.json"].iter().any(|ending| entry.ends_with(ending))
            || entry.contains("tfevents")
    };
    match entries.iter().filter(|entry| may_be_checkpoint(entry)).collect::<Vec<_>>().as_slice() {
        [one] if !entries.iter().any(is_log) => Some(one),
        _ => None,
    }
}

fn gzip(probe: &Probe, source: &ByteSource) -> String {
    let head = packed::gzip_head(source);
    if head.is_empty() {
        return "a gzip archive that is empty or damaged; download it again".to_owned();
    }
    if head.get(257..262) == Some(b"ustar") {
        return "a tar archive packed with gzip (.tar.gz); unpack it (tar xzf) and open what is inside"
            .to_owned();
    }
    let inner = Probe::of_source(probe.path().with_extension(""), ByteSource::from_vec(head));
    let inner = inner.ok().and_then(|inner| {
        // Only names by content: the end of what is inside was not read.
        by_signature(inner.head()).or_else(|| is_text(inner.head()).then(|| text(inner.head())))
    });
    match inner {
        Some(name) => format!("a gzip archive with no checkpoint in it, but {name}"),
        None => "a gzip archive; unpack it (gunzip) and open what is inside".to_owned(),
    }
}

fn zip(archive: &ZipArchive) -> String {
    let names: Vec<&str> = archive.entries().iter().map(|entry| entry.name.as_str()).collect();
    let has = |name: &str| names.contains(&name);
    let ends = |suffix: &str| names.iter().any(|name| name.ends_with(suffix));
    let what = if names.is_empty() {
        "an empty zip archive"
    } else if has("[Content_Types].xml") {
        "a Microsoft Office document"
    } else if ends("Manifest.json") && ends(".mlmodel") {
        "a Core ML package; open the checkpoint it was converted from"
    } else if ends(".dist-info/METADATA") {
        "a Python package (wheel); unpack it and open the checkpoint inside"
    } else if ends("saved_model.pb") {
        "a zip archive with a SavedModel inside; unpack it and open its folder"
    } else if ends(".zgroup") || ends(".zarray") || ends("zarr.json") {
        "a zip archive of Zarr arrays; load them with zarr in Python and save them with numpy"
    } else {
        let candidates = packed::candidates(archive);
        let shown: Vec<String> = candidates.iter().take(3).map(|entry| format!("{:?}", entry.name)).collect();
        if candidates.len() > 1 {
            let more = if candidates.len() > 3 { ", …" } else { "" };
            let count = candidates.len();
            return format!(
                "a zip archive with {count} files that may be checkpoints ({}{more}); unpack it and open one",
                shown.join(", ")
            );
        }
        if has("MAR-INF/MANIFEST.json") {
            "a TorchServe archive (.mar) without a checkpoint that is read; unpack it and open what is inside"
        } else if has("META-INF/MANIFEST.MF") {
            "a Java archive"
        } else if has("config.json") && !ends(".h5") {
            "a zip archive like Keras's, but without its weights"
        } else {
            "a zip archive; unpack it and open what is inside"
        }
    };
    what.to_owned()
}

/// The header's length, for bytes that begin like a safetensors file.
fn safetensors_header(head: &[u8]) -> Option<u64> {
    let (len, rest) = head.split_first_chunk::<8>()?;
    let len = u64::from_le_bytes(*len);
    (rest.first() == Some(&b'{') && (2..=crate::raw::limits::SAFETENSORS_HEADER_BYTES).contains(&len))
        .then_some(len)
}

/// Whether bytes are text: UTF-8 (its last character may be cut) without control characters.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && !valid.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0c'))
}

fn text(head: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text.get(..text.len().min(512)).unwrap_or(text).to_ascii_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") || lower.contains("<head>") {
        return "a web page (HTML); the download link led to a page, perhaps one that asks for a login, so download the file again";
    }
    if text.starts_with('{') || text.starts_with('[') {
        return json(text);
    }
    if lower.starts_with("<?xml") && lower.contains("<net") {
        return "an OpenVINO model's description (XML); open the checkpoint it was converted from";
    }
    if text.starts_with('<') {
        return "an XML document";
    }
    if text.starts_with("node {") || text.starts_with("node{") || text.contains("\nnode {") {
        return "a graph as text, but not of TensorFlow, whose nodes begin with their names";
    }
    if text.starts_with("tree\nversion=") {
        return "a LightGBM model; it holds decision trees, not tensors";
    }
    if text.starts_with("7767517") {
        return "an ncnn network's description (.param); open the checkpoint it was converted from";
    }
    if text.starts_with("ply\n") || text.starts_with("solid ") {
        return "a 3D model";
    }
    let starts_python = ["#!/usr/bin/env python", "import ", "from ", "def ", "class ", "#!/usr/bin/python"];
    if starts_python.iter().any(|start| text.starts_with(start))
        || ["\nimport ", "\ndef ", "\nclass "].iter().any(|part| text.contains(part))
    {
        return "a Python source file; open the checkpoint that it saves or loads";
    }
    let first = text.lines().next().unwrap_or_default();
    if first.contains(',') && text.lines().nth(1).is_some_and(|line| line.contains(',')) {
        return "a table as text (CSV); it may hold a training log, not a checkpoint";
    }
    "a text file"
}

/// What JSON holds, by the keys that stand near its beginning.
fn json(text: &str) -> &'static str {
    let has = |key: &str| text.contains(key);
    if has("\"nbformat\"") || (has("\"cells\"") && has("\"cell_type\"")) {
        "a Jupyter notebook; open the checkpoint that it saves"
    } else if has("\"weight_map\"") {
        "the index of a sharded checkpoint (JSON) whose files this program does not read"
    } else if has("\"log_history\"") {
        "a training log of Hugging Face (trainer_state.json), not a checkpoint"
    } else if has("\"model_type\"") || has("\"architectures\"") || has("\"_name_or_path\"") {
        "a model's configuration (config.json); open the weights beside it"
    } else if has("\"added_tokens\"") || has("\"tokenizer_class\"") {
        "a tokenizer's description (JSON); open the weights beside it"
    } else if has("\"learner\"") && has("\"gradient_booster\"") {
        "an XGBoost model; it holds decision trees, not tensors"
    } else if has("\"class_name\"") && has("\"config\"") {
        "a Keras model's configuration (JSON) without weights; open the .h5 or .keras file"
    } else if has("\"modelTopology\"") || has("\"weightsManifest\"") {
        "a TensorFlow.js model; open the checkpoint it was converted from"
    } else if text.starts_with('{') && (has("\"error\"") || has("\"message\"")) && text.len() < 1000 {
        "a short JSON message, perhaps an error in place of the download; download the file again"
    } else {
        "a JSON document"
    }
}

/// Protobuf messages of machine learning, by the fields that they begin with.
fn protobuf(head: &[u8]) -> Option<&'static str> {
    match head {
        // ONNX ModelProto: ir_version = 1, then producer_name = 2 (text) or a graph = 7.
        // Core ML Model: specificationVersion = 1, then description = 2 (a message).
        [0x08, version @ 1..=20, 0x12, len, rest @ ..] => {
            let producer = rest.get(..usize::from(*len)).unwrap_or(rest);
            let is_name = !producer.is_empty() && producer.iter().all(|byte| (0x20..0x7f).contains(byte));
            Some(if is_name && *version <= 20 {
                "the beginning of an ONNX model; it is cut off or damaged, download it again"
            } else if rest.first() == Some(&0x0a) {
                "a Core ML model; open the checkpoint it was converted from"
            } else {
                return None;
            })
        }
        [0x08, 1..=20, 0x3a | 0x42 | 0x1a | 0x22, ..] => {
            Some("the beginning of an ONNX model; it is cut off or damaged, download it again")
        }
        _ => None,
    }
}

/// Kinds whose first bytes vary, but follow a pattern.
fn by_shape(head: &[u8]) -> Option<&'static str> {
    match head {
        // A zlib stream: its two bytes are a multiple of 31 (RFC 1950).
        [0x78, level @ (0x01 | 0x5e | 0x9c | 0xda), ..]
            if (0x7800 + u16::from(*level)).is_multiple_of(31) =>
        {
            Some(
                "a zlib stream, as joblib and pickle files are compressed; load it with joblib and save it without compression",
            )
        }
        // MessagePack: a map, whose first key is a short text.
        [0x81..=0x8f, key @ 0xa1..=0xbf, name @ ..] | [0xde, _, _, key @ 0xa1..=0xbf, name @ ..]
            if name
                .get(..usize::from(key & 31))
                .is_some_and(|name| name.iter().all(u8::is_ascii_graphic)) =>
        {
            Some(
                "a MessagePack file, as Flax saves checkpoints (.msgpack); load it with flax.serialization and save it as safetensors",
            )
        }
        // Caffe NetParameter: name = 1, then layer = 100 or layers = 2.
        [0x0a, len, rest @ ..]
            if rest.get(..usize::from(*len)).is_some_and(|name| name.iter().all(u8::is_ascii_graphic))
                && matches!(rest.get(usize::from(*len)..), Some([0xa2, 0x06, ..])) =>
        {
            Some("a Caffe model; convert it with a tool for Caffe, or open a checkpoint of another framework")
        }
        _ => None,
    }
}

/// Whether the first record's length is plausible and its checksum right.
/// Source: `tensorflow/core/lib/io/record_writer.h`: length (u64), masked crc32c of the length (u32).
fn is_tfrecord(head: &[u8]) -> bool {
    let (Some(len), Some(crc)) = (head.first_chunk::<8>(), head.get(8..12)) else { return false };
    crc == sstable::masked(crc32c::crc32c(len)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).expect("written");
        looks_like(&Probe::new(&path).expect("there"))
    }

    #[test]
    fn what_is_not_a_checkpoint_is_named() {
        let tfrecord = {
            let len = 24u64.to_le_bytes();
            let mut bytes = len.to_vec();
            bytes.extend(sstable::masked(crc32c::crc32c(&len)).to_le_bytes());
            bytes.extend([9; 40]);
            bytes
        };
        let cases: &[(&[u8], &str)] = &[
            (b"", "empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "git lfs pull"),
            (b"\n<!DOCTYPE html><html>", "login"),
            (b"{\"architectures\": [\"Bert\"]}", "configuration"),
            (b"{\"cells\": [], \"nbformat\": 4}", "notebook"),
            (b"\x1f\x8b\x08 and so on", "gzip"),
            (b"BZh9 and so on", "bzip2"),
            (b"tjgg\x03\0\0\0 and so on", "convert it to GGUF"),
            (b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1\x0d\0\0\0nn.Sequential", "Lua Torch"),
            (b"\x12\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0", "MXNet"),
            (b"\0\0\0\0\x02\0\0\0\x05\0\0\0\0\xf4\x01\0\0\0\0\0", "Darknet"),
            (b"\x81\xa6params\x82\xa5Dense and so on", "Flax"),
            (b"\x78\x9c\xcb\xc8 and so on, compressed", "joblib"),
            (b"\x0a\x07AlexNet\xa2\x06\x80 and so on", "Caffe"),
            (b"ftrt and then an engine", "TensorRT"),
            (b"\x1c\0\0\0TFL3 and so on", "Lite"),
            (b"\x08\x0a\x12\x07pytorch\x1a\x032.1", "ONNX"),
            (b"import torch\nmodel = 1\n", "Python"),
            (&[0; 64], "zero"),
            (b"PK\x03\x04 and then nothing", "damaged or cut off"),
            (b"\x00\x20\0\0\0\0\0\0{\"a\":", "cut off"),
            (b"\x80", "too short"),
            (b"just words", "text"),
            (b"a,b\n1,2\n", "CSV"),
            (&tfrecord, "event file"),
        ];
        for &(bytes, expected) in cases {
            let name = of(bytes);
            assert!(name.contains(expected), "{bytes:?} is called {name:?}");
        }
    }

    #[test]
    fn noise_is_not_given_a_name() {
        let mut state = 7u32;
        let noise: Vec<u8> = (0..3000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        assert!(of(&noise).contains("not recognised"));
    }

    #[test]
    fn an_empty_folder_is_called_empty() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(looks_like(&Probe::new(folder.path()).expect("there")).contains("empty"));
    }
}
