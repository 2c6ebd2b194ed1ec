"""A table of one size with its index, kept in the work folder: making both takes long, timing wants an idle machine.

Called by   benchmarks/retrieval/__main__.py
Kept        items as drawn, the index as a bundle stores it, and the facts of making them; anew when the trained table
            is another (the index says for which table it was built)
Large       above FLOAT_UP_TO items the shortlist is scored with int8 rows, which is what fits beside the index
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.retrieval.resample import Quartiles, Resampled, Resampler
from benchmarks.retrieval.trained import TrainedTable
from shared.features.events import FloatArray
from shared.models.quantised_table import Int8Table, packed_rows
from shared.models.retrieval_index import BLOCK, ForeignIndexError, RetrievalIndex, Rows, build_index, open_index

FLOAT_UP_TO = 1_000_000
BUILD_QUERIES = 300
"""by which the index measures its effort; recall and times are of the others"""
ITEMS, INDEX, FACTS = "items.npy", "index.bin", "facts.json"


@dataclass(frozen=True)
class Built:
    """What is measured."""

    drawn: Resampled
    index: RetrievalIndex
    """scores its shortlist with float or int8 rows"""
    build_s: float
    grown_mb: float
    """how much more the process held after building"""


def built(size: int, table: TrainedTable, resampler: Resampler, threads: int, work: Path) -> Built:
    """Return the table of a size with its index; make them when the work folder has none that fit."""
    folder = work / str(size)
    if (folder / FACTS).exists():
        try:
            return _opened(folder, resampler)
        except ForeignIndexError:
            pass  # of another trained table: made anew below
    made = _made(_drawn(size, table, resampler), table, threads)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FACTS).unlink(missing_ok=True)
    np.save(folder / ITEMS, made.drawn.item_ND)
    (folder / INDEX).write_bytes(made.index.to_bytes())
    facts = {"share": made.drawn.share, "resampled": vars(made.drawn.resampled)}
    (folder / FACTS).write_text(json.dumps(facts | {"build_s": made.build_s, "grown_mb": made.grown_mb}))
    return made


def _opened(folder: Path, resampler: Resampler) -> Built:
    facts, item_ND = json.loads((folder / FACTS).read_text()), np.load(folder / ITEMS)
    index = open_index((folder / INDEX).read_bytes(), scored_with(item_ND))
    if not np.array_equal(item_ND[: len(resampler.item_VD)], resampler.item_VD[: len(item_ND)]):
        raise ForeignIndexError("drawn from another trained table")
    drawn = Resampled(item_ND, facts["share"], resampler.real, Quartiles(**facts["resampled"]))
    return Built(drawn, index, facts["build_s"], facts["grown_mb"])


def _drawn(size: int, table: TrainedTable, resampler: Resampler) -> Resampled:
    """Return the trained table itself for its own size, else a larger one."""
    if size == len(table.item_VD):
        return Resampled(table.item_VD, 0.0, resampler.real, resampler.real)
    return resampler.draw(size)


def _made(drawn: Resampled, table: TrainedTable, threads: int) -> Built:
    refine_N, before_mb, started_s = scored_with(drawn.item_ND), resident_mb(), time.perf_counter()
    index = build_index(refine_N, table.query_QD[:BUILD_QUERIES], threads)
    return Built(drawn, index, time.perf_counter() - started_s, resident_mb() - before_mb)


def scored_with(item_ND: FloatArray) -> Rows:
    """Return the rows that score a shortlist."""
    if len(item_ND) <= FLOAT_UP_TO:
        return item_ND
    blocks = range(0, len(item_ND), BLOCK)
    return Int8Table(np.concatenate([packed_rows(item_ND[start : start + BLOCK]) for start in blocks]))


def resident_mb() -> float:
    """Return the resident memory of this process."""
    return float(psutil.Process().memory_info().rss) / 1e6
