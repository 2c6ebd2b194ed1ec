"""The registry's pointer moves by compare-and-set; runs show how far they are; lists rank what can be sold."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Engine

from shared.contracts.events import EventType
from shared.features.catalogue import CatalogueItem
from shared.storage.relational.catalogue import upsert_items
from shared.storage.relational.interactions import insert_once
from shared.storage.relational.model_registry import (
    ModelVersion,
    current,
    get_version,
    list_versions,
    promote,
    register,
)
from shared.storage.relational.popularity import ranked_list
from shared.storage.relational.runs import RunState, create_run, get_run, list_runs, update_run
from tests.integration.test_storage_interactions import NOON, stored_event

FIRST = ModelVersion("v1", "file:///bundles/v1", {"files": {}}, {"ndcg": 0.1}, {"passed": True})


def test_of_two_publishers_who_saw_the_same_version_one_wins(engine: Engine) -> None:
    with engine.begin() as connection:
        assert current(connection) is None
        for model in (FIRST, FIRST, replace(FIRST, version="v2"), replace(FIRST, version="v3")):
            register(connection, model)
        assert promote(connection, "v1", expected=None)
        assert not promote(connection, "v2", expected=None)
        assert promote(connection, "v3", expected="v1")
        assert not promote(connection, "never registered", expected="v3")
        serving = current(connection)

        assert serving is not None
        assert serving.version == "v3"
        assert replace(serving, version="v1", created_at=None) == FIRST
        assert [model.version for model in list_versions(connection)] == ["v1", "v2", "v3"]
        assert get_version(connection, "v4") is None


def test_a_run_shows_its_step_and_progress(engine: Engine) -> None:
    with engine.begin() as connection:
        created = create_run(connection, "run-1", {"epochs": 2})
        update_run(connection, "run-1", state=RunState.RUNNING, step="sequence encoder", progress=0.5)
        run = get_run(connection, "run-1")

        assert created.state is RunState.QUEUED
        assert run is not None
        assert (run.state, run.step, run.progress, run.config) == (
            RunState.RUNNING,
            "sequence encoder",
            0.5,
            {"epochs": 2},
        )
        assert [found.run_id for found in list_runs(connection)] == ["run-1"]
        assert get_run(connection, "run-2") is None


def test_lists_rank_sellable_items_and_count_a_shopper_once_a_day(engine: Engine) -> None:
    def item(item_id: str, **changes: object) -> CatalogueItem:
        item = CatalogueItem(item_id, categories=("food", "fruit"), stock=5, created_at=NOON - timedelta(days=400))
        return replace(item, **changes)  # type: ignore[arg-type]

    items = [
        item("apple"),
        item("pear", categories=("food",)),
        item("sold out", stock=0),
        item("fresh", created_at=NOON - timedelta(days=2)),
    ]
    events = [stored_event(f"spam{n}", item_id="pear", type=EventType.CLICK) for n in range(50)]
    events += [
        stored_event(f"old{n}", item_id="pear", user_key=f"u:{n}", occurred_at=NOON - timedelta(days=20))
        for n in range(3)
    ]
    events += [stored_event(f"buy{n}", item_id="apple", user_key=f"u:{n}") for n in range(2)]
    events += [stored_event(f"gone{n}", item_id="sold out", user_key=f"u:{n}") for n in range(9)]
    now = NOON + timedelta(hours=1)
    with engine.begin() as connection:
        upsert_items(connection, items)
        insert_once(connection, events)
        popular, trending, new = (ranked_list(connection, name, now) for name in ("popular", "trending", "new"))

    assert [(place.item_id, round(place.score, 6)) for place in popular[None]] == [("pear", 3.1), ("apple", 2.0)]
    assert [place.item_id for place in popular["fruit"]] == ["apple"]
    assert [place.item_id for place in popular["food"]] == ["pear", "apple"]
    assert [place.item_id for place in trending[None]] == ["apple"]
    assert [place.item_id for place in new[None]] == ["fresh"]
