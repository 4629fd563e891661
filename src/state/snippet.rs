//! A few lines of Python that load one tensor, for the context menu.

use std::fmt::Write as _;

use crate::model::{Checkpoint, TensorId};

/// Python that loads a tensor with the format's own library.
pub fn python(checkpoint: &Checkpoint, id: TensorId) -> String {
    let tensor = checkpoint.tensor(id);
    let path = quote(&checkpoint.path().to_string_lossy());
    let stored = quote(tensor.stored_name());
    let format = checkpoint.format();
    match format {
        "safetensors" => format!(
            "from safetensors import safe_open\n\nwith safe_open({path}, framework=\"pt\") as f:\n    tensor = f.get_tensor({stored})\n"
        ),
        "pytorch-zip" | "pytorch-legacy" | "pytorch-tar" => {
            let keys =
                format!("[{}]", tensor.path.iter().map(|key| quote(key)).collect::<Vec<_>>().join("]["));
            format!(
                "import torch\n\ncheckpoint = torch.load({path}, map_location=\"cpu\", weights_only=True)\ntensor = checkpoint{keys}\n"
            )
        }
        "keras-h5" => format!("import h5py\n\nwith h5py.File({path}) as f:\n    tensor = f[{stored}][()]\n"),
        _ if format.starts_with("tf-checkpoint") => {
            let prefix = checkpoint.path().to_string_lossy();
            let prefix = quote(prefix.strip_suffix(".index").unwrap_or(&prefix));
            format!(
                "import tensorflow as tf\n\ntensor = tf.train.load_checkpoint({prefix}).get_tensor({stored})\n"
            )
        }
        _ => format!("path = {path}\nname = {stored}\n"),
    }
}

/// A Python string literal.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(quoted, "\\x{:02x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_the_literal() {
        assert_eq!(quote("a\"\\\n"), r#""a\"\\\n""#);
    }
}
