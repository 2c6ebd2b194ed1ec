"""POST /recommend: what a shop asks and what it gets.

Called by   services/gateway (parse, answer), benchmarks and tests (as a client)
Errors      pydantic.ValidationError, answered as a 422 problem document that names the field, never the value
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, StrictBool, StrictInt, model_validator

from shared.contracts.events import EventType
from shared.contracts.identifiers import Identifier
from shared.contracts.problems import Problem
from shared.contracts.strict import PublicModel
from shared.contracts.values import Moment, Text, storable

MAX_NUM_ITEMS = 200
MAX_LISTED_ITEMS = 1000

NumItems = Annotated[StrictInt, Field(ge=1, le=MAX_NUM_ITEMS)]
Strength = Annotated[float, Field(ge=0, le=1)]


class CartLine(PublicModel):
    """One product in the shopper's cart now."""

    item_id: Identifier
    quantity: float = Field(default=1.0, gt=0, le=1e6)


class SessionEvent(PublicModel):
    """Something the shopper did in this session that need not have reached POST /events yet."""

    type: EventType = EventType.VIEW
    item_id: Identifier
    ts: Moment | None = None


class Budget(PublicModel):
    """What one product may cost, in the shop's currency."""

    min: float | None = Field(default=None, ge=0, le=1e9)
    max: float | None = Field(default=None, ge=0, le=1e9)

    @model_validator(mode="after")
    def not_inverted(self) -> "Budget":
        """Refuse a budget whose lower end is above its upper end."""
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        return self


class Context(PublicModel):
    """Where and when the list is shown. Further keys are allowed: they reach experiments and logs, not the model."""

    model_config = ConfigDict(extra="allow", frozen=True)

    page: Text | None = Field(default=None, max_length=64)
    item_id: Identifier | None = None
    cart: list[CartLine] = Field(default=[], max_length=200)
    session: list[SessionEvent] = Field(default=[], max_length=200)
    query: Text | None = Field(default=None, max_length=500)
    category: Text | None = Field(default=None, max_length=200)
    device: Text | None = Field(default=None, max_length=32)
    network: Text | None = Field(default=None, max_length=32)
    country: Text | None = Field(default=None, max_length=64)
    region: Text | None = Field(default=None, max_length=128)
    store: Identifier | None = None
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$")
    local_time: AwareDatetime | None = None
    budget: Budget | None = None

    @model_validator(mode="after")
    def storable_extras(self) -> "Context":
        """Refuse what the log of impressions could not keep."""
        storable(self.model_extra)
        return self


class Objective(PublicModel):
    """How much a click, a purchase and revenue weigh in the order of the list."""

    click: float = Field(default=0.0, ge=0, le=1e3)
    purchase: float = Field(default=0.0, ge=0, le=1e3)
    revenue: float = Field(default=0.0, ge=0, le=1e3)

    @model_validator(mode="after")
    def some_weight(self) -> "Objective":
        """Refuse weights that are all zero: they order nothing."""
        if not (self.click or self.purchase or self.revenue):
            raise ValueError("at least one weight is above 0")
        return self


class ReturnShape(PublicModel):
    """What the reply carries beside identifiers and scores."""

    fields: list[str] = Field(default=[], max_length=30, description="item fields to include; empty: none")
    scores: StrictBool = False
    explain: Literal["none", "reasons", "shap"] = "none"
    trace: StrictBool = False


class RecommendRequest(PublicModel):
    """One list for one shopper in one place."""

    user_id: Identifier | None = None
    visitor_id: Identifier | None = None
    session_id: Identifier | None = None
    num_items: NumItems = 10
    context: Context | None = None
    scenario: str | None = Field(default=None, max_length=64, pattern="^[A-Za-z0-9_.-]+$")
    filter: str | None = Field(default=None, max_length=5000)
    exclude: list[Identifier] = Field(default=[], max_length=MAX_LISTED_ITEMS)
    candidates: list[Identifier] | None = Field(default=None, max_length=MAX_LISTED_ITEMS)
    diversity: Strength | None = None
    novelty: Strength | None = None
    objective: Objective | None = None
    repeat: Literal["auto", "hide_bought", "allow"] = "auto"
    return_: ReturnShape = Field(default=ReturnShape(), alias="return")
    timeout_ms: Annotated[StrictInt, Field(ge=20, le=10_000)] | None = None
    dry_run: StrictBool = False

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def name_a_shopper(self) -> "RecommendRequest":
        """Refuse a request that is for nobody."""
        if self.user_id is None and self.visitor_id is None:
            raise ValueError("either user_id or visitor_id is required")
        return self


