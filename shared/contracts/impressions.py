"""A list as it was shown: what training needs to learn from answers, and attribution to find them.

Called by   services/gateway (after the answer, into the impression stream), services/feature (into Postgres)
"""

from typing import Any

from shared.contracts.strict import InternalModel


class Impression(InternalModel):
    """One list given to somebody. item_ids, scores and propensities have one length, in the order shown: the n-th entry
    stood at position n."""

    recommendation_id: str
    made_at_ms: int
    user_key: str
    session_id: str | None = None
    scenario: str
    item_ids: list[str]
    scores: list[float] | None = None
    propensities: list[float] | None = None
    """chance of each item to be shown at its place"""
    features: dict[str, Any] | None = None
    """what the model read: "schema", the hash of all feature definitions, and "context", its values by name"""
    context: dict[str, Any] | None = None
    model_version: str | None = None
    arms: dict[str, str] = {}
    served_from: str
    degraded_reason: str
