# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "safetensors", "h5py", "torch"]
# ///
"""Reads exported files with the libraries they are for, and prints what they hold.

    python real_readers.py FILE FORMAT     one JSON object: {"missing": module} or
                                           {"reader": name and version, "tensors": {name: [dtype, shape, sha256]}}

FORMAT is safetensors, pytorch, npz, npy or hdf5. Hashes are over the C-contiguous little-endian bytes. Nothing of this
program is used here.
"""

import hashlib
import json
import pathlib
import sys


def entry(array):
    import numpy as np

    array = np.asarray(array)
    return [str(array.dtype), list(array.shape), hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()]


def torch_entry(tensor):
    import torch

    raw = tensor.detach().contiguous()
    data = raw.view(torch.uint8) if raw.dim() else raw.reshape(1).view(torch.uint8)
    digest = hashlib.sha256(data.numpy().tobytes()).hexdigest() if raw.numel() else hashlib.sha256(b"").hexdigest()
    return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), digest]


# Where the names of the safetensors library are not those of torch in lower case.
SAFETENSORS_NAMES = {
    "F": "float", "BF": "bfloat", "I": "int", "U": "uint", "C": "complex", "BOOL": "bool",
    "F4": "float4_e2m1fn_x2", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu",
}


def safetensors_name(dtype):
    letters = dtype.rstrip("0123456789")
    return SAFETENSORS_NAMES.get(dtype) or SAFETENSORS_NAMES[letters] + dtype[len(letters):]


def read_safetensors(path):
    import safetensors

    try:
        import torch
        from safetensors.torch import load_file
    except ImportError:
        # numpy has no bfloat16 and no numbers of eight bits: the library's bytes are taken as they are.
        found = safetensors.deserialize(pathlib.Path(path).read_bytes())
        return f"safetensors {safetensors.__version__}", {
            name: [safetensors_name(tensor["dtype"]), tensor["shape"], hashlib.sha256(tensor["data"]).hexdigest()]
            for name, tensor in found
        }
    found = {name: torch_entry(tensor) for name, tensor in load_file(path).items()}
    return f"safetensors {safetensors.__version__} with torch {torch.__version__}", found


def read_pytorch(path):
    import torch

    found = {}

    def walk(value, keys):
        if isinstance(value, torch.Tensor):
            found[".".join(keys)] = torch_entry(value)
        elif isinstance(value, dict):
            for key, item in value.items():
                walk(item, [*keys, str(key)])
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                walk(item, [*keys, str(index)])

    walk(torch.load(path, weights_only=True), [])
    return f"torch {torch.__version__}", found


def read_npz(path):
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        return f"numpy {np.__version__}", {name: entry(archive[name]) for name in archive.files}


def read_npy(path):
    import numpy as np

    files = sorted(pathlib.Path(path).iterdir())
    return f"numpy {np.__version__}", {file.name: entry(np.load(file, allow_pickle=False)) for file in files}


def read_hdf5(path):
    import h5py

    found = {}

    def walk(group, keys):
        for key in group:
            if isinstance(group[key], h5py.Group):
                walk(group[key], [*keys, key])
            else:
                found["/".join([*keys, key])] = entry(group[key][()])

    with h5py.File(path, "r") as file:
        for key in file.attrs:
            file.attrs[key]
        walk(file, [])
    return f"h5py {h5py.__version__}", found


def main():
    path, format = sys.argv[1:]
    reader = {
        "safetensors": read_safetensors,
        "pytorch": read_pytorch,
        "npz": read_npz,
        "npy": read_npy,
        "hdf5": read_hdf5,
    }[format]
    try:
        name, tensors = reader(path)
        print(json.dumps({"reader": name, "tensors": tensors}))
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": error.name}))


main()
