"""A rolling update runs two releases on one database: what the former one reads and writes must still work.

Pattern     expand (a migration adds, and changes or removes nothing) → deploy → contract, in a later release, once no
            process of the former one runs
"""

import io
import re
import shutil
import subprocess
import sys
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import MetaData, Table

from deploy.migrations import migrate
from shared.storage.relational.databases import drop_database, ensure_database, url_of
from shared.storage.relational.engine import make_engine

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = sorted((ROOT / "deploy" / "migrations" / "versions").glob("[0-9]*.py"))
REVISIONS = [re.match(r"\d+", path.name)[0] for path in VERSIONS]  # type: ignore[index]
STORAGE_TESTS = ("interactions", "shoppers", "models")


def tables_at(server_url: str, revision: str) -> dict[str, Table]:
    """Return the tables of a database that was migrated to one revision."""
    name = f"schema_{revision}"
    url = ensure_database(server_url, name)
    migrate(url, revision)
    engine, found = make_engine(url, pool_size=1), MetaData()
    found.reflect(engine)
    engine.dispose()
    drop_database(server_url, name)
    return dict(found.tables)


def breaks(before: dict[str, Table], after: dict[str, Table]) -> list[str]:
    """Return what code written for `before` could not do on `after`."""
    found = [f"table {name} is gone" for name in before.keys() - after.keys()]
    for name in before.keys() & after.keys():
        old, new = dict(before[name].columns), dict(after[name].columns)
        found += [f"{name}.{column} is gone" for column in old.keys() - new.keys()]
        for column in old.keys() & new.keys():
            if str(old[column].type) != str(new[column].type):
                found.append(f"{name}.{column} has another type")
            if old[column].nullable and not new[column].nullable:
                found.append(f"{name}.{column} must be given now")
        found += [
            f"{name}.{column} is new and must be given"
            for column in new.keys() - old.keys()
            if not new[column].nullable and new[column].server_default is None and new[column].identity is None
        ]
        if set(before[name].primary_key.columns.keys()) != set(after[name].primary_key.columns.keys()):
            found.append(f"{name} has another key")
    return sorted(found)


@pytest.fixture(scope="module")
def server_url(postgres_url: str) -> str:
    return url_of(postgres_url, "postgres")


def test_every_migration_leaves_room_for_the_release_before_it(server_url: str) -> None:
    schemas = [tables_at(server_url, revision) for revision in REVISIONS]
    for revision, (before, after) in zip(REVISIONS[1:], pairwise(schemas), strict=True):
        assert breaks(before, after) == [], f"migration {revision} does more than expand"


def test_a_migration_that_does_more_than_expand_is_found(server_url: str) -> None:
    newest = tables_at(server_url, REVISIONS[-1])
    assert breaks(newest, {name: table for name, table in newest.items() if name != "rules"}) == ["table rules is gone"]
    items, before = newest["items"], MetaData()
    Table("items", before, *(column._copy() for column in items.columns if column.name not in ("categories", "brand")))
    # The brand may be left out by code that does not know it; the categories may not.
    assert breaks(dict(before.tables), {"items": items}) == ["items.categories is new and must be given"]
    assert breaks({"items": items}, dict(before.tables)) == ["items.brand is gone", "items.categories is gone"]


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout


def former_release(folder: Path) -> Path:
    """Return the code as it was before the newest migration, with today's migrations."""
    newest = VERSIONS[-1].relative_to(ROOT)
    added_by = git("log", "--diff-filter=A", "--format=%H", "--", str(newest)).decode().split()
    if not added_by:
        pytest.skip("the newest migration is not committed yet")
    with tarfile.open(fileobj=io.BytesIO(git("archive", f"{added_by[-1]}^"))) as archive:
        archive.extractall(folder, filter="data")
    shutil.rmtree(folder / "deploy" / "migrations")
    shutil.copytree(ROOT / "deploy" / "migrations", folder / "deploy" / "migrations")
    return folder


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="git or its history is missing")
def test_the_storage_code_of_the_release_before_works_on_the_newest_schema(tmp_path: Path) -> None:
    try:
        release = former_release(tmp_path)
    except subprocess.CalledProcessError:
        pytest.skip("the history does not reach back to the release before (a shallow clone)")
    files = [f"tests/integration/test_storage_{name}.py" for name in STORAGE_TESTS]
    where = [sys.executable, "-c", "import shared; print(shared.__file__)"]
    assert subprocess.run(where, cwd=release, capture_output=True, text=True).stdout.startswith(str(release))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=release, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
