"""`aisle import` as a person runs it: output, exit codes, and the named set."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from services.command.main import app
from tests.unit.importing.small_journey import write_small_journey


@pytest.fixture
def settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str, stream_url: str, cache_url: str
) -> Path:
    """Point the command at this test's stores; return its home."""
    for name, value in (
        ("DATABASE_URL", database_url),
        ("REDIS_STREAM_URL", stream_url),
        ("REDIS_CACHE_URL", cache_url),
        ("HOME", str(tmp_path / "home")),
    ):
        monkeypatch.setenv(f"AISLE_{name}", value)
    return tmp_path / "home"


def aisle(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, arguments)], env={"COLUMNS": "200"})


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608


@pytest.mark.usefixtures("settings")
def test_a_shops_files_are_imported_with_flags_and_a_report(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "products.csv").write_text("sku,name\n1,Tea\n2,Cup\n")
    (tmp_path / "orders.jsonl").write_text(
        '{"customer": 7, "sku": 1, "time": 1762362000}\n{"customer": 7, "sku": 5, "time": 1762362000}\n'
    )
    done = aisle("items", tmp_path / "products.csv", "--map", "item_id=sku", "--map", "title=name")
    assert done.exit_code == 0, done.output
    done = aisle(
        "interactions", tmp_path / "orders.jsonl", "--map", "user_id=customer", "--map", "item_id=sku",
        "--map", "occurred_at=time", "--default-type", "purchase",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "unknown_item" in done.output
    assert "orders.rejected.jsonl" in done.output.replace("\n", "")
    assert (count(engine, "items"), count(engine, "interactions")) == (2, 1)


@pytest.mark.usefixtures("settings")
def test_a_mapping_file_serves_instead_of_flags(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "map.toml").write_text('[users]\ncolumns = { user_id = "customer", "attributes.club" = "club" }\n')
    (tmp_path / "users.csv").write_text("customer,club\n7,gold\n")
    done = aisle("users", tmp_path / "users.csv", "--mapping", tmp_path / "map.toml")
    assert done.exit_code == 0, done.output
    assert count(engine, "users") == 1


@pytest.mark.usefixtures("settings")
def test_a_malformed_file_ends_with_1_and_names_line_and_column(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "products.csv").write_text("item_id,price\n1,5\n2,cheap\n")
    done = aisle("items", tmp_path / "products.csv")
    assert done.exit_code == 1
    assert "products.csv, line 3, column 'price': expected a number" in done.stderr.replace("\n", "")
    assert "cheap" not in done.output
    assert count(engine, "items") == 0


@pytest.mark.usefixtures("settings")
def test_a_wrong_flag_ends_with_1_and_a_wrong_zone_with_2(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("item_id\n1\n")
    assert aisle("items", tmp_path / "products.csv", "--map", "name=title").exit_code == 1
    assert aisle("items", tmp_path / "products.csv", "--zone", "Mars/Olympus").exit_code == 2


def test_a_database_that_is_away_is_one_line_and_not_a_traceback(
    settings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AISLE_DATABASE_URL", "postgresql+psycopg2://aisle:secret@127.0.0.1:1/aisle")
    (tmp_path / "products.csv").write_text("item_id\n1\n")
    done = aisle("items", tmp_path / "products.csv")
    assert done.exit_code == 1
    assert "Postgres cannot be reached" in done.stderr
    assert "secret" not in done.output


def test_the_complete_journey_is_imported_once_and_again_without_a_change(
    settings: Path, tmp_path: Path, engine: Engine
) -> None:
    folder = tmp_path / "journey"
    folder.mkdir()
    write_small_journey(folder)
    users = tmp_path / "users.json"
    for _ in range(2):
        done = aisle("complete-journey", "--folder", folder, "--users-to", users)
        assert done.exit_code == 0, done.output
        assert (count(engine, "items"), count(engine, "users"), count(engine, "interactions")) == (4, 1, 6)
    assert json.loads(users.read_text()) == ["1", "2"]
    assert (settings / "imports" / "transactions.rejected.jsonl").read_text().count("\n") == 2
    assert "moved by" in done.output
