"""Exact search on a GPU against the memory bandwidth of that very card.

Called by   benchmarks/gpu/__main__.py
Limit       the rate of a large copy on the device, bytes read and written, measured in the same run: a search cannot be
            done before the item table was read once at that rate
Peer        what torch does by itself: all scores by a matrix product, then its top-k; it writes the score matrix
Exact       each search is compared with the scores of the same bfloat16 numbers in float32, on the same card
Dimensions  V items, D width, B states, K places
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shared.models.gpu.top_items import TopItems

PLACES = 100
BATCHES = (1, 16, 64, 256)
REPEATS = 50
COPIED_BYTES = 2**32
CHECKED_BLOCK = 500_000


def copy_rate(device: str) -> float:
    """Return bytes a second that a copy on the device moves, reads and writes together."""
    source = torch.randint(0, 255, (COPIED_BYTES,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED_BYTES / (median_ms(lambda: target.copy_(source)) / 1000)


def search_row(items: TopItems, bytes_per_s: float, batch: int) -> dict[str, Any]:
    """Return what one size of batch takes, on its own and as torch does it."""
    table_VE = items.item_VE
    state_BD = torch.randn((batch, table_VE.shape[1]), device=table_VE.device)
    fused_ms = median_ms(graphed(lambda: items.search(state_BD, PLACES)))
    plain_ms = median_ms(graphed(lambda: torch.topk(state_BD.bfloat16() @ table_VE.T, PLACES)))
    limit_ms = 1000 * table_VE.numel() * table_VE.element_size() / bytes_per_s
    return {
        "items": len(table_VE),
        "dim": table_VE.shape[1],
        "batch": batch,
        "ms": round(fused_ms, 4),
        "torch_ms": round(plain_ms, 4),
        "limit_ms": round(limit_ms, 4),
        "share_of_limit": round(limit_ms / fused_ms, 4),
        "recall@100": recall(items, state_BD),
    }


def recall(items: TopItems, state_BD: Tensor) -> float:
    """Return the share of the best places that the search finds, by score: equal scores may stand in any order."""
    _, found_BK = items.search(state_BD, PLACES)
    best_BK = torch.full((len(state_BD), 0), 0.0, device=state_BD.device)
    rounded_BD = state_BD.bfloat16().float()
    for block_VE in items.item_VE.split(CHECKED_BLOCK):
        best_BK = torch.cat([best_BK, rounded_BD @ block_VE.float().T], dim=1).topk(PLACES).values
    return float((found_BK >= best_BK[:, -1:] - 1e-3).float().mean())


def graphed(run: Callable[[], object]) -> Callable[[], object]:
    """Return a computation as one replay, so that the host's launches are not measured."""
    beside = torch.cuda.Stream()
    with torch.cuda.stream(beside):
        for _ in range(3):
            run()
    beside.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def median_ms(run: Callable[[], object]) -> float:
    """Return the median time of a computation on the device."""
    for _ in range(5):
        run()
    times = []
    for _ in range(REPEATS):
        began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        began.record()
        run()
        ended.record()
        ended.synchronize()
        times.append(began.elapsed_time(ended))
    return float(np.median(times))
