"""`aisle rollback` without a platform: what it refuses, and that it then moves nothing. With one: tests/e2e."""

from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from services.command import rollback_command
from services.command.main import app
from shared.storage.relational.model_registry import ModelVersion, Pointer, promote, read_pointer, register


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, database_url: str, stream_url: str, tmp_path: Path) -> None:
    monkeypatch.setenv("AISLE_DATABASE_URL", database_url)
    monkeypatch.setenv("AISLE_REDIS_STREAM_URL", stream_url)
    monkeypatch.setenv("AISLE_BUNDLE_URL", str(tmp_path))
    monkeypatch.setenv("AISLE_RANKING_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(rollback_command, "MOST_S", 0.5)


def published(engine: Engine, *versions: str) -> None:
    with engine.begin() as connection:
        for version, before in zip(versions, (None, *versions), strict=False):
            register(connection, ModelVersion(version, f"/bundles/{version}", manifest={}, metrics={}, gate={}))
            assert promote(connection, version, before)


def pointer(engine: Engine) -> Pointer:
    with engine.connect() as connection:
        return read_pointer(connection)


def rollback(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["rollback", *arguments])


def with_files(folder: Path, version: str) -> None:
    (folder / version).mkdir()
    (folder / version / "manifest.json").write_text("{}")


def test_without_a_former_model_there_is_nothing_to_roll_back_to(engine: Engine) -> None:
    published(engine, "v1")
    refused = rollback()
    assert refused.exit_code == 1
    assert "No other model has served before" in refused.stderr
    assert pointer(engine) == Pointer("v1", None)


def test_an_unknown_version_is_refused_by_name(engine: Engine) -> None:
    published(engine, "v1", "v2")
    assert rollback("--to", "v9").exit_code == 2
    assert pointer(engine) == Pointer("v2", "v1")


def test_a_version_whose_files_are_gone_is_not_pointed_at(engine: Engine) -> None:
    published(engine, "v1", "v2")
    refused = rollback()
    assert refused.exit_code == 1
    assert "no files of v1" in refused.stderr
    assert pointer(engine) == Pointer("v2", "v1")


def test_a_ranking_that_does_not_answer_is_said_with_the_pointer_moved(engine: Engine, tmp_path: Path) -> None:
    published(engine, "v1", "v2")
    with_files(tmp_path, "v1")
    late = rollback()
    assert late.exit_code == 1
    assert "The pointer says v1" in late.stderr
    assert "cannot be reached" in late.stderr
    assert pointer(engine) == Pointer("v1", "v2")