class DegradedReason(StrEnum):
    """Why a list is less than it could be. `none` and `cold_start` are not degraded."""

    NONE = "none"
    COLD_START = "cold_start"
    FEATURE_UNAVAILABLE = "feature_unavailable"
    RANKING_UNAVAILABLE = "ranking_unavailable"
    RANKING_TIMEOUT = "ranking_timeout"
    OVERLOAD = "overload"
    NO_CATALOG = "no_catalog"


class ServedFrom(StrEnum):
    """The rung of the fallback ladder a list comes from."""

    LIVE = "live"
    CACHE = "cache"
    STALE_CACHE = "stale_cache"
    POPULAR = "popular"
    SNAPSHOT = "snapshot"


class Reason(PublicModel):
    """Why an item is in the list, for a machine (`code`) and for a shopper (`text`)."""

    code: str
    text: str
    because_item_id: str | int | None = None


class Contribution(PublicModel):
    """What one group of features adds to the logit of one chance; all of a chance sum to its logit."""

    chance: Literal["p_click", "p_purchase"]
    feature: str = Field(description="a group of features; `base`: the logit of a typical item for a typical shopper")
    value: float


class Recommendation(PublicModel):
    """One place in a list."""

    item_id: str | int
    rank: int
    score: float = Field(
        description="what the list is ordered by: the fused score, or the value under the objective. Where re-ranking "
        "puts an item above one of a higher score, it carries that higher score, so scores never rise along the list"
    )
    p_click: float | None = None
    p_purchase: float | None = None
    sources: list[str] | None = None
    reasons: list[Reason] | None = None
    contributions: list[Contribution] | None = None
    flags: list[str] | None = None
    item: dict[str, Any] | None = None


class ModelName(PublicModel):
    """Which model produced a list; the version is a bundle's."""

    name: str
    version: str


class ExperimentArm(PublicModel):
    """One experiment a request is part of."""

    name: str
    arm: str


class Counts(PublicModel):
    """The filter receipt: how many items were retrieved, removed by which rule, and ranked."""

    retrieved: int = 0
    removed: dict[str, int] = {}
    ranked: int = 0


class RecommendReply(PublicModel):
    """The list and how it came about."""

    recommendations: list[Recommendation]
    recommendation_id: str
    model: ModelName | None
    scenario: str
    experiment: list[ExperimentArm] = []
    degraded_reason: DegradedReason
    served_from: ServedFrom
    counts: Counts
    took_ms: float
    expires_at: str
    notices: list[str] | None = Field(
        default=None,
        description="what could not be done as asked, by name: objective_unavailable (the model knows no chances: "
        "ordered by the fused score), pin_unavailable (a pinned item cannot be shown), cap_relaxed (a cap would have "
        "shortened the list), calibration_without_history, feature_not_finite, score_not_finite; absent: nothing",
    )
    trace: dict[str, Any] | None = None


class BatchRequest(PublicModel):
    """Several lists in one call; `distinct` removes duplicates across them, in the order of the requests."""

    requests: list[dict[str, Any]] = Field(min_length=1, max_length=100)
    distinct: StrictBool = False


class BatchResult(PublicModel):
    """What became of one request of a batch: a list under `body`, or a problem under `error`."""

    status: int
    body: RecommendReply | None = None
    error: Problem | None = None


class BatchReply(PublicModel):
    """The answer to POST /recommend/batch: one result for each request, in order."""

    results: list[BatchResult]
