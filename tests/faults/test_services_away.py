"""F4 to F6: ranking gone, feature gone, ranking slow; a full list comes in time and says what it lacks."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.stack import RANKING_MS, FaultStack
from tests.faults.traffic import RATE, Traffic
from tests.running_shop import until

BACK_S = 10
FULL = {("live", "none"), ("live", "cold_start")}


def newcomer(number: int) -> dict[str, Any]:
    """Return the request of somebody whose state the gateway cannot hold."""
    return {"user_id": f"newcomer-{number}", "num_items": 5}


@pytest.mark.case("F4")
@pytest.mark.quick
def test_all_of_ranking_gone_gives_stale_or_popular_lists_and_says_so(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    keep_an_aged_list(stack, "stale-f4")
    with Traffic(stack, 6) as traffic:
        time.sleep(1)
        stack.children["ranking"].kill()
        stale = stack.recommend(user_id="stale-f4")
        popular = stack.recommend(user_id="new-f4")
        time.sleep(2)
        assert stack.figures().of("breaker_state", dependency="ranking") > 0
        stack.children["ranking"].start()
    in_time = traffic.in_time()
    assert (stale["served_from"], stale["degraded_reason"]) == ("stale_cache", "ranking_unavailable")
    assert (popular["served_from"], popular["degraded_reason"]) == ("popular", "ranking_unavailable")
    assert len(stale["recommendations"]) == len(popular["recommendations"]) == 5
    assert set(traffic.seen.degraded) == {"ranking_unavailable"}
    back_s = seconds_until_personal(stack)
    counted = stack.figures().of("recommend_total", degraded_reason="ranking_unavailable")
    assert counted >= traffic.seen.degraded["ranking_unavailable"]
    held(f"{in_time}, {traffic.seen.degraded.total()} lesser and counted; personal {back_s:.1f} s after its return")


@pytest.mark.case("F5")
@pytest.mark.quick
def test_feature_gone_ranks_what_the_request_itself_says(stack: FaultStack, held: Callable[[str], None]) -> None:
    ranked = stack.figures("ranking").of("http_requests_total", route="/rank", status="200")
    session = [{"type": "view", "item_id": "wine-plain-0"}]
    stack.recommend(user_id="known-f5", context={"query": "before"})
    stack.recommend(user_id="known-f5", context={"query": "under the version that the first has made"})
    with Traffic(stack, 3, newcomer) as gone:
        time.sleep(1)
        stack.children["feature"].kill()
        reply = stack.recommend(user_id="new-f5", context={"session": session, "query": "wine"})
        came_lately = stack.recommend(user_id="known-f5", context={"query": "after"})
        time.sleep(1.5)
        assert stack.figures().of("breaker_state", dependency="feature") > 0
        ranked = stack.figures("ranking").of("http_requests_total", route="/rank", status="200") - ranked
    in_time = gone.in_time()
    assert (reply["served_from"], reply["degraded_reason"]) == ("live", "feature_unavailable")
    assert any(item["item_id"].startswith("wine") for item in reply["recommendations"])
    assert (came_lately["served_from"], came_lately["degraded_reason"]) in FULL
    assert set(gone.seen.degraded) == {"feature_unavailable"}
    assert ranked >= 2 * RATE
    # Its start takes a core, which ranking may lack for a moment: some lists may be lesser for that, none late.
    with Traffic(stack, 2) as returning:
        stack.children["feature"].start()
    returning.in_time()
    back_s = seconds_until_personal(stack)
    held(f"{in_time}, {gone.seen.degraded.total()} of the request's own session; personal {back_s:.1f} s after")


@pytest.mark.case("F6")
def test_ranking_that_takes_two_seconds_is_given_up_in_time_and_does_no_work_nobody_waits_for(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    most_in_flight = 0.0
    with Traffic(stack, 6) as traffic:
        time.sleep(1)
        stack.proxies["ranking"].latency(2.0)
        ends_s = time.monotonic() + 3
        while time.monotonic() < ends_s:
            most_in_flight = max(most_in_flight, stack.figures().of("http_requests_in_flight"))
            time.sleep(0.1)
        stack.proxies["ranking"].clear()
    in_time = traffic.in_time()
    assert "ranking_timeout" in traffic.seen.degraded
    assert set(traffic.seen.degraded) <= {"ranking_timeout", "ranking_unavailable"}
    assert most_in_flight <= 2 * RATE * RANKING_MS / 1000
    back_s = seconds_until_personal(stack)
    refused, scored = ranking_work(stack)
    assert rank_with_deadline(stack, 0) == 503
    after_refused, after_scored = ranking_work(stack)
    assert (after_refused, after_scored) == (refused + 1, scored)
    held(f"{in_time}, at most {most_in_flight:.0f} in flight; expired work unscored; personal {back_s:.1f} s after")


def keep_an_aged_list(stack: FaultStack, user: str) -> None:
    """Leave a list in the cache that a newer event of its shopper has made stale."""
    until(lambda: stack.recommend(user_id=user)["served_from"] == "cache")
    event = {"type": "view", "user_id": user, "item_id": "wine-plain-1"}
    assert stack.post("/events", event).status == 202
    until(lambda: "wine" in stack.get(f"/users/{user}/state", "feature").body["category_preference"])


def seconds_until_personal(stack: FaultStack) -> float:
    """Assert that lists are personal again soon after a fault's end; return how soon."""
    begun_s = time.monotonic()
    stack.await_personal(BACK_S)
    return time.monotonic() - begun_s


def ranking_work(stack: FaultStack) -> tuple[float, float]:
    """Return how many requests ranking refused as late, and how many it scored."""
    figures = stack.figures("ranking")
    return figures.of("ranking_refused_total"), figures.of("ranking_stage_seconds_count", stage="fuse")


def rank_with_deadline(stack: FaultStack, deadline_ms: int) -> int:
    """Ask ranking as the gateway does with so much time left; return the status."""
    headers = {**stack.credentials, "X-Aisle-Deadline-Ms": str(deadline_ms), "Content-Type": "application/json"}
    body = b'{"num_items": 5, "as_of_ms": 1, "scenario": "home", "arms": {}, "state": null}'
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{stack.urls['ranking']}/rank", body, headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
