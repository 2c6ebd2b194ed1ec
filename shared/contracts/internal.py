"""The messages between the gateway, feature and ranking services.

Called by   services/gateway/clients.py (as client), services/feature and services/ranking (as server)
Events      a shopper's events travel packed, oldest first, ordered by (time, event id): one request carries at most
            WINDOW_SIZE of them, so a shopper with a million events costs no more than one with a thousand
"""

from typing import Any

from shared.contracts.recommendation import Context, Contribution, Counts, ModelName, Objective, Reason, ReturnShape
from shared.contracts.strict import InternalModel

WINDOW_SIZE = 512


class EventColumns(InternalModel):
    """A shopper's newest events, oldest first, at most WINDOW_SIZE, in the form of shared.features.shopper_events."""

    item_ids: str = ""
    """joined by line feeds"""
    records: str = ""
    """times, types, prices and quantities: base64 of fixed records"""


class Profile(InternalModel):
    """What the shop said of the shopper; every value a category name, None when unknown."""

    age_band: str | None = None
    gender: str | None = None
    region: str | None = None
    attributes: dict[str, str] = {}
    personalisation: bool = True


class UserState(InternalModel):
    """Everything ranking needs to know of a shopper, read by feature in one call."""

    user_key: str
    version: str
    """changes with every event and profile change; part of the freshness check of cached lists"""
    as_of_ms: int
    events: EventColumns = EventColumns()
    profile: Profile = Profile()
    features: dict[str, float] = {}
    """shared.features.user.USER_FEATURES, by name"""
    category_preference: dict[str, float] = {}
    """share of recent activity by top category, sums to 1, by name"""
    brand_preference: dict[str, float] = {}


class StateRequest(InternalModel):
    """The body of feature's POST /state."""

    user_key: str
    as_of_ms: int


class RankRequest(InternalModel):
    """The body of ranking's POST /rank: a parsed public request plus the shopper's state."""

    state: UserState | None
    as_of_ms: int
    num_items: int
    scenario: str
    context: Context = Context()
    filter: str | None = None
    exclude: list[str] = []
    candidates: list[str] | None = None
    diversity: float | None = None
    novelty: float | None = None
    objective: Objective | None = None
    repeat: str = "auto"
    return_: ReturnShape = ReturnShape()
    arms: dict[str, str] = {}


class RankedItem(InternalModel):
    """One scored item; scores never rise along the list."""

    item_id: str | int
    score: float
    p_click: float | None = None
    p_purchase: float | None = None
    """chances if the item stands at the top; None unless asked for, and where nothing taught them"""
    contributions: list[Contribution] | None = None
    """with return.explain = shap"""
    sources: list[str] = []
    reasons: list[Reason] = []
    flags: list[str] = []
    item: dict[str, Any] | None = None


class RankReply(InternalModel):
    """The list in order, with the receipt; `cold_start` when nothing personal was known."""

    items: list[RankedItem]
    counts: Counts
    model: ModelName
    cold_start: bool
    took_ms: dict[str, float] = {}
    notices: list[str] = []
    """what could not be done as asked, by name (services/ranking/rerank/rerank.py NOTICES)"""
    rules_version: str | None = None
    """of the merchandising rules the list was made with"""
    state_version: str | None = None
    """of the shopper's state the list was made of"""
    rules_change_at_ms: int | None = None
    """when the next dated rule begins or ends; the list is not right for longer"""


class SimilarRequest(InternalModel):
    """The body of ranking's POST /similar."""

    item_id: str
    kind: str
    num_items: int
    filter: str | None = None
    as_of_ms: int
    fields: list[str] = []
