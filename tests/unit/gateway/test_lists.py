from fastapi import FastAPI

from services.gateway.item_changes import ItemChange, ItemChanges
from services.gateway.popular_lists import PopularLists
from shared.storage.redis.change_stream import Change, ChangeKind
from tests.asgi_client import Answer, call
from tests.fakes import START_MS, json_of
from tests.unit.gateway.rig import MODEL, Rig, entry, ids, lists_blob, serving, settle


async def get(app: FastAPI, target: str, **headers: str) -> Answer:
    return await call(app, "GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def test_popular_and_trending_are_answered_from_memory(rig: Rig) -> None:
    async with serving(rig.app()) as app:
        popular = await get(app, "/popular?num_items=2")
        trending = await get(app, "/v1/trending?num_items=2")
    assert ids(popular.document) == ["pop-1", "pop-2"]
    assert ids(trending.document) == ["pop-5", "pop-4"]
    assert popular.document["served_from"] == "popular"
    assert not rig.ranking.calls


async def test_an_etag_saves_an_unchanged_list_and_a_change_of_stock_ends_it(rig: Rig) -> None:
    async with serving(rig.app()) as app:
        first = await get(app, "/popular")
        again = await get(app, "/popular", if_none_match=first.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        rig.changes.item(START_MS, item_id="pop-1", stock=0)
        await settle()
        changed = await get(app, "/popular", if_none_match=first.headers["etag"])
    assert changed.status == 200
    assert ids(changed.document) == ["pop-2", "pop-3", "pop-4", "pop-5"]


async def test_lists_keep_category_and_filter_and_refuse_a_window_they_are_not_made_over(rig: Rig) -> None:
    rig.lists.blob = lists_blob([entry(1), entry(2)], shoes=[entry(3, price=10.0), entry(4, price=99.0)])
    async with serving(rig.app()) as app:
        assert ids((await get(app, "/popular?category=shoes&filter=price%20%3C%2050&window=30d")).document) == [3]
        assert ids((await get(app, "/popular?category=nothing")).document) == []
        refused = await get(app, "/popular?window=90d")
    assert refused.status == 422
    assert "30d" in refused.document["detail"]


async def test_lists_before_there_are_any_say_no_catalog(rig: Rig) -> None:
    rig.lists.blob = None
    async with serving(rig.app()) as app:
        answer = (await get(app, "/new")).document
    assert (answer["recommendations"], answer["degraded_reason"]) == ([], "no_catalog")


async def test_similar_items_come_from_ranking_and_an_unknown_item_is_a_404(rig: Rig) -> None:
    reply = {"items": [{"item_id": 8, "score": 0.5}], "counts": {}, "model": MODEL, "cold_start": False}
    rig.ranking.on("POST", "/similar", lambda body: json_of(reply) if b'"7"' in (body or b"") else json_of({}, 404))
    async with serving(rig.app()) as app:
        found = await get(app, "/similar/7?kind=bought_together&num_items=3&user_id=1")
        missing = await get(app, "/similar/unknown")
    assert ids(found.document) == [8]
    assert found.document["scenario"] == "similar"
    assert (missing.status, missing.document["code"]) == (404, "not_found")
    assert [impression.user_key for impression in rig.impressions.impressions] == ["u:1"]


async def test_similar_items_without_ranking_are_popular_ones_without_the_item_itself(rig: Rig) -> None:
    rig.ranking.down = True
    async with serving(rig.app()) as app:
        answer = (await get(app, "/similar/pop-1?num_items=2")).document
    assert ids(answer) == ["pop-2", "pop-3"]
    assert answer["degraded_reason"] == "ranking_unavailable"


def test_a_chain_of_lists_names_each_item_once() -> None:
    lists = PopularLists.parse(lists_blob([entry("a"), entry("b")], shoes=[entry("b"), entry("c")]))
    assert [found.key for found in lists.chain("popular", ["shoes"])] == ["b", "c", "a"]


def test_changes_are_remembered_within_bounds_and_what_is_forgotten_counts_as_unknown() -> None:
    changes = ItemChanges(now_ms=0, capacity=2)
    changes.connected = True
    for number in range(1, 4):
        changes.record(f"i{number}", ItemChange(number * 10_000, {}))
    assert changes.newest("i1") is None
    assert not changes.unchanged_since(["z"], 11_000)
    assert changes.unchanged_since(["z"], 13_000)
    assert changes.unchanged_since(["i2"], 23_000)
    assert not changes.unchanged_since(["i3"], 30_000)


def test_a_change_of_many_items_at_once_ends_the_trust_in_everything_made_before() -> None:
    changes = ItemChanges(now_ms=0)
    changes.connected = True
    assert changes.unchanged_since(["a"], 10_000)
    changes.take(Change("20000-0", ChangeKind.CATALOGUE, {}))
    assert not changes.unchanged_since(["a"], 21_000)
    assert changes.unchanged_since(["a"], 22_000)


def test_an_item_outside_its_dates_cannot_be_sold() -> None:
    changes = ItemChanges(now_ms=0)
    item = {"stock": None, "available_from": "2026-01-01T00:00:00+00:00", "available_until": None}
    changes.record("a", ItemChange(1, item))
    assert not changes.is_sellable("a", 1_767_225_599_999)
    assert changes.is_sellable("a", 1_767_225_600_000)
