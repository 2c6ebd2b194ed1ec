"""From scored candidates to the list: objective, novelty, diversity and the shop's rules, in one greedy pass.

Called by   services/ranking/rank.py (a request), services/ranking/explain.py (again, with one wish left out)
Steps       value by the objective → relevance: the value in standard deviations → novelty mixed in → boosts added →
            place by place: the pin of the place, else the best gain that no cap forbids; last the first showings
Nothing     wished and no rule: the order of the value alone, exactly as `best_first` gives it
Score       an item's own value; where an item stands above one of higher value, it carries that higher one, so scores
            never rise along the list
Fallbacks   each has a name, see NOTICES; a list is never shortened by a cap and never holds a value that is not finite
Cost        meant to stay below 0.5 ms of CPU for 300 candidates and 20 places; `make bench-rerank` prints what it is
Dimensions  C candidates, P of them in the pool, K places of the list
"""

from dataclasses import dataclass, field

import numpy as np

from services.ranking.rerank.business_rules import BusinessRules, CapCounts
from services.ranking.rerank.diversity import (
    ByRelevance,
    Calibrated,
    Dpp,
    Likeness,
    Mmr,
    Variety,
    relevance_weight,
    wanted_mix,
)
from services.ranking.rerank.novelty import novelty
from services.ranking.rerank.objective import NO_CHANCES, NOT_FINITE, Chances, worth
from services.ranking.rerank.selection import OVER_CAP, Fixed, Selection
from shared.contracts.internal import RankRequest
from shared.contracts.merchandising import Method, Scenario
from shared.contracts.recommendation import Objective
from shared.features.events import FloatArray, IntArray, LongArray
from shared.models.recommender import Candidates, Recommender, Scored
from shared.models.sources.scores import best_first

MAX_POOL = 300
"""candidates that variety chooses among, the most relevant ones; caps look at all, or they might run dry"""
PIN_UNAVAILABLE = "pin_unavailable"
CAP_RELAXED = "cap_relaxed"
NO_HISTORY = "calibration_without_history"
FEATURE_NOT_FINITE = "feature_not_finite"
NOTICES = (FEATURE_NOT_FINITE, NO_CHANCES, NOT_FINITE, PIN_UNAVAILABLE, CAP_RELAXED, NO_HISTORY)


@dataclass(frozen=True)
class Wishes:
    """What a request wants of its list; where it says nothing, its scenario speaks."""

    diversity: float = 0.0
    novelty: float = 0.0
    objective: Objective | None = None
    method: Method = "dpp"

    @staticmethod
    def of(request: RankRequest, scenario: Scenario) -> "Wishes":
        """Return the wishes of a request."""
        return Wishes(
            scenario.diversity if request.diversity is None else request.diversity,
            scenario.novelty if request.novelty is None else request.novelty,
            scenario.objective if request.objective is None else request.objective,
            scenario.method,
        )


@dataclass(frozen=True)
class Offer:
    """What there is to choose from, for one shopper."""

    recommender: Recommender
    scored: Scored
    candidates: Candidates
    score_C: FloatArray
    """the fused score"""
    first_showings: IntArray = field(default_factory=lambda: np.empty(0, np.int32))
    """rows of the candidates that must be in the list"""
    chances: Chances | None = None
    notices: tuple[str, ...] = ()
    """what was already not as it should be"""


@dataclass(frozen=True)
class Order:
    """The list."""

    place_K: LongArray
    """places among the candidates"""
    score_K: FloatArray
    """never rises"""
    flags: dict[int, str] = field(default_factory=dict)
    """by place among the candidates: pinned, first_showing, over_cap"""
    notices: tuple[str, ...] = ()


def rerank(offer: Offer, wishes: Wishes, rules: BusinessRules, limit: int) -> Order:
    """Return the list of at most `limit` candidates."""
    row_C = offer.candidates.row_C
    valued = worth(offer.score_C, offer.chances, offer.recommender.catalogue.price_N[row_C], wishes.objective)
    pins, lost = _pins(rules, row_C, limit)
    notices = offer.notices + valued.notices + lost
    lift_C, caps = rules.lift_C(row_C), rules.caps(row_C)
    steered = bool(wishes.diversity or wishes.novelty or pins or caps) or lift_C is not None
    if not steered or not len(row_C):
        best = best_first(valued.value_C, limit)
        return Order(best, valued.value_C[best], notices=notices)
    pool = _pool(offer, valued.value_C, lift_C, pins, whole=bool(caps))
    variety, missing = _variety(offer, pool, wishes, limit)
    selection = Selection(variety, pool.fixed, CapCounts(rules.caps(pool.row_P)), len(pool.row_P))
    place_K = pool.place_P[selection.fill(min(limit, len(pool.row_P)))]
    return Order(
        place_K,
        never_rising(valued.value_C[place_K]),
        {int(pool.place_P[number]): flag for number, flag in selection.flags.items()},
        notices + missing + ((CAP_RELAXED,) if OVER_CAP in selection.flags.values() else ()),
    )


