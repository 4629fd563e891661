# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "safetensors", "h5py", "torch"]
# ///
"""Reads exported files with the libraries they are for, and prints what they hold.

    python real_readers.py FILE FORMAT     one JSON object: {"missing": module} or {"tensors": {name: [dtype, shape, sha256]}}

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


def read_safetensors(path):
    try:
        import torch  # noqa: F401
        from safetensors.torch import load_file

        return {name: torch_entry(tensor) for name, tensor in load_file(path).items()}
    except ImportError:
        from safetensors import safe_open

        with safe_open(path, "np") as file:
            return {name: entry(file.get_tensor(name)) for name in file.keys()}


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
    return found


def read_npz(path):
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        return {name: entry(archive[name]) for name in archive.files}


def read_npy(path):
    import numpy as np

    return {file.name: entry(np.load(file, allow_pickle=False)) for file in sorted(pathlib.Path(path).iterdir())}


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
    return found


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
        print(json.dumps({"tensors": reader(path)}))
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": error.name}))


main()
