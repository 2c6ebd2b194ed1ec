"""aisle rollback: let the former model serve again, or a named one, and wait until it does.

Called by   services/command/main.py
Steps       the pointer moves by compare-and-set → the services are told → ranking loads the version beside the one that
            serves, and swaps: no request fails, and within MOST_S the old version answers
Again       the version rolled back from is then the former one: a second `aisle rollback` returns to it
Exit code   0 the version serves; 1 it does not, and why (stderr); 2 no such version
"""

import time
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from shared.service.settings import Settings
    from shared.storage.relational.engine import Connection

EXIT_FAILED = 1
MOST_S = 60.0
LOOK_EVERY_S = 0.2

To = Annotated[str | None, typer.Option("--to", help="version to serve; else the one that served before")]


def register(app: typer.Typer) -> None:
    """Add `aisle rollback`."""
    app.command("rollback")(rollback)


def rollback(to: To = None) -> None:
    """Let the former model serve again; no request fails meanwhile."""
    from shared.service.settings import Settings
    from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, make_engine

    begun_s = time.monotonic()
    settings = Settings.load()
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with engine.begin() as connection:
            version, left = _point_back(connection, settings, to)
    except STORAGE_DOWN_ERRORS:
        _fail("Postgres cannot be reached; start the platform with `aisle up`, or set AISLE_DATABASE_URL")
    finally:
        engine.dispose()
    if version != left and not _told(settings, version):
        typer.echo("Redis cannot be reached: ranking will find the version when it next looks.")
    _wait_until_served(settings, version, begun_s + MOST_S)
    typer.echo(f"{version} serves after {time.monotonic() - begun_s:.1f} s; `aisle rollback` returns to {left}.")


def _point_back(connection: "Connection", settings: "Settings", to: str | None) -> tuple[str, str | None]:
    """Move the pointer; return the version it says now, and the one it said before."""
    from shared.models.bundle_store import has_bundle
    from shared.storage.relational.model_registry import get_version, promote, read_pointer

    pointer = read_pointer(connection)
    version = to or pointer.previous_version
    if version is None:
        _fail("No other model has served before; `--to VERSION` names one, GET /models of training lists them")
    if get_version(connection, version) is None:
        raise typer.BadParameter(f"no version {version} was ever published; GET /models of training lists them")
    if not has_bundle(settings.bundle_url, version):
        _fail(f"The bundle store has no files of {version} any more; the pointer was not moved")
    if version != pointer.version and not promote(connection, version, pointer.version):
        _fail("Another model was promoted at this moment; look again and repeat")
    return version, pointer.version


def _told(settings: "Settings", version: str) -> bool:
    from services.training.composition import announcer
    from shared.storage.redis.clients import STORE_ERRORS

    try:
        announcer(settings)(version)
    except STORE_ERRORS:
        return False
    return True


def _wait_until_served(settings: "Settings", version: str, give_up_s: float) -> None:
    """Ask ranking until it answers with the version; of several processes behind one address, some of them."""
    from services.command.api_client import ApiError, service_client

    ranking = service_client(settings, settings.ranking_url)
    trouble = "it does not serve it yet"
    while True:
        try:
            card = ranking.get("/model")
            if card["version"] == version:
                return
            refused = card.get("refused") or {}
            if refused.get("version") == version:
                trouble = f"it refuses it: {refused['reason']}"
        except ApiError as error:
            trouble = str(error)
        if time.monotonic() > give_up_s:
            break
        time.sleep(LOOK_EVERY_S)
    _fail(f"The pointer says {version}, but ranking does not answer with it after {MOST_S:.0f} s: {trouble}")


def _fail(reason: str) -> NoReturn:
    typer.secho(reason, fg=typer.colors.RED, err=True)
    raise typer.Exit(EXIT_FAILED)
