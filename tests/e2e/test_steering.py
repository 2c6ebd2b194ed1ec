"""Steering a live platform: variety on request, rules from the command line, and reasons for what is shown or not."""

import shutil
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running_platform import Platform
from tests.running_shop import until

SHOPPER = "wilma"
PAGE = {"page": "home"}


@pytest.fixture(scope="module")
def platform(store_home: Path) -> Iterator[Platform]:
    """Return a platform with the tiny shop, a model, and a shopper who buys wine."""
    platform = Platform(store_home / "steering" / ".aisle")
    platform.open_shop()
    for number in range(3):
        purchase = {"type": "purchase", "user_id": SHOPPER, "item_id": f"wine-fine-{number}"}
        assert platform.post("/events", purchase).body["accepted"] == 1
    until(lambda: platform.recommend(user_id=SHOPPER)["degraded_reason"] == "none")
    yield platform
    assert platform.aisle("down").returncode == 0
    shutil.rmtree(platform.home.parent, ignore_errors=True)


def recommend(platform: Platform, **wishes: Any) -> Any:
    return platform.recommend(user_id=SHOPPER, num_items=10, context=PAGE, **wishes)


def ids(reply: Any) -> list[str]:
    return [place["item_id"] for place in reply["recommendations"]]


def explain(platform: Platform, item_id: str, **wishes: Any) -> Any:
    asked = {"user_id": SHOPPER, "item_id": item_id, "num_items": 10, "context": PAGE, **wishes}
    answer = platform.post("/explain", asked)
    assert answer.status == 200, answer.body
    return answer.body


def distance_within(reply: Any) -> float:
    """Return the intra-list distance: the share of pairs whose departments differ."""
    departments = [place["item"]["categories"][0] for place in reply["recommendations"]]
    pairs = list(combinations(departments, 2))
    return sum(one != other for one, other in pairs) / len(pairs)


def test_diversity_of_a_request_makes_its_list_measurably_more_diverse(platform: Platform) -> None:
    shape = {"fields": ["categories"]}
    pure, diverse = (recommend(platform, diversity=strength, **{"return": shape}) for strength in (0, 1))
    assert distance_within(diverse) > distance_within(pure) + 0.1
    assert ids(recommend(platform, diversity=0)) == ids(recommend(platform))
    assert [place["score"] for place in diverse["recommendations"]] == sorted(
        (place["score"] for place in diverse["recommendations"]), reverse=True
    )


def test_objective_without_a_multi_task_ranker_is_answered_and_said(platform: Platform) -> None:
    assert recommend(platform, objective={"revenue": 1})["notices"] == ["objective_unavailable"]


def test_shown_and_hidden_items_are_explained(platform: Platform) -> None:
    first = ids(recommend(platform))[0]
    shown = explain(platform, first)
    assert (shown["outcome"], shown["rank"]) == ("shown", 1)
    assert abs(sum(part["score"] for part in shown["parts"]) - shown["score"]) < 1e-3
    assert explain(platform, first, context={**PAGE, "language": "zh"})["sentence"] != shown["sentence"]
    hidden = explain(platform, first, filter="price > 100000")
    assert (hidden["outcome"], hidden["removed_by"]) == ("removed", "filter")
    assert platform.post("/explain", {"user_id": SHOPPER, "item_id": "no-such-item"}).status == 404


def test_rules_act_on_the_same_request_within_two_seconds_and_are_named(platform: Platform) -> None:
    before = ids(recommend(platform))
    until(lambda: recommend(platform)["served_from"] == "cache")
    pinned = platform.aisle("rules", "set", "lamp-week", "pin", "--item", "lamps-fine-4")
    assert pinned.returncode == 0, pinned.stderr
    began_s = time.monotonic()
    until(lambda: ids(recommend(platform))[0] == "lamps-fine-4", timeout_s=2)
    assert time.monotonic() - began_s < 2
    assert explain(platform, "lamps-fine-4")["flags"] == ["pinned"]
    assert explain(platform, before[-1])["outcome"] == "displaced_by_rules"
    assert platform.aisle("rules", "set", "no-lamps", "hide", "--filter", 'category == "lamps"').returncode == 0
    until(lambda: ids(recommend(platform)) == before, timeout_s=2)
    assert explain(platform, "lamps-fine-4")["rule_id"] == "no-lamps"
    until(lambda: platform.get("/popular?num_items=100").body["recommendations"] != [], timeout_s=10)
    popular = [place["item_id"] for place in platform.get("/popular?num_items=100").body["recommendations"]]
    assert "chairs-fine-4" in popular
    assert not [item for item in popular if item.startswith("lamps")]


def test_item_that_variety_left_out_is_explained(platform: Platform) -> None:
    diverse = ids(recommend(platform, diversity=0.9))
    lost = next(item for item in ids(recommend(platform)) if item not in diverse)
    assert explain(platform, lost, diversity=0.9)["outcome"] == "removed_by_diversity"


@pytest.mark.parametrize(
    "wishes", [{"diversity": 1.5}, {"novelty": -1}, {"objective": {"click": -1}}, {"objective": {"click": 0}}]
)
def test_wishes_that_make_no_sense_are_refused(platform: Platform, wishes: dict[str, Any]) -> None:
    answer = platform.post("/recommend", {"user_id": SHOPPER, **wishes})
    assert (answer.status, answer.body["code"]) == (422, "invalid_request")
