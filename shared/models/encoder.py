"""The sequence Transformer: a shopper's events in, one vector that scores every item out.

Called by   services/training/sequence (training, export to ONNX); serving runs the export, not this file
Dimensions  B histories, L events, D width, H heads, V items
Idea        self-attention over the history (SASRec, Kang and McAuley 2018), blocks of shared/models/blocks.py, output
            tied to the item vectors; a relative bias by distance and, where times tell something, by log-bucketed time
            between events (HSTU, Zhai et al. 2024, section 3.2); the time between the last event and the moment asked
            about, which a live service knows, joins at the end. Plain SASRec is a configuration: EncoderConfig.plain
Time rule   an event sees only events that are not later. Events of one basket share a time and see each other, so what
            is predicted is always the next distinct time; with distinct times this is plain causal attention
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from shared.contracts.events import EVENT_TYPES
from shared.models.blocks import Block
from shared.models.dropout import Dropout

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
    gates: bool = True
    """sigmoid gates on the residual branches: what lets deep stacks learn"""
    feed: Literal["swiglu", "gelu"] = "swiglu"
    positions: Literal["relative", "learned"] = "relative"
    """relative: a bias by the number of events between two events; learned: a vector for each place from the end"""
    times: bool = True
    """read the time between events and that to the moment asked about"""
    event_types: bool = True

    @staticmethod
    def plain(dim: int, max_length: int, dropout: float) -> "EncoderConfig":
        """Return SASRec as published, but with the norm before each layer: no gates, no times, no event types."""
        return EncoderConfig(dim, 2, 1, max_length, dropout, 1, False, "gelu", "learned", False, False)


class RelativeBias(nn.Module):
    """What attention adds for the number of events and the time between two events: [B or 1, H, L, L]."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.max_length = config.max_length
        self.by_position = nn.Embedding(config.max_length, config.heads)
        self.by_time = nn.Embedding(TIME_BUCKETS, config.heads) if config.times else None
        for table in (self.by_position, self.by_time):
            if table is not None:
                nn.init.zeros_(table.weight)

    def forward(self, age_s_BL: Tensor) -> Tensor:
        place_L = torch.arange(age_s_BL.shape[1], device=age_s_BL.device)
        distance_LL = (place_L[:, None] - place_L[None, :]).clamp(0, self.max_length - 1)
        bias_BLLH = self.by_position(distance_LL)[None]
        if self.by_time is not None:
            gap_BLL = age_s_BL[:, None, :] - age_s_BL[:, :, None]
            bias_BLLH = bias_BLLH + self.by_time(time_bucket(gap_BLL))
        bias_BHLL: Tensor = bias_BLLH.permute(0, 3, 1, 2)
        return bias_BHLL


class SequenceEncoder(nn.Module):
    """Item vectors, event types and times of a history to one state per event."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.input_norm = nn.LayerNorm(config.dim)
        self.event_type = nn.Embedding(len(EVENT_TYPES), config.dim) if config.event_types else None
        self.place = nn.Embedding(config.max_length, config.dim) if config.positions == "learned" else None
        self.query_gap = nn.Embedding(TIME_BUCKETS, config.dim) if config.times else None
        self.bias = RelativeBias(config) if config.positions == "relative" else None
        self.blocks = nn.ModuleList(
            Block(config.dim, config.heads, config.dropout, config.feed_forward * config.dim, config.gates, config.feed)
            for _ in range(config.blocks)
        )
        self.output_norm = nn.LayerNorm(config.dim)
        self.dropout = Dropout(config.dropout)
        for table in (self.event_type, self.place, self.query_gap):
            if table is not None:
                nn.init.normal_(table.weight, std=0.02)

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
        x_BLD = self.dropout(self.embedded(vector_BLD, type_BL))
        bias_BHLL = forbidden(age_s_BL, mask_BL)[:, None]
        if self.bias is not None:
            bias_BHLL = bias_BHLL + self.bias(age_s_BL)
        last = len(self.blocks) - 1
        for place, block in enumerate(self.blocks):
            x_BLD = block(x_BLD, bias_BHLL, only_newest and place == last)
        if self.query_gap is not None:
            gap_s_BL = age_s_BL - query_age_s_BL
            x_BLD = x_BLD + self.query_gap(time_bucket(gap_s_BL[:, -1:] if only_newest else gap_s_BL))
        state: Tensor = self.output_norm(x_BLD)
        return state

    def embedded(self, vector_BLD: Tensor, type_BL: Tensor) -> Tensor:
        """Return what the first block reads: normed item vectors, with event types and places where configured."""
        x_BLD: Tensor = self.input_norm(vector_BLD)
        if self.event_type is not None:
            x_BLD = x_BLD + self.event_type(type_BL)
        if self.place is not None:
            x_BLD = x_BLD + self.place(torch.arange(type_BL.shape[1], device=type_BL.device).flip(0))
        return x_BLD


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
