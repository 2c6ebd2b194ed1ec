"""A start under bad conditions: the process says which one, in a log line and in /readyz, and serves no half state."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from deploy.migrations import migrate
from services.feature import ingest
from services.feature.main import create_app as create_feature
from services.ranking.main import create_app as create_ranking
from services.training.main import create_app as create_training
from shared.service.settings import Settings
from shared.storage.relational.databases import drop_database, ensure_database, url_of
from shared.storage.relational.engine import make_engine
from shared.storage.relational.model_registry import ModelVersion, promote, register
from shared.storage.relational.schema_version import NEEDED, SchemaTooOldError, require_schema
from tests.asgi_client import call
from tests.monitoring.test_schema_compatibility import REVISIONS

AWAY = "postgresql+psycopg2://aisle:the-password@127.0.0.1:9/aisle"
SERVICES = {"feature": create_feature, "ranking": create_ranking, "training": create_training}


@pytest.fixture
def settings(tmp_path: Path, database_url: str, stream_url: str, cache_url: str) -> Settings:
    return Settings(
        home=tmp_path,
        database_url=database_url,
        redis_stream_url=stream_url,
        redis_cache_url=cache_url,
        bundle_url=str(tmp_path / "bundles"),
    )


@pytest.fixture
def old_database(postgres_url: str) -> Iterator[str]:
    """A database of the release before the newest migration."""
    yield from database_at(REVISIONS[-2], postgres_url)


@pytest.fixture
def database_at_0002(postgres_url: str) -> Iterator[str]:
    """A database whose next migration adds two columns in one statement."""
    yield from database_at("0002", postgres_url)


def database_at(revision: str, postgres_url: str) -> Iterator[str]:
    server = url_of(postgres_url, "postgres")
    url = ensure_database(server, "old_release")
    migrate(url, revision)
    yield url
    drop_database(server, "old_release")


async def not_ready(app: FastAPI, words: str) -> str:
    """Return what /readyz says, as soon as it says why; fail when it never does."""
    async with app.router.lifespan_context(app):
        for _ in range(100):
            answer = await call(app, "GET", "/readyz")
            assert answer.status == 503
            if words in answer.document["detail"]:
                assert (await call(app, "GET", "/livez")).status == 200
                return str(answer.document["detail"])
            await asyncio.sleep(0.1)
        raise AssertionError(answer.document)


@pytest.mark.parametrize("service", SERVICES)
async def test_an_unreachable_database_is_named_by_its_setting_and_its_password_nowhere(
    settings: Settings, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = SERVICES[service](settings.model_copy(update={"database_url": AWAY}))
    said = await not_ready(app, "AISLE_DATABASE_URL")
    logged = capsys.readouterr().out
    assert any("AISLE_DATABASE_URL" in line and '"level": "warning"' in line for line in logged.splitlines())
    assert "the-password" not in said + logged


@pytest.mark.parametrize("service", SERVICES)
async def test_tables_of_an_older_release_are_not_served_from(
    settings: Settings, old_database: str, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = SERVICES[service](settings.model_copy(update={"database_url": old_database}))
    said = await not_ready(app, f"the database is at revision {REVISIONS[-2]}")
    assert f"needs {NEEDED}" in said
    assert "aisle migrate" in said
    assert "aisle migrate" in capsys.readouterr().out


async def test_a_wrong_path_of_models_is_named_with_the_version_that_is_missing(
    settings: Settings, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    with engine.begin() as connection:
        register(connection, ModelVersion("v1", "/elsewhere/v1", manifest={}, metrics={}, gate={}))
        assert promote(connection, "v1", None)
    said = await not_ready(create_ranking(settings), "AISLE_BUNDLE_URL")
    assert "version v1 was refused" in said
    assert "AISLE_BUNDLE_URL" in next(line for line in capsys.readouterr().out.splitlines() if "model_refused" in line)


def test_the_ingest_worker_waits_for_its_tables_and_buries_no_event(
    settings: Settings, old_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "SCHEMA_WAIT_S", 0.05)
    old = settings.model_copy(update={"database_url": old_database})
    waiting = threading.Thread(target=ingest.wait_for_schema, args=(old, threading.Event()))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    migrate(old_database)
    waiting.join(10)
    assert not waiting.is_alive()


def run(module: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AISLE_")}
    return subprocess.run(
        [sys.executable, "-m", module], env=kept | environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_missing_secret_ends_the_process_with_one_line_that_names_it(tmp_path: Path) -> None:
    ended = run("services.gateway.main", AISLE_HOME=str(tmp_path), AISLE_HOST="0.0.0.0")
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "AISLE_API_KEYS" in ended.stderr


def test_a_migration_that_fails_half_way_changes_nothing_and_says_why(database_at_0002: str) -> None:
    engine = make_engine(database_at_0002, pool_size=1)
    with engine.begin() as connection:
        # The second of the columns is in the way.
        connection.execute(text("ALTER TABLE api_keys ADD COLUMN requests_per_s real"))
    ended = run("deploy.migrations", AISLE_DATABASE_URL=database_at_0002)
    assert ended.returncode == 1
    assert "could not be brought up to date" in ended.stderr
    assert "requests_per_s" in ended.stderr
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0002"
        with pytest.raises(SchemaTooOldError):
            require_schema(connection)
    engine.dispose()


def test_a_database_of_a_newer_release_is_left_alone_and_read(database_url: str, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    migrate(database_url)
    with engine.connect() as connection:
        require_schema(connection)


def test_an_empty_database_says_that_it_has_no_tables(postgres_url: str) -> None:
    engine: Any = make_engine(url_of(postgres_url, "postgres"), pool_size=1)
    with engine.connect() as connection, pytest.raises(SchemaTooOldError, match="has no tables of Aisle"):
        require_schema(connection)
    engine.dispose()


def test_this_release_needs_its_own_newest_migration() -> None:
    assert REVISIONS[-1] == NEEDED  # shared/storage/relational/schema_version.py
