"""Find the items with the highest scores in a large item table without scoring them all.

Called by   shared/models/sources/sequence.py (search), shared/models/bundle.py (store and load),
            services/training/compression (build)
How         vectors in cells around centroids, four bits a dimension (faiss: IVF, fast scan); a search reads the cells
            nearest to the state and scores the shortlist again with the item table itself, float or int8
Lengths     trained items differ in length, which cells of directions do not see: items are lifted onto a sphere by one
            more dimension, in which a state is 0, so that every product stays what it was
Effort      cells read and length of the shortlist are measured when the index is built: the cheapest that find RECALL
            of the best 100 for states of real shoppers
Filters     go into the search. The rarer the allowed items, the more cells are read; few are scored one and all, so a
            list is never short while there are allowed items
Errors      ForeignIndexError: the index was built for another item table, or is no index
Source      Jegou, Douze and Schmid 2011 (inverted file); Andre, Kermarrec and Le Scouarnec 2015 (fast scan);
            Bachrach et al. 2014 (the sphere)
Dimensions  V items, D width, E lifted width, Q states, C shortlist, K places
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from shared.features.events import FloatArray, IntArray
from shared.models.sources.scores import best_first
from shared.models.tensors import BoolArray

INDEX_FROM = 100_000
"""items; below, scoring all of them is fast enough (`make bench-retrieval` measures both)"""
RECALL = 0.993
"""asked for when the index is built, so that 0.99 holds for states it was not built with"""
BEST = 100
SHORTLISTS = (4, 10, 20, 40)
"""candidates that are scored again, as a multiple of the places wanted"""
FEW_ALLOWED = 20_000
"""so few are all scored"""
TRAINING_VECTORS_PER_CELL = 40
TRAINING_ROUNDS = 8
SCAN_NS, RESCORE_NS = 4.0, 170.0
"""of one item in a cell, and of one on the shortlist: their ratio chooses between more cells and a longer shortlist"""
BLOCK = 262_144
HEADER = struct.Struct("<8s32sII")
MAGIC = b"AISLEIX1"


Found = tuple[IntArray, FloatArray]
"""codes and their scores, best first"""


class ForeignIndexError(Exception):
    """An index that does not belong to the item table beside it."""


class Rows(Protocol):
    """An item table: an array of any float type, or the int8 one."""

    def __len__(self) -> int: ...

    def __getitem__(self, code_C: Any, /) -> FloatArray: ...


@dataclass(frozen=True)
class Effort:
    """How much a search looks at."""

    probes: int
    """cells that a search without a filter reads"""
    shortlist: int
    """candidates scored again, as a multiple of the places wanted"""


@dataclass(frozen=True)
class RetrievalIndex:
    """The index with the table it belongs to."""

    cells: Any
    """faiss.IndexIVF over lifted vectors"""
    item_VD: Rows
    effort: Effort

    def search(
        self, state_D: FloatArray, limit: int, allowed_V: BoolArray | None = None
    ) -> tuple[IntArray, FloatArray]:
        """Return at most `limit` item codes and their scores, best first; only allowed ones."""
        if allowed_V is None:
            code_C = self._shortlist(state_D, limit, self.effort.probes, None)
        else:
            code_C = self._allowed_shortlist(state_D, limit, allowed_V)
        return best_of(self.item_VD, code_C, state_D, limit)

    def _allowed_shortlist(self, state_D: FloatArray, limit: int, allowed_V: BoolArray) -> IntArray:
        allowed = int(np.count_nonzero(allowed_V))
        if allowed <= max(FEW_ALLOWED, limit):
            return np.flatnonzero(allowed_V).astype(np.int32)
        import faiss

        selector = faiss.IDSelectorBitmap(np.packbits(allowed_V, bitorder="little"))
        # The best allowed items lie as deep in the list of all as they are rare; cells of that depth grow slower.
        probes = int(np.ceil(self.effort.probes * (len(allowed_V) / allowed) ** 0.5))
        while True:
            code_C = self._shortlist(state_D, limit, probes, selector)
            if len(code_C) >= limit or probes >= self.cells.nlist:
                return code_C
            probes *= 4

    def _shortlist(self, state_D: FloatArray, limit: int, probes: int, selector: Any) -> IntArray:
        """Return the candidates, nearest first."""
        import faiss

        parameters = faiss.SearchParametersIVF(nprobe=min(probes, self.cells.nlist), sel=selector)
        # The effort was measured for the best BEST; a shorter list of a shorter shortlist would miss more.
        wanted = min(self.effort.shortlist * max(limit, BEST), len(self.item_VD))
        _, code_1C = self.cells.search(lifted_states(state_D[None]), wanted, params=parameters)
        found_C: IntArray = code_1C[0][code_1C[0] >= 0].astype(np.int32)
        return found_C

    def to_bytes(self) -> bytes:
        """Return the index with the fingerprint of its table, as the bundle stores it."""
        import faiss

        effort, table = self.effort, table_hash(self.item_VD)
        header = HEADER.pack(MAGIC, table, effort.probes, effort.shortlist)
        stored: bytes = header + faiss.serialize_index(self.cells).tobytes()
        return stored


def open_index(stored: bytes, item_VD: Rows) -> RetrievalIndex:
    """Return a stored index; ForeignIndexError when it was not built for this very table."""
    import faiss

    if len(stored) <= HEADER.size or not stored.startswith(MAGIC):
        raise ForeignIndexError("not a retrieval index")
    _, built_for, probes, shortlist = HEADER.unpack_from(stored)
    if built_for != table_hash(item_VD):
        raise ForeignIndexError("the retrieval index was built for another item table")
    # A search of one state runs on one thread; nothing else of faiss may take more beside the service.
    faiss.omp_set_num_threads(1)
    cells = faiss.deserialize_index(np.frombuffer(stored, np.uint8, offset=HEADER.size))
    return RetrievalIndex(cells, item_VD, Effort(probes, shortlist))


def build_index(item_VD: Rows, state_QD: FloatArray, threads: int = 1, seed: int = 7) -> RetrievalIndex:
    """Build the index of a table; by `state_QD`, states of real shoppers, it is measured how much must be read."""
    import faiss

    faiss.omp_set_num_threads(threads)
    radius = float(max(np.linalg.norm(block_CD, axis=1).max() for block_CD in blocks(item_VD)))
    width = lifted_items(item_VD[:1], radius).shape[1]
    cells = faiss.index_factory(width, f"IVF{cells_for(len(item_VD))},PQ{width}x4fs", faiss.METRIC_INNER_PRODUCT)
    cells.cp.seed, cells.cp.niter = seed, TRAINING_ROUNDS
    random = np.random.default_rng(seed)
    sample = random.choice(len(item_VD), min(len(item_VD), TRAINING_VECTORS_PER_CELL * cells.nlist), replace=False)
    cells.train(lifted_items(item_VD[np.sort(sample)], radius))
    for block_CD in blocks(item_VD):
        cells.add(lifted_items(block_CD, radius))
    faiss.omp_set_num_threads(1)
    index = RetrievalIndex(cells, item_VD, Effort(1, max(SHORTLISTS)))
    return replace(index, effort=measured_effort(index, state_QD))


def cells_for(num_items: int) -> int:
    """Return the number of cells: a few times the root of the items, a power of two."""
    return int(2 ** np.round(np.log2(2.5 * np.sqrt(num_items))))


def lifted_items(item_CD: FloatArray, radius: float) -> FloatArray:
    """Return the items on the sphere of `radius`, with one column or two more so that the width is even."""
    item_CD = np.asarray(item_CD, np.float32)
    rest_C = np.sqrt(np.maximum(radius**2 - (item_CD**2).sum(axis=1), 0, dtype=np.float32))
    return np.ascontiguousarray(_widened(item_CD, rest_C))


def lifted_states(state_QD: FloatArray) -> FloatArray:
    """Return the states with 0 where the lifted items have what they were lifted by."""
    return np.ascontiguousarray(_widened(state_QD.astype(np.float32), np.zeros(len(state_QD), np.float32)))


def _widened(vector_CD: FloatArray, last_C: FloatArray) -> FloatArray:
    odd = vector_CD.shape[1] % 2 == 0
    return np.concatenate([vector_CD, last_C[:, None], np.zeros((len(last_C), int(odd)), np.float32)], axis=1)


def measured_effort(index: RetrievalIndex, state_QD: FloatArray) -> Effort:
    """Return the cheapest effort that reaches RECALL; everything, where none does."""
    best_QK = exact_best(index.item_VD, state_QD, BEST)
    probes, efforts = 1, []
    while True:
        widest = replace(index, effort=Effort(probes, max(SHORTLISTS)))
        lists = [widest._shortlist(state_D, BEST, probes, None) for state_D in state_QD]
        for shortlist in SHORTLISTS:
            found = [np.isin(best_K, list_C[: shortlist * BEST]) for best_K, list_C in zip(best_QK, lists, strict=True)]
            if np.mean(found) >= RECALL:
                efforts.append(Effort(probes, shortlist))
        if probes == index.cells.nlist:
            break
        probes = min(2 * probes, index.cells.nlist)
    per_cell = len(index.item_VD) / index.cells.nlist
    dear = Effort(index.cells.nlist, max(SHORTLISTS))
    return min(
        efforts, key=lambda one: one.probes * per_cell * SCAN_NS + one.shortlist * BEST * RESCORE_NS, default=dear
    )


def best_of(item_VD: Rows, code_C: IntArray, state_D: FloatArray, limit: int) -> Found:
    """Return the best of some items and their scores."""
    code_C = np.sort(code_C)  # equal scores by code, as where every item is scored
    score_C = np.asarray(item_VD[code_C], np.float32) @ state_D
    best_K = best_first(score_C, limit)
    return code_C[best_K], score_C[best_K]


def recall(index: RetrievalIndex, state_QD: FloatArray, best_QK: IntArray, allowed_V: BoolArray | None = None) -> float:
    """Return the share of the best items that searches find."""
    found = [
        np.isin(best_K, index.search(state_D, len(best_K), allowed_V)[0]).mean()
        for state_D, best_K in zip(state_QD, best_QK, strict=True)
    ]
    return float(np.mean(found))


def exact_best(item_VD: Rows, state_QD: FloatArray, limit: int, allowed_V: BoolArray | None = None) -> IntArray:
    """Return the best codes of each state by scoring every item, block by block: [Q, K], best first."""
    code_QK, score_QK = np.zeros((len(state_QD), 0), np.int32), np.zeros((len(state_QD), 0), np.float32)
    start = 0
    for block_CD in blocks(item_VD):
        score_QC = state_QD @ block_CD.T
        if allowed_V is not None:
            score_QC[:, ~allowed_V[start : start + len(block_CD)]] = -np.inf
        place_QK = np.stack([best_first(score_C, limit) for score_C in score_QC])
        code_QX = np.concatenate([code_QK, place_QK.astype(np.int32) + np.int32(start)], axis=1)
        score_QX = np.concatenate([score_QK, np.take_along_axis(score_QC, place_QK, axis=1)], axis=1)
        best_QK = np.argsort(-score_QX, axis=1, kind="stable")[:, :limit]
        code_QK, score_QK = np.take_along_axis(code_QX, best_QK, 1), np.take_along_axis(score_QX, best_QK, 1)
        start += len(block_CD)
    return code_QK


def table_hash(item_VD: Rows) -> bytes:
    """Return the fingerprint of a table: of the shape and numbers of its blocks."""
    digest = hashlib.sha256()
    for block_CD in blocks(item_VD):
        digest.update(repr(block_CD.shape).encode())
        digest.update(block_CD.data)
    return digest.digest()


def blocks(item_VD: Rows) -> Iterator[FloatArray]:
    """Return the table in runs of rows, as float32."""
    for start in range(0, len(item_VD), BLOCK):
        yield np.ascontiguousarray(item_VD[start : start + BLOCK], np.float32)
