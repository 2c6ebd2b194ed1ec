"""The blocks of the sequence Transformer: pre-norm attention and feed-forward, gated where configured.

Called by   shared/models/encoder.py
Dimensions  B histories, L events, Q newest events that are asked for, D width, H heads, K width of a head
Source      pre-norm (Xiong et al. 2020); SwiGLU (Shazeer 2020); sigmoid gates on the residual branches, which let a
            deep stack learn (LiGR, Borisyuk et al. 2025; eSASRec 2025 measured them on public sets)
"""

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from shared.models.dropout import Dropout


class Attention(nn.Module):
    """Multi-head attention of the newest Q events over all."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x_BLD: Tensor, bias_BHQL: Tensor) -> Tensor:
        """Return mixed_BQD; `bias_BHQL` is -1e9 where an event may not look."""
        batch, length, dim = x_BLD.shape
        split = self.qkv(x_BLD).view(batch, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        asking = bias_BHQL.shape[2]
        query_BHQK, key_BHLK, value_BHLK = split[0][:, :, -asking:], split[1], split[2]
        score_BHQL = query_BHQK @ key_BHLK.transpose(-1, -2) / math.sqrt(dim // self.heads) + bias_BHQL
        mixed_BHQK = functional.softmax(score_BHQL, dim=-1) @ value_BHLK
        joined: Tensor = self.out(mixed_BHQK.transpose(1, 2).reshape(batch, asking, dim))
        return joined


class SwiGlu(nn.Module):
    """Feed-forward whose hidden units are switched by others."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(dim, 2 * hidden)
        self.narrow = nn.Linear(hidden, dim)
        self.dropout = Dropout(dropout)

    def forward(self, x_BLD: Tensor) -> Tensor:
        switch_BLF, value_BLF = self.widen(x_BLD).chunk(2, dim=-1)
        narrowed: Tensor = self.narrow(self.dropout(functional.silu(switch_BLF) * value_BLF))
        return narrowed


class Gate(nn.Module):
    """Let through, unit by unit, as much of a branch as the block's input asks for."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.ask = nn.Linear(dim, dim)

    def forward(self, x_BLD: Tensor, branch_BLD: Tensor) -> Tensor:
        gated: Tensor = functional.sigmoid(self.ask(x_BLD)) * branch_BLD
        return gated


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each a branch beside the residual."""

    def __init__(
        self, dim: int, heads: int, dropout: float, hidden: int, gates: bool, feed: Literal["swiglu", "gelu"]
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.attention_gate = Gate(dim) if gates else None
        self.feed_norm = nn.LayerNorm(dim)
        self.feed = SwiGlu(dim, hidden, dropout) if feed == "swiglu" else gelu_feed(dim, hidden, dropout)
        self.feed_gate = Gate(dim) if gates else None
        self.dropout = Dropout(dropout)

    def forward(self, x_BLD: Tensor, bias_BHLL: Tensor, only_newest: bool = False) -> Tensor:
        """Return x_BLD after the block; with `only_newest`, only its last event, [B, 1, D]."""
        normed_BLD = self.attention_norm(x_BLD)
        bias_BHQL = bias_BHLL[:, :, -1:] if only_newest else bias_BHLL
        mixed_BQD = self.attention(normed_BLD, bias_BHQL)
        if only_newest:
            x_BLD, normed_BLD = x_BLD[:, -1:], normed_BLD[:, -1:]
        x_BQD = x_BLD + self.dropout(gated(self.attention_gate, normed_BLD, mixed_BQD))
        normed_BQD = self.feed_norm(x_BQD)
        residual: Tensor = x_BQD + self.dropout(gated(self.feed_gate, normed_BQD, self.feed(normed_BQD)))
        return residual


def gelu_feed(dim: int, hidden: int, dropout: float) -> nn.Sequential:
    """Return the plain feed-forward of SASRec, with GELU."""
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, dim))


def gated(gate: nn.Module | None, x_BLD: Tensor, branch_BLD: Tensor) -> Tensor:
    """Return the branch, through the gate where there is one."""
    if gate is None:
        return branch_BLD
    let_through: Tensor = gate(x_BLD, branch_BLD)
    return let_through
