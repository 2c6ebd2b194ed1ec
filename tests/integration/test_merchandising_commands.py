"""`aisle rules` and `aisle scenarios` as a person runs them, and how soon a ranking service obeys."""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from services.command.main import app as command
from shared.contracts.internal import RankReply
from shared.contracts.merchandising import Merchandising
from shared.storage.relational import rules
from tests.integration.ranking_support import NAMESPACE, Shop, open_shop, rank, serving, until, until_serves
from tests.tiny_bundle import publish_tiny
from tests.unit.ranking.requests import Did, departments, ids, request


@pytest.fixture
def shop(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, database_url: str, stream_url: str, cache_url: str, tmp_path: Path
) -> Shop:
    """Return the tiny shop, to which the command points."""
    for name, value in (
        ("DATABASE_URL", database_url),
        ("REDIS_STREAM_URL", stream_url),
        ("REDIS_CACHE_URL", cache_url),
        ("NAMESPACE", NAMESPACE),
        ("HOME", str(tmp_path / "home")),
    ):
        monkeypatch.setenv(f"AISLE_{name}", value)
    return open_shop(engine, database_url, stream_url, tmp_path)


@pytest.fixture
async def app(shop: Shop) -> AsyncIterator[FastAPI]:
    version = publish_tiny(shop.bundles)
    shop.point_at(version)
    async with serving(shop.settings) as app:
        await until_serves(app, version)
        yield app


def aisle(*arguments: object) -> Result:
    return CliRunner().invoke(command, list(map(str, arguments)), env={"COLUMNS": "200"})


def stored(engine: Engine) -> Merchandising:
    with engine.connect() as connection:
        return rules.load(connection)


async def listed(app: FastAPI, **wishes: object) -> RankReply:
    return RankReply.model_validate((await rank(app, request(Did("wine-fine-0"), **wishes))).document)


async def test_a_rule_acts_within_two_seconds_and_so_does_its_end(app: FastAPI, shop: Shop) -> None:
    async def first() -> str:
        return ids(await listed(app))[0]

    before = await first()
    for arguments, wanted in (
        (("set", "lamp-week", "pin", "--item", "lamps-fine-4"), "lamps-fine-4"),
        (("set", "lamp-week", "pin", "--item", "chairs-fine-4", "--scenario", "home"), "chairs-fine-4"),
        (("set", "lamp-week", "pin", "--item", "chairs-fine-4", "--disabled"), before),
        (("set", "lamp-week", "pin", "--item", "lamps-fine-4", "--until", "2100-01-01T00:00:00Z"), "lamps-fine-4"),
        (("remove", "lamp-week"), before),
    ):
        done = aisle("rules", *arguments)
        assert done.exit_code == 0, done.output
        began_s = time.monotonic()
        await until(first, lambda found, wanted=wanted: found == wanted, 2.0)
        assert time.monotonic() - began_s < 2.0


async def test_a_scenario_gives_its_lists_their_variety(app: FastAPI) -> None:
    async def kinds() -> int:
        return len(set(departments(await listed(app))))

    before = await kinds()
    assert aisle("scenarios", "set", "home", "--diversity", 1, "--method", "mmr").exit_code == 0
    await until(kinds, lambda found: found > before, 2.0)
    assert len(set(departments(await listed(app, diversity=0.0)))) == before


async def test_reply_names_the_version_that_the_command_told_the_cache(app: FastAPI, shop: Shop) -> None:
    assert aisle("rules", "set", "no-wine", "hide", "--filter", 'category == "wine"').exit_code == 0
    version = stored(shop.engine).version

    async def seen() -> str | None:
        return (await listed(app)).rules_version

    await until(seen, lambda found: found == version, 2.0)


async def test_rules_hold_on_a_start_without_postgres(app: FastAPI, shop: Shop) -> None:
    assert aisle("rules", "set", "no-wine", "hide", "--filter", 'category == "wine"').exit_code == 0
    kept = shop.settings.home / "ranking" / "rules.json"

    async def text() -> str:
        return kept.read_text() if kept.exists() else ""

    await until(text, lambda found: "no-wine" in found, 2.0)
    nowhere = shop.settings.model_copy(update={"database_url": _refusing(shop.settings.database_url)})
    async with serving(nowhere) as alone:

        async def answered() -> list[str]:
            answer = await rank(alone, request(Did("wine-fine-0")))
            return departments(RankReply.model_validate(answer.document)) if answer.status == 200 else []

        found = await until(answered, bool, 20.0)
    assert "wine" not in found


