"""What one item table costs and finds: exact search beside the index, with and without filters.

Called by   benchmarks/retrieval/__main__.py
Exact       what serving does below INDEX_FROM: score every item, take the best (shared/models/sources/scores.py)
Time        of one query at a time on one thread: wall clock, and CPU time of the thread, which other load disturbs less
Recall      at 100 against exact, for queries by which the index was not built
Filters     as shares of the items: at random, and all of one region, as a category is
Dimensions  N items, D width, Q queries
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.retrieval.built import BUILD_QUERIES, Built
from shared.features.events import FloatArray, IntArray
from shared.models.retrieval_index import BEST, RetrievalIndex, exact_best, recall
from shared.models.sources.scores import DenseScores
from shared.models.tensors import BoolArray

ASKED, FILTER_ASKED = 300, 60
EXACT_ASKED = 40


@dataclass(frozen=True)
class Times:
    """Of one query, in milliseconds."""

    p50_ms: float
    p99_ms: float
    cpu_p50_ms: float


def measure(made: Built, query_QD: FloatArray) -> dict[str, Any]:
    """Return the figures of one table and its index."""
    item_ND, index = made.drawn.item_ND, made.index
    asked_QD = query_QD[BUILD_QUERIES : BUILD_QUERIES + ASKED]
    best_QK = exact_best(item_ND, asked_QD, BEST)
    exact = times(lambda state_D: DenseScores(item_ND @ state_D).top(BEST, None), asked_QD[:EXACT_ASKED])
    return {
        "items": len(item_ND),
        "exact": vars(exact),
        "index": {
            **vars(times(lambda state_D: index.search(state_D, BEST), asked_QD)),
            "recall@100": round(recall(index, asked_QD, best_QK), 4),
            "build_s": round(made.build_s, 1),
            "cells": index.cells.nlist,
            **vars(index.effort),
        },
        "memory_mb": memory_mb(index, made.grown_mb),
        "filters": [filtered(index, item_ND, asked_QD[:FILTER_ASKED], *one) for one in allowed_sets(item_ND)],
    }


def times(search: Callable[[FloatArray], object], query_QD: FloatArray) -> Times:
    """Return how long one query takes; the first few warm up."""
    for state_D in query_QD[:5]:
        search(state_D)
    wall, cpu = [], []
    for state_D in query_QD:
        started_s, started_cpu_s = time.perf_counter(), time.thread_time()
        search(state_D)
        wall.append(1000 * (time.perf_counter() - started_s))
        cpu.append(1000 * (time.thread_time() - started_cpu_s))
    p50, p99 = np.quantile(wall, (0.5, 0.99)).tolist()
    return Times(round(p50, 3), round(p99, 3), round(float(np.median(cpu)), 3))


def memory_mb(index: RetrievalIndex, grown_mb: float) -> dict[str, float]:
    """Return what a process that serves this table holds: the index, and the table it scores its shortlist with."""
    table_mb = len(index.item_VD) * np.asarray(index.item_VD[:1]).nbytes / 1e6
    packed = getattr(index.item_VD, "packed_V", None)
    table_mb = table_mb if packed is None else packed.nbytes / 1e6
    index_mb = len(index.to_bytes()) / 1e6
    return {
        "index": round(index_mb, 1),
        "item_table": round(table_mb, 1),
        "together": round(index_mb + table_mb, 1),
        "grown_while_built": round(grown_mb, 1),
    }


def filtered(
    index: RetrievalIndex, item_ND: FloatArray, query_QD: FloatArray, name: str, allowed_N: BoolArray
) -> dict[str, Any]:
    """Return what a search among the allowed items costs and finds, and its shortest list."""
    lists: list[IntArray] = [index.search(state_D, BEST, allowed_N)[0] for state_D in query_QD]
    best_QK = exact_best(item_ND, query_QD, BEST, allowed_N)
    # Where fewer than BEST are allowed, all of them are to be found.
    shares = [np.isin(best_K[allowed_N[best_K]], found).mean() for best_K, found in zip(best_QK, lists, strict=True)]
    return {
        "filter": name,
        "allowed": int(allowed_N.sum()),
        **vars(times(lambda state_D: index.search(state_D, BEST, allowed_N), query_QD)),
        "recall@100": round(float(np.mean(shares)), 4),
        "shortest_list": min(len(found) for found in lists),
        "forbidden": int(sum((~allowed_N[found]).sum() for found in lists)),
    }


def allowed_sets(item_ND: FloatArray) -> list[tuple[str, BoolArray]]:
    """Return the filters."""
    random = np.random.default_rng(11)
    chance_N = random.random(len(item_ND), dtype=np.float32)
    direction_D = random.normal(size=item_ND.shape[1]).astype(np.float32)
    along_N = item_ND @ direction_D
    return [
        ("stock: nine in ten", chance_N < 0.9),
        ("category: the tenth that lies farthest in one direction", along_N >= np.quantile(along_N, 0.9)),
        ("price: one in twenty", chance_N < 0.05),
        ("price and stock: one in two thousand", chance_N < 0.0005),
    ]
