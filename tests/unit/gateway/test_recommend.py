import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.features.registry import schema_hash
from shared.service.http_client import Reply
from shared.service.problems import ProblemError
from tests.fakes import START_MS, json_of
from tests.unit.gateway.rig import Rig, entry, ids, lists_blob, settle, valid


async def test_a_live_list_comes_from_feature_and_ranking_with_the_state_passed_on_untouched(rig: Rig) -> None:
    state = b'{"user_key": "u:1",  "version":"s1","as_of_ms":0, "unknown_to_the_gateway": [1,  2]}'
    rig.feature.on("POST", "/state", lambda _: Reply(200, state))
    async with rig.started() as gateway:
        reply = await gateway.recommend(num_items=3)
    assert ids(reply) == ["item-1", "item-2", "item-3"]
    assert [place["rank"] for place in reply["recommendations"]] == [1, 2, 3]
    assert (reply["served_from"], reply["degraded_reason"]) == ("live", "none")
    assert reply["model"] == {"name": "fusion", "version": "v1"}
    assert reply["counts"]["removed"] == {"seen": 2}
    sent = rig.ranking.calls["POST", "/rank"][0]
    assert sent is not None
    assert state in sent


async def test_without_feature_ranking_still_answers_from_the_request_itself_and_nothing_is_cached(rig: Rig) -> None:
    rig.feature.down = True
    async with rig.started() as gateway:
        reply = await gateway.recommend(context={"session": [{"item_id": 9}], "cart": [{"item_id": 8}]})
    assert (reply["served_from"], reply["degraded_reason"]) == ("live", "feature_unavailable")
    sent = orjson.loads(rig.ranking.calls["POST", "/rank"][0] or b"")
    assert sent["state"] is None
    assert sent["context"]["session"][0]["item_id"] == "9"
    assert sent["context"]["cart"][0]["item_id"] == "8"
    assert not rig.cache.entries


async def test_without_ranking_the_answer_is_the_stale_list_without_what_is_sold_out(rig: Rig) -> None:
    async with rig.started() as gateway:
        await gateway.recommend(num_items=3)
        rig.clock.advance(61)
        rig.ranking.down = True
        rig.changes.item(START_MS + 1, item_id="item-2", stock=0)
        await settle()
        reply = await gateway.recommend(num_items=3)
    assert (reply["served_from"], reply["degraded_reason"]) == ("stale_cache", "ranking_unavailable")
    assert ids(reply) == ["item-1", "item-3"]


async def test_without_ranking_or_a_stale_list_the_answer_is_popular_and_says_why(rig: Rig) -> None:
    rig.ranking.down = True
    async with rig.started() as gateway:
        reply = await gateway.recommend(num_items=3)
    assert (reply["served_from"], reply["degraded_reason"]) == ("popular", "ranking_unavailable")
    assert ids(reply) == ["pop-1", "pop-2", "pop-3"]
    assert reply["model"] is None
    assert not rig.cache.entries


async def test_a_ranking_timeout_returns_popular_items_and_the_reason(rig: Rig) -> None:
    rig.ranking.late = True
    async with rig.started() as gateway:
        reply = await gateway.recommend()
    assert (reply["served_from"], reply["degraded_reason"]) == ("popular", "ranking_timeout")


async def test_the_whole_request_ends_at_its_deadline_whatever_hangs(rig: Rig) -> None:
    rig.rank_delay_s = 5.0
    async with rig.started() as gateway:
        started = asyncio.get_running_loop().time()
        reply = await gateway.recommend(timeout_ms=50)
        assert asyncio.get_running_loop().time() - started < 0.3
    assert reply["degraded_reason"] == "ranking_timeout"


async def test_more_requests_than_slots_are_answered_from_memory_with_the_reason_overload(tmp_path: Path) -> None:
    rig = Rig(tmp_path, max_in_flight=2)
    rig.rank_delay_s = 0.1
    async with rig.started() as gateway:
        replies = await asyncio.gather(*(gateway.recommend(user_id=number) for number in range(6)))
    reasons = sorted(reply["degraded_reason"] for reply in replies)
    assert reasons == ["none", "none", "overload", "overload", "overload", "overload"]
    assert {reply["served_from"] for reply in replies} == {"live", "popular"}


async def test_a_request_too_many_waits_for_nobody_and_equal_ones_take_one_place(tmp_path: Path) -> None:
    rig = Rig(tmp_path, max_in_flight=1)
    rig.rank_delay_s = 0.1
    async with rig.started() as gateway:
        first, equal, another = await asyncio.gather(*(gateway.recommend(user_id=number) for number in (1, 1, 2)))
    assert (first["served_from"], equal["served_from"]) == ("live", "live")
    assert (another["served_from"], another["degraded_reason"]) == ("popular", "overload")
    assert rig.cache.reads == 1


