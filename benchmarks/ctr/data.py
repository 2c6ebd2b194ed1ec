"""One data set of the benchmark: examples in four slices of time, and the truth where it is known.

Called by   benchmarks/ctr/data_sets (make it), models.py and measure.py (read it)
Slices      train | validation (stops and chooses) | calibration | test (looked at once), by time of the request
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.training.multitask.examples import RankerExamples
from services.training.multitask.labels import Labels
from shared.models.multitask_inputs import RankerFields, RankerRows

SLICES = ("train", "validation", "calibration", "test")


@dataclass(frozen=True)
class Slice:
    """Examples of one period."""

    examples: RankerExamples
    group_N: npt.NDArray[np.int64]
    """whose list it is, for grouped AUC"""
    truth_NT: npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class CtrData:
    """One data set."""

    name: str
    note: str
    fields: RankerFields
    slices: Mapping[str, Slice]
    missing: Mapping[str, str]
    """steps that cannot be trained, and why"""


@dataclass(frozen=True)
class Source:
    """What a data set's file gives; the rest is made here."""

    name: str
    note: str
    fields: RankerFields
    rows: RankerRows
    labels: Labels
    at_ms_R: npt.NDArray[np.int64]
    group_R: npt.NDArray[Any]
    truth_NT: npt.NDArray[np.float64] | None = None


def by_share(at_ms_R: npt.NDArray[np.int64], since: float, until: Sequence[float]) -> list[int]:
    """Return moments by their share of the requests: the begin of the train slice and the ends of the first three."""
    return [int(moment) for moment in np.quantile(at_ms_R, [since, *until])]


def cut(source: Source, edges_ms: Sequence[int]) -> CtrData:
    """Cut the requests by time; `edges_ms`: the begin of the train slice, then those of the three others."""
    examples = RankerExamples(source.rows.check(source.fields), source.labels.label_NT)
    slices = {}
    for place, name in enumerate(SLICES):
        inside_R = source.at_ms_R >= edges_ms[place]
        if place + 1 < len(edges_ms):
            inside_R &= source.at_ms_R < edges_ms[place + 1]
        request_Q = np.flatnonzero(inside_R).astype(np.int32)
        rows, place_M = examples.rows.of_requests(request_Q)
        slices[name] = Slice(
            RankerExamples(rows, source.labels.label_NT[place_M]),
            source.group_R[request_Q][rows.request_of_N].astype(np.int64),
            None if source.truth_NT is None else source.truth_NT[place_M],
        )
    return CtrData(source.name, source.note, source.fields, slices, source.labels.missing)
