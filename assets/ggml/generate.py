# /// script
# requires-python = ">=3.11"
# dependencies = ["gguf==0.19.0", "numpy==2.4.6"]
# ///
"""Packs the grids of ggml's IQ types into iq_grids.bin: codes of 2 bits, then, for the IQ3 types, of 4 bits, lowest first."""

import pathlib

import numpy as np
from gguf import quants

packed = b""
for kind in (quants.IQ2_XXS, quants.IQ2_XS, quants.IQ2_S, quants.IQ1_S, quants.IQ3_XXS, quants.IQ3_S):
    kind.init_grid()
    codes = np.searchsorted(kind.grid_map, kind.grid.reshape(kind.grid_shape)).astype(np.uint8)
    bits = 4 if len(kind.grid_map) > 4 else 2
    each = 8 // bits
    codes = codes.reshape(-1, each) << (np.arange(each, dtype=np.uint8) * np.uint8(bits))
    packed += np.bitwise_or.reduce(codes, axis=1).astype(np.uint8).tobytes()
    print(kind.__name__, kind.grid_shape, kind.grid_map)
signs = np.frombuffer(quants.IQ2_XXS.ksigns, np.uint8)
assert all(int(sign) == index | (index.bit_count() & 1) << 7 for index, sign in enumerate(signs))
(pathlib.Path(__file__).parent / "iq_grids.bin").write_bytes(packed)
print(len(packed))
