"""Explain: the shopper's state from feature, the explanation from ranking; the same two calls as for a list.

Called by   services/gateway/routes.py (POST /explain)
Language    context.language, else the Accept-Language header: Chinese where it comes first, else English
Time        a shop's question, not a shopper's: it may take longer than a list, within what the request allows
Errors      ProblemError: 400 a filter that cannot be parsed, 404 an unknown item, 503 without ranking
"""

from dataclasses import dataclass, replace
from datetime import tzinfo

from services.gateway.clients import FeatureClient, RankingClient
from services.gateway.dependency import DependencyError
from services.gateway.filters import parse_public_filter
from services.gateway.personal_list import Budgets
from services.gateway.request_key import normalise
from shared.contracts.explanation import ExplainReply, ExplainRequest, Language
from shared.resilience.deadline import Deadline
from shared.service.clock import Clock
from shared.service.problems import unavailable

TIMEOUT_MS = 1000.0


@dataclass
class Explain:
    """The use case."""

    feature: FeatureClient
    ranking: RankingClient
    budgets: Budgets
    clock: Clock
    zone: tzinfo

    async def answer(self, request: ExplainRequest, accept_language: str | None) -> ExplainReply:
        """Return the explanation."""
        parse_public_filter(request.filter)
        normal = normalise(request, self.clock.now_ms(), self.zone)
        normal = replace(normal, fields={**normal.fields, "language": language_of(request, accept_language)})
        budgets = self.budgets.of(max(TIMEOUT_MS, request.timeout_ms or 0))
        deadline = Deadline.after(budgets.deadline_ms, self.clock.monotonic_s)
        try:
            found = await self.feature.state(normal.user_key, normal.as_of_ms, deadline, budgets.feature_ms)
            state: bytes | None = found.body
        except DependencyError:
            state = None
        try:
            return await self.ranking.explain(normal.rank_body(state), deadline, budgets.ranking_ms)
        except DependencyError as error:
            raise unavailable("the ranking cannot be reached in time") from error


def language_of(request: ExplainRequest, accept_language: str | None) -> Language:
    """Return the language of the sentences."""
    named = (request.context.model_extra or {}).get("language") if request.context else None
    wanted = named if isinstance(named, str) else preferred(accept_language or "")
    return "zh" if wanted.lower().startswith("zh") else "en"


def preferred(accept_language: str) -> str:
    """Return the first language of the highest weight of an Accept-Language header (RFC 9110, 12.5.4)."""
    best, weight = "", 0.0
    for part in accept_language.split(","):
        name, _, parameter = part.strip().partition(";")
        own = _weight(parameter)
        if own > weight:
            best, weight = name.strip(), own
    return best


def _weight(parameter: str) -> float:
    if not parameter.strip():
        return 1.0
    name, _, number = parameter.partition("=")
    try:
        return float(number) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