def _refusing(database_url: str) -> str:
    """Return the URL of a port on which nobody listens."""
    head, _, name = database_url.rpartition("/")
    return f"{head.rpartition(':')[0]}:1/{name}"


@pytest.fixture
def no_rules(shop: Shop) -> Iterator[Engine]:
    yield shop.engine
    assert stored(shop.engine).rules == ()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("x", "pin", "--item", "no-such-item"), "not in the catalogue"),
        (("x", "pin"), "names its items"),
        (("x", "cap", "--by", "brand"), "needs both"),
        (("x", "hide", "--filter", "price <="), "filter"),
        (("x", "boost", "--item", "a", "--strength", "-1"), "strength"),
        (("x", "boost", "--item", "a", "--strength", "nan"), "strength"),
        (("x", "hide", "--item", "a", "--from", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00Z"), "before"),
        (("x", "hide", "--item", "a", "--from", "tomorrow"), "starts_at"),
        (("not a name", "hide", "--item", "a"), "rule_id"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name(
    no_rules: Engine, arguments: tuple[str, ...], reason: str
) -> None:
    done = aisle("rules", "set", *arguments)
    assert done.exit_code == 2
    assert reason in done.output


def test_scenarios_out_of_range_are_refused_and_stored_ones_are_listed(shop: Shop) -> None:
    for wrong in (("--diversity", 1.5), ("--click", -1), ("--click", 0), ("--method", "magic")):
        assert aisle("scenarios", "set", "home", *wrong).exit_code == 2
    assert "No scenarios" in aisle("scenarios", "list").output
    assert aisle("scenarios", "set", "cart", "--novelty", 0.2, "--revenue", 1).exit_code == 0
    assert '"revenue":1.0' in aisle("scenarios", "list").output
    assert aisle("scenarios", "remove", "cart").exit_code == 0
    assert aisle("scenarios", "remove", "cart").exit_code == 2
    assert aisle("rules", "remove", "nothing").exit_code == 2


def test_a_pin_that_is_out_of_stock_is_stored_with_a_warning(shop: Shop) -> None:
    from dataclasses import replace

    from tests.tiny_shop import tiny_items

    shop.write([replace(tiny_items()[0], stock=0)])
    done = aisle("rules", "set", "x", "pin", "--item", tiny_items()[0].item_id)
    assert done.exit_code == 0
    assert "out of stock" in done.output
    assert [rule.rule_id for rule in stored(shop.engine).rules] == ["x"]
    assert "pin coffee-plain-0, at place 1" in aisle("rules", "list").output


def test_a_row_of_a_later_release_is_left_out_and_the_others_hold(shop: Shop) -> None:
    assert aisle("rules", "set", "good", "hide", "--item", "wine-fine-0").exit_code == 0
    from sqlalchemy import text

    with shop.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO rules (rule_id, priority, body) VALUES ('odd', 0, '{\"action\": \"dance\"}')")
        )
    assert [rule.rule_id for rule in stored(shop.engine).rules] == ["good"]


def test_everything_stored_comes_back_and_the_version_follows_the_content(shop: Shop) -> None:
    empty = stored(shop.engine).version
    full = ("full", "cap", "--by", "brand", "--most", 2, "--filter", "price < 5", "--priority", 3, "--scenario", "cart")
    assert aisle("rules", "set", *full, "--from", "2026-01-01T00:00:00Z").exit_code == 0
    rule = stored(shop.engine).rules[0]
    assert (rule.by, rule.most, rule.filter, rule.priority, rule.scenario) == ("brand", 2, "price < 5", 3, "cart")
    assert rule.starts_at is not None
    assert stored(shop.engine).version != empty
    assert aisle("rules", "remove", "full").exit_code == 0
    assert stored(shop.engine).version == empty
