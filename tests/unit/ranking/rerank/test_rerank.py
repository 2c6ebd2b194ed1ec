"""What re-ranking does to the list of the tiny shop: nothing unless it is asked for, and then what was asked."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pydantic import ValidationError

from services.ranking.metrics import RankingMetrics
from services.ranking.rank import Ranker
from services.ranking.rerank.novelty import FIRST_SHOWINGS
from services.ranking.serving_model import ServingModel
from services.ranking.similar import similar_items
from shared.contracts.events import EventType
from shared.contracts.internal import RankReply, SimilarRequest
from shared.contracts.merchandising import Merchandising, Rule, Scenario
from shared.contracts.recommendation import Objective
from shared.features.catalogue import Catalogue
from tests.tiny_shop import UNTIL, tiny_items
from tests.unit.ranking.requests import NOW_MS, Did, departments, ids, request, state

NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
DAY = timedelta(days=1)
WINE = (Did("wine-fine-0"), Did("wine-fine-1", 5))

Rank = Callable[..., RankReply]


@pytest.fixture
def rank(metrics: RankingMetrics, model: ServingModel) -> Rank:
    """Return a way to rank for a wine drinker, under rules and scenarios."""

    def ranked(*decided: Rule | Scenario, done: tuple[Did, ...] = WINE, **wishes: Any) -> RankReply:
        merchandising = Merchandising(
            rules=tuple(one for one in decided if isinstance(one, Rule)),
            scenarios=tuple(one for one in decided if isinstance(one, Scenario)),
            version="v",
        )
        ranker = Ranker(ZoneInfo("UTC"), metrics, merchandising=lambda: merchandising)
        return ranker.rank(model, request(*done, **wishes))

    return ranked


def rule(action: str, **fields: Any) -> Rule:
    return Rule(rule_id=f"the-{action}", action=action, **fields)


def flagged(reply: RankReply) -> dict[str, list[str]]:
    return {str(item.item_id): item.flags for item in reply.items if item.flags}


@pytest.mark.parametrize("wishes", [{"diversity": 0.0}, {"novelty": 0.0}, {"diversity": 0.0, "novelty": 0.0}])
def test_zero_gives_the_pure_order_to_the_last_bit(rank: Rank, wishes: dict[str, float]) -> None:
    assert rank(**wishes).items == rank().items
    strong = Scenario(name="home", diversity=0.8, novelty=0.5)
    assert rank(strong, diversity=0.0, novelty=0.0).items == rank().items
    assert rank(strong).items != rank().items


def test_diversity_mixes_departments_and_more_of_it_mixes_more(rank: Rank) -> None:
    kinds = [len(set(departments(rank(diversity=strength)))) for strength in (0.0, 0.5, 1.0)]
    assert kinds == sorted(kinds)
    assert kinds[-1] > kinds[0]


@pytest.mark.parametrize("method", ["dpp", "mmr", "calibrated"])
def test_every_method_gives_full_lists_whose_scores_never_rise(rank: Rank, method: Any) -> None:
    for strength in (0.05, 0.5, 1.0):
        for num_items in (1, 10, 60):
            reply = rank(Scenario(name="home", method=method), diversity=strength, novelty=0.3, num_items=num_items)
            assert len(set(ids(reply))) == num_items == len(reply.items)
            assert all(before.score >= after.score for before, after in pairwise(reply.items))
            assert all(np.isfinite(item.score) for item in reply.items)


@pytest.mark.parametrize("method", ["dpp", "mmr", "calibrated"])
@pytest.mark.parametrize("candidates", [[], ["wine-fine-2"], ["no-such-item"]])
def test_there_may_be_nothing_to_choose_from(rank: Rank, method: Any, candidates: list[str]) -> None:
    capped, lifted = rule("cap", by="brand", most=1), rule("boost", filter="in_stock")
    scenario = Scenario(name="home", method=method)
    reply = rank(scenario, capped, lifted, candidates=candidates, diversity=0.5, novelty=0.5)
    assert ids(reply) == [item for item in candidates if item != "no-such-item"]


def test_item_that_stands_above_a_better_one_carries_its_score(rank: Rank) -> None:
    pure, pinned = rank(num_items=60), rank(rule("pin", items=["chairs-fine-4"]))
    own = {item.item_id: item.score for item in pure.items}
    assert own["chairs-fine-4"] < pinned.items[0].score == pinned.items[1].score
    assert all(item.score == own[item.item_id] for item in pinned.items[1:])


def test_calibration_without_a_history_says_so_and_still_varies(rank: Rank) -> None:
    calibrated = Scenario(name="home", method="calibrated", diversity=0.9)
    reply = rank(calibrated, done=())
    assert reply.notices == ["calibration_without_history"]
    assert ids(reply) == ids(rank(diversity=0.9, done=()))


def test_calibrated_list_follows_the_shopper(rank: Rank) -> None:
    mixed = state(*WINE, category_preference={"wine": 0.5, "lamps": 0.5})
    reply = rank(Scenario(name="home", method="calibrated", diversity=1.0), state=mixed)
    assert sorted(set(departments(reply))) == ["lamps", "wine"]
    assert departments(reply).count("lamps") == 5


def test_novelty_brings_rarer_items_that_the_shopper_has_not_met(rank: Rank, model: ServingModel) -> None:
    looked = (*WINE, *(Did(f"wine-{kind}-{n}", 2, EventType.VIEW) for kind in ("plain", "fine") for n in range(5)))
    plain, novel = rank(done=looked), rank(done=looked, novelty=1.0)
    sales = dict(zip(model.recommender.contents.item_ids, model.recommender.contents.popularity.weight_V, strict=True))
    met = {did.item_id for did in looked}
    assert sum(sales[item] for item in ids(novel)) < sum(sales[item] for item in ids(plain)) / 2
    assert not met & set(ids(novel))
    assert met & set(ids(plain))


def new_item(number: int) -> Any:
    like = next(item for item in tiny_items() if item.item_id == "lamps-plain-4")
    return replace(like, item_id=f"fresh-{number}", title=f"Fresh {number}", created_at=UNTIL)


def test_new_item_is_shown_first_then_when_it_deserves_it(
    ranker: Ranker, model: ServingModel, catalogue: Catalogue
) -> None:
    asked = request(*WINE, novelty=0.1)
    assert flagged(ranker.rank(model, asked)) == {}
    catalogue.upsert([new_item(0), new_item(1)])
    first = [flagged(ranker.rank(model, asked)) for _ in range(2 * FIRST_SHOWINGS)]
    assert sorted(next(iter(flags)) for flags in first) == ["fresh-0"] * FIRST_SHOWINGS + ["fresh-1"] * FIRST_SHOWINGS
    assert all(flags in ({"fresh-0": ["first_showing"]}, {"fresh-1": ["first_showing"]}) for flags in first)
    assert flagged(ranker.rank(model, asked)) == {}


@pytest.mark.parametrize("wishes", [{}, {"novelty": 0.0}, {"novelty": 0.5, "num_items": 3}])
def test_no_place_is_reserved_where_novelty_is_not_wanted_or_the_list_is_short(
    ranker: Ranker, model: ServingModel, catalogue: Catalogue, wishes: dict[str, Any]
) -> None:
    catalogue.upsert([new_item(0)])
    assert flagged(ranker.rank(model, request(*WINE, **wishes))) == {}


def test_pins_stand_at_their_places_and_the_rest_keeps_its_order(rank: Rank) -> None:
    reply = rank(rule("pin", items=["chairs-fine-4", "lamps-fine-3"], place=2))
    assert ids(reply)[1:3] == ["chairs-fine-4", "lamps-fine-3"]
    assert flagged(reply) == {"chairs-fine-4": ["pinned"], "lamps-fine-3": ["pinned"]}
    rest = [item for item in ids(reply) if item not in ("chairs-fine-4", "lamps-fine-3")]
    assert rest == ids(rank())[:8]
    assert reply.notices == []


def test_pin_beside_diversity_counts_as_part_of_the_list(rank: Rank) -> None:
    reply = rank(rule("pin", items=["bread-fine-0"], place=1), diversity=0.9)
    assert ids(reply)[0] == "bread-fine-0"
    assert departments(reply)[1] != "bread"


def test_pin_below_the_end_of_a_short_list_closes_it(rank: Rank) -> None:
    pin = rule("pin", items=["lamps-fine-4"], place=9)
    assert ids(rank(pin, candidates=["lamps-fine-4", "wine-fine-2", "wine-fine-3"]))[-1] == "lamps-fine-4"


@pytest.mark.parametrize("change", [{"stock": 0}, {"deleted": True}, {"available_until": NOW - DAY}, None])
def test_pin_that_cannot_be_shown_is_left_out_and_said(rank: Rank, catalogue: Catalogue, change: Any) -> None:
    if change is not None:
        item = next(item for item in tiny_items() if item.item_id == "chairs-fine-4")
        catalogue.upsert([replace(item, **change)])
    reply = rank(rule("pin", items=["chairs-fine-4" if change else "no-such-item"]))
    assert reply.notices == ["pin_unavailable"]
    assert flagged(reply) == {}
    assert len(reply.items) == 10


def test_pin_obeys_the_request(rank: Rank) -> None:
    pin = rule("pin", items=["chairs-fine-4"])
    assert rank(pin, exclude=["chairs-fine-4"]).notices == ["pin_unavailable"]
    assert rank(pin, filter='category == "wine"').notices == ["pin_unavailable"]
    assert ids(rank(pin, candidates=["wine-fine-2"])) == ["wine-fine-2"]


def test_of_two_pins_for_one_place_the_first_named_gets_it(rank: Rank) -> None:
    low = rule("pin", items=["chairs-fine-4"])
    high = Rule(rule_id="high", action="pin", items=["lamps-fine-4"])
    assert ids(rank(high, low))[0] == "lamps-fine-4"
    assert flagged(rank(high, low)) == {"lamps-fine-4": ["pinned"]}


def test_boost_lifts_and_bury_lowers(rank: Rank) -> None:
    def mean_place(reply: RankReply) -> float:
        return float(np.mean([place for place, name in enumerate(departments(reply)) if name == "lamps"]))

    plain = rank(num_items=60)
    lifted = rank(rule("boost", filter='category == "lamps"', strength=2), num_items=60)
    lowered = rank(rule("bury", filter='category == "lamps"', strength=2), num_items=60)
    assert mean_place(lifted) < mean_place(plain) < mean_place(lowered)


def test_bury_holds_at_full_diversity(rank: Rank) -> None:
    buried = rank(rule("bury", filter='category == "chairs"', strength=10), diversity=1.0)
    assert "chairs" in departments(rank(diversity=1.0))
    assert "chairs" not in departments(buried)


def test_hidden_items_are_gone_and_counted_and_the_list_stays_full(rank: Rank) -> None:
    reply = rank(rule("hide", filter='category == "wine"'))
    assert "wine" not in departments(reply)
    assert len(reply.items) == 10
    assert reply.counts.removed["hidden_by_rule"] == 10


def test_hidden_items_are_not_similar_to_anything(model: ServingModel) -> None:
    asked = SimilarRequest(item_id="wine-fine-0", kind="similar", num_items=5, as_of_ms=NOW_MS)
    first = str(similar_items(model, asked).items[0].item_id)
    hiding = Merchandising(rules=(rule("hide", items=[first]),))
    assert first not in ids(similar_items(model, asked, hiding))


@pytest.mark.parametrize(("by", "most"), [("category", 2), ("brand", 3)])
def test_cap_holds_and_the_list_stays_full(rank: Rank, catalogue: Catalogue, by: Any, most: int) -> None:
    def largest(reply: RankReply) -> int:
        rows = catalogue.rows(ids(reply))
        column_N = catalogue.brand_N if by == "brand" else catalogue.top_category_N
        return int(np.bincount(column_N[rows]).max())

    assert largest(rank()) > most
    capped = rank(rule("cap", by=by, most=most))
    assert largest(capped) == most
    assert len(capped.items) == 10
    assert capped.notices == []


def test_cap_of_a_filter_counts_only_what_it_lets_through(rank: Rank) -> None:
    capped = departments(rank(rule("cap", by="category", most=1, filter='category == "bread"')))
    assert capped.count("bread") == 1
    assert max(capped.count(name) for name in capped) > 1


def test_cap_that_would_shorten_the_list_is_relaxed_and_said(rank: Rank) -> None:
    reply = rank(rule("cap", by="category", most=1))
    assert len(reply.items) == 10
    assert reply.notices == ["cap_relaxed"]
    assert len(set(departments(reply)[:6])) == 6
    assert list(flagged(reply).values()) == [["over_cap"]] * 4


@pytest.mark.parametrize(
    ("fields", "acts"),
    [
        ({}, True),
        ({"starts_at": NOW, "ends_at": NOW + DAY}, True),
        ({"starts_at": NOW + DAY}, False),
        ({"ends_at": NOW}, False),
        ({"enabled": False}, False),
        ({"scenario": "home"}, True),
        ({"scenario": "cart"}, False),
    ],
)
def test_rule_acts_in_its_time_and_scenario_only(rank: Rank, fields: dict[str, Any], acts: bool) -> None:
    reply = rank(rule("pin", items=["chairs-fine-4"], **fields))
    assert (ids(reply)[0] == "chairs-fine-4") == acts


def test_reply_says_which_rules_it_was_made_with_and_until_when_it_is_right(rank: Rank) -> None:
    ends = rule("pin", items=["chairs-fine-4"], ends_at=NOW + DAY)
    later = Rule(rule_id="later", action="hide", items=["wine-fine-2"], starts_at=NOW + 2 * DAY)
    reply = rank(later, ends)
    assert reply.rules_version == "v"
    assert reply.rules_change_at_ms == NOW_MS + 86_400_000
    assert rank().rules_change_at_ms is None


def test_objective_without_a_multi_task_ranker_keeps_the_order_and_says_so(rank: Rank) -> None:
    reply = rank(objective=Objective(revenue=1))
    assert reply.items == rank().items
    assert reply.notices == ["objective_unavailable"]


def test_features_that_are_no_numbers_never_reach_the_reply(rank: Rank) -> None:
    broken = state(*WINE, features={"price_level": float("nan")})
    for wishes in ({}, {"diversity": 0.5, "novelty": 0.5}):
        reply = rank(state=broken, **wishes)
        assert len(reply.items) == 10
        assert all(np.isfinite(item.score) for item in reply.items)
        assert reply.notices == ["feature_not_finite"]
    assert ids(rank(state=broken)) == ids(rank(state=state(*WINE, features={"price_level": 0.5})))


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "pin"},
        {"action": "hide"},
        {"action": "boost", "items": ["a"], "filter": "in_stock"},
        {"action": "boost", "items": ["a"], "strength": 0},
        {"action": "bury", "items": ["a"], "strength": float("nan")},
        {"action": "cap", "by": "brand"},
        {"action": "cap", "by": "brand", "most": 2, "items": ["a"]},
        {"action": "pin", "items": ["a"], "most": 2, "by": "brand"},
        {"action": "pin", "items": ["a"], "place": 0},
        {"action": "pin", "items": ["a"], "starts_at": NOW, "ends_at": NOW},
        {"action": "shout", "items": ["a"]},
    ],
)
def test_rule_that_is_not_whole_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Rule(rule_id="x", **fields)
