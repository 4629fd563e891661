//! A few lines of Python that load one tensor, and that make from it what a chart shows.

use std::fmt::Write as _;

use crate::model::{Checkpoint, TensorId, TensorInfo};

/// Python that loads a tensor, as `tensor`, with the format's own library.
pub fn python(checkpoint: &Checkpoint, id: TensorId) -> String {
    let tensor = checkpoint.tensor(id);
    let whole = checkpoint.path().to_string_lossy();
    let path = quote(&whole);
    let stored = quote(tensor.stored_name());
    let format = checkpoint.format();
    match format {
        "safetensors" => format!(
            "from safetensors import safe_open\n\nwith safe_open({path}, framework=\"pt\") as f:\n    tensor = f.get_tensor({stored})\n"
        ),
        "safetensors-sharded" => format!(
            "{}from safetensors import safe_open\n\nwith safe_open(shard, framework=\"pt\") as f:\n    tensor = f.get_tensor(name)\n",
            shard(&whole, &stored)
        ),
        "pytorch-sharded" => format!(
            "{}import torch\n\ntensor = torch.load(shard, map_location=\"cpu\", weights_only=True)[name]\n",
            shard(&whole, &stored)
        ),
        "pytorch-zip" | "pytorch-legacy" | "pytorch-tar" | "pytorch-pickle" => torch(&path, tensor),
        "keras-h5" | "hdf5" => {
            format!("import h5py\n\nwith h5py.File({path}) as f:\n    tensor = f[{stored}][()]\n")
        }
        "keras-archive" => format!(
            "import io\nimport zipfile\n\nimport h5py\n\nwith zipfile.ZipFile({path}) as z, h5py.File(io.BytesIO(z.read(\"model.weights.h5\"))) as f:\n    \
             tensor = f[{stored}][()]\n"
        ),
        "numpy" if whole.ends_with(".npy") => format!("import numpy as np\n\ntensor = np.load({path})\n"),
        "numpy" => format!("import numpy as np\n\ntensor = np.load({path})[{stored}]\n"),
        "gguf" => format!(
            "from gguf import GGUFReader, dequantize\n\nfound = next(t for t in GGUFReader({path}).tensors if t.name == {stored})\n\
             tensor = dequantize(found.data, found.tensor_type)\n"
        ),
        "onnx" => format!(
            "import onnx\nfrom onnx import numpy_helper\n\ninitializers = onnx.load({path}).graph.initializer\n\
             tensor = next(numpy_helper.to_array(t) for t in initializers if t.name == {stored})\n"
        ),
        "tf-graph" => format!(
            "import tensorflow as tf\n\ngraph = tf.compat.v1.GraphDef()\nwith open({path}, \"rb\") as f:\n    graph.ParseFromString(f.read())\n\
             tensor = next(tf.make_ndarray(n.attr[\"value\"].tensor) for n in graph.node if n.name == {stored})\n"
        ),
        "tf-saved-model" => {
            let prefix = quote(&format!("{}/variables/variables", whole.trim_end_matches('/')));
            load_checkpoint(&prefix, &stored)
        }
        _ if format.starts_with("tf-checkpoint") => {
            let prefix = quote(whole.strip_suffix(".index").unwrap_or(&whole));
            load_checkpoint(&prefix, &stored)
        }
        _ => format!("path = {path}\nname = {stored}\n"),
    }
}

/// The same, and `values`: the tensor as a numpy array of its dimensions, in float64 where it has a fraction.
pub fn numpy(checkpoint: &Checkpoint, id: TensorId) -> String {
    let load = python(checkpoint, id);
    let values = if load.contains("torch") || load.contains("framework=\"pt\"") {
        "values = tensor.detach().double().numpy()"
    } else {
        "values = np.asarray(tensor)"
    };
    let import = if load.starts_with("import numpy") { "" } else { "import numpy as np\n" };
    format!("{import}{load}{values}\n")
}

fn load_checkpoint(prefix: &str, stored: &str) -> String {
    format!("import tensorflow as tf\n\ntensor = tf.train.load_checkpoint({prefix}).get_tensor({stored})\n")
}

/// Finds the file that holds a tensor by the index of its set.
fn shard(whole: &str, stored: &str) -> String {
    let index = if whole.ends_with(".json") {
        format!("index = {}\n", quote(whole))
    } else {
        format!("index = glob.glob({} + \"/*.index.json\")[0]\n", quote(whole.trim_end_matches('/')))
    };
    format!(
        "import glob\nimport json\nimport os\n\n{index}name = {stored}\nwith open(index) as f:\n    \
         shard = os.path.join(os.path.dirname(index), json.load(f)[\"weight_map\"][name])\n\n"
    )
}

fn torch(path: &str, tensor: &TensorInfo) -> String {
    let is_module =
        ["_modules.", "_parameters.", "_buffers."].iter().any(|part| tensor.stored_name().starts_with(part));
    if is_module {
        // A pickled module can only be loaded by running what the file says.
        return format!(
            "import torch\n\n# Runs code of the file, and needs the classes of the model.\n\
             model = torch.load({path}, map_location=\"cpu\", weights_only=False)\ntensor = model.state_dict()[{}]\n",
            quote(&tensor.name)
        );
    }
    let keys: String = tensor
        .path
        .iter()
        .map(|key| match key.parse::<u32>() {
            // The number of an optimizer's parameter, or a place in a list.
            Ok(index) if tensor.path.len() > 1 && *key == index.to_string() => format!("[{index}]"),
            _ => format!("[{}]", quote(key)),
        })
        .collect();
    format!(
        "import torch\n\ncheckpoint = torch.load({path}, map_location=\"cpu\", weights_only=True)\ntensor = checkpoint{keys}\n"
    )
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
