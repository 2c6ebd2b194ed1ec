"""Give an answer out: count it, make its document, leave its impression to be written afterwards.

Called by   services/gateway/routes.py and batch.py, once for each list a shop gets
"""

from typing import Any

from services.gateway.after_answer import AfterAnswer
from services.gateway.answer import Answer, Shown
from services.gateway.metrics import GatewayMetrics
from shared.contracts.identifiers import user_key
from shared.contracts.recommendation import Context, RecommendRequest


class Showing:
    """The last step of every list."""

    def __init__(self, metrics: GatewayMetrics, impressions: AfterAnswer[Shown]) -> None:
        self._metrics = metrics
        self._impressions = impressions

    def recommended(self, answer: Answer, request: RecommendRequest, took_ms: float) -> dict[str, Any]:
        """Return the reply to POST /recommend as JSON values."""
        shopper = None if request.dry_run else user_key(request.user_id, request.visitor_id)
        return self.listed(answer, took_ms, shopper, request.context)

    def listed(
        self, answer: Answer, took_ms: float, shopper: str | None = None, context: Context | None = None
    ) -> dict[str, Any]:
        """Return the reply of any list; an impression is remembered only of a list for somebody."""
        self._metrics.count_list(answer.scenario, answer.served_from.value, answer.reason.value)
        if shopper is not None and answer.items:
            self._impressions.put(Shown(answer, shopper, context))
        return answer.document(took_ms)
