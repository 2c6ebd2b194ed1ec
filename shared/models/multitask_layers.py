"""The layers of the multi-task ranker: encoded features, crosses, the history, experts, the place in the list.

Called by   shared/models/multitask.py, whose docstring names the ideas and their sources
Dimensions  R requests, N candidates, L events, H fields of an event, K columns of encoded numbers, E width of an
            embedding, D width of a request or candidate, X experts, T tasks
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.contracts.events import EVENT_TYPES
from shared.models.dropout import Dropout
from shared.models.multitask_inputs import MAX_POSITION, RankerFields

AGE_BUCKETS = 24
AGE_BUCKET_STEP = 0.7
"""width of a bucket in ln(1 + seconds): 24 buckets reach beyond half a year"""
UNSEEN = -1e9
LARGEST_CROSS = 512
"""pairs of a request's and an item's category that have a weight of their own"""


@dataclass(frozen=True)
class RankerShape:
    """The size of the ranker."""

    embedding: int = 8
    width: int = 32
    cross: int = 16
    """width of the product of request and candidate"""
    experts: int = 2
    expert: int = 24
    tower: int = 16
    matches: int = 4
    """learned counts for each field of the history"""
    dropout: float = 0.2


@dataclass(frozen=True)
class Bins:
    """Where each column of encoded numbers begins and how wide it is; `of_K` names its number."""

    of_K: Tensor
    low_K: Tensor
    width_K: Tensor


@dataclass(frozen=True)
class HistoryBatch:
    """The histories of a batch; `request_of_N` is None when there is one request for all candidates."""

    category_RLH: Tensor
    type_RL: Tensor
    age_s_RL: Tensor
    request_of_N: Tensor | None


class Numbers(nn.Module):
    """Numbers to columns from 0 to 1: how far each is through each of its bins.

    One product with a matrix of mostly zeros: taking each number once for each of its bins cost ten times as much.
    """

    scale_FK: Tensor
    shift_K: Tensor

    def __init__(self, bins: Bins, numbers: int) -> None:
        super().__init__()
        scale_FK = torch.zeros(numbers, len(bins.of_K))
        scale_FK[bins.of_K, torch.arange(len(bins.of_K))] = 1.0 / bins.width_K
        self.register_buffer("scale_FK", scale_FK)
        self.register_buffer("shift_K", -bins.low_K / bins.width_K)

    def forward(self, number_XF: Tensor) -> Tensor:
        encoded: Tensor = torch.addmm(self.shift_K, number_XF, self.scale_FK).clamp(0.0, 1.0)
        return encoded


class Side(nn.Module):
    """One side's numbers and categories: encoded for the deep part, and their weights in the wide part."""

    def __init__(self, bins: Bins, numbers: int, sizes: Sequence[int], shape: RankerShape, tasks: int) -> None:
        super().__init__()
        self.numbers = Numbers(bins, numbers)
        self.categories = nn.ModuleList(embedding(size, shape.embedding, 0.05) for size in sizes)
        self.wide_numbers = nn.Linear(len(bins.of_K), tasks)
        self.wide_categories = nn.ModuleList(embedding(size, tasks, 0.0) for size in sizes)
        self.width = len(bins.of_K) + len(sizes) * shape.embedding
        nn.init.zeros_(self.wide_numbers.weight)

    def forward(self, number_XF: Tensor, category_XG: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the encoded columns, to be joined, and wide_XT."""
        column_XK = self.numbers(number_XF)
        vectors = [table(category_XG[:, place]) for place, table in enumerate(self.categories)]
        wide_XT = self.wide_numbers(column_XK)
        for place, table in enumerate(self.wide_categories):
            wide_XT = wide_XT + table(category_XG[:, place])
        return [column_XK, *vectors], wide_XT


class Crosses(nn.Module):
    """A weight for every pair of a request's and an item's category, where there are few of both."""

    request_P: Tensor
    item_P: Tensor
    size_P: Tensor
    start_P: Tensor

    def __init__(self, fields: RankerFields, tasks: int) -> None:
        super().__init__()
        pairs, start = [], 0
        for i, offered in enumerate(fields.item_categories):
            for r, asking in enumerate(fields.request_categories):
                if asking.size * offered.size <= LARGEST_CROSS:
                    pairs.append((r, i, offered.size, start))
                    start += asking.size * offered.size
        self.sizes = [field.size for field in fields.item_categories]
        self.pairs = [sum(pair[1] == i for pair in pairs) for i in range(len(self.sizes))]
        """of each item category"""
        for place, name in enumerate(("request_P", "item_P", "size_P", "start_P")):
            self.register_buffer(name, torch.tensor([pair[place] for pair in pairs], dtype=torch.int64))
        self.table = embedding(max(start, 1), tasks, 0.0)

    def forward(self, request_category_RG: Tensor, item_category_NG: Tensor, request_of_N: Tensor | None) -> Tensor:
        """Return the sum of the pairs' weights of each candidate and task."""
        first_RP = self.start_P + torch.index_select(request_category_RG, 1, self.request_P) * self.size_P
        if request_of_N is None:
            return self._of_one_request(first_RP[0], item_category_NG)
        place_NP = spread(first_RP, request_of_N) + torch.index_select(item_category_NG, 1, self.item_P)
        crossed: Tensor = self.table(place_NP).sum(dim=1)
        return crossed

    def _of_one_request(self, first_P: Tensor, item_category_NG: Tensor) -> Tensor:
        """Add up the pairs once for each code of an item's category, of which there are fewer than candidates."""
        crossed, pair = torch.zeros(1, self.table.embedding_dim), 0
        for place, (size, pairs) in enumerate(zip(self.sizes, self.pairs, strict=True)):
            if pairs:
                codes_P1 = first_P[pair : pair + pairs, None]
                of_code_CT = self.table(codes_P1 + torch.arange(size)).sum(dim=0)
                crossed = crossed + functional.embedding(item_category_NG[:, place], of_code_CT)
                pair += pairs
        return crossed


class History(nn.Module):
    """What the live sequence says: of each candidate attention_NE and match_NM, of the shopper taste_RE."""

    def __init__(self, shape: RankerShape, fields: int) -> None:
        super().__init__()
        self.fields, self.matches = fields, shape.matches
        self.of_type = embedding(len(EVENT_TYPES) + 1, shape.embedding, 0.05)
        self.of_age = embedding(AGE_BUCKETS, shape.embedding, 0.05)
        self.ask = nn.Linear(fields * shape.embedding, shape.embedding)
        self.key = nn.Linear(fields * shape.embedding, shape.embedding)
        self.value = nn.Linear(fields * shape.embedding, shape.embedding)
        self.taste = nn.Linear(shape.embedding, 1)
        self.nothing = nn.Parameter(torch.zeros(1, 1))
        self.match_type = embedding(len(EVENT_TYPES) + 1, fields * shape.matches, 0.3)
        self.match_age = embedding(AGE_BUCKETS, fields * shape.matches, 0.3)

    def forward(
        self, asked_NHE: Tensor, item_NH: Tensor, event_RLHE: Tensor, batch: HistoryBatch
    ) -> tuple[Tensor, Tensor, Tensor]:
        there_RL = batch.type_RL > 0
        bucket_RL = age_bucket(batch.age_s_RL)
        event_RLI = event_RLHE.flatten(2)
        about_RLE = self.of_type(batch.type_RL) + self.of_age(bucket_RL)
        key_RLE, value_RLE = self.key(event_RLI) + about_RLE, self.value(event_RLI) + about_RLE
        ask_NE = self.ask(asked_NHE.flatten(1))
        # The last place is nothing at all: a score of its own and no value.
        key_RME = functional.pad(key_RLE / ask_NE.shape[1] ** 0.5, (0, 0, 0, 1))
        hidden_RL = (~there_RL).to(key_RLE.dtype) * UNSEEN
        bias_RM = torch.cat([hidden_RL, self.nothing.expand(len(hidden_RL), 1)], dim=1)
        score_NM = dots(ask_NE, key_RME, batch.request_of_N) + spread(bias_RM, batch.request_of_N)
        weight_NM = functional.softmax(score_NM, dim=1)
        attention_NE = mixed(weight_NM, functional.pad(value_RLE, (0, 0, 0, 1)), batch.request_of_N)
        taste_RE = (functional.softmax(self.taste(about_RLE), dim=1) * value_RLE * there_RL[:, :, None]).sum(dim=1)
        return attention_NE, self._matches(item_NH, bucket_RL, batch), taste_RE

    def _matches(self, item_NH: Tensor, bucket_RL: Tensor, batch: HistoryBatch) -> Tensor:
        """Return learned counts of events that share a known field with the candidate, squashed."""
        weight_RLM = functional.softplus(self.match_type(batch.type_RL) + self.match_age(bucket_RL))
        # An unknown item or category is like no other.
        known_RLH = torch.where(batch.category_RLH > 0, batch.category_RLH, -1)
        counts = []
        for field in range(self.fields):
            item_N1 = item_NH[:, field : field + 1]
            same_NL = (item_N1 == spread(known_RLH[:, :, field], batch.request_of_N)).to(weight_RLM.dtype)
            part = slice(field * self.matches, (field + 1) * self.matches)
            counts.append(mixed(same_NL, weight_RLM[:, :, part], batch.request_of_N))
        return torch.log1p(torch.cat(counts, dim=1))


class Experts(nn.Module):
    """Shared experts and, for each task, a gate over them and a tower."""

    def __init__(self, width: int, shape: RankerShape, tasks: int) -> None:
        super().__init__()
        self.shape = shape
        self.first = nn.Linear(width, shape.experts * shape.expert)
        self.second = nn.Parameter(torch.empty(shape.experts, shape.expert, shape.expert))
        self.gates = nn.ModuleList(nn.Linear(width, shape.experts) for _ in range(tasks))
        self.towers = nn.ModuleList(tower(shape) for _ in range(tasks))
        self.dropout = Dropout(shape.dropout)
        nn.init.normal_(self.second, std=(2.0 / shape.expert) ** 0.5)

    def forward(self, x_NI: Tensor) -> Tensor:
        """Return a logit for each task."""
        hidden_NXO = functional.relu(self.first(x_NI)).view(-1, self.shape.experts, self.shape.expert)
        opinion_XNO = functional.relu(torch.bmm(self.dropout(hidden_NXO).transpose(0, 1), self.second))
        logits = []
        for gate, tower in zip(self.gates, self.towers, strict=True):
            share_XN1 = functional.softmax(gate(x_NI), dim=1).T[:, :, None]
            logits.append(tower((share_XN1 * opinion_XNO).sum(dim=0)))
        return torch.cat(logits, dim=1)


class Position(nn.Module):
    """Log of the chance that a place is looked at; 0 at the top and where the place is unknown."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cost = nn.Embedding(MAX_POSITION + 1, 1)
        self.reader = nn.Linear(width, 1)
        nn.init.constant_(self.cost.weight, -2.0)
        nn.init.zeros_(self.reader.weight)
        nn.init.zeros_(self.reader.bias)

    def forward(self, position_N: Tensor, request_RI: Tensor, request_of_N: Tensor) -> Tensor:
        """Return log_seen_N; the shopper's and the moment's features make the way down longer or shorter."""
        longer_N = torch.exp(self.reader(request_RI).clamp(-3, 3))[request_of_N, 0]
        cost_N = functional.softplus(self.cost(position_N.clamp(max=MAX_POSITION)))[:, 0]
        return -cost_N * longer_N * (position_N > 1)


def embedding(size: int, width: int, deviation: float) -> nn.Embedding:
    """Return a table that begins near 0."""
    table = nn.Embedding(size, width)
    nn.init.normal_(table.weight, std=deviation)
    return table


def tower(shape: RankerShape) -> nn.Sequential:
    """Return a small net whose answer begins at 0: the wide part speaks first."""
    last = nn.Linear(shape.tower, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(shape.expert, shape.tower), nn.ReLU(), last)


def spread(x_R: Tensor, request_of_N: Tensor | None) -> Tensor:
    """Return the row of each candidate's request; the one row there is, where there is one request for all."""
    return x_R if request_of_N is None else x_R[request_of_N]


def dots(ask_NE: Tensor, key_RLE: Tensor, request_of_N: Tensor | None) -> Tensor:
    """Return the dot product of each candidate with each event of its request."""
    if request_of_N is None:
        return ask_NE @ key_RLE[0].T
    return torch.bmm(key_RLE[request_of_N], ask_NE[:, :, None])[:, :, 0]


def mixed(weight_NL: Tensor, value_RLE: Tensor, request_of_N: Tensor | None) -> Tensor:
    """Return the sum of the events' values, each by its weight."""
    if request_of_N is None:
        return weight_NL @ value_RLE[0]
    return torch.bmm(weight_NL[:, None], value_RLE[request_of_N])[:, 0]


def age_bucket(age_s: Tensor) -> Tensor:
    """Return the bucket of an age in seconds."""
    return (torch.log1p(age_s.clamp(min=0)) / AGE_BUCKET_STEP).long().clamp(max=AGE_BUCKETS - 1)
