"""The trained encoder rearranged for one answer: the same function with less arithmetic, for export.

Called by   services/training/sequence/export.py
In, out     as shared.models.encoder.LastState, whose answer it gives but for rounding
Dimensions  B histories, L events, N = B x L, D width, H heads, K width of a head, Q asking events, M longest history
Folded      the bias by distance is laid out once for M events and cut; the scale of the scores is in the query's
            weights; of a last block, one event asks, so keys and values of the others are never made: a head's query
            goes through the key's weights instead (q . Wk x = Wk'q . x), and what attention gathers are the events
            themselves, which the value's and the output's weights, multiplied beforehand, then read
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.models.blocks import Attention, Block, gated
from shared.models.encoder import RelativeBias, SequenceEncoder, time_bucket

FORBIDDEN = -1e9
PADDING_AGE_S = -1.0
"""younger than any event, so that the rule of time keeps padding out as well"""


class ServedEncoder(nn.Module):
    """Histories to the state of their newest event, asked about now."""

    place_MD: Tensor | None

    def __init__(self, encoder: SequenceEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.bias = ServedBias(encoder.bias)
        *others, last = cast(list[Block], list(encoder.blocks))
        self.whole_blocks = nn.ModuleList(WholeBlock(block) for block in others)
        self.newest_block = NewestBlock(last)
        self.register_buffer("place_MD", None if encoder.place is None else encoder.place.weight.detach().flip(0))

    def forward(self, vector_BLD: Tensor, type_BL: Tensor, age_s_BL: Tensor, mask_BL: Tensor) -> Tensor:
        seen_age_s_BL = torch.where(mask_BL, age_s_BL, PADDING_AGE_S)
        x_BLD = self._embedded(vector_BLD, type_BL)
        asking_age_s_BQ = age_s_BL if len(self.whole_blocks) else age_s_BL[:, -1:]
        bias_BHQL = self.bias(asking_age_s_BQ, seen_age_s_BL)
        for block in self.whole_blocks:
            x_BLD = block(x_BLD, bias_BHQL)
        x_BD = self.newest_block(x_BLD, bias_BHQL[:, :, -1])
        if self.encoder.query_gap is not None:
            x_BD = x_BD + self.encoder.query_gap(time_bucket(age_s_BL[:, -1]))
        state_BD: Tensor = self.encoder.output_norm(x_BD)
        return state_BD

    def _embedded(self, vector_BLD: Tensor, type_BL: Tensor) -> Tensor:
        x_BLD: Tensor = self.encoder.input_norm(vector_BLD)
        if self.encoder.event_type is not None:
            x_BLD = x_BLD + self.encoder.event_type(type_BL)
        if self.place_MD is not None:
            x_BLD = x_BLD + self.place_MD[-vector_BLD.shape[1] :]
        return x_BLD


class ServedBias(nn.Module):
    """What attention adds to the scores of the newest Q events: [B, H or 1, Q, L]."""

    by_distance_HMM: Tensor | None
    by_time_HT: Tensor | None

    def __init__(self, bias: RelativeBias | None) -> None:
        super().__init__()
        times = None if bias is None else bias.by_time
        self.register_buffer("by_distance_HMM", None if bias is None else laid_out(bias))
        self.register_buffer("by_time_HT", None if times is None else times.weight.detach().T.contiguous())

    def forward(self, asking_age_s_BQ: Tensor, seen_age_s_BL: Tensor) -> Tensor:
        gap_s_BQL = seen_age_s_BL[:, None, :] - asking_age_s_BQ[:, :, None]
        return torch.where(gap_s_BQL[:, None] >= 0, self._of_allowed(gap_s_BQL), FORBIDDEN)

    def _of_allowed(self, gap_s_BQL: Tensor) -> Tensor | float:
        if self.by_distance_HMM is None:
            return 0.0
        batch, asking, length = gap_s_BQL.shape
        bias_BHQL: Tensor = self.by_distance_HMM[:, -asking:, -length:][None]
        if self.by_time_HT is None:
            return bias_BHQL
        heads = self.by_time_HT.shape[0]
        # Number by number: gathering a row of heads for each pair, then transposing, took three times as long.
        bucket_HX = time_bucket(gap_s_BQL).view(1, -1).expand(heads, -1)
        by_time_HX = torch.gather(self.by_time_HT, 1, bucket_HX)
        return bias_BHQL + by_time_HX.view(heads, batch, asking, length).transpose(0, 1)


def laid_out(bias: RelativeBias) -> Tensor:
    """Return the bias by distance between any two of M events: [H, M, M]."""
    place_M = torch.arange(bias.max_length)
    distance_MM = (place_M[:, None] - place_M[None, :]).clamp(min=0)
    return bias.by_position.weight.detach()[distance_MM].permute(2, 0, 1).contiguous()


class WholeBlock(nn.Module):
    """A block in which every event asks."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block
        self.heads = block.attention.heads
        qkv = block.attention.qkv
        dim = qkv.in_features
        scale_C1 = torch.ones(3 * dim, 1)
        scale_C1[:dim] = 1 / math.sqrt(dim // self.heads)
        self.qkv = linear(qkv.weight * scale_C1, qkv.bias * scale_C1[:, 0])

    def forward(self, x_BLD: Tensor, bias_BHLL: Tensor) -> Tensor:
        # Rows of one matrix: so a product and its bias are one operation.
        batch, length, dim = x_BLD.shape
        x_ND = x_BLD.reshape(-1, dim)
        normed_ND = self.block.attention_norm(x_ND)
        split_BGLK = self.qkv(normed_ND).view(batch, length, 3 * self.heads, -1).transpose(1, 2)
        query_BHLK, key_BHLK, value_BHLK = split_BGLK.split(self.heads, dim=1)
        share_BHLL = functional.softmax(query_BHLK @ key_BHLK.transpose(-1, -2) + bias_BHLL, dim=-1)
        mixed_ND = (share_BHLL @ value_BHLK).transpose(1, 2).reshape(-1, dim)
        x_ND = with_branches(self.block, x_ND, normed_ND, self.block.attention.out(mixed_ND))
        return x_ND.view(batch, length, dim)


class NewestBlock(nn.Module):
    """A block in which only the newest event asks."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block
        self.heads = block.attention.heads
        self.ask, self.tell = folded(block.attention)

    def forward(self, x_BLD: Tensor, bias_BHL: Tensor) -> Tensor:
        normed_BLD = self.block.attention_norm(x_BLD)
        newest_BD = normed_BLD[:, -1]
        ask_BHD = self.ask(newest_BD).unflatten(1, (self.heads, -1))
        share_BHL = functional.softmax(ask_BHD @ normed_BLD.transpose(-1, -2) + bias_BHL, dim=-1)
        gathered_BHD = share_BHL @ normed_BLD
        return with_branches(self.block, x_BLD[:, -1], newest_BD, self.tell(gathered_BHD.flatten(1)))


def with_branches(block: Block, x_ND: Tensor, normed_ND: Tensor, mixed_ND: Tensor) -> Tensor:
    """Return x after both branches of a block, the first of which has been mixed."""
    x_ND = x_ND + gated(block.attention_gate, normed_ND, mixed_ND)
    normed_ND = block.feed_norm(x_ND)
    return x_ND + gated(block.feed_gate, normed_ND, block.feed(normed_ND))


def folded(attention: Attention) -> tuple[nn.Linear, nn.Linear]:
    """Return what asks the events (query and key in one) and what tells the answer (value and output in one)."""
    heads, dim = attention.heads, attention.qkv.in_features
    query_HKD, key_HKD, value_HKD = attention.qkv.weight.detach().double().view(3, heads, -1, dim)
    query_HK, _, value_HK = attention.qkv.bias.detach().double().view(3, heads, -1)
    out_EHK = attention.out.weight.detach().double().view(dim, heads, -1)
    scale = 1 / math.sqrt(dim // heads)
    # The key's bias adds the same to all scores of a query, which softmax takes away again.
    ask_HED = torch.einsum("hke,hkd->hed", key_HKD, query_HKD) * scale
    ask_HE = torch.einsum("hke,hk->he", key_HKD, query_HK) * scale
    # Shares add up to one, so the value's bias arrives whole.
    tell_EHD = torch.einsum("ehk,hkd->ehd", out_EHK, value_HKD)
    tell_E = torch.einsum("ehk,hk->e", out_EHK, value_HK) + attention.out.bias.detach().double()
    return linear(ask_HED.reshape(-1, dim), ask_HE.reshape(-1)), linear(tell_EHD.reshape(dim, -1), tell_E)


def linear(weight_ED: Tensor, bias_E: Tensor) -> nn.Linear:
    """Return a layer with these weights."""
    layer = nn.Linear(weight_ED.shape[1], weight_ED.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight_ED)
        layer.bias.copy_(bias_E)
    return layer
