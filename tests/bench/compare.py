# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "torch==2.15.0", "safetensors==0.8.0"]
# ///
"""Statistics and a histogram of every tensor: this program beside numpy and torch, in CPU seconds of one run.

    python tests/bench/compare.py target/release/ckptscope [FILE.safetensors] [--gib 1] [--rounds 3]

Without FILE, one of float32 normal values is written to a temporary folder. Peers run in turns (A B C A B C), each in a
process of its own; the time to import their libraries is not counted. CPU seconds are compared because they hold on a
machine that does other things too; `plain read` reads the same file on one thread and does nothing else.
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


def plain_read(path):
    buffer = bytearray(PIECE)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def with_numpy(path):
    import numpy as np

    base, entries = header(path)
    mapped = np.memmap(path, np.uint8, "r")
    yield
    for entry in entries.values():
        begin, end = entry["data_offsets"]
        x = mapped[base + begin : base + end].view({"F32": np.float32, "F16": np.float16}[entry["dtype"]])
        finite = x[np.isfinite(x)]
        np.isnan(x).sum(), (x == 0).sum(), finite.min(), finite.max()
        finite.mean(dtype=np.float64), finite.std(dtype=np.float64), np.histogram(finite, 256)


def with_torch(path):
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


def worker(kind, path):
    if kind == "plain read":
        before = resource.getrusage(resource.RUSAGE_SELF)
        start = time.perf_counter()
        plain_read(path)
    else:
        steps = {"numpy": with_numpy, "torch": with_torch}[kind](path)
        next(steps)
        before = resource.getrusage(resource.RUSAGE_SELF)
        start = time.perf_counter()
        next(steps, None)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall]))


def run(kind, program, path):
    if kind != "ckptscope":
        return json.loads(subprocess.check_output([sys.executable, __file__, "--worker", kind, path]))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([program, "inspect", path, "--json", "--stats"], stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return [after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall]


def make(path, gib):
    import numpy as np
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    count = max(1, round(gib * 16))
    save_file({f"layers.{i}.weight": 0.02 * rng.standard_normal((4096, 4096), np.float32) for i in range(count)}, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("file", nargs="?")
    parser.add_argument("--gib", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or os.path.join(folder, "values.safetensors")
        if not options.file:
            make(path, options.gib)
        kinds = ["plain read", "ckptscope", "torch", "numpy"]
        plain_read(path)
        times = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind in kinds:
                times[kind].append(run(kind, options.program, path))
        ours = [cpu for cpu, _ in times["ckptscope"]]
        print(f"{os.path.getsize(path) / 2**30:.2f} GiB, {options.rounds} rounds, medians")
        print(f"{'':<12}{'CPU s':>8}{'wall s':>8}   CPU time of ckptscope's")
        for kind in kinds:
            ratio = statistics.median(cpu / own for (cpu, _), own in zip(times[kind], ours))
            cpu, wall = (statistics.median(column) for column in zip(*times[kind]))
            print(f"{kind:<12}{cpu:>8.2f}{wall:>8.2f}{ratio:>8.1f} x")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:4])
    else:
        main()
