"""The platform end to end: real processes, real stores, asked over HTTP, with parts of it killed."""

import json
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running_platform import Platform
from tests.running_shop import until


@pytest.fixture(scope="module")
def empty(store_home: Path) -> Iterator[Platform]:
    """Return a platform that just started: no item, no model."""
    platform = Platform(store_home / "e2e" / ".aisle")
    started = platform.aisle("up")
    assert started.returncode == 0, started.stdout + started.stderr
    yield platform
    assert platform.aisle("down").returncode == 0
    shutil.rmtree(platform.home.parent, ignore_errors=True)


def test_empty_catalogue_answers_an_empty_list_and_says_why(empty: Platform) -> None:
    reply = empty.recommend(user_id="anna")
    assert reply["recommendations"] == []
    assert reply["degraded_reason"] == "no_catalog"


@pytest.fixture(scope="module")
def platform(empty: Platform) -> Platform:
    """Return the platform with the tiny shop and a model."""
    empty.fill_catalogue()
    version = empty.publish(seed=0)
    until(lambda: empty.serves(version))
    until(lambda: len(empty.recommend(user_id="warm", context={"query": "a"})["recommendations"]) == 5)
    return empty


def test_event_makes_the_next_list_personal_within_a_second(platform: Platform) -> None:
    before = platform.recommend(user_id="bert")
    assert before["degraded_reason"] == "cold_start"
    assert before["served_from"] == "live"
    purchase = {"type": "purchase", "user_id": "bert", "item_id": "wine-plain-0", "event_id": "bert-1"}
    assert platform.post("/events", purchase).body["accepted"] == 1
    assert platform.post("/events", purchase).body["duplicates"] == 1

    def changed() -> bool:
        after = platform.recommend(user_id="bert", **{"return": {"explain": "reasons"}})
        return after["degraded_reason"] == "none" and after["recommendations"] != before["recommendations"]

    until(changed, timeout_s=1)
    state = platform.get("/users/bert/state", "feature").body
    assert "wine" in state["category_preference"]


def test_unknown_user_gets_a_full_list_as_cold_start(platform: Platform) -> None:
    reply = platform.recommend(user_id="nobody-knows-me")
    assert len(reply["recommendations"]) == 5
    assert reply["degraded_reason"] == "cold_start"
    assert [item["rank"] for item in reply["recommendations"]] == [1, 2, 3, 4, 5]


def test_price_and_stock_act_on_the_next_list(platform: Platform) -> None:
    first = platform.recommend(user_id="carl")["recommendations"][0]["item_id"]
    changed = platform.post("/items", {"items": [{"item_id": first, "stock": 0}]})
    assert changed.status == 200

    def gone() -> bool:
        listed = [item["item_id"] for item in platform.recommend(user_id="carl")["recommendations"]]
        return first not in listed and len(listed) == 5

    until(gone, timeout_s=2)


def test_ranking_killed_gives_a_degraded_list_with_its_reason_then_personal_again(platform: Platform) -> None:
    until(lambda: len(platform.get("/popular").body["recommendations"]) == 10)
    platform.kill("ranking")
    reply = platform.recommend(user_id="dora", context={"query": "right after the kill"})
    assert reply["degraded_reason"] in {"ranking_unavailable", "ranking_timeout"}
    assert reply["served_from"] in {"popular", "snapshot"}
    assert len(reply["recommendations"]) == 5

    def live_again() -> bool:
        again = platform.recommend(user_id="dora", context={"query": "later"})
        return again["served_from"] == "live" and again["degraded_reason"] == "cold_start"

    until(live_again, timeout_s=30)
    assert platform.child("ranking").restarts >= 1


def test_feature_killed_still_ranks_and_says_so(platform: Platform) -> None:
    platform.kill("feature")
    reply = platform.recommend(user_id="emil", context={"query": "feature is away"})
    assert reply["degraded_reason"] == "feature_unavailable"
    assert len(reply["recommendations"]) == 5
    until(lambda: platform.recommend(user_id="emil")["degraded_reason"] == "cold_start", timeout_s=30)


def test_new_version_published_under_load_fails_no_request(platform: Platform) -> None:
    stop, answers, versions = threading.Event(), Counter[str](), Counter[str]()

    def ask(worker: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            reply = platform.recommend(user_id=f"load-{worker}-{number}")
            answers[reply["degraded_reason"]] += 1
            versions[reply["model"]["version"] if reply["model"] else "none"] += 1

    workers = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for worker in workers:
        worker.start()
    published = platform.publish(seed=1)
    until(lambda: versions[published] > 20, timeout_s=20)
    stop.set()
    for worker in workers:
        worker.join()
    assert set(answers) == {"cold_start"}
    assert len(versions) == 2


def test_what_simulated_shoppers_do_is_what_the_metrics_of_the_stored_log_say(platform: Platform) -> None:
    url = platform.urls["gateway"]
    run = platform.aisle("simulate", "--against", url, "--catalogue", "shop", "--users", "50", "--visits", "40")
    assert run.returncode == 0, run.stderr
    clicks, purchases = (int(re.findall(rf"{name} +([0-9]+) ", run.stdout)[0]) for name in ("clicks", "purchases"))
    assert clicks > 0

    def counted() -> bool:
        printed = platform.aisle("metrics", "--by", "", "--json")
        assert printed.returncode == 0, printed.stderr
        (row,) = json.loads(printed.stdout)["rows"]
        return (row["clicks"], row["purchases"]) == (clicks, purchases)

    until(counted)


def test_bad_input_is_a_problem_document_that_echoes_nothing(platform: Platform) -> None:
    answer = platform.post("/recommend", {"user_id": "x", "num_items": 201, "secret_field": "do-not-echo"})
    assert answer.status == 422
    assert answer.body["code"] == "invalid_request"
    assert "do-not-echo" not in str(answer.body)


def test_a_wrong_setting_is_named_and_nothing_starts(platform: Platform) -> None:
    platform.environment["AISLE_CACHE_TTL_S"] = "soon"
    try:
        refused = platform.aisle("status")
    finally:
        del platform.environment["AISLE_CACHE_TTL_S"]
    assert refused.returncode == 2
    assert "AISLE_CACHE_TTL_S" in refused.stderr
    assert "soon" not in refused.stderr