def never_rising(value_K: FloatArray) -> FloatArray:
    """Return for each place the highest value at it or below it."""
    return np.maximum.accumulate(value_K[::-1])[::-1]


def _pins(rules: BusinessRules, row_C: IntArray, limit: int) -> tuple[dict[int, int], tuple[str, ...]]:
    """Return place in the list → candidate, and whether a pinned item cannot be shown."""
    place_of = {row: place for place, row in enumerate(row_C.tolist())} if rules.pins else {}
    wanted = [pin for pin in rules.pins if pin.place < limit]
    found = {pin.place: place_of[pin.row] for pin in wanted if pin.row in place_of}
    return found, () if len(found) == len(wanted) else (PIN_UNAVAILABLE,)


def _standardised(value_C: FloatArray) -> FloatArray:
    """Return the values as standard deviations from their mean, so that strengths mean the same in every shop."""
    centred_C: FloatArray = value_C - np.float32(value_C.sum() / max(len(value_C), 1))
    spread = (float(centred_C @ centred_C) / max(len(value_C), 1)) ** 0.5
    return centred_C / np.float32(spread) if spread > 0 else centred_C


@dataclass(frozen=True)
class _Pool:
    """The candidates to choose among, ascending by their place among all."""

    place_P: LongArray
    row_P: IntArray
    relevance_P: FloatArray
    lift_P: FloatArray | None
    fixed: Fixed
    """by number within the pool"""


def _pool(offer: Offer, value_C: FloatArray, lift_C: FloatArray | None, pins: dict[int, int], whole: bool) -> _Pool:
    """Return the most relevant candidates, those whose being in the list is decided among them."""
    relevance_C, row_C = _standardised(value_C), offer.candidates.row_C
    waiting = np.flatnonzero(np.isin(row_C, offer.first_showings)).tolist() if len(offer.first_showings) else []
    place_P = np.arange(len(row_C))
    if len(row_C) > MAX_POOL and not whole:
        best = best_first(relevance_C if lift_C is None else relevance_C + lift_C, MAX_POOL)
        place_P = np.union1d(best, np.array([*pins.values(), *waiting], np.int64))
    number_of = {place: number for number, place in enumerate(place_P.tolist())} if pins or len(waiting) else {}
    fixed = Fixed({place: number_of[pin] for place, pin in pins.items()}, [number_of[one] for one in waiting])
    lift_P = None if lift_C is None else lift_C[place_P]
    return _Pool(place_P, row_C[place_P], relevance_C[place_P], lift_P, fixed)


def _base(offer: Offer, pool: _Pool, wishes: Wishes) -> FloatArray:
    """Return what each candidate is worth alone: relevance and novelty, weighed against variety; then the boosts."""
    base_P = pool.relevance_P
    if wishes.novelty:
        newness_P = offer.candidates.matrix_CF[pool.place_P, offer.recommender.fusion_names.index("newness")]
        novel_P = _standardised(novelty(offer.recommender, offer.scored, pool.row_P, newness_P))
        base_P = np.float32(1 - wishes.novelty) * base_P + np.float32(wishes.novelty) * novel_P
    if wishes.diversity:
        base_P = base_P * np.float32(relevance_weight(wishes.diversity))
    return base_P if pool.lift_P is None else base_P + pool.lift_P


def _variety(offer: Offer, pool: _Pool, wishes: Wishes, limit: int) -> tuple[Variety, tuple[str, ...]]:
    """Return the way to variety that the scenario names, and whether it had to be another one."""
    base_P, row_P, strength = _base(offer, pool, wishes), pool.row_P, wishes.diversity
    if not strength:
        return ByRelevance(base_P), ()
    catalogue, notices = offer.recommender.catalogue, tuple[str, ...]()
    if wishes.method == "calibrated":
        wanted_T = wanted_mix(catalogue, offer.scored.query.user.category_preference)
        if wanted_T.any():
            return Calibrated(base_P, catalogue.top_category_N[row_P], wanted_T, strength, limit), ()
        notices = (NO_HISTORY,)
    vector_PD, places = offer.recommender.content.vectors(row_P), min(limit, len(row_P))
    if wishes.method == "mmr":
        return Mmr(base_P, Likeness.of(catalogue, row_P, vector_PD), strength), ()
    return Dpp(base_P, Likeness.of(catalogue, row_P, vector_PD, places), strength, places), notices
