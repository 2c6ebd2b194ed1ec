"""POST /explain: why an item is in a list, or why it is not.

Called by   services/gateway (parse, pass on), services/ranking (answers), tests (as a client)
Errors      pydantic.ValidationError, answered as a 422 problem document that names the field
"""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from shared.contracts.identifiers import Identifier
from shared.contracts.internal import RankRequest
from shared.contracts.recommendation import Contribution, DegradedReason, ModelName, Reason, RecommendRequest
from shared.contracts.strict import PublicModel

Language = Literal["en", "zh"]


class ExplainRequest(RecommendRequest):
    """The list that is asked about, as in POST /recommend, and the item."""

    item_id: Identifier


class ExplainRankRequest(RankRequest):
    """The body of ranking's POST /explain."""

    item_id: str
    language: Language = "en"


class Outcome(StrEnum):
    """What became of the item."""

    SHOWN = "shown"
    OUTRANKED = "outranked"
    """other candidates have higher scores"""
    REMOVED = "removed"
    """a rule of the request or of the shop forbids it: `removed_by`"""
    NOT_RETRIEVED = "not_retrieved"
    """no source proposed it for this shopper"""
    REMOVED_BY_DIVERSITY = "removed_by_diversity"
    REMOVED_BY_NOVELTY = "removed_by_novelty"
    DISPLACED_BY_RULES = "displaced_by_rules"
    """it would be in the list without the shop's pins, boosts, buries and caps, or without first showings"""


class ScorePart(PublicModel):
    """What one source or group of features adds to the fused score, against an average candidate."""

    name: str
    score: float


class FeaturePart(PublicModel):
    """One column of the fusion: its value, and what it adds to the fused score."""

    feature: str
    value: float
    score: float


class ExplainReply(PublicModel):
    """The answer; it holds for the list that POST /recommend would make live now."""

    item_id: str | int
    outcome: Outcome
    why: str = Field(description="the outcome in words, for the shop")
    sentence: str = Field(description="the main reason in words, for the shopper")
    rank: int | None = Field(default=None, description="place in the list, from 1; null: not in it")
    score_rank: int | None = Field(default=None, description="place by score alone; null where a rule removed the item")
    candidates: int = Field(description="how many items could have been in the list")
    removed_by: str | None = Field(default=None, description="the rule, by its name in counts.removed")
    rule_id: str | None = Field(default=None, description="of the shop's rule, where removed_by is hidden_by_rule")
    score: float = Field(description="the fused score: the sum of the parts")
    parts: list[ScorePart] = Field(description="every part, the largest first; they sum to the score")
    features: list[FeaturePart] = Field(description="the ten columns that weigh most, either way")
    p_click: float | None = Field(default=None, description="if it stood at the top; null without a ranker of clicks")
    p_purchase: float | None = None
    contributions: list[Contribution] | None = Field(
        default=None, description="exact Shapley values of groups of features, the weightiest of each chance first"
    )
    sources: list[str] = Field(description="the sources that proposed the item")
    reasons: list[Reason]
    flags: list[str] = []
    notices: list[str] = []
    model: ModelName
    scenario: str
    degraded_reason: DegradedReason
