//! Builds safetensors files byte by byte: a length, a JSON header, the values.

/// One tensor: name, safetensors dtype, shape, bytes.
pub type Entry<'a> = (&'a str, &'a str, &'a [u64], &'a [u8]);

/// A file of these tensors, one after the other.
pub fn file(tensors: &[Entry<'_>]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut values = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let start = values.len();
        values.extend_from_slice(bytes);
        header.insert(
            (*name).to_owned(),
            serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, values.len()] }),
        );
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.append(&mut values);
    file
}

/// A file of `count` tensors of four `f32` each, named as a deep model names them.
pub fn many(count: usize) -> Vec<u8> {
    let bytes: Vec<u8> = [0.5f32, -1.0, 2.0, 0.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let names: Vec<String> =
        (0..count).map(|index| format!("model.layers.{}.block.{}.weight", index / 8, index % 8)).collect();
    let tensors: Vec<Entry<'_>> =
        names.iter().map(|name| (name.as_str(), "F32", [2, 2].as_slice(), bytes.as_slice())).collect();
    file(&tensors)
}
