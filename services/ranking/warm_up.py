"""Rank a few made-up requests with a fresh model before it serves: caches, pages and code paths are warm then.

Called by   services/ranking/model_host.py
Where       in the event loop, one request at a time with room between, because the catalogue belongs to the loop
Errors      ModelRefusedError("values") when a score is not finite
"""

import asyncio
import math
from collections.abc import Iterator

from services.ranking.rank import Ranker
from services.ranking.serving_model import ModelRefusedError, ServingModel
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.internal import WINDOW_SIZE, RankRequest, UserState
from shared.contracts.recommendation import ReturnShape
from shared.features.shopper_events import shopper_events

HISTORY_LENGTHS = (0, 1, 5, 20, 60, 200, WINDOW_SIZE, 40, 10)
HOUR_MS = 3_600_000
STRIDE = 7919
"""a prime: histories are spread over the vocabulary, popular items and rare ones"""


async def warm_up(ranker: Ranker, model: ServingModel) -> None:
    """Rank for a stranger and for shoppers with short and long histories."""
    for request in requests_for(model):
        reply = ranker.rank(model, request)
        if not all(math.isfinite(item.score) for item in reply.items):
            raise ModelRefusedError("values", "the model gives scores that are not finite")
        await asyncio.sleep(0)


def requests_for(model: ServingModel) -> Iterator[RankRequest]:
    """Yield requests whose histories hold items of the model's vocabulary."""
    item_ids, as_of_ms = model.recommender.contents.item_ids, model.facts.trained_until_ms
    purchase = EVENT_TYPE_CODES[EventType.PURCHASE]
    for length in HISTORY_LENGTHS:
        done = [
            (item_ids[place * STRIDE % len(item_ids)], as_of_ms - (length - place) * HOUR_MS, purchase, None, 1.0)
            for place in range(length)
        ]
        state = UserState(user_key="warm-up", version="", as_of_ms=as_of_ms, events=shopper_events(done).packed())
        yield RankRequest(
            state=state, as_of_ms=as_of_ms, num_items=10, scenario="home", return_=ReturnShape(explain="reasons")
        )
