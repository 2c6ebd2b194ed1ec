"""An item table in int8: for each item its numbers in 127 steps of its own largest, and that step.

Called by   shared/models/bundle.py (store and load), benchmarks/retrieval (an index scores its shortlist with it)
Stored      one row an item: D codes, then the four bytes of the step as float32; so a row is one read
Loss        at most half a step in each number; `make bench-compression` measures what it does to the lists
Dimensions  V items, D width, C some items
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.features.events import FloatArray

STEPS = 127
STEP_BYTES = 4
Packed = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Int8Table:
    """A packed table that is read as if it were float: only the rows asked for are unpacked."""

    packed_V: Packed

    def __len__(self) -> int:
        return len(self.packed_V)

    def __getitem__(self, code_C: Any, /) -> FloatArray:
        return unpacked_rows(self.packed_V[code_C])


def packed_rows(item_VD: FloatArray) -> Packed:
    """Return the rows as they are stored: [V, D + 4]."""
    step_V = np.maximum(np.abs(item_VD).max(axis=1), np.float32(1e-30)) / np.float32(STEPS)
    code_VD = np.rint(item_VD / step_V[:, None]).astype(np.int8)
    step_bytes_V4 = step_V.astype("<f4").view(np.int8).reshape(len(item_VD), STEP_BYTES)
    return np.concatenate([code_VD, step_bytes_V4], axis=1)


def unpacked_rows(packed_C: Packed) -> FloatArray:
    """Return float rows: [C, D]."""
    packed_C = np.asarray(packed_C)
    step_C = np.ascontiguousarray(packed_C[:, -STEP_BYTES:]).view("<f4")
    rows: FloatArray = packed_C[:, :-STEP_BYTES].astype(np.float32) * step_C
    return rows
