"""What a shop's merchandisers decide: rules about items, and the defaults of each scenario.

Called by   services/command (aisle rules, aisle scenarios), shared/storage/relational/rules.py (keeps them),
            services/ranking/rerank (obeys them), services/gateway/hidden_items.py (those that hide)
Errors      pydantic.ValidationError, which names the field
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, model_validator

from shared.contracts.identifiers import Identifier
from shared.contracts.recommendation import MAX_LISTED_ITEMS, MAX_NUM_ITEMS, Objective, Strength
from shared.contracts.strict import PublicModel
from shared.contracts.times import epoch_ms

MAX_BOOST = 10.0
MAX_NEW_PLACES = 5

Action = Literal["pin", "boost", "bury", "hide", "cap"]
Method = Literal["dpp", "mmr", "calibrated"]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z0-9_.-]+$")]


class Rule(PublicModel):
    """One rule. A pin names items; boost, bury and hide name items or a filter; a cap may name a filter."""

    rule_id: Name
    action: Action
    scenario: Name | None = Field(default=None, description="null: every scenario")
    priority: int = Field(default=0, ge=-1000, le=1000, description="of two pins for one place the higher gets it")
    enabled: bool = True
    items: tuple[Identifier, ...] = Field(default=(), max_length=MAX_LISTED_ITEMS)
    filter: str | None = Field(default=None, max_length=5000, description="as in POST /recommend")
    place: int = Field(default=1, ge=1, le=MAX_NUM_ITEMS, description="pin: where the first item stands, from 1")
    strength: float = Field(
        default=1.0, gt=0, le=MAX_BOOST, description="boost, bury: in standard deviations of the candidates' scores"
    )
    by: Literal["brand", "category"] | None = Field(default=None, description="cap: what is counted")
    most: int | None = Field(default=None, ge=1, le=MAX_NUM_ITEMS, description="cap: items of one brand or category")
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def complete(self) -> "Rule":
        """Refuse a rule that lacks what its action needs."""
        if self.items and self.filter is not None:
            raise ValueError("a rule names items or a filter, not both")
        if self.action == "pin" and not self.items:
            raise ValueError("a pin names its items")
        if self.action in ("boost", "bury", "hide") and not self.items and self.filter is None:
            raise ValueError(f"a {self.action} names items or a filter")
        if (self.action == "cap") != (self.by is not None and self.most is not None):
            raise ValueError("by and most belong to a cap, which needs both")
        if self.action == "cap" and self.items:
            raise ValueError("a cap counts all items, or those of a filter")
        if self.starts_at is not None and self.ends_at is not None and self.starts_at >= self.ends_at:
            raise ValueError("starts_at is not before ends_at")
        return self

    def holds(self, scenario: str, now_ms: int) -> bool:
        """Return whether the rule is to be obeyed now."""
        if not self.enabled or self.scenario not in (None, scenario):
            return False
        begun = self.starts_at is None or epoch_ms(self.starts_at) <= now_ms
        return begun and (self.ends_at is None or now_ms < epoch_ms(self.ends_at))


class Scenario(PublicModel):
    """What holds in one placement where a request says nothing else."""

    name: Name
    diversity: Strength = 0.0
    novelty: Strength = 0.0
    objective: Objective | None = None
    method: Method = Field(default="dpp", description="how lists are made diverse")
    new_item_places: int = Field(
        default=1, ge=0, le=MAX_NEW_PLACES, description="where novelty is above 0: places for items never shown yet"
    )


class Merchandising(PublicModel):
    """All rules and scenarios of a shop at one moment."""

    rules: tuple[Rule, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    version: str | None = Field(default=None, description="differs when anything above does; null: none was ever read")


NO_MERCHANDISING = Merchandising()
