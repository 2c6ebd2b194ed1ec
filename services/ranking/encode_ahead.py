"""On a GPU: encode the histories of concurrent requests together, before each request is ranked in its turn.

Called by   services/ranking/routes.py
Why         a GPU answers many histories in the time of one (docs/benchmarks/gpu.md), while ranking holds the event loop
            for one request at a time
CPU         nothing is done ahead: there, a batch takes as long as its histories one by one
Errors      TooLateError when the deadline passed in the queue; FilterError and MalformedEventsError as in ranking
"""

from dataclasses import replace

from services.ranking.rank import Begun, Ranker
from services.ranking.serving_model import ServingModel
from shared.contracts.internal import RankRequest
from shared.resilience.deadline import Deadline

SOURCE = "sequence"


async def encoded_ahead(ranker: Ranker, model: ServingModel, request: RankRequest, deadline: Deadline) -> Begun | None:
    """Return the request with its history encoded; None where it encodes in its turn."""
    if model.batcher is None or SOURCE not in model.recommender.heard:
        return None
    begun = ranker.begin(model, request)
    if not len(begun.scored.history):
        return begun
    scores = await model.batcher.ask(begun.scored.history, deadline)
    return replace(begun, scored=begun.scored.with_scores(SOURCE, scores))
