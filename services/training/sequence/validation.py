"""How well the encoder alone ranks a later period: NDCG@10 over all items of the vocabulary.

Called by   services/training/sequence/trainer.py after every epoch, for early stopping
Dimensions  Q queries, V items, D width, K = 10
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from services.training.sequence.model import SequenceModel
from shared.features.events import FloatArray, IntArray
from shared.models.encoder import LastState
from shared.models.tensors import History, collate

K = 10
BATCH = 128


@dataclass(frozen=True)
class NextBasketValidation:
    """Histories strictly before a purchase, and what was bought then (item codes)."""

    histories: Sequence[History]
    targets: Sequence[IntArray]
    max_length: int
    repeats: bool = True
    """whether items of the history may be the answer; else they are left out of the list"""

    def __call__(self, model: SequenceModel) -> float:
        """Return the mean NDCG@10; 0 when there is nothing to ask."""
        if not self.histories:
            return 0.0
        model.eval()
        with torch.inference_mode():
            item_VD = model.items.all()
            gains = [
                ndcg_of_top(top_K, target)
                for start in range(0, len(self.histories), BATCH)
                for top_K, target in zip(
                    self._top(model, item_VD, start), self.targets[start : start + BATCH], strict=True
                )
            ]
        return float(np.mean(gains))

    def _top(self, model: SequenceModel, item_VD: torch.Tensor, start: int) -> IntArray:
        batch = collate(self.histories[start : start + BATCH], self.max_length)
        device = item_VD.device
        state_QD = LastState(model.encoder)(
            item_VD[torch.from_numpy(batch.code_BL).to(device)],
            torch.from_numpy(batch.type_BL).to(device),
            torch.from_numpy(batch.age_s_BL).to(device),
            torch.from_numpy(batch.mask_BL).to(device),
        )
        score_QV = state_QD @ item_VD.T
        if not self.repeats:
            bar_history(score_QV, self.histories[start : start + BATCH])
        top_QK: IntArray = torch.topk(score_QV, min(K, len(item_VD))).indices.cpu().numpy().astype(np.int32)
        return top_QK


def bar_history(score_QV: torch.Tensor, histories: Sequence[History]) -> None:
    """Give the items of each history the lowest score, in place."""
    row_E = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    code_E = np.concatenate([history.code_L for history in histories]).astype(np.int64)
    score_QV[torch.from_numpy(row_E), torch.from_numpy(code_E)] = float("-inf")


def ndcg_of_top(top_K: IntArray, target: IntArray) -> float:
    """Return the NDCG of a list of K against a set of targets of equal worth."""
    discount_K: FloatArray = (1 / np.log2(np.arange(2, len(top_K) + 2))).astype(np.float32)
    gain = discount_K[np.isin(top_K, target)].sum()
    return float(gain / discount_K[: min(len(target), len(top_K))].sum())