async def test_popular_answers_keep_the_filter_the_exclusions_the_cart_and_the_candidates(rig: Rig) -> None:
    rig.ranking.down = True
    rig.lists.blob = lists_blob(
        [entry(number, 10 - number, price=float(number), stock=0 if number == 4 else 9) for number in range(1, 8)]
    )
    async with rig.started() as gateway:
        cart = {"cart": [{"item_id": 2}], "item_id": 3}
        assert ids(await gateway.recommend(context=cart, exclude=[1])) == [5, 6, 7]
        assert ids(await gateway.recommend(filter="price < 3 and in_stock")) == [1, 2]
        assert ids(await gateway.recommend(candidates=[7, 4, 99, 5])) == [5, 7]
        assert ids(await gateway.recommend(filter="price > 100")) == []


async def test_popular_answers_begin_with_the_category_and_scores_never_rise(rig: Rig) -> None:
    rig.ranking.down = True
    everything = [entry("a", 9.0), entry("b", 8.0)]
    rig.lists.blob = lists_blob(everything, shoes=[entry("s", 3.0), entry("b", 2.0)])
    async with rig.started() as gateway:
        reply = await gateway.recommend(context={"category": "shoes"}, **{"return": {"explain": "reasons"}})
    assert ids(reply) == ["s", "b", "a"]
    scores = [place["score"] for place in reply["recommendations"]]
    assert scores == sorted(scores, reverse=True)
    assert reply["recommendations"][0]["reasons"][0]["code"] == "popular"


async def test_a_stock_change_takes_an_item_out_of_the_popular_list_at_once_and_a_price_change_shows(rig: Rig) -> None:
    rig.ranking.down = True
    async with rig.started() as gateway:
        rig.changes.item(START_MS, item_id="pop-1", stock=0)
        rig.changes.item(START_MS, item_id="pop-2", stock=3, price=1.5)
        rig.changes.item(START_MS, item_id="pop-3", deleted=True)
        await settle()
        reply = await gateway.recommend(**{"return": {"fields": ["price"]}})
    assert ids(reply) == ["pop-2", "pop-4", "pop-5"]
    assert reply["recommendations"][0]["item"] == {"price": 1.5}


async def test_a_start_with_everything_away_answers_from_the_snapshot_file(rig: Rig) -> None:
    async with rig.started():
        assert rig.settings.snapshot_path.exists()
    for store in (rig.cache, rig.lists, rig.changes, rig.feature, rig.ranking, rig.events, rig.impressions):
        store.down = True
    async with rig.started() as gateway:
        reply = await gateway.recommend()
    assert (reply["served_from"], reply["degraded_reason"]) == ("snapshot", "ranking_unavailable")
    assert ids(reply)[:2] == ["pop-1", "pop-2"]


async def test_with_nothing_at_all_the_answer_is_an_empty_list_and_says_no_catalog(rig: Rig) -> None:
    rig.lists.blob = None
    rig.ranking.down = True
    async with rig.started() as gateway:
        reply = await gateway.recommend()
    assert (ids(reply), reply["degraded_reason"]) == ([], "no_catalog")


async def test_a_ranking_that_knows_no_item_at_all_is_no_catalog_unless_the_lists_have_some(rig: Rig) -> None:
    nothing = {"items": [], "counts": {"retrieved": 0}, "model": {"name": "m", "version": "v1"}, "cold_start": True}
    rig.ranking.on("POST", "/rank", lambda _: json_of(nothing))
    async with rig.started() as gateway:
        assert (await gateway.recommend())["served_from"] == "popular"
    rig.lists.blob = lists_blob([])
    rig.settings.snapshot_path.unlink()
    async with rig.started() as gateway:
        reply = await gateway.recommend(user_id=2)
    assert (ids(reply), reply["served_from"], reply["degraded_reason"]) == ([], "live", "no_catalog")


async def test_broken_lists_and_a_broken_snapshot_leave_the_last_good_ones(rig: Rig) -> None:
    rig.ranking.down = True
    rig.settings.snapshot_path.parent.mkdir(parents=True)
    rig.settings.snapshot_path.write_bytes(b"{broken")
    async with rig.started() as gateway:
        rig.lists.blob = b'{"lists": 5}'
        assert not await gateway.parts.board.refresh(rig.lists)
        assert ids(await gateway.recommend())[:1] == ["pop-1"]


