"""The golden request: what a bundle's sources and its ranker answer to a few fixed requests.

Called by   shared/models/bundle.py: stored when a bundle is written, asked again whenever it is loaded
Why         hashes prove that the bytes are right; this proves that this machine computes the same with them
Out         for each source and history its best items and scores; for the ranker the calibrated logits of all tasks
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.features.events import FloatArray, IntArray
from shared.models.multitask_calibration import logit
from shared.models.multitask_inputs import CategoryField, RankerFields, RankerRows
from shared.models.multitask_scorer import RankerPart
from shared.models.multitask_session import RankerSession
from shared.models.multitask_shapley import Typical
from shared.models.sources.history import history_sources, sequence_source
from shared.models.tensors import History

if TYPE_CHECKING:
    from shared.models.bundle import BundleContents

HISTORIES = 3
EVENTS = 20
ANSWERS = 10
RANKER, CANDIDATES = "ranker", 8
TOLERANCE = 1e-3
HOUR_MS = 3_600_000
NOTHING: dict[str, Any] = {"source": "", "scores": []}


def golden_answers(contents: "BundleContents", session: onnxruntime.InferenceSession) -> list[dict[str, Any]]:
    """Return the best items and scores of each source for histories spread over the vocabulary."""
    sources = history_sources(contents, sequence_source(contents, session))
    answers = []
    for history in golden_histories(len(contents.item_ids)):
        for name, source in sources.items():
            scores = source.scores(history)
            codes = scores.top(ANSWERS, None)
            answers.append({"source": name, "codes": codes.tolist(), "scores": scores.at(codes).tolist()})
    return answers if contents.ranker is None else [*answers, *_ranker_answers(contents.ranker)]


def _ranker_answers(part: RankerPart) -> list[dict[str, Any]]:
    """Return the ranker's logits for requests with histories of several lengths."""
    session = RankerSession(part.model)
    answers = []
    for number in range(HISTORIES):
        rows = golden_rows(part.fields, part.typical, number)
        logit_X = logit(part.calibration.apply(session.chances(rows)).ravel())
        answers.append({"source": RANKER, "codes": list(range(CANDIDATES)), "scores": logit_X.tolist()})
    return answers


def golden_rows(fields: RankerFields, typical: Typical, number: int) -> RankerRows:
    """Return one fixed request: numbers around the typical ones, categories spread over all, a longer history each."""
    events = max(1, fields.max_history * number // (HISTORIES - 1)) if fields.history else 1
    known = bool(fields.history and number)
    names = [field.name for field in fields.item_categories]
    of_events = [fields.item_categories[names.index(name)] for name in fields.history]
    nowhere_C = np.zeros(CANDIDATES, np.int32)
    step_L = np.arange(1, events + 1)
    return RankerRows(
        _around(typical.request_number_F, 1, number),
        _spread(fields.request_categories, 1, number),
        _around(typical.item_number_F, CANDIDATES, number),
        _spread(fields.item_categories, CANDIDATES, number),
        _spread(of_events, events, number)[None] * known,
        (step_L % len(EVENT_TYPE_CODES) + 1).astype(np.int32)[None] * known,
        (step_L * step_L * 60).astype(np.float32)[None] * known,
        nowhere_C,
        nowhere_C,
    ).check(fields)


def _around(typical_F: FloatArray, rows: int, number: int) -> FloatArray:
    """Return [rows, F]: each number between nothing and twice what is typical."""
    place_XF = np.arange(rows)[:, None] * 7 + np.arange(len(typical_F)) + number
    number_XF: FloatArray = (typical_F * (1 + np.sin(place_XF)) + 0.1 * np.cos(place_XF)).astype(np.float32)
    return number_XF


def _spread(fields: Sequence[CategoryField], rows: int, number: int) -> IntArray:
    """Return [rows, G] of codes spread over each category, unknown ones among them."""
    size_G = np.array([field.size for field in fields], np.int64)
    return ((np.arange(rows)[:, None] * 7919 + number) % size_G).astype(np.int32)


def golden_histories(items: int) -> list[History]:
    """Return a few fixed histories, one purchase an hour, whose items are spread over the vocabulary."""
    purchase = EVENT_TYPE_CODES[EventType.PURCHASE]
    at_ms_L = np.arange(EVENTS, dtype=np.int64) * HOUR_MS
    return [
        History(
            ((np.arange(EVENTS) * 7919 + start) % items).astype(np.int32),
            np.full(EVENTS, purchase, np.int8),
            at_ms_L,
            (EVENTS + 1) * HOUR_MS,
        )
        for start in range(HISTORIES)
    ]


def first_difference(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> str | None:
    """Return the first source (or the ranker) that answers otherwise, None when all agree.

    Places may swap between items whose scores are equal within the tolerance.
    """
    for one, two in zip_longest(expected, found, fillvalue=NOTHING):
        if one["source"] != two["source"] or len(one["scores"]) != len(two["scores"]):
            return str(two["source"] or one["source"])
        if not np.allclose(one["scores"], two["scores"], rtol=TOLERANCE, atol=TOLERANCE):
            return str(two["source"])
    return None
