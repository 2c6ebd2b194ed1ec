from typing import Any

from shared.contracts.recommendation import BatchRequest
from tests.fakes import json_of
from tests.unit.gateway.rig import Rig, ids, post, serving

MAX_REQUESTS = 100


async def answer(rig: Rig, *requests: dict[str, Any], distinct: bool = False) -> list[dict[str, Any]]:
    async with rig.started() as gateway:
        return await gateway.gateway.batch.answer(BatchRequest(requests=list(requests), distinct=distinct))


async def test_each_request_has_its_own_status_and_a_bad_one_harms_no_other(rig: Rig) -> None:
    good, bad, worse = await answer(
        rig, {"user_id": 1, "num_items": 2}, {"user_id": 1, "num_items": 0}, {"user_id": 1, "filter": "price <"}
    )
    assert (good["status"], len(good["body"]["recommendations"])) == (200, 2)
    assert (bad["status"], bad["error"]["code"]) == (422, "invalid_request")
    assert bad["error"]["errors"][0]["loc"] == ["body", "requests", 1, "num_items"]
    assert (worse["status"], worse["error"]["code"]) == (400, "invalid_filter")


async def test_distinct_shows_no_item_twice_and_keeps_every_widget_full(rig: Rig) -> None:
    results = await answer(rig, *({"user_id": 1, "scenario": name, "num_items": 5} for name in "abc"), distinct=True)
    lists = [ids(result["body"]) for result in results]
    assert [len(items) for items in lists] == [5, 5, 5]
    assert len({item for items in lists for item in items}) == 15
    assert [place["rank"] for place in results[1]["body"]["recommendations"]] == [1, 2, 3, 4, 5]


async def test_without_distinct_the_same_item_may_stand_in_two_widgets(rig: Rig) -> None:
    first, second = await answer(rig, {"user_id": 1}, {"user_id": 2})
    assert ids(first["body"]) == ids(second["body"])


async def test_impressions_hold_what_was_shown_and_not_what_was_asked_for_to_fill_up(rig: Rig) -> None:
    async with rig.started() as gateway:
        batch = BatchRequest(
            requests=[{"user_id": 1, "scenario": name, "num_items": 3} for name in "ab"], distinct=True
        )
        results = await gateway.gateway.batch.answer(batch)
    shown = {impression.recommendation_id: impression.item_ids for impression in rig.impressions.impressions}
    assert shown == {result["body"]["recommendation_id"]: ids(result["body"]) for result in results}


async def test_a_dead_ranking_degrades_the_widgets_and_fails_none(rig: Rig) -> None:
    rig.ranking.on("POST", "/rank", lambda _: json_of({}, 500))
    results = await answer(rig, {"user_id": 1}, {"user_id": 2}, distinct=True)
    assert [result["status"] for result in results] == [200, 200]
    assert {result["body"]["degraded_reason"] for result in results} == {"ranking_unavailable"}


async def test_a_batch_over_its_limit_is_refused_by_name_before_anything_is_asked_and_the_next_one_answered(
    rig: Rig,
) -> None:
    async with serving(rig.app()) as app:
        refused = await post(app, "/recommend/batch", {"requests": [{"user_id": 1}] * (MAX_REQUESTS + 1)})
        assert (refused.status, refused.document["code"]) == (422, "invalid_request")
        assert refused.document["errors"][0]["loc"] == ["body", "requests"]
        assert str(MAX_REQUESTS) in refused.document["errors"][0]["msg"]
        assert rig.ranking.number_of("POST", "/rank") == 0
        whole = await post(app, "/recommend/batch", {"requests": [{"user_id": 1}] * MAX_REQUESTS})
    assert [result["status"] for result in whole.document["results"]] == [200] * MAX_REQUESTS
