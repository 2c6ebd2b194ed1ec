"""The sequence Transformer: a shopper's events in, one vector that scores every item out.

Called by   services/training/sequence (training, export to ONNX); serving runs the export, not this file
Dimensions  B histories, L events, D width, H heads, V items
Idea        self-attention over the history (SASRec, Kang and McAuley 2018), pre-norm blocks, output tied to the item
            vectors; a relative bias by log-bucketed time between events (HSTU, Zhai et al. 2024, section 3.2); the time
            between the last event and the moment asked about, which a live service knows, joins at the end
Time rule   an event sees only events that are not later. Events of one basket share a time and see each other, so what
            is predicted is always the next distinct time; with distinct times this is plain causal attention
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.contracts.events import EVENT_TYPES

TIME_BUCKETS = 64
TIME_BUCKET_STEP = 0.301
"""width of a bucket in ln(1 + seconds): 64 buckets reach beyond a year"""


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of the encoder."""

    dim: int = 64
    blocks: int = 2
    heads: int = 2
    max_length: int = 64
    dropout: float = 0.2
    feed_forward: int = 2
    """width of the feed-forward layer, in units of dim"""


class RelativeBias(nn.Module):
    """What attention adds for the time and the number of events between two events: [B, H, L, L]."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.max_length = config.max_length
        self.by_time = nn.Embedding(TIME_BUCKETS, config.heads)
        self.by_position = nn.Embedding(config.max_length, config.heads)
        nn.init.zeros_(self.by_time.weight)
        nn.init.zeros_(self.by_position.weight)

    def forward(self, age_s_BL: Tensor) -> Tensor:
        gap_BLL = age_s_BL[:, None, :] - age_s_BL[:, :, None]
        place_L = torch.arange(age_s_BL.shape[1], device=age_s_BL.device)
        distance_LL = (place_L[:, None] - place_L[None, :]).clamp(0, self.max_length - 1)
        bias_BLLH = self.by_time(time_bucket(gap_BLL)) + self.by_position(distance_LL)[None]
        bias_BHLL: Tensor = bias_BLLH.permute(0, 3, 1, 2)
        return bias_BHLL


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each with a residual."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(config.dim)
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.feed_norm = nn.LayerNorm(config.dim)
        self.feed = nn.Sequential(
            nn.Linear(config.dim, config.feed_forward * config.dim),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.feed_forward * config.dim, config.dim),
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BLD: Tensor, bias_BHLL: Tensor, only_newest: bool = False) -> Tensor:
        """Return x_BLD after the block; with `only_newest`, only its last event, [B, 1, D]."""
        asking_BQD = x_BLD[:, -1:] if only_newest else x_BLD
        bias_BHQL = bias_BHLL[:, :, -1:] if only_newest else bias_BHLL
        asking_BQD = asking_BQD + self.dropout(self.attend(self.attention_norm(x_BLD), bias_BHQL))
        residual: Tensor = asking_BQD + self.dropout(self.feed(self.feed_norm(asking_BQD)))
        return residual

    def attend(self, x_BLD: Tensor, bias_BHQL: Tensor) -> Tensor:
        """Multi-head attention of the newest Q events over all; `bias_BHQL` is -1e9 where an event may not look."""
        batch, length, dim = x_BLD.shape
        split = self.qkv(x_BLD).view(batch, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        asking = bias_BHQL.shape[2]
        query_BHQK, key_BHLK, value_BHLK = split[0][:, :, -asking:], split[1], split[2]
        score_BHQL = query_BHQK @ key_BHLK.transpose(-1, -2) / math.sqrt(dim // self.heads) + bias_BHQL
        mixed_BHQK = functional.softmax(score_BHQL, dim=-1) @ value_BHLK
        joined: Tensor = self.out(mixed_BHQK.transpose(1, 2).reshape(batch, asking, dim))
        return joined


class SequenceEncoder(nn.Module):
    """Item vectors, event types and times of a history to one state per event."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.input_norm = nn.LayerNorm(config.dim)
        self.event_type = nn.Embedding(len(EVENT_TYPES), config.dim)
        self.query_gap = nn.Embedding(TIME_BUCKETS, config.dim)
        self.bias = RelativeBias(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.output_norm = nn.LayerNorm(config.dim)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.normal_(self.event_type.weight, std=0.02)
        nn.init.normal_(self.query_gap.weight, std=0.02)

    def forward(
        self,
        vector_BLD: Tensor,
        type_BL: Tensor,
        age_s_BL: Tensor,
        mask_BL: Tensor,
        query_age_s_BL: Tensor,
        only_newest: bool = False,
    ) -> Tensor:
        """Return state_BLD; its dot product with an item's vector scores that item.

        `query_age_s_BL` is the age of the moment each state is asked about (serving: 0, now), in the unit and from the
        origin of `age_s_BL`. With `only_newest`, the state of the last event alone, [B, 1, D], at half the cost.
        """
        x_BLD = self.dropout(self.input_norm(vector_BLD) + self.event_type(type_BL))
        bias_BHLL = self.bias(age_s_BL) + forbidden(age_s_BL, mask_BL)[:, None]
        last = len(self.blocks) - 1
        for place, block in enumerate(self.blocks):
            x_BLD = block(x_BLD, bias_BHLL, only_newest and place == last)
        gap_s_BL = age_s_BL - query_age_s_BL
        gap_BLD = self.query_gap(time_bucket(gap_s_BL[:, -1:] if only_newest else gap_s_BL))
        state: Tensor = self.output_norm(x_BLD + gap_BLD)
        return state


class LastState(nn.Module):
    """The encoder as it is served: only the state of the newest event, asked about now."""

    def __init__(self, encoder: SequenceEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, vector_BLD: Tensor, type_BL: Tensor, age_s_BL: Tensor, mask_BL: Tensor) -> Tensor:
        now_BL = torch.zeros_like(age_s_BL)
        state_B1D: Tensor = self.encoder(vector_BLD, type_BL, age_s_BL, mask_BL, now_BL, only_newest=True)
        return state_B1D[:, 0]


def time_bucket(gap_s: Tensor) -> Tensor:
    """Return the bucket of a time difference in seconds; negative differences count as none."""
    return (torch.log1p(gap_s.clamp(min=0)) / TIME_BUCKET_STEP).long().clamp(max=TIME_BUCKETS - 1)


def forbidden(age_s_BL: Tensor, mask_BL: Tensor) -> Tensor:
    """Return [B, L, L]: 0 where event i may look at event j, very negative elsewhere; every event sees itself."""
    earlier_BLL = age_s_BL[:, None, :] >= age_s_BL[:, :, None]
    itself_LL = torch.eye(age_s_BL.shape[1], dtype=torch.bool, device=age_s_BL.device)
    allowed_BLL = (earlier_BLL & mask_BL[:, None, :]) | itself_LL
    return torch.zeros_like(allowed_BLL, dtype=age_s_BL.dtype).masked_fill(~allowed_BLL, -1e9)
