"""The golden request: what a bundle's history-based sources answer to a few fixed histories.

Called by   shared/models/bundle.py: stored when a bundle is written, asked again whenever it is loaded
Why         hashes prove that the bytes are right; this proves that this machine computes the same with them
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.models.sources.history import history_sources
from shared.models.tensors import History

if TYPE_CHECKING:
    from shared.models.bundle import BundleContents

HISTORIES = 3
EVENTS = 20
ANSWERS = 10
TOLERANCE = 1e-3
HOUR_MS = 3_600_000


def golden_answers(contents: "BundleContents", session: onnxruntime.InferenceSession) -> list[dict[str, Any]]:
    """Return the best items and scores of each source for histories spread over the vocabulary."""
    sources = history_sources(contents, session)
    answers = []
    for history in golden_histories(len(contents.item_ids)):
        for name, source in sources.items():
            scores = source.scores(history)
            codes = scores.top(ANSWERS, None)
            answers.append({"source": name, "codes": codes.tolist(), "scores": scores.at(codes).tolist()})
    return answers


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


def same_answers(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> bool:
    """Return whether scores agree; places may swap between items whose scores are equal within the tolerance."""
    if len(expected) != len(found):
        return False
    return all(
        one["source"] == two["source"]
        and len(one["scores"]) == len(two["scores"])
        and np.allclose(one["scores"], two["scores"], rtol=TOLERANCE, atol=TOLERANCE)
        for one, two in zip(expected, found, strict=True)
    )
