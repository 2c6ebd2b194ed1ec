"""Training against a real database and registry: a run from Postgres, publication, and the service with its child."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi import FastAPI
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import Engine

from services.training.composition import announcer
from services.training.errors import RunActiveError
from services.training.examples.postgres_source import PostgresSource
from services.training.gate import Verdict
from services.training.launcher import RunLauncher
from services.training.main import create_app
from services.training.pipeline import TrainedModel
from services.training.publish import ModelStore, publish
from services.training.run import RunOutcome, RunPlace, recorded_run
from services.training.run_record import RunRecord
from services.training.work_folder import only_run
from shared.features.registry import schema_hash
from shared.models.bundle import load_bundle
from shared.models.bundle_store import fetch_bundle
from shared.service.settings import Settings
from shared.storage.redis.change_stream import BEGINNING, ChangeStream
from shared.storage.redis.clients import async_client
from shared.storage.relational.model_registry import current, get_version
from shared.storage.relational.runs import RunState, create_run, get_run
from tests.asgi_client import call
from tests.integration.training_support import fill_with_tiny_shop
from tests.tiny_bundle import tiny_contents
from tests.unit.training.test_pipeline import CONFIG

RUN_TIMEOUT_S = 150.0


@pytest.fixture
def tiny_database(engine: Engine) -> Engine:
    """Return a database that holds the tiny shop."""
    fill_with_tiny_shop(engine)
    return engine


def store_of(engine: Engine, folder: Path, told: list[str]) -> ModelStore:
    return ModelStore(engine, str(folder / "bundles"), told.append)


def model_of(name: str = "tiny", promoted: bool = True) -> TrainedModel:
    """Return a model that was never trained."""
    evaluation = {"questions": 1, "rows": [{"source": "fused", "NDCG@10": 0.2}]}
    contents = tiny_contents(name=name)
    contents = replace(contents, facts=replace(contents.facts, metrics={"test": evaluation}))
    return TrainedModel(contents, evaluation, Verdict(promoted, ("because",)))


def run(engine: Engine, folder: Path, told: list[str]) -> RunOutcome:
    """Run the tiny configuration with a row of its own."""
    record = RunRecord(engine, f"run{len(told)}", epochs=1)
    with engine.begin() as connection:
        create_run(connection, record.run_id, {})
    place = RunPlace(PostgresSource(engine), ZoneInfo("UTC"), store_of(engine, folder, told), folder / "work")
    config = replace(CONFIG, sequence=replace(CONFIG.sequence, epochs=1))
    outcome = recorded_run(place, config, record)
    assert outcome is not None
    return outcome


def test_a_run_from_postgres_serves_afterwards_and_an_equal_run_gives_the_same_bundle(
    tiny_database: Engine, tmp_path: Path
) -> None:
    told: list[str] = []
    first = run(tiny_database, tmp_path, told)
    with tiny_database.connect() as connection:
        serving, row = current(connection), get_run(connection, "run0")
    assert serving is not None
    assert row is not None
    assert (serving.version, told) == (first.published.version, [first.published.version])
    assert (row.state, row.version, row.progress) == (RunState.SUCCEEDED, serving.version, 1.0)
    assert row.step.startswith("Promoted: NDCG@10 is")
    assert serving.gate["promoted"] is True
    bundle = load_bundle(
        fetch_bundle(str(tmp_path / "bundles"), serving.version, tmp_path), schema_hash(), serving.version
    )
    assert serving.manifest["facts"]["metrics"] == bundle.contents.facts.metrics
    again = run(tiny_database, tmp_path, told)
    assert again.published.version == first.published.version
    assert "reaches" in again.published.verdict.summary
    assert not list((tmp_path / "work").glob("*.checkpoint"))


def test_a_run_that_fails_says_why_in_its_row(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no events"):
        run(engine, tmp_path, [])
    with engine.connect() as connection:
        row = get_run(connection, "run0")
    assert row is not None
    assert (row.state, row.error) == (RunState.FAILED, "there are no events to train on")


def test_publishing_moves_the_pointer_last_and_only_from_what_was_compared(engine: Engine, tmp_path: Path) -> None:
    told: list[str] = []
    store = store_of(engine, tmp_path, told)
    first = publish(model_of("first"), store, None)
    assert first.verdict.promoted
    late = publish(model_of("late"), store, None)
    assert not late.verdict.promoted
    assert "another model was promoted" in late.verdict.summary
    with engine.connect() as connection:
        serving = current(connection)
        known = get_version(connection, late.version)
    assert serving is not None
    assert serving.version == first.version
    assert known is not None
    assert told == [first.version]


def test_a_model_that_is_not_promoted_is_registered_but_does_not_serve(engine: Engine, tmp_path: Path) -> None:
    published = publish(model_of(promoted=False), store_of(engine, tmp_path, []), None)
    with engine.connect() as connection:
        assert current(connection) is None
        assert get_version(connection, published.version) is not None


async def test_pictures_of_a_run_are_read_over_http_and_nothing_else_of_the_store_is(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    model = model_of()
    metrics = {"ranker": {"importance": {"pictures": ["importance-bars.png", "gone.png"]}}}
    contents = replace(model.contents, facts=replace(model.contents.facts, metrics=metrics))
    model = replace(model, contents=contents, pictures={"importance-bars.png": b"\x89PNG"})
    version = publish(model, store_of(engine, tmp_path, []), None).version
    record = RunRecord(engine, "drawn", epochs=1)
    with engine.begin() as connection:
        create_run(connection, "drawn", {})
        create_run(connection, "waits", {})
    record.succeed(version, "done", metrics)
    app = create_app(Settings(home=tmp_path, database_url=database_url, bundle_url=str(tmp_path / "bundles")))
    found = await call(app, "GET", "/runs/drawn/report/importance-bars.png")
    assert (found.status, found.body) == (200, b"\x89PNG")
    for path in (
        "drawn/report/gone.png",
        "drawn/report/manifest.json",
        "waits/report/importance-bars.png",
        "no/report/x",
    ):
        assert (await call(app, "GET", f"/runs/{path}")).status == 404
    assert (await call(app, "GET", f"/runs/drawn/report/..%2F..%2F{version}%2Fmanifest.json")).status == 404


def test_nothing_is_registered_when_the_files_cannot_be_put(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "bundles").write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r".*"):
        publish(model_of(), store_of(engine, tmp_path, []), None)
    with engine.connect() as connection:
        assert current(connection) is None


def test_a_model_serves_though_nobody_could_be_told(engine: Engine, tmp_path: Path) -> None:
    def away(version: str) -> None:
        raise RedisConnectionError("no server")

    published = publish(model_of(), ModelStore(engine, str(tmp_path / "bundles"), away), None)
    assert (published.verdict.promoted, published.announced) == (True, False)
    with engine.connect() as connection:
        assert current(connection) is not None


async def test_services_are_told_of_a_new_model_on_the_change_stream(stream_url: str) -> None:
    settings = Settings(redis_stream_url=stream_url)
    await asyncio.to_thread(announcer(settings), "v1")
    client = async_client(stream_url)
    async for change in ChangeStream(client, settings.namespace).tail(BEGINNING):
        assert (change.kind, change.body) == ("model", {"version": "v1"})
        break
    await client.aclose()


def test_only_one_run_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    with only_run(tmp_path), pytest.raises(RunActiveError), only_run(tmp_path):
        pass
    with only_run(tmp_path):
        pass


@pytest.fixture
async def service(
    tiny_database: Engine, database_url: str, stream_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FastAPI]:
    """Return the training service of the tiny shop; its children read the same settings from the environment."""
    values = {"home": str(tmp_path), "database_url": database_url, "redis_stream_url": stream_url}
    for name, value in values.items():
        monkeypatch.setenv(f"AISLE_{name.upper()}", value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    app = create_app(Settings(**values))
    async with app.router.lifespan_context(app):
        yield app


async def get_json(app: FastAPI, path: str) -> Any:
    answer = await call(app, "GET", path)
    assert answer.status == 200, answer.body
    return answer.document


async def test_service_trains_in_a_child_and_answers_meanwhile(service: FastAPI) -> None:
    wishes = {"name": "spring", "epochs": 1, "min_item_events": 2}
    accepted = await call(service, "POST", "/runs", wishes)
    assert accepted.status == 202
    run_id = accepted.document["run_id"]
    second = await call(service, "POST", "/runs")
    assert (second.status, second.document["code"]) == (409, "conflict")
    started_s, slowest_s, seen = time.monotonic(), 0.0, set()
    while (run := await get_json(service, f"/runs/{run_id}"))["state"] in ("queued", "running"):
        seen.add(run["step"].partition(",")[0])
        assert 0 <= run["progress"] <= 1
        assert time.monotonic() - started_s < RUN_TIMEOUT_S
        before_s = time.monotonic()
        assert (await call(service, "GET", "/livez")).status == 200
        slowest_s = max(slowest_s, time.monotonic() - before_s)
        await asyncio.sleep(0.1)
    assert run["state"] == "succeeded", run["error"]
    assert len(seen) > 2
    assert slowest_s < 1
    models = await get_json(service, "/models")
    assert models["current"]["version"] == run["version"] == models["models"][0]["version"]
    assert models["current"]["name"] == "spring"
    assert models["current"]["metrics"]["test"]["rows"][0]["source"] == "fused"
    assert models["current"]["gate"]["summary"].startswith("Promoted")


async def test_service_refuses_wrong_wishes_and_unknown_runs(service: FastAPI) -> None:
    refused = await call(service, "POST", "/runs", {"epochs": 0})
    assert (refused.status, refused.document["errors"][0]["loc"]) == (422, ["body", "epochs"])
    assert (await call(service, "POST", "/runs", {"epoch": 3})).status == 422
    assert (await call(service, "GET", "/runs/none")).status == 404
    assert (await get_json(service, "/models")) == {"current": None, "models": []}


async def test_a_child_that_dies_leaves_a_failed_run_and_room_for_the_next(engine: Engine, tmp_path: Path) -> None:
    launcher = RunLauncher(engine, tmp_path, ("/bin/false",))
    first = await launcher.start({})
    while launcher.is_active:
        await asyncio.sleep(0.02)
    with engine.connect() as connection:
        row = get_run(connection, first.run_id)
    assert row is not None
    assert row.state == RunState.FAILED
    assert row.error == f"the training process ended with code 1; see training-run-{first.run_id}.log"
    await launcher.start({})
    await launcher.stop()


async def test_runs_left_behind_by_an_earlier_life_are_marked(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        create_run(connection, "left", {"started_by": "service"})
        create_run(connection, "other", {"started_by": "command"})
    await RunLauncher(engine, tmp_path).recover()
    with engine.connect() as connection:
        left, other = get_run(connection, "left"), get_run(connection, "other")
    assert left is not None
    assert other is not None
    assert (left.state, other.state) == (RunState.FAILED, RunState.QUEUED)


async def test_a_run_that_has_just_begun_is_not_taken_for_one_left_behind(engine: Engine, tmp_path: Path) -> None:
    launcher = RunLauncher(engine, tmp_path, ("/bin/sh", "-c", "sleep 60"))
    begun = await launcher.start({})
    await launcher.recover()
    with engine.connect() as connection:
        row = get_run(connection, begun.run_id)
    assert row is not None
    assert row.state == RunState.QUEUED
    await launcher.stop()
    assert not launcher.is_active
