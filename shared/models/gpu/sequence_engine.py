"""The sequence Transformer and the search over its items on a GPU: histories in, states and best items out.

Called by   shared/models/sources/gpu_sequence.py; benchmarks/gpu
How         bfloat16; a whole answer, from item codes to the list, is one CUDA graph, captured once for each size of
            batch: a replay is one launch instead of a hundred. A batch is filled up to the next size that was captured
CPU         the same computation without graphs, so that tests need no GPU
Threads     any, one after the other: a graph has one place for its inputs and one for its answer
Dimensions  B histories, L events, D width, K items of a list
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from shared.features.events import FloatArray, IntArray
from shared.models.encoder import LastState, SequenceEncoder
from shared.models.gpu.top_items import TopItems
from shared.models.retrieval_index import BEST, Found, Rows
from shared.models.tensors import BoolArray, History, HistoryBatch, collate

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""histories of a batch for which a graph is captured"""
WARM_UP_RUNS = 3


@dataclass(frozen=True)
class Answer:
    """The answer for one history."""

    state_D: FloatArray
    code_K: IntArray
    """best first; the items of the history are not left out"""
    score_K: FloatArray


@dataclass(frozen=True)
class Inputs:
    """What a graph reads, in its own memory on the device."""

    code_BL: Tensor
    type_BL: Tensor
    age_s_BL: Tensor
    mask_BL: Tensor

    @staticmethod
    def empty(batch: int, length: int, device: str) -> "Inputs":
        """Return room for a batch; an empty history is valid."""
        kinds = (torch.int64, torch.int64, torch.float32, torch.bool)
        return Inputs(*(torch.zeros((batch, length), dtype=kind, device=device) for kind in kinds))

    def fill(self, batch: HistoryBatch) -> None:
        """Copy a batch behind the padding of the longest history; the rows behind it stay what they were."""
        rows, length = batch.code_BL.shape
        pairs = (
            (self.code_BL, batch.code_BL),
            (self.type_BL, batch.type_BL),
            (self.age_s_BL, batch.age_s_BL),
            (self.mask_BL, batch.mask_BL),
        )
        self.mask_BL[:rows].zero_()
        for here, there in pairs:
            here[:rows, -length:].copy_(torch.from_numpy(there), non_blocking=True)


class SequenceEngine:
    """An encoder with its items on a device."""

    def __init__(
        self,
        encoder: SequenceEncoder,
        item_VD: Rows,
        max_length: int,
        device: str,
        limit: int = BEST,
        sizes: Sequence[int] = SIZES,
    ) -> None:
        """Copy everything to the device and capture the graphs; seconds for a large catalogue."""
        self.items, self.max_length, self.largest = TopItems.of(item_VD, device), max_length, max(sizes)
        self._encoder, self._device, self._limit = LastState(encoder).to(device).eval(), device, limit
        self._dim = encoder.config.dim
        self._turn = threading.Lock()
        self._runs = {size: self._run_of(size) for size in sorted(sizes)}

    def __call__(self, histories: Sequence[History]) -> list[Answer]:
        """Return the answers, in the order asked; no history may be empty."""
        return [
            found
            for start in range(0, len(histories), self.largest)
            for found in self._some(histories[start : start + self.largest])
        ]

    def search(self, state_D: FloatArray, limit: int, allowed_V: BoolArray | None = None) -> Found:
        """Return at most `limit` item codes and their scores, best first; only allowed ones."""
        with self._turn, torch.no_grad():
            state_1D = torch.from_numpy(state_D[None].astype(np.float32)).to(self._device)
            allowed = None if allowed_V is None else torch.from_numpy(allowed_V).to(self._device)
            code_1K, score_1K = self.items.search(state_1D, limit, allowed)
            code_K, score_K = code_1K[0].to(torch.int32).cpu().numpy(), score_1K[0].cpu().numpy()
        kept_K = np.isfinite(score_K)
        return code_K[kept_K], score_K[kept_K]

    def _some(self, histories: Sequence[History]) -> list[Answer]:
        inputs, run = self._runs[next(size for size in self._runs if size >= len(histories))]
        batch = collate(histories, self.max_length)
        with self._turn:
            inputs.fill(batch)
            answer_BX = run()[: len(histories)].cpu().numpy()
        dim, limit = self._dim, (answer_BX.shape[1] - self._dim) // 2
        code_BK = np.ascontiguousarray(answer_BX[:, dim + limit :]).view(np.int32)
        return [
            Answer(answer_X[:dim], code_K, answer_X[dim : dim + limit])
            for answer_X, code_K in zip(answer_BX, code_BK, strict=True)
        ]

    def _run_of(self, size: int) -> tuple[Inputs, Callable[[], Tensor]]:
        """Return the place of the inputs and what turns them into an answer."""
        inputs = Inputs.empty(size, self.max_length, self._device)
        if self._device == "cpu":
            return inputs, lambda: self._answer(inputs)
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP_RUNS):  # compiles kernels and allocates, which a capture must not do
                self._answer(inputs)
        beside.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer_BX = self._answer(inputs)

        def replayed() -> Tensor:
            graph.replay()
            return answer_BX

        return inputs, replayed

    @torch.no_grad()
    def _answer(self, inputs: Inputs) -> Tensor:
        """Return states, scores and codes side by side, so that one copy brings all: [B, D + 2 K], float32."""
        vector_BLD = self.items.item_VE[inputs.code_BL][..., : self._dim]
        on_gpu = self._device != "cpu"
        with torch.autocast(self._device, torch.bfloat16, enabled=on_gpu, cache_enabled=False):
            state_BD = self._encoder(vector_BLD.float(), inputs.type_BL, inputs.age_s_BL, inputs.mask_BL).float()
        code_BK, score_BK = self.items.search(state_BD, self._limit)
        return torch.cat([state_BD, score_BK, code_BK.to(torch.int32).view(torch.float32)], dim=1)
