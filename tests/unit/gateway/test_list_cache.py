import asyncio
from typing import Any

import pytest

from services.gateway.list_store import LOOKS
from shared.service.http_client import Reply
from shared.storage.redis.change_stream import Change, ChangeKind
from tests.fakes import START_MS, json_of
from tests.unit.gateway.rig import MODEL, Rig, settle


async def test_the_same_request_again_is_a_cache_hit_with_an_id_of_its_own(rig: Rig) -> None:
    async with rig.started() as gateway:
        first = await gateway.recommend(num_items=3)
        second = await gateway.recommend(num_items=3)
    assert second["served_from"] == "cache"
    assert second["recommendations"] == first["recommendations"]
    assert second["recommendation_id"] != first["recommendation_id"]
    assert rig.ranking.number_of("POST", "/rank") == 1
    assert rig.feature.number_of("POST", "/state") == 1


async def test_cold_start_is_said_and_is_not_degraded_and_is_cached(rig: Rig) -> None:
    rig.cold_start = True
    async with rig.started() as gateway:
        assert (await gateway.recommend())["degraded_reason"] == "cold_start"
        again = await gateway.recommend()
    assert (again["served_from"], again["degraded_reason"]) == ("cache", "cold_start")


@pytest.mark.parametrize("versions", [{"users": {"u:1": "s2"}}, {"rules": "r2"}])
async def test_a_list_is_made_anew_when_the_shopper_or_the_rules_changed(rig: Rig, versions: dict[str, Any]) -> None:
    async with rig.started() as gateway:
        await gateway.recommend()
        for name, value in versions.items():
            setattr(rig.cache, name, value)
        assert (await gateway.recommend())["served_from"] == "live"
        assert (await gateway.recommend())["served_from"] == "cache"


async def test_a_list_of_the_old_model_is_made_anew_once_when_a_new_one_answers(rig: Rig) -> None:
    async with rig.started() as gateway:
        await gateway.recommend(user_id=1)
        await gateway.recommend(user_id=2)
        rig.model = MODEL | {"version": "v2"}
        assert (await gateway.recommend(user_id=3))["model"]["version"] == "v2"
        swapped = await gateway.recommend(user_id=1)
        assert (swapped["served_from"], swapped["model"]["version"]) == ("live", "v2")
        assert (await gateway.recommend(user_id=1))["served_from"] == "cache"
        rig.ranking.down = True
        old = await gateway.recommend(user_id=2)
        assert (old["served_from"], old["model"]["version"]) == ("stale_cache", "v1")


async def test_a_gateway_that_has_just_begun_trusts_no_list_before_it_has_seen_which_model_serves(rig: Rig) -> None:
    async with rig.started() as before:
        await before.recommend(user_id=1)
        await before.recommend(user_id=2)
    rig.model = MODEL | {"version": "v2"}
    async with rig.started() as after:
        fresh = await after.recommend(user_id=1)
        assert (fresh["served_from"], fresh["model"]["version"]) == ("live", "v2")
        assert (await after.recommend(user_id=2))["served_from"] == "live"
        assert (await after.recommend(user_id=1))["served_from"] == "cache"


async def test_a_model_just_published_ends_the_freshness_of_every_list_of_the_one_before(rig: Rig) -> None:
    async with rig.started() as gateway:
        await gateway.recommend()
        rig.changes.model(START_MS, "v2")
        await settle()
        assert (await gateway.recommend())["served_from"] == "live"


async def test_a_change_that_cannot_be_read_ends_the_trust_in_lists_made_before(rig: Rig) -> None:
    async with rig.started() as gateway:
        await gateway.recommend()
        rig.changes.queue.put_nowait(Change(f"{START_MS}-1", ChangeKind.ITEM, {"thing": 5}))
        await settle()
        assert (await gateway.recommend())["served_from"] == "live"


async def test_a_list_is_made_anew_when_one_of_its_items_changed(rig: Rig) -> None:
    async with rig.started() as gateway:
        await gateway.recommend(num_items=3)
        rig.changes.item(START_MS + 1, item_id="item-77", stock=0)
        await settle()
        assert (await gateway.recommend(num_items=3))["served_from"] == "cache"
        rig.changes.item(START_MS + 1, item_id="item-2", price=3.0, stock=4)
        await settle()
        assert (await gateway.recommend(num_items=3))["served_from"] == "live"


