"""The multi-task ranker: features of shopper, moment and candidate in, the chance of each step of the funnel out.

Called by   services/training/multitask (training, export to ONNX); serving runs the export, not this file
Dimensions  R requests, N candidates, L events, H fields of an event, K columns of encoded numbers, E width of an
            embedding, D width of a request or candidate, X experts, T tasks
Deep        request and candidate each to one vector, their sum and their product into shared experts, gated for each
            task (MMoE, Ma et al. 2018), a small tower a task
History     the candidate attends over the live sequence (target attention, DIN, Zhou et al. 2018) and is matched with
            it field by field: learned counts of events with the same item, category or brand, by type and age
Wide        a linear model on the same encodings (Wide & Deep, Cheng et al. 2016); numbers are piecewise linear between
            quantiles (Gorishniy et al. 2022), which gives both parts the thresholds of a tree
Funnel      p(step) = p(step before) x p(step | step before), over all impressions (ESMM, Ma et al. 2018)
Position    multiplies the first step, p(seen) x p(step | seen), with p(seen) = 1 at the top (PAL, Guo et al. 2019);
            training alone reads it, serving asks for the top
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.models.dropout import Dropout
from shared.models.multitask_inputs import RankerFields
from shared.models.multitask_layers import (
    Bins,
    Crosses,
    Experts,
    History,
    HistoryBatch,
    Position,
    RankerShape,
    Side,
    spread,
)


@dataclass(frozen=True)
class TrainingBatch:
    """RankerRows as tensors."""

    request_number_RF: Tensor
    request_category_RG: Tensor
    item_number_NF: Tensor
    item_category_NG: Tensor
    history_category_RLH: Tensor
    history_type_RL: Tensor
    history_age_s_RL: Tensor
    request_of_N: Tensor
    position_N: Tensor

    @property
    def history(self) -> HistoryBatch:
        """Return the histories."""
        return HistoryBatch(self.history_category_RLH, self.history_type_RL, self.history_age_s_RL, self.request_of_N)


class MultitaskRanker(nn.Module):
    """The whole ranker."""

    def __init__(self, fields: RankerFields, shape: RankerShape, request_bins: Bins, item_bins: Bins) -> None:
        super().__init__()
        self.fields, self.shape = fields, shape
        tasks = len(fields.tasks)
        self.places = fields.history_places
        asked, offered = fields.request_categories, fields.item_categories
        self.request = Side(request_bins, len(fields.request_numbers), [one.size for one in asked], shape, tasks)
        self.item = Side(item_bins, len(fields.item_numbers), [one.size for one in offered], shape, tasks)
        self.history: History | None = History(shape, len(self.places)) if self.places else None
        read = shape.embedding + len(self.places) * shape.matches if self.places else 0
        # One request has hundreds of candidates: what is done on its side costs nothing when serving.
        self.crosses = Crosses(fields, tasks)
        self.request_vector = nn.Sequential(
            nn.Linear(self.request.width + (shape.embedding if read else 0), shape.width + shape.cross),
            nn.ReLU(),
            Dropout(shape.dropout),
            nn.Linear(shape.width + shape.cross, shape.width + shape.cross),
        )
        self.item_vector = nn.Linear(self.item.width + read, shape.width + shape.cross)
        self.wide_history: nn.Linear | None = nn.Linear(read, tasks) if read else None
        self.experts = Experts(shape.width + shape.cross, shape, tasks)
        self.position = Position(self.request.width + (shape.embedding if read else 0))
        self.intercept_T = nn.Parameter(torch.zeros(tasks))
        self.dropout = Dropout(shape.dropout)

    def logits(
        self,
        request_number_RF: Tensor,
        request_category_RG: Tensor,
        item_number_NF: Tensor,
        item_category_NG: Tensor,
        history: HistoryBatch,
    ) -> tuple[Tensor, Tensor]:
        """Return logit_NT of each step given the one before, at the top of a list, and request_RI for Position."""
        asking, wide_RT = self.request(request_number_RF, request_category_RG)
        offered, wide_NT = self.item(item_number_NF, item_category_NG)
        if self.history is not None and self.wide_history is not None:
            attention_NE, match_NM, taste_RE = self._read(self.history, item_category_NG, history)
            asking, offered = [*asking, taste_RE], [*offered, attention_NE, match_NM]
            wide_NT = wide_NT + self.wide_history(torch.cat([attention_NE, match_NM], dim=1))
        request_RI, item_NI = torch.cat(asking, dim=1), torch.cat(offered, dim=1)
        wide_NT = wide_NT + spread(wide_RT, history.request_of_N) + self.intercept_T
        wide_NT = wide_NT + self.crosses(request_category_RG, item_category_NG, history.request_of_N)
        asking_ND = spread(self.request_vector(request_RI), history.request_of_N)
        offered_ND = self.item_vector(self.dropout(item_NI))
        width = self.shape.width
        together_ND = functional.relu(asking_ND[:, :width] + offered_ND[:, :width])
        product_ND = asking_ND[:, width:] * offered_ND[:, width:]
        return wide_NT + self.experts(torch.cat([together_ND, product_ND], dim=1)), request_RI

    def _read(self, reader: History, item_category_NG: Tensor, history: HistoryBatch) -> tuple[Tensor, Tensor, Tensor]:
        tables = [self.item.categories[place] for place in self.places]
        asked = [table(item_category_NG[:, place]) for place, table in zip(self.places, tables, strict=True)]
        events = [table(history.category_RLH[:, :, field]) for field, table in enumerate(tables)]
        item_NH = torch.stack([item_category_NG[:, place] for place in self.places], dim=1)
        said: tuple[Tensor, Tensor, Tensor] = reader(
            torch.stack(asked, dim=1), item_NH, torch.stack(events, dim=2), history
        )
        return said

    def forward(self, batch: TrainingBatch) -> Tensor:
        """Return log_p_NT: of each step of the funnel, at the place where the candidate was shown."""
        logit_NT, request_RI = self.logits(
            batch.request_number_RF,
            batch.request_category_RG,
            batch.item_number_NF,
            batch.item_category_NG,
            batch.history,
        )
        log_seen_N: Tensor = self.position(batch.position_N, request_RI, batch.request_of_N)
        return funnel(logit_NT) + log_seen_N[:, None]


def funnel(logit_NT: Tensor) -> Tensor:
    """Return the log of the chance of each step from the logits of each step given the one before."""
    return functional.logsigmoid(logit_NT).cumsum(dim=1)
