"""Past lists as examples of the ranker, made by the code that serves.

Called by   services/training/multitask/step.py
Exposures   impressions of the log where it has them; else the views of products, of which carts and purchases follow;
            a log with neither (a supermarket's receipts) trains no ranker, and the reason is in the report
A list      the exposures of one shopper at one time; its features are those strictly before it
Source      labels.py is the rule; Recommender.candidates_for and RankerColumns make the rows
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.training.examples.event_log import EventLog, group_starts
from services.training.examples.queries import QueryMaker, Question
from services.training.multitask.config import MultitaskConfig
from services.training.multitask.examples import RankerExamples
from services.training.multitask.labels import Acts, Exposures, Labels, label
from services.training.progress import Report, StepProgress
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.features.events import LongArray
from shared.models.multitask_inputs import RankerRows
from shared.models.multitask_scorer import RankerColumns

EXPOSED_BY = (EventType.IMPRESSION, EventType.VIEW)
TASKS_AFTER = {EventType.IMPRESSION: ("click", "cart", "purchase"), EventType.VIEW: ("cart", "purchase")}
FEWEST_EXPOSURES = 500


@dataclass(frozen=True)
class ExposedLists:
    """Lists of a period, oldest first, and what became of them."""

    exposed_by: EventType
    questions: list[Question]
    """one a list; its rows are what was shown"""
    labels: Labels
    """of all rows of all lists"""


def exposed_lists(log: EventLog, from_ms: int, to_ms: int, config: MultitaskConfig) -> ExposedLists | None:
    """Return lists of [from_ms, to_ms), a random sample of at most `config.lists`; None where there are too few."""
    place_N, exposed_by = _exposures(log, from_ms, to_ms)
    if exposed_by is None:
        return None
    events, user_E = log.events, log.user_E
    user_N, at_ms_N, row_N = np.unique(
        np.stack([user_E[place_N], events.at_ms_E[place_N], events.row_E[place_N]]), axis=1
    )
    known_E = (events.row_E >= 0) & (events.at_ms_E < to_ms)  # what came later, the period could not know
    acts = Acts(user_E[known_E], events.row_E[known_E], events.at_ms_E[known_E], events.type_E[known_E])
    found = label(Exposures(user_N, row_N, at_ms_N), acts, TASKS_AFTER[exposed_by])
    first_L, end_L = _chosen(user_N, at_ms_N, config)
    context_at = dict(
        zip(zip(user_E[place_N].tolist(), events.at_ms_E[place_N].tolist(), strict=True), place_N, strict=True)
    )
    questions = []
    for first, end in zip(first_L.tolist(), end_L.tolist(), strict=True):
        user, at_ms = int(user_N[first]), int(at_ms_N[first])
        context = log.contexts[int(log.context_E[context_at[user, at_ms]])]
        questions.append(Question(user, at_ms, row_N[first:end].astype(np.int32), context))
    place_M = np.concatenate([np.arange(first, end) for first, end in zip(first_L, end_L, strict=True)])
    return ExposedLists(exposed_by, questions, Labels(found.tasks, found.label_NT[place_M], found.missing))


def _exposures(log: EventLog, from_ms: int, to_ms: int) -> tuple[LongArray, EventType | None]:
    """Return the places of the exposures of a period, and what they are."""
    events = log.events
    inside_E = (events.at_ms_E >= from_ms) & (events.at_ms_E < to_ms) & (events.row_E >= 0)
    for exposed_by in EXPOSED_BY:
        place_N = np.flatnonzero(inside_E & (events.type_E == EVENT_TYPE_CODES[exposed_by]))
        if len(place_N) >= FEWEST_EXPOSURES:
            return place_N, exposed_by
    return np.empty(0, np.int64), None


def _chosen(user_N: LongArray, at_ms_N: LongArray, config: MultitaskConfig) -> tuple[LongArray, LongArray]:
    """Return where lists begin and end, a sample of them, oldest first."""
    first_G = group_starts(user_N.astype(np.int32), at_ms_N)
    end_G = np.append(first_G[1:], len(user_N)).astype(np.int64)
    chosen = np.arange(len(first_G))
    if len(chosen) > config.lists:
        chosen = np.random.default_rng(config.seed).choice(len(chosen), config.lists, replace=False)
    chosen = chosen[np.argsort(at_ms_N[first_G[chosen]], kind="stable")]
    return first_G[chosen], end_G[chosen]


def collect_rows(columns: RankerColumns, maker: QueryMaker, lists: ExposedLists, report: Report) -> RankerExamples:
    """Return the examples of all lists, in their order."""
    progress = StepProgress("ranker: lists", len(lists.questions), "lists", report)
    parts: list[RankerRows] = []
    for question in lists.questions:
        scored = columns.recommender.start(maker.query(question))
        parts.append(columns.rows(scored, columns.recommender.candidates_for(scored, question.target_row_T)))
        progress.advance()
    return RankerExamples(joined(parts), lists.labels.label_NT)


def joined(parts: Sequence[RankerRows]) -> RankerRows:
    """Return rows of one request each as rows of many; shorter histories end in empty places."""
    length = max(part.history_type_RL.shape[1] for part in parts)

    def padded(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        widths = [[(0, 0), (0, length - array.shape[1]), *[(0, 0)] * (array.ndim - 2)] for array in arrays]
        return np.concatenate([np.pad(array, width) for array, width in zip(arrays, widths, strict=True)])

    return RankerRows(
        np.concatenate([part.request_number_RF for part in parts]),
        np.concatenate([part.request_category_RG for part in parts]),
        np.concatenate([part.item_number_NF for part in parts]),
        np.concatenate([part.item_category_NG for part in parts]),
        padded("history_category_RLH"),
        padded("history_type_RL"),
        padded("history_age_s_RL"),
        np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts]),
        np.concatenate([part.position_N for part in parts]),
    )
