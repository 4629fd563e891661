//! The table of kinds that fixed first bytes tell.

const ZLIB: &str =
    "a zlib stream, which joblib writes with compress; load it in Python and dump it again without compress";

/// Kinds of files by their first bytes, with what to do.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (
        0,
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer that stands for the real file; run `git lfs pull` in the repository to fetch it",
    ),
    (0, b"\xfd7zXZ\0", "an xz archive; unpack it (xz -d) and open what is inside"),
    (0, b"\x5d\0\0", "an lzma archive; unpack it (xz -d) and open what is inside"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive; unpack it (zstd -d) and open what is inside"),
    (0, b"\x78\x01", ZLIB),
    (0, b"\x78\x5e", ZLIB),
    (0, b"\x78\x9c", ZLIB),
    (0, b"\x78\xda", ZLIB),
    (0, b"BZh", "a bzip2 archive; unpack it (bzip2 -d) and open what is inside"),
    (0, b"\x04\x22\x4d\x18", "an lz4 archive; unpack it (lz4 -d) and open what is inside"),
    (0, b"\x1f\x9d", "a compress archive (.Z); unpack it (uncompress) and open what is inside"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it (7z x) and open what is inside"),
    (0, b"Rar!\x1a\x07", "a RAR archive; unpack it and open what is inside"),
    (257, b"ustar", "a tar archive; unpack it and open what is inside"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    // Old llama.cpp wrote its magic numbers as little-endian integers.
    (0, b"lmgg", "a GGML model of an old layout; convert it to GGUF with llama.cpp"),
    (0, b"fmgg", "a GGML model of an old layout (ggmf); convert it to GGUF with llama.cpp"),
    (0, b"tjgg", "a GGML model of an old layout (ggjt); convert it to GGUF with llama.cpp"),
    (0, b"algg", "a LoRA adapter of an old GGML layout; convert it to GGUF with llama.cpp"),
    (4, b"TFL3", "a TensorFlow Lite model, made for inference; open the checkpoint it was converted from"),
    (
        4,
        b"ORTM",
        "an ONNX Runtime model (.ort), made for inference; open the .onnx file it was converted from",
    ),
    (4, b"ET1", "an ExecuTorch program (.pte), made for inference; open the checkpoint it was exported from"),
    (0, b"ptrt", "a TensorRT engine, built for one kind of GPU; open the model it was built from"),
    (0, b"ftrt", "a TensorRT engine, built for one kind of GPU; open the model it was built from"),
    (0, b"RKNN", "a Rockchip model (.rknn), made for inference; open the model it was converted from"),
    (0, b"CBM1", "a CatBoost model; it holds decision trees, not tensors"),
    // int32 4 (torch object), 1 (its index), 3 (length of "V 1"); int32 3 (table), 1.
    (
        0,
        b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1",
        "a Lua Torch file (.t7); load it with torchfile in Python and save its arrays with numpy",
    ),
    (
        0,
        b"\x03\0\0\0\x01\0\0\0",
        "a Lua Torch file (.t7); load it with torchfile in Python and save its arrays with numpy",
    ),
    // u64 0x112 (kMXAPINDArrayListMagic), u64 0.
    (
        0,
        b"\x12\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        "MXNet parameters; load them with mxnet.nd.load and save them with numpy.savez",
    ),
    // int32 major 0, minor 2, revision 5.
    (
        0,
        b"\0\0\0\0\x02\0\0\0\x05\0\0\0",
        "Darknet weights; they have no names or shapes, so convert them with the .cfg file that belongs to them",
    ),
    // u32 version 0, u64 no levels of detail, u32 version 0, then the length of a short message that begins with a type.
    (
        0,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\x08",
        "Paddle inference parameters; open the .pdparams file of the training in their place",
    ),
    (
        0,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\0\0\0\x08",
        "Paddle inference parameters; open the .pdparams file of the training in their place",
    ),
    (
        0,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04\0\0\0\x08",
        "Paddle inference parameters; open the .pdparams file of the training in their place",
    ),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"RIFF", "a sound, picture or video file (RIFF)"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"\x7fELF", "a program or library (ELF)"),
    (0, b"MZ", "a Windows program or library"),
    (0, b"\xcf\xfa\xed\xfe", "a macOS program or library"),
    (0, b"\xca\xfe\xba\xbe", "a Java class or macOS program"),
    (0, b"\x00asm", "a WebAssembly module"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"PAR1", "a Parquet table; it holds data, not a model"),
    (0, b"ARROW1", "an Arrow table; it holds data, not a model"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Microsoft Office document"),
    (0, b"MATLAB 5.0 MAT-file", "a MATLAB file; save the weights in another format to look at them"),
];

/// The kind of what begins with `head`.
pub fn by_signature(head: &[u8]) -> Option<&'static str> {
    SIGNATURES
        .iter()
        .find(|(offset, bytes, _)| head.get(*offset..).is_some_and(|rest| rest.starts_with(bytes)))
        .map(|(_, _, name)| *name)
}
