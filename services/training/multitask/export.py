"""The trained ranker as ONNX: one request's features, history and candidates in, p_CT out; dynamic numbers of both.

Called by   services/training/pipeline.py, benchmarks/ctr
Out         bytes, one file, all encodings inside; chances at the top of a list, before the calibration
Pitfalls    the exporter fixes a dimension whose example is 1: the examples have 2 candidates and more events
"""

import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from services.training.sequence.export import without_traces
from shared.models.multitask import MultitaskRanker, funnel
from shared.models.multitask_inputs import RankerFields
from shared.models.multitask_layers import HistoryBatch
from shared.models.multitask_session import INPUTS

EXAMPLE_CANDIDATES, EXAMPLE_EVENTS = 3, 4


class ServedRanker(nn.Module):
    """The ranker as it is served: one request, all its candidates."""

    def __init__(self, ranker: MultitaskRanker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(
        self,
        request_number_1F: Tensor,
        request_category_1G: Tensor,
        item_number_CF: Tensor,
        item_category_CG: Tensor,
        history_category_1LH: Tensor,
        history_type_1L: Tensor,
        history_age_s_1L: Tensor,
    ) -> Tensor:
        history = HistoryBatch(history_category_1LH, history_type_1L, history_age_s_1L, None)
        logit_CT, _ = self.ranker.logits(
            request_number_1F, request_category_1G, item_number_CF, item_category_CG, history
        )
        return torch.exp(funnel(logit_CT))


def export_ranker(ranker: MultitaskRanker) -> bytes:
    """Return the ranker as an ONNX model."""
    candidates = torch.export.Dim("candidates", min=1)
    events = torch.export.Dim("events", min=1, max=max(2, ranker.fields.max_history))
    axes: tuple[dict[int, Any], ...] = ({}, {}, {0: candidates}, {0: candidates}, {1: events}, {1: events}, {1: events})
    if not ranker.fields.history:
        axes = (*axes[:4], {}, {}, {})
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns about its own deprecated parts
            program = torch.onnx.export(
                ServedRanker(ranker).cpu().eval(),
                example_inputs(ranker.fields),
                dynamo=True,
                input_names=INPUTS,
                output_names=("p_CT",),
                dynamic_shapes=axes,
                external_data=False,
                verbose=False,
            )
    finally:
        exporter_log.setLevel(level)
    if program is None:
        raise RuntimeError("the exporter returned no program")
    return without_traces(program.model_proto)


def example_inputs(fields: RankerFields) -> tuple[Tensor, ...]:
    """Return inputs of the right form that mean nothing; without fields an event is one empty place."""
    events = EXAMPLE_EVENTS if fields.history else 1
    return (
        torch.zeros(1, len(fields.request_numbers)),
        torch.zeros(1, len(fields.request_categories), dtype=torch.int64),
        torch.zeros(EXAMPLE_CANDIDATES, len(fields.item_numbers)),
        torch.zeros(EXAMPLE_CANDIDATES, len(fields.item_categories), dtype=torch.int64),
        torch.zeros(1, events, len(fields.history), dtype=torch.int64),
        torch.zeros(1, events, dtype=torch.int64),
        torch.zeros(1, events),
    )
