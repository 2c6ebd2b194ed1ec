"""One answered list: how it is shown to the shop and kept in the cache.

Called by   services/gateway/recommend.py, similar.py, batch.py, routes.py
Values      `items` are the places of the list as JSON values without their rank; shaped as the request asked
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.recommendation import DegradedReason, ReturnShape, ServedFrom
from shared.service.clock import iso_of

NO_COUNTS: Mapping[str, Any] = {"retrieved": 0, "removed": {}, "ranked": 0}
CHANCES = ("p_click", "p_purchase")
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
    notices: Sequence[str] = ()
    """what could not be done as asked"""
    trace: Mapping[str, Any] | None = None
    recommendation_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def degraded(self) -> bool:
        """Return whether the list is less than it could be."""
        return self.reason not in NOT_DEGRADED

    def document(self, took_ms: float) -> dict[str, Any]:
        """Return the reply (shared.contracts.recommendation.RecommendReply) as JSON values."""
        ttl_ms = min(self.ttl_ms, DEGRADED_TTL_MS) if self.degraded else self.ttl_ms
        document: dict[str, Any] = {
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
        if self.notices:
            document["notices"] = list(self.notices)
        return document if self.trace is None else {**document, "trace": self.trace}


def shaped(ranked: list[dict[str, Any]], shape: ReturnShape) -> Places:
    """Return ranking's items with what the request asked for and nothing else; scores never rise along the list."""
    places: Places = []
    score = float("inf")
    for entry in ranked:
        score = min(score, entry["score"])
        place = {"item_id": entry["item_id"], "score": score}
        if shape.explain != "none":
            place |= {"sources": entry.get("sources", []), "reasons": entry.get("reasons", [])}
        if shape.explain == "shap" and entry.get("contributions"):
            place["contributions"] = entry["contributions"]
        if shape.scores:
            place |= {name: entry[name] for name in CHANCES if entry.get(name) is not None}
        for name in ("flags", "item"):
            if entry.get(name):
                place[name] = entry[name]
        places.append(place)
    return places
