"""The shop's rules as they bear on one request: what is hidden, lifted, lowered, pinned and capped now.

Called by   services/ranking/rules.py (hide: before anything is ranked), services/ranking/rank.py (rows to fetch),
            services/ranking/rerank/rerank.py (boost, bury, pin, cap)
Now         a rule holds from starts_at until before ends_at, in its scenario or in all
Unreadable  a filter that this version cannot parse: the rule is left out; `aisle rules` refuses to store one
Dimensions  C candidates
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from shared.contracts.merchandising import Action, Merchandising, Rule, Scenario
from shared.contracts.times import epoch_ms
from shared.features.catalogue import Catalogue
from shared.features.events import FloatArray, IntArray
from shared.features.filter import Filter, FilterError, parse_filter
from shared.models.tensors import BoolArray


@dataclass(frozen=True)
class Pin:
    """One item at one place, counted from 0."""

    place: int
    row: int


@dataclass(frozen=True)
class Cap:
    """At most `most` items of one brand or category in the list."""

    group_C: IntArray
    """code of the brand or category; negative for candidates that are not counted"""
    most: int


class BusinessRules:
    """The rules of one request."""

    def __init__(self, merchandising: Merchandising, scenario: str, catalogue: Catalogue, now_ms: int) -> None:
        self.scenario = _scenario(merchandising.scenarios, scenario)
        self._catalogue, self._now_ms = catalogue, now_ms
        self._active = [rule for rule in merchandising.rules if rule.holds(scenario, now_ms)]

    def hidden_C(self, row_C: IntArray) -> BoolArray | None:
        """Return which rows a rule hides; None when no rule hides any."""
        hiding = self._of("hide")
        if not hiding:
            return None
        hidden_C = np.zeros(len(row_C), np.bool_)
        for rule in hiding:
            hidden_C |= self._targets_C(rule, row_C)
        return hidden_C

    def hidden_by(self, row: int) -> str | None:
        """Return the rule that hides one row."""
        one = np.array([row], np.int32)
        return next((rule.rule_id for rule in self._of("hide") if self._targets_C(rule, one)[0]), None)

    def lift_C(self, row_C: IntArray) -> FloatArray | None:
        """Return what boosts and buries add to each row, in standard deviations; None without such rules."""
        lifting = [*self._of("boost"), *self._of("bury")]
        if not lifting:
            return None
        lift_C = np.zeros(len(row_C), np.float32)
        for rule in lifting:
            strength = rule.strength if rule.action == "boost" else -rule.strength
            lift_C += np.float32(strength) * self._targets_C(rule, row_C)
        return lift_C

    @cached_property
    def pins(self) -> tuple[Pin, ...]:
        """Return at most one item for each place and one place for each item, by priority; unknown items are -1."""
        row_of, place_of = dict[int, int](), dict[int, int]()
        unknown = 0
        for rule in self._of("pin"):
            for step, row in enumerate(self._catalogue.rows(rule.items).tolist()):
                place = rule.place - 1 + step
                if row < 0:
                    unknown += 1
                elif place not in row_of and row not in place_of:
                    row_of[place], place_of[row] = row, place
        return (*(Pin(place, row) for place, row in sorted(row_of.items())), *[Pin(0, -1)] * unknown)

    def caps(self, row_C: IntArray) -> list[Cap]:
        """Return the caps; items without a brand or category are not counted."""
        caps = []
        for rule in self._of("cap"):
            column_N = self._catalogue.brand_N if rule.by == "brand" else self._catalogue.top_category_N
            counted_C = column_N[row_C] > 0
            if rule.filter is not None:
                counted_C &= self._targets_C(rule, row_C)
            caps.append(Cap(np.where(counted_C, column_N[row_C], -1).astype(np.int32), rule.most or 1))
        return caps

    def _of(self, action: Action) -> list[Rule]:
        return [rule for rule in self._active if rule.action == action]

    def _targets_C(self, rule: Rule, row_C: IntArray) -> BoolArray:
        if rule.items:
            return np.isin(row_C, self._catalogue.rows(rule.items))
        wanted = _parsed(rule.filter or "")
        if wanted is None:
            return np.zeros(len(row_C), np.bool_)
        return wanted.mask(self._catalogue, row_C, self._now_ms)


def next_change_ms(merchandising: Merchandising, now_ms: int) -> int | None:
    """Return when the next rule begins or ends: until then a list made now stays right."""
    moments = (epoch_ms(moment) for rule in merchandising.rules for moment in (rule.starts_at, rule.ends_at) if moment)
    return min((moment for moment in moments if moment > now_ms), default=None)


def _scenario(scenarios: Iterable[Scenario], name: str) -> Scenario:
    """Return the scenario's settings; one that nobody set has the defaults."""
    return next((scenario for scenario in scenarios if scenario.name == name), _unset(name))


@lru_cache(maxsize=256)
def _unset(name: str) -> Scenario:
    return Scenario.model_construct(name=name)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Filter | None:
    try:
        return parse_filter(text)
    except FilterError:
        return None


class CapCounts:
    """How far each cap is used up by the list so far."""

    def __init__(self, caps: Sequence[Cap]) -> None:
        self._caps = caps
        self._used: list[dict[int, int]] = [{} for _ in caps]

    def take(self, place: int) -> None:
        """Count a candidate that is now in the list."""
        for cap, used in zip(self._caps, self._used, strict=True):
            group = int(cap.group_C[place])
            if group >= 0:
                used[group] = used.get(group, 0) + 1

    def close(self, closed_C: FloatArray) -> None:
        """Write -inf for the candidates of groups that are full."""
        for cap, used in zip(self._caps, self._used, strict=True):
            for group, count in used.items():
                if count >= cap.most:
                    closed_C[cap.group_C == group] = -np.inf
