"""Items like one item: bought together, viewed together, alike; from ranking, else the popular ones.

Called by   services/gateway/routes.py (GET /similar/{item_id})
Errors      ProblemError 404 for an item ranking does not know, 400 for a filter that cannot be parsed
"""

from dataclasses import dataclass
from typing import Literal

import orjson
from pydantic import Field

from services.gateway.answer import Answer, shaped
from services.gateway.clients import RankingClient
from services.gateway.dependency import DependencyError, DependencyLateError
from services.gateway.fallback import Fallback, Wanted
from services.gateway.filters import parse_public_filter
from services.gateway.metrics import GatewayMetrics
from services.gateway.personal_list import Budgets
from shared.contracts.identifiers import Identifier
from shared.contracts.internal import SimilarRequest
from shared.contracts.recommendation import MAX_NUM_ITEMS, DegradedReason, ReturnShape, ServedFrom
from shared.contracts.strict import PublicModel
from shared.resilience.deadline import Deadline
from shared.service.clock import Clock
from shared.service.queries import QueryInt

SCENARIO = "similar"


class SimilarQuery(PublicModel):
    """The query string of GET /similar/{item_id}."""

    kind: Literal["similar", "bought_together", "viewed_together", "looks_like"] = "similar"
    num_items: QueryInt = Field(default=10, ge=1, le=MAX_NUM_ITEMS)
    user_id: Identifier | None = None
    filter: str | None = Field(default=None, max_length=5000)


@dataclass
class Similar:
    """The use case."""

    ranking: RankingClient
    memory: Fallback
    budgets: Budgets
    ttl_ms: int
    clock: Clock
    metrics: GatewayMetrics

    async def answer(self, item_id: str, query: SimilarQuery) -> Answer:
        """Return the list."""
        parsed = parse_public_filter(query.filter)
        now_ms = self.clock.now_ms()
        asked = SimilarRequest(
            item_id=item_id, kind=query.kind, num_items=query.num_items, filter=query.filter, as_of_ms=now_ms
        )
        deadline = Deadline.after(self.budgets.deadline_ms, self.clock.monotonic_s)
        try:
            with self.metrics.stage("ranking"):
                ranked = await self.ranking.similar(orjson.dumps(asked.model_dump()), deadline, self.budgets.ranking_ms)
        except DependencyError as error:
            return self._popular(Wanted(query.num_items, parsed, {item_id}, scenario=SCENARIO), _reason(error), now_ms)
        places = shaped(ranked.document["items"][: query.num_items], ReturnShape())
        model = ranked.reply.model.model_dump()
        return Answer(places, SCENARIO, DegradedReason.NONE, ServedFrom.LIVE, now_ms, self.ttl_ms, model)

    def _popular(self, wanted: Wanted, reason: DegradedReason, now_ms: int) -> Answer:
        if self.memory.has_nothing:
            reason = DegradedReason.NO_CATALOG
        places = self.memory.items(wanted, ReturnShape(), now_ms)
        return Answer(places, SCENARIO, reason, self.memory.rung, now_ms, self.ttl_ms)


def _reason(error: DependencyError) -> DegradedReason:
    late = isinstance(error, DependencyLateError)
    return DegradedReason.RANKING_TIMEOUT if late else DegradedReason.RANKING_UNAVAILABLE
