//! Opening reads the catalogue, never the values: counted in bytes, on files of gibibytes that are holes on disk.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde_json::Value as Json;

use crate::support::{Complaints, folder, open};

const GIB_4: u64 = 4 << 30;

/// Bytes that this thread asked the system for so far.
#[cfg(target_os = "linux")]
fn bytes_read() -> u64 {
    let counters = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    counters.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// A safetensors file of `tensors` equal tensors of together `data` bytes, none of them written.
fn sparse_safetensors(path: &Path, tensors: u64, data: u64) {
    let each = data / tensors;
    let entries: Vec<String> = (0..tensors)
        .map(|i| {
            let (begin, end) = (i * each, (i + 1) * each);
            format!(
                r#""layers.{i}.weight":{{"dtype":"F32","shape":[{}],"data_offsets":[{begin},{end}]}}"#,
                each / 4
            )
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + each * tensors).unwrap();
}

/// A pickled `{"weight": FloatTensor of n elements}`, as torch writes it.
fn state_dict_pickle(elements: u64) -> Vec<u8> {
    let text = |text: &str| {
        [b"X".as_slice(), &u32::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat()
    };
    let long = [b"\x8a\x08".as_slice(), &elements.to_le_bytes()].concat();
    [
        b"\x80\x02}".to_vec(),
        text("weight"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        long.clone(),
        b"tQK\x00".to_vec(),
        long,
        b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtRs.".to_vec(),
    ]
    .concat()
}

/// A stored member's local header, with its sizes in the ZIP64 extra field. Checksums are 0, as
/// `torch.serialization.set_crc32_options(False)` leaves them.
fn local_header(name: &str, size: u64) -> Vec<u8> {
    let extra = [&[1, 0, 16, 0], size.to_le_bytes().as_slice(), &size.to_le_bytes()].concat();
    let mut header = b"PK\x03\x04\x2d\x00\x00\x00\x00\x00\x00\x00\x00\x00".to_vec();
    header.extend([0; 4]);
    header.extend([0xff; 8]);
    header.extend((name.len() as u16).to_le_bytes());
    header.extend((extra.len() as u16).to_le_bytes());
    header.extend(name.as_bytes());
    header.extend(extra);
    header
}

fn central_header(name: &str, size: u64, offset: u64) -> Vec<u8> {
    let extra =
        [&[1, 0, 24, 0], size.to_le_bytes().as_slice(), &size.to_le_bytes(), &offset.to_le_bytes()].concat();
    let mut header = b"PK\x01\x02\x2d\x00\x2d\x00\x00\x00\x00\x00\x00\x00\x00\x00".to_vec();
    header.extend([0; 4]);
    header.extend([0xff; 8]);
    header.extend((name.len() as u16).to_le_bytes());
    header.extend((extra.len() as u16).to_le_bytes());
    header.extend([0; 10]); // no comment, first disk, no attributes
    header.extend([0xff; 4]);
    header.extend(name.as_bytes());
    header.extend(extra);
    header
}

/// A torch archive with one tensor of `data` bytes, none of them written.
fn sparse_torch(path: &Path, data: u64) {
    let pickle = state_dict_pickle(data / 4);
    let mut file = std::fs::File::create(path).unwrap();
    let mut directory = Vec::new();
    let members: [(&str, Option<&[u8]>, u64); 3] = [
        ("archive/data.pkl", Some(&pickle), pickle.len() as u64),
        ("archive/version", Some(b"3\n"), 2),
        ("archive/data/0", None, data),
    ];
    for (name, content, size) in members {
        let offset = file.stream_position().unwrap();
        file.write_all(&local_header(name, size)).unwrap();
        match content {
            Some(content) => file.write_all(content).unwrap(),
            None => drop(file.seek(SeekFrom::Current(size.cast_signed())).unwrap()),
        }
        directory.extend(central_header(name, size, offset));
    }
    let start = file.stream_position().unwrap();
    let mut end = directory.clone();
    let count = members.len() as u64;
    // ZIP64 end of the directory, its locator, and the old end that points to both.
    end.extend(b"PK\x06\x06");
    end.extend(44u64.to_le_bytes());
    end.extend([0x2d, 0, 0x2d, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [count, count, directory.len() as u64, start] {
        end.extend(number.to_le_bytes());
    }
    end.extend(b"PK\x06\x07\0\0\0\0");
    end.extend((start + directory.len() as u64).to_le_bytes());
    end.extend(1u32.to_le_bytes());
    end.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    file.write_all(&end).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn opening_4_gib_of_safetensors_reads_only_the_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.safetensors");
    sparse_safetensors(&path, 300, GIB_4);
    let before = bytes_read();
    let checkpoint = open(&path).unwrap();
    let used = bytes_read() - before;
    assert_eq!(checkpoint.tensors().len(), 300);
    assert!(used < 1 << 20, "{used} bytes read");
}

#[cfg(target_os = "linux")]
#[test]
fn opening_4_gib_of_pytorch_reads_only_the_pickle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.pt");
    sparse_torch(&path, GIB_4);
    let before = bytes_read();
    let checkpoint = open(&path).unwrap();
    let used = bytes_read() - before;
    assert_eq!(checkpoint.totals().elements, GIB_4 / 4);
    assert!(used < 1 << 20, "{used} bytes read");
}

#[test]
fn a_small_archive_made_the_same_way_reads_as_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.pt");
    sparse_torch(&path, 4096);
    let checkpoint = open(&path).unwrap();
    let values = crate::support::bytes_of(&checkpoint, checkpoint.find("weight").unwrap()).unwrap();
    assert_eq!(values, vec![0; 4096]);
}

/// A file that begins with `head` and then has `data` bytes that are not written.
#[cfg(target_os = "linux")]
fn sparse(path: &Path, head: &[u8], data: u64) {
    std::fs::write(path, head).unwrap();
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(head.len() as u64 + data).unwrap();
}

#[cfg(target_os = "linux")]
fn npy_head(elements: u64) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({elements},), }}\n");
    [b"\x93NUMPY\x01\0".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat()
}

#[cfg(target_os = "linux")]
fn gguf_head(elements: u64) -> Vec<u8> {
    let mut head = b"GGUF\x03\0\0\0".to_vec();
    for number in [1, 0, 1] {
        head.extend(u64::to_le_bytes(number)); // one tensor, no metadata, a name of one letter
    }
    head.extend(b"w\x01\0\0\0");
    head.extend(elements.to_le_bytes());
    head.extend([0; 12]); // float32 at offset 0
    head.resize(head.len().next_multiple_of(32), 0);
    head
}

#[cfg(target_os = "linux")]
fn onnx_head(elements: u64) -> Vec<u8> {
    let varint = |mut value: u64| {
        let mut bytes = Vec::new();
        while value > 127 {
            bytes.push(value as u8 | 128);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    };
    let data = elements * 4;
    // TensorProto: dims, data_type, name, raw_data; GraphProto: initializer; ModelProto: ir_version, graph.
    let tensor = [vec![0x08], varint(elements), b"\x10\x01\x42\x01w\x4a".to_vec(), varint(data)].concat();
    let graph = [vec![0x2a], varint(tensor.len() as u64 + data), tensor].concat();
    [vec![0x08, 0x08, 0x3a], varint(graph.len() as u64 + data), graph].concat()
}

#[cfg(target_os = "linux")]
#[test]
fn opening_4_gib_of_any_other_format_reads_only_its_structure() {
    let folder = tempfile::tempdir().unwrap();
    let elements = GIB_4 / 4;
    for (format, head) in
        [("numpy", npy_head(elements)), ("gguf", gguf_head(elements)), ("onnx", onnx_head(elements))]
    {
        let path = folder.path().join(format);
        sparse(&path, &head, GIB_4);
        let before = bytes_read();
        let checkpoint = open(&path).unwrap();
        let used = bytes_read() - before;
        assert_eq!(checkpoint.format(), format);
        assert_eq!(checkpoint.totals().elements, elements);
        assert!(checkpoint.problems().is_empty(), "{:?}", checkpoint.problems());
        assert!(used < 2 << 20, "{format}: {used} bytes read");
    }
}

/// Makes the files of a case of `fixtures/large/` in `folder`, with holes for all zeros; returns how many bytes are not.
#[cfg(target_os = "linux")]
fn make_large(case: &Json, folder: &Path) -> u64 {
    use std::os::unix::fs::FileExt as _;

    let mut written = 0;
    for (name, content) in case["files"].as_object().unwrap() {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(content["bytes"].as_u64().unwrap()).unwrap();
        for stretch in content["written"].as_array().unwrap() {
            let digits = stretch[1].as_str().unwrap().as_bytes().chunks(2);
            let bytes: Vec<u8> = digits
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect();
            file.write_all_at(&bytes, stretch[0].as_u64().unwrap()).unwrap();
            written += bytes.len() as u64;
        }
    }
    written
}

/// Bytes that opening may read beside what the frameworks wrote around the values: fields are read in blocks, which
/// reach into what follows, and the start of a file is looked at before it is known what it is.
#[cfg(target_os = "linux")]
const AROUND: u64 = 256 << 10;

#[cfg(target_os = "linux")]
#[test]
fn opening_a_gibibyte_of_any_framework_reads_no_more_than_the_catalogue() {
    let mut complaints = Complaints::default();
    let mut cases = 0;
    for entry in std::fs::read_dir(folder().join("large")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let case: Json = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let made = tempfile::tempdir().unwrap();
        let written = make_large(&case, made.path());
        let before = bytes_read();
        let checkpoint = match open(&made.path().join(case["open"].as_str().unwrap())) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                complaints.add(format!("{name}: {error}"));
                continue;
            }
        };
        let used = bytes_read() - before;
        if used > written + AROUND {
            complaints.add(format!("{name}: {used} bytes read, {written} are not zero"));
        }
        if checkpoint.totals().elements < 1 << 28 || !checkpoint.problems().is_empty() {
            complaints.add(format!("{name}: {:?}, {:?}", checkpoint.totals(), checkpoint.problems()));
        }
        cases += 1;
    }
    assert_eq!(cases, 14);
    complaints.check();
}
