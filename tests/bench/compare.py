# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "torch==2.15.0", "safetensors==0.8.0"]
# ///
"""Statistics and a histogram of every tensor, or the differences of two files: this program beside numpy and torch, in
CPU seconds of one run.

    python tests/bench/compare.py target/release/ckptscope [FILE.safetensors [OTHER.safetensors]] [--diff] [--gib 1] [--rounds 3]

Without FILE, one of float32 normal values is written to a temporary folder, and with --diff a second one of which every
value differs. Peers run in turns (A B C A B C), each in a process of its own; the time to import their libraries is not
counted. CPU seconds are compared because they hold on a machine that does other things too; `plain read` reads the same
files on one thread and does nothing else.
"""

import argparse
import json
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time

PIECE = 1 << 18


def header(path):
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        entries = json.loads(file.read(length))
    entries.pop("__metadata__", None)
    return 8 + length, entries


def plain_read(paths):
    buffer = bytearray(PIECE)
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def mapped(path):
    """The tensors of a file as numpy sees them, without reading any."""
    import numpy as np

    base, entries = header(path)
    content = np.memmap(path, np.uint8, "r")
    dtypes = {"F32": np.float32, "F16": np.float16}
    places = {name: [base + offset for offset in entry["data_offsets"]] for name, entry in entries.items()}
    return {name: content[begin:end].view(dtypes[entries[name]["dtype"]]) for name, (begin, end) in places.items()}


def numpy_statistics(path):
    import numpy as np

    tensors = mapped(path)
    yield
    for x in tensors.values():
        finite = x[np.isfinite(x)]
        np.isnan(x).sum(), (x == 0).sum(), finite.min(), finite.max()
        finite.mean(dtype=np.float64), finite.std(dtype=np.float64), np.histogram(finite, 256)


def torch_statistics(path):
    """Chunks that stay in cache, two threads: quicker than calls on whole tensors."""
    import concurrent.futures

    import torch
    from safetensors import safe_open

    torch.set_num_threads(1)
    file = safe_open(path, framework="pt")
    yield

    def one(name):
        x = file.get_tensor(name).reshape(-1)
        pieces = x.split(1 << 18)
        low = high = None
        for piece in pieces:
            a, b = (value.item() for value in torch.aminmax(piece))
            low, high = a if low is None else min(a, low), b if high is None else max(b, high)
            wide = piece.double()
            wide.sum(), torch.dot(wide, wide), torch.count_nonzero(piece)
        for piece in pieces:
            torch.histc(piece.float(), 256, low, high)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(one, file.keys()))


def numpy_differences(left, right):
    import numpy as np

    a, b = mapped(left), mapped(right)
    yield
    for name in a.keys() & b.keys():
        x, y = a[name], b[name]
        delta = np.abs(x - y)
        delta.max(), delta.mean(dtype=np.float64), np.sqrt(np.square(delta, dtype=np.float64).sum()), np.count_nonzero(delta)
        np.dot(x, y) / (np.linalg.norm(x) * np.linalg.norm(y))


def torch_differences(left, right):
    """Chunks that stay in cache, two threads."""
    import concurrent.futures

    import torch
    from safetensors import safe_open

    torch.set_num_threads(1)
    a, b = safe_open(left, framework="pt"), safe_open(right, framework="pt")
    yield

    def one(name):
        for x, y in zip(*(side.get_tensor(name).reshape(-1).split(1 << 18) for side in (a, b))):
            delta = (x - y).abs_()
            delta.max(), torch.count_nonzero(delta)
            x, y, delta = x.double(), y.double(), delta.double()
            delta.sum(), torch.dot(delta, delta), torch.dot(x, y), torch.dot(x, x), torch.dot(y, y)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(one, set(a.keys()) & set(b.keys())))


def worker(kind, paths):
    if kind == "plain read":
        before = resource.getrusage(resource.RUSAGE_SELF)
        start = time.perf_counter()
        plain_read(paths)
    else:
        peers = {"numpy": [numpy_statistics, numpy_differences], "torch": [torch_statistics, torch_differences]}
        steps = peers[kind][len(paths) - 1](*paths)
        next(steps)
        before = resource.getrusage(resource.RUSAGE_SELF)
        start = time.perf_counter()
        next(steps, None)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall]))


def run(kind, program, paths):
    if kind != "ckptscope":
        return json.loads(subprocess.check_output([sys.executable, __file__, "--worker", kind, *paths]))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = ["inspect", "--json", "--stats"] if len(paths) == 1 else ["diff", "--json"]
    # `diff` ends with status 1 when something differs.
    if subprocess.run([program, *command, *paths], stdout=subprocess.DEVNULL).returncode not in (0, 1):
        sys.exit(f"{program} failed")
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return [after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall]


def make(path, gib, seed):
    import numpy as np
    from safetensors.numpy import save_file

    rng = np.random.default_rng(seed)
    count = max(1, round(gib * 16))
    save_file({f"layers.{i}.weight": 0.02 * rng.standard_normal((4096, 4096), np.float32) for i in range(count)}, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("file", nargs="?")
    parser.add_argument("other", nargs="?")
    parser.add_argument("--diff", action="store_true")
    parser.add_argument("--gib", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = [path for path in (options.file, options.other) if path]
        if not paths:
            names = ["left", "right"] if options.diff else ["values"]
            paths = [os.path.join(folder, f"{name}.safetensors") for name in names]
            for seed, path in enumerate(paths):
                make(path, options.gib, seed)
        kinds = ["plain read", "ckptscope", "torch", "numpy"]
        plain_read(paths)
        times = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind in kinds:
                times[kind].append(run(kind, options.program, paths))
        ours = [cpu for cpu, _ in times["ckptscope"]]
        print(f"{sum(map(os.path.getsize, paths)) / 2**30:.2f} GiB, {options.rounds} rounds, medians")
        print(f"{'':<12}{'CPU s':>8}{'wall s':>8}   CPU time of ckptscope's")
        for kind in kinds:
            ratio = statistics.median(cpu / own for (cpu, _), own in zip(times[kind], ours))
            cpu, wall = (statistics.median(column) for column in zip(*times[kind]))
            print(f"{kind:<12}{cpu:>8.2f}{wall:>8.2f}{ratio:>8.1f} x")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], sys.argv[3:])
    else:
        main()