async def test_a_list_made_shortly_after_a_change_is_not_trusted_since_ranking_may_not_have_seen_it(rig: Rig) -> None:
    async with rig.started() as gateway:
        rig.changes.item(START_MS - 1500, item_id="item-2", stock=0)
        await settle()
        await gateway.recommend(num_items=3)
        assert (await gateway.recommend(num_items=3))["served_from"] == "live"


async def test_no_cached_list_counts_as_fresh_while_the_change_stream_is_away(rig: Rig) -> None:
    rig.changes.down = True
    async with rig.started() as gateway:
        await gateway.recommend()
        assert (await gateway.recommend())["served_from"] == "live"


async def test_an_old_list_is_made_anew_by_one_process_while_others_show_it(rig: Rig) -> None:
    async with rig.started() as gateway:
        await gateway.recommend()
        rig.clock.advance(61)
        rig.cache.locked = True
        other = await gateway.recommend()
        assert (other["served_from"], other["degraded_reason"]) == ("stale_cache", "none")
        rig.cache.locked = False
        assert (await gateway.recommend())["served_from"] == "live"


async def test_a_shopper_who_just_did_something_never_gets_the_old_list_because_of_a_lock(rig: Rig) -> None:
    async with rig.started() as gateway:
        await gateway.recommend()
        rig.cache.users["u:1"] = "s2"
        rig.cache.locked = True
        assert (await gateway.recommend())["served_from"] == "live"


async def test_a_cache_that_hangs_costs_its_budget_and_no_more_until_the_breaker_opens(rig: Rig) -> None:
    rig.cache.delay_s = 1.0
    async with rig.started() as gateway:
        for number in range(12):
            assert (await gateway.recommend(user_id=number))["served_from"] == "live"
    assert rig.cache.reads == 10


async def test_equal_requests_at_once_are_computed_once_and_different_ones_are_not(rig: Rig) -> None:
    rig.rank_delay_s = 0.02
    async with rig.started() as gateway:
        replies = await asyncio.gather(*(gateway.recommend(num_items=5) for _ in range(10)), gateway.recommend())
    assert rig.ranking.number_of("POST", "/rank") == 2
    assert len({reply["recommendation_id"] for reply in replies}) == 11
    assert [len(reply["recommendations"]) for reply in replies] == [5] * 10 + [10]


async def test_a_caller_that_leaves_does_not_end_the_computation_for_the_others(rig: Rig) -> None:
    rig.rank_delay_s = 0.05
    async with rig.started() as gateway:
        leaver = asyncio.create_task(gateway.recommend())
        await asyncio.sleep(0.01)
        stayer = asyncio.create_task(gateway.recommend())
        await asyncio.sleep(0.01)
        leaver.cancel()
        assert (await stayer)["served_from"] == "live"
    assert rig.ranking.number_of("POST", "/rank") == 1


async def test_the_key_of_a_cached_list_covers_everything_that_may_change_it(rig: Rig) -> None:
    different = [
        {},
        {"user_id": 2},
        {"visitor_id": "1"},
        {"num_items": 9},
        {"scenario": "cart"},
        {"context": {"page": "cart", "device": "mobile"}},
        {"context": {"item_id": 1}},
        {"context": {"anything": [1, {"b": 2}]}},
        {"context": {"local_time": "2026-03-14T18:30:00+01:00"}},
        {"context": {"local_time": "2026-03-14T19:30:00+01:00"}},
        {"filter": "in_stock"},
        {"exclude": [1]},
        {"candidates": [1]},
        {"candidates": []},
        {"diversity": 0.5},
        {"novelty": 0.5},
        {"objective": {"purchase": 1}},
        {"repeat": "allow"},
        {"return": {"fields": ["price"]}},
        {"return": {"explain": "reasons"}},
    ]
    async with rig.started() as gateway:
        for request in different:
            assert (await gateway.recommend(**request))["served_from"] == "live", request
    assert len(rig.cache.entries) == len(different)


