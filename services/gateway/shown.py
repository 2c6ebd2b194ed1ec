"""A list that was given out, as the impression that training learns from and attribution looks up.

Called by   services/gateway/showing.py (makes Shown), composition.py (turns it into an impression after the answer)
Features    what the model read, so that a score can be explained later: the hash of all feature definitions, and the
            values of the moment and the place. Those of shopper and item follow from the log as it was at made_at
Propensity  1 at every place: a model's list is not drawn at random, so each item was certain to stand where it stood
"""

from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from services.gateway.answer import Answer
from shared.contracts.impressions import Impression
from shared.contracts.recommendation import Context
from shared.features.context import context_features
from shared.features.registry import schema_hash

CERTAIN = 1.0


@dataclass(frozen=True)
class FeaturesRead:
    """Says which features a list was made from."""

    zone: tzinfo
    schema: str

    @classmethod
    def of(cls, zone: tzinfo) -> "FeaturesRead":
        """Return the reader of this release's features, in the shop's zone."""
        return cls(zone, schema_hash())

    def at(self, context: Context | None, as_of_ms: int) -> dict[str, Any]:
        """Return the schema and every known value of the context."""
        values = vars(context_features(context, as_of_ms, self.zone))
        return {"schema": self.schema, "context": {name: value for name, value in values.items() if value is not None}}


@dataclass(frozen=True)
class Shown:
    """An answer that has been given, to whom and where."""

    answer: Answer
    user_key: str
    session_id: str | None = None
    context: Context | None = None
    features: FeaturesRead | None = None
    """None for a list that reads no context"""

    def impression(self) -> Impression:
        """Return what training and attribution need to know of it."""
        answer, context = self.answer, self.context
        made_by_model = self.features is not None and answer.model is not None
        return Impression(
            recommendation_id=answer.recommendation_id,
            made_at_ms=answer.as_of_ms,
            user_key=self.user_key,
            session_id=self.session_id,
            scenario=answer.scenario,
            item_ids=[str(place["item_id"]) for place in answer.items],
            scores=[place["score"] for place in answer.items],
            propensities=[CERTAIN] * len(answer.items),
            features=self.features.at(context, answer.as_of_ms) if self.features and made_by_model else None,
            context=context.model_dump(mode="json", exclude_defaults=True) if context else None,
            model_version=answer.model["version"] if answer.model else None,
            arms=dict(answer.arms),
            served_from=answer.served_from.value,
            degraded_reason=answer.reason.value,
        )
