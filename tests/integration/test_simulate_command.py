"""`aisle simulate`: its files go through `aisle import` whole, and wrong flags are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from services.command.main import app
from tests.integration.test_storage_interactions import count

SMALL = ("--users", "60", "--items", "80", "--days", "7", "--sessions", "4")


def aisle(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def test_a_simulated_shop_is_imported_without_a_rejected_row_and_twice_is_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: Engine, database_url: str, stream_url: str, cache_url: str
) -> None:
    for name, value in (
        ("DATABASE_URL", database_url),
        ("REDIS_STREAM_URL", stream_url),
        ("REDIS_CACHE_URL", cache_url),
    ):
        monkeypatch.setenv(f"AISLE_{name}", value)
    simulated = aisle("simulate", "--out", tmp_path, *SMALL)
    assert simulated.exit_code == 0, simulated.output
    lines = len((tmp_path / "events.jsonl").read_text().splitlines())
    for _ in range(2):
        for kind, file in (("items", "items"), ("users", "users"), ("interactions", "events")):
            done = aisle("import", kind, tmp_path / f"{file}.jsonl")
            assert done.exit_code == 0, done.output
            assert "rejected rows" not in done.output.replace("\n", "")
        assert (count(engine, "items"), count(engine, "users"), count(engine, "interactions")) == (80, 60, lines)
    with engine.connect() as connection:
        placed = "SELECT count(*) FROM interactions WHERE type = 0 AND position > 0 AND recommendation_id IS NOT NULL"
        assert connection.execute(text(placed)).scalar_one() > lines / 2


@pytest.mark.parametrize(
    "flags", [(), ("--difficulty", "--users", "0"), ("--against", "http://127.0.0.1:1", "--catalogue", "theirs")]
)
def test_a_wrong_wish_is_refused(flags: tuple[str, ...]) -> None:
    assert aisle("simulate", *flags).exit_code == 2


def test_a_gateway_that_is_away_is_named(unused_port: Callable[[], int]) -> None:
    failed = aisle("simulate", "--against", f"http://127.0.0.1:{unused_port()}", *SMALL)
    assert failed.exit_code == 1
    assert "cannot be reached" in failed.output