async def test_what_does_not_change_a_list_is_not_in_its_key(rig: Rig) -> None:
    async with rig.started() as gateway:
        await gateway.recommend(context={"local_time": "2026-03-14T18:30:00+01:00"}, user_id="1")
        same = {"context": {"local_time": "2026-03-14T18:59:59+01:00"}, "timeout_ms": 200, "session_id": "x"}
        assert (await gateway.recommend(**same, num_items=10, user_id=1))["served_from"] == "cache"


async def test_a_list_made_under_the_rules_of_before_is_not_kept_as_one_under_the_new(rig: Rig) -> None:
    rig.cache.rules, rig.rules_version = "r2", "r1"
    async with rig.started() as gateway:
        await gateway.recommend()
        assert (await gateway.recommend())["served_from"] == "live"
        rig.rules_version = "r2"
        assert (await gateway.recommend())["served_from"] == "live"
        assert (await gateway.recommend())["served_from"] == "cache"


async def test_the_first_list_of_a_new_shopper_is_fresh_under_the_version_that_reading_their_state_began(
    rig: Rig,
) -> None:
    async def begin(_: bytes | None) -> Reply:
        rig.cache.users["u:1"] = "s1"
        return json_of({"user_key": "u:1", "version": "s1", "as_of_ms": 0})

    rig.feature.on("POST", "/state", begin)
    rig.state_version = "s1"
    async with rig.started() as gateway:
        await gateway.recommend()
        assert (await gateway.recommend())["served_from"] == "cache"


async def test_equal_requests_that_arrive_together_look_once(rig: Rig) -> None:
    async with rig.started() as gateway:
        await asyncio.gather(*(gateway.recommend(num_items=5) for _ in range(10)), gateway.recommend())
    assert rig.cache.reads == 2


async def test_a_request_that_comes_after_a_look_went_out_looks_by_itself(rig: Rig) -> None:
    rig.cache.delay_s = 0.01
    async with rig.started() as gateway:
        first = asyncio.create_task(gateway.recommend())
        while not rig.cache.reads:
            await asyncio.sleep(0)
        await asyncio.gather(first, gateway.recommend())
    assert rig.cache.reads == 2


async def test_looks_at_once_are_bounded_and_one_too_many_goes_without(rig: Rig) -> None:
    rig.cache.delay_s = 0.001
    async with rig.started() as gateway:
        await asyncio.gather(*(gateway.recommend(user_id=number) for number in range(LOOKS + 5)))
    assert rig.cache.reads == LOOKS


async def test_a_list_is_found_between_making_and_writing_but_not_by_whoever_sees_another_version(rig: Rig) -> None:
    rig.cache.keeps_nothing = True
    async with rig.started() as gateway:
        await gateway.recommend()
        assert (await gateway.recommend())["served_from"] == "cache"
        rig.cache.users["u:1"] = "s2"
        assert (await gateway.recommend())["served_from"] == "live"
        rig.clock.advance(0.6)
        assert (await gateway.recommend())["served_from"] == "live"
    assert rig.ranking.number_of("POST", "/rank") == 3


async def test_a_dated_rule_that_begins_or_ends_makes_kept_lists_stale_on_time(rig: Rig) -> None:
    rig.rules_change_at_ms = START_MS + 5_000
    async with rig.started() as gateway:
        await gateway.recommend()
        rig.clock.advance(4)
        assert (await gateway.recommend())["served_from"] == "cache"
        rig.clock.advance(1)
        assert (await gateway.recommend())["served_from"] == "live"


async def test_what_could_not_be_done_is_said_by_fresh_and_kept_lists_alike(rig: Rig) -> None:
    rig.notices = ["objective_unavailable"]
    async with rig.started() as gateway:
        for rung in ("live", "cache"):
            reply = await gateway.recommend(objective={"revenue": 1})
            assert (reply["served_from"], reply["notices"]) == (rung, ["objective_unavailable"])
        rig.notices = []
        assert "notices" not in await gateway.recommend(user_id=2)
