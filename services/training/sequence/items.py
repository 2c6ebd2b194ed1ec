"""The vectors of the items while they are trained: own + those of what the catalogue says of the item.

Called by   services/training/sequence/model.py
Dimensions  V items, D width, T width of the text vectors
Cold items  an item with few events starts near its kind (category, brand, price bucket) and near items with like texts;
            only the sum leaves training, so that serving reads one table
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.training.sequence.sides import ItemSides


class ItemVectors(nn.Module):
    """One vector for each item."""

    def __init__(self, num_items: int, dim: int, sides: ItemSides) -> None:
        super().__init__()
        self.own = nn.Embedding(num_items, dim)
        self.kinds = nn.ModuleDict({name: nn.Embedding(kind.size, dim) for name, kind in sides.kinds.items()})
        for name, kind in sides.kinds.items():
            self.register_buffer(f"{name}_V", torch.from_numpy(kind.code_V.astype("int64")), persistent=False)
        self.text = None
        if sides.text_VT is not None:
            self.register_buffer("text_VT", torch.from_numpy(sides.text_VT), persistent=False)
            self.text = nn.Linear(sides.text_VT.shape[1], dim, bias=False)
        parts = 1 + len(sides.kinds) + (self.text is not None)
        for weight in self.parameters():
            nn.init.normal_(weight, std=(1 / parts / dim) ** 0.5)

    @property
    def num_items(self) -> int:
        """Number of items in the vocabulary."""
        return self.own.num_embeddings

    def forward(self, code_X: Tensor) -> Tensor:
        """Return the vectors of some items: [..., D]."""
        vector_XD: Tensor = self.own(code_X)
        for name, table in self.kinds.items():
            vector_XD = vector_XD + table(self.get_buffer(f"{name}_V")[code_X])
        if self.text is not None:
            vector_XD = vector_XD + self.text(functional.embedding(code_X, self.get_buffer("text_VT")))
        return vector_XD

    def all(self) -> Tensor:
        """Return item_VD."""
        vector_VD: Tensor = self.own.weight
        for name, table in self.kinds.items():
            vector_VD = vector_VD + table(self.get_buffer(f"{name}_V"))
        return vector_VD if self.text is None else vector_VD + self.text(self.get_buffer("text_VT"))
