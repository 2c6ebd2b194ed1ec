"""Several lists in one call: the widgets of one page, each with its own status.

Called by   services/gateway/routes.py (POST /recommend/batch)
Distinct    an item stands in the first widget that has it. Each widget is asked for as many items more as the widgets
            before it may take away, so that it stays full
Errors      of one request, inside its result; never of the whole batch
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any

from services.gateway.answer import Answer
from services.gateway.recommend import Recommend
from services.gateway.recommend_forms import valid_request
from services.gateway.showing import Showing
from shared.contracts.recommendation import MAX_NUM_ITEMS, BatchRequest, RecommendRequest
from shared.service.problems import ProblemError

AT_ONCE = 8


@dataclass(frozen=True)
class _Widget:
    """One request of the batch and what became of it."""

    request: RecommendRequest
    answer: Answer
    took_ms: float


_Outcome = _Widget | ProblemError


class RecommendBatch:
    """The use case."""

    def __init__(self, recommend: Recommend, showing: Showing) -> None:
        self._recommend = recommend
        self._showing = showing

    async def answer(self, batch: BatchRequest) -> list[dict[str, Any]]:
        """Return one result for each request, in order."""
        asked = [_valid(place, values) for place, values in enumerate(batch.requests)]
        slots = asyncio.Semaphore(AT_ONCE)
        sizes = _sizes(asked, batch.distinct)
        outcomes = await asyncio.gather(*map(partial(self._one, slots), asked, sizes))
        return [self._result(outcome) for outcome in (_without_repeats(outcomes) if batch.distinct else outcomes)]

    async def _one(self, slots: asyncio.Semaphore, asked: RecommendRequest | ProblemError, size: int) -> _Outcome:
        if isinstance(asked, ProblemError):
            return asked
        async with slots:
            started_s = perf_counter()
            try:
                answer = await self._recommend.answer(asked.model_copy(update={"num_items": size}))
            except ProblemError as problem:
                return problem
            return _Widget(asked, answer, (perf_counter() - started_s) * 1000)

    def _result(self, outcome: _Outcome) -> dict[str, Any]:
        if isinstance(outcome, ProblemError):
            return {"status": outcome.status, "error": outcome.document()}
        return {"status": 200, "body": self._showing.recommended(outcome.answer, outcome.request, outcome.took_ms)}


def _valid(place: int, values: dict[str, Any]) -> RecommendRequest | ProblemError:
    try:
        return valid_request(values, "body", "requests", place)
    except ProblemError as problem:
        return problem


def _sizes(asked: Sequence[RecommendRequest | ProblemError], distinct: bool) -> list[int]:
    """Return how many items to ask for, widget by widget."""
    sizes: list[int] = []
    before = 0
    for request in asked:
        size = 0 if isinstance(request, ProblemError) else request.num_items
        sizes.append(min(MAX_NUM_ITEMS, before + size) if distinct else size)
        before += size
    return sizes


def _without_repeats(outcomes: Sequence[_Outcome]) -> list[_Outcome]:
    """Return the widgets without the items of the widgets before them, cut to the size each asked for."""
    shown: set[str] = set()
    distinct: list[_Outcome] = []
    for outcome in outcomes:
        if isinstance(outcome, _Widget):
            places = [place for place in outcome.answer.items if str(place["item_id"]) not in shown]
            places = places[: outcome.request.num_items]
            shown.update(str(place["item_id"]) for place in places)
            outcome = replace(outcome, answer=replace(outcome.answer, items=places))
        distinct.append(outcome)
    return distinct
