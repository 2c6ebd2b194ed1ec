"""A backup of a real database, verified on a server of its own, restored into an empty one; and what is refused."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine

from deploy.backup import backup as backup_module
from deploy.backup.backup import NAME, make_backup
from deploy.backup.errors import BackupError
from deploy.backup.fingerprint import fingerprint
from deploy.backup.restore import restore_backup
from deploy.backup.verify import verify_backup
from shared.contracts.events import EventType
from shared.features.catalogue import CatalogueItem
from shared.service.settings import Settings
from shared.storage.relational.catalogue import upsert_items
from shared.storage.relational.databases import drop_database, url_of
from shared.storage.relational.engine import make_engine
from shared.storage.relational.impressions import insert_impressions
from shared.storage.relational.interactions import insert_once
from shared.storage.relational.model_registry import ModelVersion, promote, read_pointer, register
from tests.integration.test_metrics import act, shown
from tests.tiny_bundle import publish_tiny

RESTORED = "restored_by_test"


@pytest.fixture
def settings(tmp_path: Path, database_url: str, cache_url: str) -> Settings:
    return Settings(
        home=tmp_path / "home",
        bundle_url=str(tmp_path / "models"),
        database_url=database_url,
        redis_cache_url=cache_url,
    )


@pytest.fixture
def shop(engine: Engine, settings: Settings) -> Engine:
    """A catalogue, a log of two days and a model that serves."""
    version = publish_tiny(Path(settings.bundle_url))
    with engine.begin() as connection:
        upsert_items(connection, [CatalogueItem(name, title="Größe 38 “fine”") for name in "ABC"])
        insert_impressions(connection, [shown("r1", "ABC"), shown("r2", "AB", timedelta(days=2))])
        insert_once(connection, [act(1, EventType.CLICK, "A", "r1"), act(2, EventType.PURCHASE, "B", "r2", hours=49)])
        register(connection, ModelVersion(version, f"{settings.bundle_url}/{version}", {"a": [1, None]}, {}, {}))
        assert promote(connection, version, None)
    return engine


@pytest.fixture
def elsewhere(settings: Settings, database_url: str, tmp_path: Path) -> Iterator[Settings]:
    """An install that lost everything: another database, not there yet, and an empty model store."""
    url = url_of(database_url, RESTORED)
    yield settings.model_copy(update={"database_url": url, "bundle_url": str(tmp_path / "other-models")})
    drop_database(url_of(database_url, "postgres"), RESTORED)


def test_a_backup_is_verified_and_brings_back_every_row_and_the_model(
    shop: Engine, settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    folder = make_backup(settings, tmp_path / "backups")
    verified = verify_backup(folder)
    assert (verified.items, verified.days) == (3, 4)
    with redis.Redis.from_url(settings.redis_cache_url) as cache:
        cache.set("aisle:user-version:u:1", "old")
        cache.set("other-shop:key", "kept")
        said = restore_backup(folder, elsewhere)
        assert cache.keys() == [b"other-shop:key"]
    assert "1 models. The cache was emptied." in said
    restored = make_engine(elsewhere.database_url, pool_size=1)
    with shop.connect() as before, restored.connect() as after:
        assert fingerprint(after) == fingerprint(before)
        version = read_pointer(after).version
    restored.dispose()
    assert (Path(elsewhere.bundle_url) / str(version) / "manifest.json").exists()


def test_rows_written_while_the_dump_runs_are_neither_in_it_nor_in_its_fingerprint(
    shop: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_tool = backup_module.run_tool

    def dump_and_write(*arguments: str) -> None:
        run_tool(*arguments)
        with shop.begin() as connection:
            upsert_items(connection, [CatalogueItem("LATE")])

    monkeypatch.setattr(backup_module, "run_tool", dump_and_write)
    assert verify_backup(make_backup(settings, tmp_path / "backups")).items == 3


@pytest.mark.usefixtures("shop")
def test_a_restore_into_a_database_that_holds_tables_is_refused(settings: Settings, tmp_path: Path) -> None:
    folder = make_backup(settings, tmp_path / "backups")
    with pytest.raises(BackupError, match=r"holds [0-9]+ tables"):
        restore_backup(folder, settings)


@pytest.mark.usefixtures("shop")
def test_a_backup_that_lost_rows_or_bytes_is_no_backup(settings: Settings, tmp_path: Path) -> None:
    folder = make_backup(settings, tmp_path / "backups")
    manifest = json.loads((folder / "manifest.json").read_text())
    wrong = manifest | {"fingerprint": manifest["fingerprint"] | {"items": ["4", "1"]}}
    (folder / "manifest.json").write_text(json.dumps(wrong))
    with pytest.raises(BackupError, match="differ from the dumped ones: items"):
        verify_backup(folder)
    dump = bytearray((folder / "postgres.dump").read_bytes())
    dump[-100] ^= 1
    (folder / "postgres.dump").write_bytes(dump)
    with pytest.raises(BackupError, match="damaged"):
        verify_backup(folder)


@pytest.mark.usefixtures("shop")
def test_old_backups_go_and_with_them_the_models_that_only_they_name(settings: Settings, tmp_path: Path) -> None:
    out = tmp_path / "backups"
    first = make_backup(settings, out)
    old = out / f"{datetime.now(UTC) - timedelta(days=36):{NAME}}"
    first.rename(old)
    stray = out / "bundles" / "nobody-names-me"
    stray.mkdir()
    second = make_backup(settings, out)
    assert (old.exists(), stray.exists(), second.exists()) == (False, False, True)
    assert len(list((out / "bundles").iterdir())) == 1


def test_a_database_that_is_away_is_said_and_leaves_no_half_backup(settings: Settings, tmp_path: Path) -> None:
    away = settings.model_copy(update={"database_url": "postgresql+psycopg2://aisle:secret@127.0.0.1:9/aisle"})
    with pytest.raises(BackupError, match="cannot be read") as caught:
        make_backup(away, tmp_path / "backups")
    assert "secret" not in str(caught.value)
    assert list((tmp_path / "backups").iterdir()) == []
