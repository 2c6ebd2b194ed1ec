"""The exact best items for a batch of states, on a GPU, without ever writing all their scores.

Called by   shared/models/gpu/sequence_engine.py, benchmarks/gpu
How         one pass over the item table keeps the best score of each group of GROUP items. The best `limit` items lie
            in the best `limit` groups, so that only these are scored whole
Exact       for the item table as it lies there, in bfloat16; products are summed in float32. The two passes may add in
            another order: SPARE groups more than needed keep an item whose score differs in its last bit
Engine      Triton where it is installed and the table is on a GPU (kernels.py), else torch, block by block
Shapes      depend on the batch and the limit alone, so that a search can be captured as a CUDA graph
Dimensions  V items, D width, E width as a power of two, B states, G groups, K places, C items of the chosen groups
"""

import importlib.util
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.models.retrieval_index import Rows, blocks

GROUP = 128
SPARE = 28
BLOCK_GROUPS = 4096
"""of the torch engine: half a million scores of each state at a time"""


@dataclass(frozen=True)
class TopItems:
    """An item table on a device."""

    item_VE: Tensor
    with_triton: bool

    @staticmethod
    def of(item_VD: Rows, device: str) -> "TopItems":
        """Copy a table to a device as bfloat16, filled up with zeros to a width that is a power of two."""
        width = 1 << (item_VD[:1].shape[1] - 1).bit_length()
        item_VE = torch.zeros((len(item_VD), width), dtype=torch.bfloat16, device=device)
        start = 0
        for block_CD in blocks(item_VD):
            item_VE[start : start + len(block_CD), : block_CD.shape[1]] = torch.tensor(block_CD, device=device)
            start += len(block_CD)
        return TopItems(item_VE, device == "cuda" and importlib.util.find_spec("triton") is not None)

    def search(self, state_BD: Tensor, limit: int, allowed_V: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return code_BK and score_BK, best first; a score of -inf where fewer items are allowed."""
        width = self.item_VE.shape[1]
        state_BE = torch.nn.functional.pad(state_BD, (0, width - state_BD.shape[1])).to(torch.bfloat16)
        best_BG = self._maxima(state_BE, allowed_V)
        group_BK = torch.topk(best_BG, min(limit + SPARE, best_BG.shape[1]), sorted=False).indices
        score_BC = self._scores(state_BE, allowed_V, group_BK)
        score_BK, place_BK = torch.topk(score_BC, min(limit, score_BC.shape[1]))
        return group_BK.gather(1, place_BK // GROUP) * GROUP + place_BK % GROUP, score_BK

    def _maxima(self, state_BE: Tensor, allowed_V: Tensor | None) -> Tensor:
        if self.with_triton:
            from shared.models.gpu.kernels import group_maxima

            return group_maxima(self.item_VE, state_BE, allowed_V, GROUP)
        found = []
        for start in range(0, len(self.item_VE), BLOCK_GROUPS * GROUP):
            stop = min(start + BLOCK_GROUPS * GROUP, len(self.item_VE))
            score_BC = state_BE.float() @ self.item_VE[start:stop].float().T
            if allowed_V is not None:
                score_BC.masked_fill_(~allowed_V[start:stop], float("-inf"))
            whole_BC = torch.nn.functional.pad(score_BC, (0, -score_BC.shape[1] % GROUP), value=float("-inf"))
            found.append(whole_BC.view(len(state_BE), -1, GROUP).amax(dim=2))
        return torch.cat(found, dim=1)

    def _scores(self, state_BE: Tensor, allowed_V: Tensor | None, group_BK: Tensor) -> Tensor:
        if self.with_triton:
            from shared.models.gpu.kernels import group_scores

            return group_scores(self.item_VE, state_BE, allowed_V, group_BK, GROUP)
        row_BKR = group_BK[:, :, None] * GROUP + torch.arange(GROUP, device=group_BK.device)
        row_BC = row_BKR.flatten(1)
        kept_BC = row_BC < len(self.item_VE)
        row_BC = row_BC.clamp_max(len(self.item_VE) - 1)
        score_BC = torch.einsum("bce,be->bc", self.item_VE[row_BC].float(), state_BE.float())
        if allowed_V is not None:
            kept_BC &= allowed_V[row_BC]
        return score_BC.masked_fill_(~kept_BC, float("-inf"))
