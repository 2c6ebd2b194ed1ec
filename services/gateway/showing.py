"""Give an answer out: count it, make its document, leave its impression to be written afterwards.

Called by   services/gateway/routes.py and batch.py, once for each list a shop gets
"""

from typing import Any

from services.gateway.after_answer import AfterAnswer
from services.gateway.answer import Answer
from services.gateway.metrics import GatewayMetrics
from services.gateway.shown import FeaturesRead, Shown
from shared.contracts.identifiers import user_key
from shared.contracts.recommendation import RecommendRequest


class Showing:
    """The last step of every list."""

    def __init__(self, metrics: GatewayMetrics, impressions: AfterAnswer[Shown], features: FeaturesRead) -> None:
        self._metrics = metrics
        self._impressions = impressions
        self._features = features

    def recommended(self, answer: Answer, request: RecommendRequest, took_ms: float) -> dict[str, Any]:
        """Return the reply to POST /recommend as JSON values."""
        if not request.dry_run:
            shopper = user_key(request.user_id, request.visitor_id)
            self._remember(Shown(answer, shopper, request.session_id, request.context, self._features))
        return self._document(answer, took_ms)

    def listed(self, answer: Answer, took_ms: float, shopper: str | None = None) -> dict[str, Any]:
        """Return the reply of any other list; an impression is remembered only of a list for somebody."""
        if shopper is not None:
            self._remember(Shown(answer, shopper))
        return self._document(answer, took_ms)

    def _remember(self, shown: Shown) -> None:
        if shown.answer.items:
            self._impressions.put(shown)

    def _document(self, answer: Answer, took_ms: float) -> dict[str, Any]:
        self._metrics.count_list(answer.scenario, answer.served_from.value, answer.reason.value, took_ms)
        return answer.document(took_ms)
