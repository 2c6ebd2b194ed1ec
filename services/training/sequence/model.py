"""The encoder with its item vectors, and the loss of a batch.

Called by   services/training/sequence/trainer.py
Dimensions  B windows, L events, D width, V items, Q queries, M targets of a query, N negatives
Items       the vector of an item is its own plus those of its category and brand, so that a rare item starts near its
            kind; only the sum leaves training (`item_VD`)
Loss        softmax of each target against the shared negatives, averaged over the targets of a query (sampled softmax
            with logQ, see examples/negative_sampling.py); an item that is a target of the query is not its negative
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from services.training.examples.negative_sampling import Negatives
from services.training.examples.sequences import TrainingBatch
from shared.features.events import IntArray
from shared.models.encoder import EncoderConfig, SequenceEncoder


@dataclass(frozen=True)
class ItemKinds:
    """Category and brand of each item of the vocabulary, and how many of them the catalogue has."""

    category_V: IntArray
    brand_V: IntArray
    num_categories: int
    num_brands: int


class ItemVectors(nn.Module):
    """One vector for each item: own + category + brand."""

    def __init__(self, dim: int, kinds: ItemKinds) -> None:
        super().__init__()
        self.own = nn.Embedding(len(kinds.category_V), dim)
        self.category = nn.Embedding(kinds.num_categories, dim)
        self.brand = nn.Embedding(kinds.num_brands, dim)
        self.register_buffer("category_V", torch.from_numpy(kinds.category_V.astype("int64")), persistent=False)
        self.register_buffer("brand_V", torch.from_numpy(kinds.brand_V.astype("int64")), persistent=False)
        for table in (self.own, self.category, self.brand):
            nn.init.normal_(table.weight, std=(1 / 3 / dim) ** 0.5)

    def forward(self, code_X: Tensor) -> Tensor:
        """Return the vectors of some items: [..., D]."""
        category_V, brand_V = self.get_buffer("category_V"), self.get_buffer("brand_V")
        vector_XD: Tensor = self.own(code_X) + self.category(category_V[code_X]) + self.brand(brand_V[code_X])
        return vector_XD

    def all(self) -> Tensor:
        """Return item_VD."""
        vector_VD: Tensor = self(torch.arange(self.own.num_embeddings, device=self.own.weight.device))
        return vector_VD


class SequenceModel(nn.Module):
    """What is trained; its forward is the loss, so that DistributedDataParallel can wrap it."""

    def __init__(self, config: EncoderConfig, kinds: ItemKinds) -> None:
        super().__init__()
        self.encoder = SequenceEncoder(config)
        self.items = ItemVectors(config.dim, kinds)

    def forward(self, batch: TrainingBatch, negatives: Negatives) -> tuple[Tensor, int]:
        """Return the summed loss of the queries of a batch and their number."""
        device = self.items.own.weight.device
        state_QD = self.states(batch, device)
        target_QM = torch.from_numpy(batch.target_QM).to(device)
        mask_QM = torch.from_numpy(batch.target_mask_QM).to(device)
        code_N = torch.from_numpy(negatives.code_N).to(device)
        negative_QN = state_QD @ self.items(code_N).T - torch.from_numpy(negatives.log_expected_N).to(device)
        negative_QN = negative_QN.masked_fill(own_targets(target_QM, mask_QM, code_N, self.num_items), float("-inf"))
        positive_QM = torch.einsum("qd,qmd->qm", state_QD, self.items(target_QM))
        rivals_Q1 = torch.logsumexp(negative_QN, dim=1, keepdim=True)
        loss_QM = torch.logaddexp(positive_QM, rivals_Q1) - positive_QM
        loss_Q = (loss_QM * mask_QM).sum(dim=1) / mask_QM.sum(dim=1)
        return loss_Q.sum(), len(loss_Q)

    @property
    def num_items(self) -> int:
        """Number of items in the vocabulary."""
        return self.items.own.num_embeddings

    def states(self, batch: TrainingBatch, device: torch.device) -> Tensor:
        """Return state_QD at the places that ask."""
        state_BLD = self.encoder(
            self.items(torch.from_numpy(batch.windows.code_BL).to(device)),
            torch.from_numpy(batch.windows.type_BL).to(device),
            torch.from_numpy(batch.windows.age_s_BL).to(device),
            torch.from_numpy(batch.windows.mask_BL).to(device),
            torch.from_numpy(batch.query_age_s_BL).to(device),
        )
        state_QD: Tensor = state_BLD[
            torch.from_numpy(batch.row_Q).to(device), torch.from_numpy(batch.place_Q).to(device)
        ]
        return state_QD


def own_targets(target_QM: Tensor, mask_QM: Tensor, code_N: Tensor, num_items: int) -> Tensor:
    """Return [Q, N]: which negatives are targets of the query themselves."""
    place_V = torch.full((num_items,), -1, dtype=torch.int64, device=code_N.device)
    place_V[code_N] = torch.arange(len(code_N), device=code_N.device)
    place_QM = torch.where(mask_QM, place_V[target_QM], -1)
    own_QN1 = torch.zeros(len(target_QM), len(code_N) + 1, dtype=torch.bool, device=code_N.device)
    own_QN1.scatter_(1, torch.where(place_QM < 0, len(code_N), place_QM), True)
    return own_QN1[:, :-1]
