"""One answered list: how it is shown to the shop, kept in the cache, and remembered as an impression.

Called by   services/gateway/recommend.py, similar.py, batch.py, routes.py
Values      `items` are the places of the list as JSON values without their rank; shaped as the request asked
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.impressions import Impression
from shared.contracts.recommendation import Context, DegradedReason, ReturnShape, ServedFrom
from shared.service.clock import iso_of

NO_COUNTS: Mapping[str, Any] = {"retrieved": 0, "removed": {}, "ranked": 0}
NOT_DEGRADED = frozenset({DegradedReason.NONE, DegradedReason.COLD_START})
DEGRADED_TTL_MS = 5_000

Places = list[dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """A list and how it came about."""

    items: Places
    scenario: str
    reason: DegradedReason
    served_from: ServedFrom
    as_of_ms: int
    ttl_ms: int
    """how long it may be shown before asking again"""
    model: Mapping[str, Any] | None = None
    counts: Mapping[str, Any] = field(default_factory=lambda: NO_COUNTS)
    arms: Mapping[str, str] = field(default_factory=dict)
    trace: Mapping[str, Any] | None = None
    recommendation_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def degraded(self) -> bool:
        """Return whether the list is less than it could be."""
        return self.reason not in NOT_DEGRADED

    def document(self, took_ms: float) -> dict[str, Any]:
        """Return the reply (shared.contracts.recommendation.RecommendReply) as JSON values."""
        ttl_ms = min(self.ttl_ms, DEGRADED_TTL_MS) if self.degraded else self.ttl_ms
        document = {
            "recommendations": [{**place, "rank": rank} for rank, place in enumerate(self.items, start=1)],
            "recommendation_id": self.recommendation_id,
            "model": self.model,
            "scenario": self.scenario,
            "experiment": [{"name": name, "arm": arm} for name, arm in self.arms.items()],
            "degraded_reason": self.reason.value,
            "served_from": self.served_from.value,
            "counts": self.counts,
            "took_ms": round(took_ms, 2),
            "expires_at": iso_of(self.as_of_ms + ttl_ms),
        }
        return document if self.trace is None else {**document, "trace": self.trace}


@dataclass(frozen=True)
class Shown:
    """An answer that has been given, to whom and where."""

    answer: Answer
    user_key: str
    context: Context | None

    def impression(self) -> Impression:
        """Return what training and attribution need to know of it."""
        answer = self.answer
        return Impression(
            recommendation_id=answer.recommendation_id,
            made_at_ms=answer.as_of_ms,
            user_key=self.user_key,
            scenario=answer.scenario,
            item_ids=[str(place["item_id"]) for place in answer.items],
            scores=[place["score"] for place in answer.items],
            context=self.context.model_dump(mode="json", exclude_defaults=True) if self.context else None,
            model_version=answer.model["version"] if answer.model else None,
            arms=dict(answer.arms),
            served_from=answer.served_from.value,
            degraded_reason=answer.reason.value,
        )


def shaped(ranked: list[dict[str, Any]], shape: ReturnShape) -> Places:
    """Return ranking's items with what the request asked for and nothing else; scores never rise along the list."""
    places: Places = []
    score = float("inf")
    for entry in ranked:
        score = min(score, entry["score"])
        place = {"item_id": entry["item_id"], "score": score}
        if shape.explain != "none":
            place |= {"sources": entry.get("sources", []), "reasons": entry.get("reasons", [])}
        for name in ("flags", "item"):
            if entry.get(name):
                place[name] = entry[name]
        places.append(place)
    return places