@pytest.mark.parametrize(
    "answer",
    [
        json_of({"items": "none"}),
        json_of(
            {"items": [{"item_id": "a"}], "counts": {}, "model": {"name": "m", "version": "1"}, "cold_start": False}
        ),
        json_of({"code": "invalid_filter"}, 400),
        json_of({}, 500),
    ],
)
async def test_a_wrong_answer_of_ranking_is_no_better_than_none(rig: Rig, answer: Reply) -> None:
    rig.ranking.on("POST", "/rank", lambda _: answer)
    async with rig.started() as gateway:
        assert (await gateway.recommend())["degraded_reason"] == "ranking_unavailable"


async def test_a_filter_that_cannot_be_parsed_is_refused_with_its_column_before_anything_is_called(rig: Rig) -> None:
    async with rig.started() as gateway:
        with pytest.raises(ProblemError) as refusal:
            await gateway.recommend(filter="price <= ")
    assert (refusal.value.status, refusal.value.code.value) == (400, "invalid_filter")
    assert isinstance(refusal.value.errors[0].loc[1], int)
    assert rig.cache.reads == 0


async def test_impressions_are_written_after_the_answer_and_not_for_a_dry_run(rig: Rig) -> None:
    async with rig.started() as gateway:
        reply = await gateway.recommend(num_items=2, context={"page": "cart"})
        await gateway.recommend(dry_run=True)
    (impression,) = rig.impressions.impressions
    assert impression.recommendation_id == reply["recommendation_id"]
    assert (impression.user_key, impression.scenario) == ("u:1", "cart")
    assert impression.item_ids == ["item-1", "item-2"]
    assert impression.context == {"page": "cart"}
    assert impression.model_version == "v1"


async def test_an_impression_says_what_the_model_read_and_how_certain_each_place_was(rig: Rig) -> None:
    async with rig.started() as gateway:
        await gateway.recommend(num_items=2, session_id="s1", context={"device": "Phone", "store": "7"})
        await gateway.recommend(num_items=2)
    with_context, without = rig.impressions.impressions
    assert (with_context.session_id, without.session_id) == ("s1", None)
    assert with_context.propensities == [1.0, 1.0]
    assert with_context.features is not None
    assert with_context.features["schema"] == schema_hash()
    read = with_context.features["context"]
    assert (read["device"], read["store"]) == ("phone", "7")  # as features spell them, not as the shop wrote them
    assert without.features is not None
    assert set(without.features["context"]) == {"hour", "weekday", "season"}


async def test_the_impression_of_a_popular_list_claims_no_features(rig: Rig) -> None:
    rig.ranking.down = True
    async with rig.started() as gateway:
        await gateway.recommend(num_items=2)
    (impression,) = rig.impressions.impressions
    assert (impression.model_version, impression.features) == (None, None)
    assert impression.propensities == [1.0, 1.0]


async def test_impressions_that_cannot_be_written_are_dropped_and_counted(rig: Rig) -> None:
    rig.impressions.down = True
    async with rig.started() as gateway:
        await gateway.recommend()
        dropped = gateway.gateway.metrics._dropped.labels("impression")._value.get()
    assert dropped == 1


async def test_a_longer_timeout_gives_every_step_more_time(rig: Rig) -> None:
    async with rig.started() as gateway:
        longer = gateway.gateway.recommend.budgets.of(3000)
        shorter = gateway.gateway.recommend.budgets.of(100)
    assert (longer.feature_ms, longer.ranking_ms) == (800, 1900)
    assert (shorter.deadline_ms, shorter.ranking_ms) == (100, 190)


@pytest.mark.parametrize(
    "wishes",
    [
        {"diversity": 1.1},
        {"diversity": -0.1},
        {"novelty": 2},
        {"objective": {"click": -1}},
        {"objective": {"click": 0, "purchase": 0, "revenue": 0}},
        {"objective": {}},
        {"objective": {"revenue": 1e9}},
        {"objective": {"clicks": 1}},
    ],
)
async def test_wishes_out_of_range_are_refused_by_name(rig: Rig, wishes: dict[str, Any]) -> None:
    with pytest.raises(ProblemError) as refused:
        valid(wishes)
    assert refused.value.status == 422
    assert refused.value.errors[0].loc[1] == next(iter(wishes))


async def test_wishes_reach_ranking_and_are_part_of_the_cache_key(rig: Rig) -> None:
    async with rig.started() as gateway:
        await gateway.recommend()
        for wishes in ({"diversity": 0.5}, {"novelty": 0.5}, {"objective": {"click": 1}}):
            assert (await gateway.recommend(**wishes))["served_from"] == "live"
            sent = orjson.loads(rig.ranking.calls["POST", "/rank"][-1] or b"")
            name, value = next(iter(wishes.items()))
            assert sent[name] == value
