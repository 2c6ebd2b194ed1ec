"""The encoder with its item vectors, and the loss of a batch.

Called by   services/training/sequence/trainer.py
Dimensions  B windows, L events, D width, Q queries, M targets of a query, N negatives
Loss        softmax of each target against every item, or against the negatives that the batch shares where the
            vocabulary is too large for that (softmax.py); an item that is a target of the query is not its negative
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.training.examples.negative_sampling import Negatives
from services.training.examples.sequences import TrainingBatch
from services.training.sequence.items import ItemVectors
from services.training.sequence.sides import ItemSides
from services.training.sequence.softmax import full_softmax, sampled_softmax
from shared.models.encoder import EncoderConfig, SequenceEncoder


class SequenceModel(nn.Module):
    """What is trained; its forward is the loss, so that DistributedDataParallel can wrap it."""

    def __init__(self, config: EncoderConfig, num_items: int, sides: ItemSides) -> None:
        super().__init__()
        self.encoder = SequenceEncoder(config)
        self.items = ItemVectors(num_items, config.dim, sides)
        self._encode: Callable[..., Tensor] = self.encoder.forward

    def compile_encoder(self) -> None:
        """Train with compiled kernels from now on; the encoder itself, which is exported, stays as it is."""
        self._encode = torch.compile(self.encoder.forward, dynamic=True)

    @property
    def num_items(self) -> int:
        """Number of items in the vocabulary."""
        return self.items.num_items

    def forward(self, batch: TrainingBatch, negatives: Negatives | None) -> tuple[Tensor, int]:
        """Return the summed loss of the queries of a batch and their number; without negatives, against all items."""
        device = self.items.own.weight.device
        target_QM = torch.from_numpy(batch.target_QM).to(device)
        mask_QM = torch.from_numpy(batch.target_mask_QM).to(device)
        code_BL = torch.from_numpy(batch.windows.code_BL).to(device)
        if negatives is None:
            item_VD = self.items.all()
            state_QD = self.states(batch, functional.embedding(code_BL, item_VD))
            return full_softmax(state_QD, item_VD, target_QM, mask_QM), len(target_QM)
        state_QD = self.states(batch, self.items(code_BL))
        code_N = torch.from_numpy(negatives.code_N).to(device)
        loss = sampled_softmax(
            state_QD @ self.items(code_N).T,
            torch.einsum("qd,qmd->qm", state_QD, self.items(target_QM)),
            mask_QM,
            torch.from_numpy(negatives.log_expected_N).to(device),
            own_targets(target_QM, mask_QM, code_N, self.num_items),
        )
        return loss, len(target_QM)

    def states(self, batch: TrainingBatch, vector_BLD: Tensor) -> Tensor:
        """Return state_QD at the places that ask."""
        device = vector_BLD.device
        state_BLD = self._encode(
            vector_BLD,
            torch.from_numpy(batch.windows.type_BL).to(device),
            torch.from_numpy(batch.windows.age_s_BL).to(device),
            torch.from_numpy(batch.windows.mask_BL).to(device),
            torch.from_numpy(batch.query_age_s_BL).to(device),
        )
        length = state_BLD.shape[1]
        place_Q = torch.from_numpy(batch.row_Q * length + batch.place_Q).to(device)
        state_QD: Tensor = functional.embedding(place_Q, state_BLD.flatten(0, 1))
        return state_QD


def own_targets(target_QM: Tensor, mask_QM: Tensor, code_N: Tensor, num_items: int) -> Tensor:
    """Return [Q, N]: which negatives are targets of the query themselves."""
    place_V = torch.full((num_items,), -1, dtype=torch.int64, device=code_N.device)
    place_V[code_N] = torch.arange(len(code_N), device=code_N.device)
    place_QM = torch.where(mask_QM, place_V[target_QM], -1)
    own_QN1 = torch.zeros(len(target_QM), len(code_N) + 1, dtype=torch.bool, device=code_N.device)
    own_QN1.scatter_(1, torch.where(place_QM < 0, len(code_N), place_QM), True)
    return own_QN1[:, :-1]
