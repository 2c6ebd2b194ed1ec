"""Small folders of interactions for the tests of the quality benchmark."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.quality.folder import read_folder
from benchmarks.quality.interactions import Interactions


def write_folder(folder: Path, items: dict[str, list[Any]] | None = None, **columns: list[Any]) -> Path:
    """Write interactions.parquet, and items.parquet if there are any; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "interactions.parquet")
    if items is not None:
        pq.write_table(pa.table(items), folder / "items.parquet")
    return folder


def read(folder: Path, **columns: list[Any]) -> Interactions:
    """Write a folder and read it."""
    return read_folder(write_folder(folder, **columns), folder)


def thirty_users(folder: Path) -> Path:
    """Write a stranger's folder: 30 users in two groups, each group with items of its own."""
    random = np.random.default_rng(3)
    users, items, positions = [], [], []
    for user in range(30):
        chosen = random.permutation(8)[:6] + 8 * (user % 2)
        users += [f"user-{user}"] * len(chosen)
        items += [f"item-{item}" for item in chosen]
        positions += list(range(len(chosen)))
    return write_folder(folder, user_id=users, item_id=items, position=positions)
