"""`aisle batch` beside a live platform: a list made ahead is served, is the live list, and goes stale as it should."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running_platform import Platform
from tests.running_shop import until

SHOPPERS = ("anna", "bert", "cleo")
HOUR_S, NEAR_S = 3600, 60


@pytest.fixture(scope="module")
def platform(store_home: Path) -> Iterator[Platform]:
    """Return a platform with the tiny shop, a model, and three shoppers, each with a taste."""
    platform = Platform(store_home / "hot-lists" / ".aisle")
    platform.open_shop()
    for shopper, item in zip(SHOPPERS, ("wine-fine-1", "coffee-fine-1", "bread-fine-1"), strict=True):
        assert platform.post("/events", {"type": "purchase", "user_id": shopper, "item_id": item}).body["accepted"] == 1
    until(lambda: all(list_of(platform, shopper, 6)["degraded_reason"] == "none" for shopper in SHOPPERS))
    yield platform
    assert platform.aisle("down").returncode == 0
    shutil.rmtree(platform.home.parent, ignore_errors=True)


def list_of(platform: Platform, shopper: str, num_items: int, **wishes: Any) -> Any:
    return platform.recommend(user_id=shopper, num_items=num_items, **wishes)


def ids(reply: Any) -> list[str]:
    return [place["item_id"] for place in reply["recommendations"]]


def away_from_the_turn_of_the_hour() -> None:
    """A list belongs to an hour of the shop, so the lists and the questions about them have to lie in one."""
    left_s = HOUR_S - time.time() % HOUR_S
    if left_s < NEAR_S:
        time.sleep(left_s + 1)


def test_list_made_ahead_is_served_from_the_cache_and_is_the_live_list(platform: Platform) -> None:
    away_from_the_turn_of_the_hour()
    made = platform.aisle("batch", "--segment", "active-30d", "--num-items", "7", "--processes", "2")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("3 lists in ")
    lists = {}
    for shopper in SHOPPERS:
        hot = list_of(platform, shopper, 7)
        live = list_of(platform, shopper, 7, context={"never_asked_before": shopper})
        assert (hot["served_from"], live["served_from"]) == ("cache", "live")
        assert [(place["item_id"], place["score"]) for place in hot["recommendations"]] == [
            (place["item_id"], pytest.approx(place["score"], rel=1e-4)) for place in live["recommendations"]
        ]
        assert (hot["model"], hot["counts"], hot["degraded_reason"]) == (live["model"], live["counts"], "none")
        lists[shopper] = ids(hot)
    assert len({tuple(items) for items in lists.values()}) == len(SHOPPERS)


def test_event_of_a_shopper_makes_that_list_stale_and_no_other(platform: Platform, tmp_path: Path) -> None:
    away_from_the_turn_of_the_hour()
    users = tmp_path / "users.txt"
    users.write_text("anna\nbert\n\n")
    made = platform.aisle("batch", "--users", str(users), "--num-items", "8", "--processes", "1")
    assert made.stdout.startswith("2 lists in "), made.stderr
    assert platform.post("/events", {"type": "purchase", "user_id": "anna", "item_id": "coffee-fine-2"}).status == 202
    until(lambda: list_of(platform, "anna", 8)["served_from"] == "live")
    assert list_of(platform, "bert", 8)["served_from"] == "cache"
    assert list_of(platform, "cleo", 8)["served_from"] == "live"


def test_rule_and_model_that_are_new_make_every_list_stale(platform: Platform) -> None:
    away_from_the_turn_of_the_hour()
    assert platform.aisle("batch", "--segment", "active-1d", "--num-items", "9").returncode == 0
    hot = list_of(platform, "bert", 9)
    assert hot["served_from"] == "cache"
    hidden = ids(hot)[0]
    assert platform.aisle("rules", "set", "no-more", "hide", "--item", hidden).returncode == 0
    after = list_of(platform, "bert", 9)
    assert after["served_from"] == "live"
    assert hidden not in ids(after)
    assert platform.aisle("batch", "--segment", "active-1d", "--num-items", "9").returncode == 0
    assert list_of(platform, "cleo", 9)["served_from"] == "cache"
    version = platform.publish(seed=1)
    until(lambda: platform.serves(version))
    # Training tells the gateway of its model, and so does the first answer that the new model gives to anybody.
    assert list_of(platform, "somebody new", 9)["model"]["version"] == version
    after = list_of(platform, "cleo", 9)
    assert (after["served_from"], after["model"]["version"]) == ("live", version)


def test_segment_by_attribute_holds_whom_the_shop_said_it_of(platform: Platform) -> None:
    users = [
        {"user_id": "bert", "region": "north"},
        {"user_id": "dora", "region": "south", "attributes": {"tier": "gold"}},
    ]
    assert platform.post("/users", {"users": users}).status == 200
    north = platform.aisle("batch", "--attribute", "region=north", "--num-items", "4", "--processes", "1")
    assert north.stdout.startswith("1 lists in "), north.stderr
    gold = platform.aisle("batch", "--attribute", "tier=gold", "--num-items", "4", "--processes", "1")
    assert gold.stdout.startswith("1 lists in "), gold.stderr
    nobody = platform.aisle("batch", "--attribute", "tier=gold", "--segment", "active-30d")
    assert nobody.stdout == "Nobody is in this segment; nothing was made.\n"


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], "say whose lists"),
        (["--segment", "often"], "say active-<days>d"),
        (["--attribute", "region"], "say name=value"),
        (["--segment", "active-1d", "--scenario", "two words"], "--scenario"),
    ],
)
def test_segment_that_makes_no_sense_is_refused_in_words(platform: Platform, flags: list[str], reason: str) -> None:
    refused = platform.aisle("batch", *flags)
    assert refused.returncode == 2
    assert reason in refused.stderr
