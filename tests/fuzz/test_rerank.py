"""Whatever a request wishes and a shop decides: the list has what may be shown, once, in order, and is full."""

import os
from collections import Counter
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ranking.metrics import RankingMetrics
from services.ranking.rank import Ranker
from services.ranking.rerank.rerank import CAP_RELAXED
from services.ranking.serving_model import ServingModel
from shared.contracts.merchandising import Merchandising, Rule, Scenario
from tests.tiny_shop import tiny_items
from tests.unit.ranking.conftest import bundle_store, catalogue, metrics, model, tiny_version
from tests.unit.ranking.requests import Did, ids, request

__all__ = ["bundle_store", "catalogue", "metrics", "model", "tiny_version"]

EXAMPLES = 1500 if os.environ.get("FUZZ_SECONDS") else 25
ITEMS = {item.item_id: item for item in tiny_items()}
BRANDS = sorted({item.brand for item in ITEMS.values() if item.brand})

ITEM = st.sampled_from(sorted(ITEMS))
SOME = st.lists(ITEM | st.just("no-such-item"), max_size=4)
NAMED = st.lists(ITEM | st.just("no-such-item"), min_size=1, max_size=4)
STRENGTH = st.none() | st.sampled_from([0.0, 1.0]) | st.floats(0, 1)


def rules_of(action: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"action": st.just(action), **fields})


RULES = st.lists(
    st.one_of(
        rules_of("hide", items=NAMED),
        rules_of("hide", filter=st.sampled_from([f'brand = "{BRANDS[0]}"', "price > 50", "not in_stock"])),
        rules_of("boost", items=NAMED, strength=st.floats(0.1, 10)),
        rules_of("bury", filter=st.just(f'brand = "{BRANDS[-1]}"'), strength=st.floats(0.1, 10)),
        rules_of("pin", items=NAMED, place=st.integers(1, 70)),
        rules_of("cap", by=st.sampled_from(["brand", "category"]), most=st.integers(1, 8)),
    ),
    max_size=4,
)
WISHES = st.fixed_dictionaries(
    {"num_items": st.integers(1, 70)},
    optional={
        "diversity": STRENGTH,
        "novelty": STRENGTH,
        "exclude": SOME,
        "candidates": st.none() | st.lists(ITEM, max_size=8),
        "objective": st.none() | st.sampled_from([{"click": 1.0}, {"purchase": 0.5, "revenue": 2.0}]),
    },
)
DONE = st.lists(st.builds(Did, ITEM, st.floats(0.1, 60)), max_size=6, unique_by=lambda did: did.days_ago)
METHOD = st.sampled_from(["dpp", "mmr", "calibrated"])


@pytest.fixture
def rank(model: ServingModel, metrics: RankingMetrics) -> Any:
    def ranked(rules: list[dict[str, Any]], method: Any, done: list[Did], wishes: dict[str, Any]) -> Any:
        named = tuple(Rule.model_validate({"rule_id": f"r{number}", **rule}) for number, rule in enumerate(rules))
        decided = Merchandising(rules=named, scenarios=(Scenario(name="home", method=method),), version="v")
        return Ranker(ZoneInfo("UTC"), metrics, merchandising=lambda: decided).rank(model, request(*done, **wishes))

    return ranked


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RULES, METHOD, DONE, WISHES)
def test_lists_hold_what_may_be_shown_once_in_order_and_are_full(
    rank: Any, rules: list[dict[str, Any]], method: str, done: list[Did], wishes: dict[str, Any]
) -> None:
    reply = rank(rules, method, done, wishes)
    shown, num_items = ids(reply), wishes["num_items"]
    assert len(set(shown)) == len(shown) <= num_items
    assert set(shown) <= set(ITEMS)
    assert not set(shown) & set(wishes.get("exclude", ()))
    assert not set(shown) & {item for rule in rules if rule["action"] == "hide" for item in rule.get("items", ())}
    if wishes.get("candidates") is not None:
        assert set(shown) <= set(wishes["candidates"])
    assert all(np.isfinite(item.score) for item in reply.items)
    assert all(before.score >= after.score for before, after in pairwise(reply.items))
    for rule in rules:
        if rule["action"] == "cap" and rule["by"] == "brand" and CAP_RELAXED not in reply.notices:
            pinned = {item for other in rules if other["action"] == "pin" for item in other["items"]}
            brands = Counter(ITEMS[item].brand for item in shown if ITEMS[item].brand and item not in pinned)
            assert all(number <= rule["most"] for number in brands.values())
    # No wish and no cap makes a list shorter than the pure one.
    hiding = [rule for rule in rules if rule["action"] == "hide"]
    pure = {name: value for name, value in wishes.items() if name in ("num_items", "exclude", "candidates")}
    assert len(shown) == len(ids(rank(hiding, method, done, pure)))
    assert ids(rank(rules, method, done, wishes)) == shown
