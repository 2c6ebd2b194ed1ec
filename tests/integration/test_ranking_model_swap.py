"""New versions while requests run: swapped without a failure, refused when damaged, and remembered without Postgres."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from shared.service.settings import Settings
from tests.asgi_client import Answer, call
from tests.damaged_bundles import DAMAGES, of_other_features, with_an_index_of_another_table
from tests.integration.ranking_support import Shop, open_shop, rank, served_version, serving, until, until_serves
from tests.tiny_bundle import publish_tiny
from tests.unit.ranking.requests import Did, request

ASKED = request(Did("wine-fine-0"), Did("coffee-fine-1", 5))


@pytest.fixture
def shop(engine: Engine, database_url: str, stream_url: str, tmp_path: Path) -> Shop:
    return open_shop(engine, database_url, stream_url, tmp_path)


def failures(text: bytes, reason: str) -> bool:
    return f'aisle_model_load_failures_total{{reason="{reason}"}}'.encode() in text


async def figures(app: FastAPI) -> bytes:
    return (await call(app, "GET", "/metrics")).body


async def test_swaps_back_and_forth_fail_no_request_and_never_mix_versions(shop: Shop) -> None:
    versions = [publish_tiny(shop.bundles, seed) for seed in (0, 1)]
    shop.point_at(versions[0])
    async with serving(shop.settings) as app:
        await until_serves(app, versions[0])
        first = (await rank(app, ASKED)).document
        answers: list[Answer] = []
        done = asyncio.Event()

        async def ask() -> None:
            while not done.is_set():
                answers.append(await rank(app, ASKED))
                await asyncio.sleep(0.005)

        askers = [asyncio.create_task(ask()) for _ in range(3)]
        for place in (1, 0, 1, 0):
            began_s = time.monotonic()
            await asyncio.to_thread(shop.point_at, versions[place])
            await until_serves(app, versions[place])
            assert time.monotonic() - began_s < 5.0
        done.set()
        await asyncio.gather(*askers)
        last = (await rank(app, ASKED)).document
    assert {answer.status for answer in answers} == {200}
    scores = {version: set[str]() for version in versions}
    for answer in answers:
        scores[answer.document["model"]["version"]].add(json.dumps([answer.document["items"]]))
    assert [len(found) for found in scores.values()] == [1, 1]
    assert scores[versions[0]] != scores[versions[1]]
    assert last["items"] == first["items"]


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
async def test_damaged_bundle_is_refused_and_the_old_model_serves_on(
    shop: Shop, damage: Callable[[Path], None], reason: str
) -> None:
    good, bad = publish_tiny(shop.bundles, 0), publish_tiny(shop.bundles, 1)
    damage(shop.bundles / bad)
    shop.point_at(good)
    async with serving(shop.settings) as app:
        await until_serves(app, good)
        shop.point_at(bad)
        await until(lambda: figures(app), lambda text: failures(text, reason))
        assert await served_version(app) == good
        assert (await rank(app, ASKED)).document["model"]["version"] == good
        assert (await call(app, "GET", "/readyz")).status == 200
        assert (await call(app, "GET", "/model")).document["refused"] == {"version": bad, "reason": reason}


@pytest.mark.parametrize(("put", "reason"), [(of_other_features, "schema"), (with_an_index_of_another_table, "index")])
async def test_whole_bundle_whose_parts_do_not_belong_here_is_refused_and_the_old_model_serves_on(
    shop: Shop, tmp_path: Path, put: Callable[[Path, Path], str], reason: str
) -> None:
    good, foreign = publish_tiny(shop.bundles), put(shop.bundles, tmp_path)
    shop.point_at(good)
    async with serving(shop.settings) as app:
        await until_serves(app, good)
        shop.point_at(foreign)
        await until(lambda: figures(app), lambda text: failures(text, reason))
        assert await served_version(app) == good
        assert (await call(app, "GET", "/model")).document["refused"] == {"version": foreign, "reason": reason}
        assert (await rank(app, ASKED)).status == 200


async def test_bundle_that_is_repaired_is_taken(shop: Shop) -> None:
    version = publish_tiny(shop.bundles)
    hidden = shop.bundles / f".{version}"
    (shop.bundles / version).rename(hidden)
    shop.point_at(version)
    async with serving(shop.settings) as app:
        await until(lambda: figures(app), lambda text: failures(text, "missing"))
        assert (await call(app, "GET", "/readyz")).status == 503
        answer = await rank(app, ASKED)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        hidden.rename(shop.bundles / version)
        await until_serves(app, version)
        assert (await call(app, "GET", "/readyz")).status == 200


def without_postgres(shop: Shop, unused_port: Callable[[], int]) -> Settings:
    """Return the shop's settings with an address where no Postgres listens."""
    nowhere = f"postgresql+psycopg2://aisle@127.0.0.1:{unused_port()}/aisle"
    return shop.settings.model_copy(update={"database_url": nowhere})


async def test_start_without_postgres_serves_what_was_served_last(shop: Shop, unused_port: Callable[[], int]) -> None:
    version = publish_tiny(shop.bundles)
    shop.point_at(version)
    snapshot = shop.settings.home / "ranking" / "catalogue.jsonl"
    async with serving(shop.settings) as app:
        await until_serves(app, version)
        expected = (await rank(app, ASKED)).document
        await until(lambda: asyncio.sleep(0, snapshot.exists()), bool)
    async with serving(without_postgres(shop, unused_port)) as app:
        await until_serves(app, version)
        assert (await rank(app, ASKED)).document["items"] == expected["items"]


async def test_first_start_without_postgres_is_not_ready(shop: Shop, unused_port: Callable[[], int]) -> None:
    async with serving(without_postgres(shop, unused_port)) as app:
        await asyncio.sleep(0.5)
        assert (await call(app, "GET", "/readyz")).status == 503
        assert (await call(app, "GET", "/livez")).status == 200
        assert (await rank(app, ASKED)).status == 503
