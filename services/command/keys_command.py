"""aisle keys: make, list, rotate and revoke the API keys of the gateway.

Called by   services/command/main.py
Effect      a key made or revoked here acts within a second, and within 20 s should the stream server be away just now
            (services/feature/key_carrier.py carries it then)
Exit code   0 done, 1 Postgres cannot be reached or there is no such key, 2 a wrong flag or setting
Secret      a key is printed once, alone on stdout, by the command that makes it; what is said about it goes to stderr
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from shared.contracts.access import ApiKeys
    from shared.storage.relational.api_keys import KeyRow, NewKey
    from shared.storage.relational.engine import Connection

EXIT_FAILED = 1
TIME = "%Y-%m-%d %H:%M"

Out = TypeVar("Out")

Name = Annotated[str, typer.Argument(help="what the key is for, such as shop-front")]
Which = Annotated[str, typer.Argument(help="id of a key, as `aisle keys list` shows it, or its name")]
Scopes = Annotated[str, typer.Option("--scopes", help="comma separated: recommend, ingest, catalog, privacy, admin")]
Days = Annotated[float | None, typer.Option(min=0.001, help="the key ends after so many days; else never")]
Rate = Annotated[float | None, typer.Option(min=0.001, help="requests per second; else AISLE_RATE_LIMIT_PER_S")]
OverlapHours = Annotated[float, typer.Option(min=0, help="how long the old key is still good")]


def register(app: typer.Typer) -> None:
    """Add `aisle keys`."""
    keys = typer.Typer(no_args_is_help=True, help="API keys of the gateway.")
    for command in (create, list_, rotate, revoke):
        keys.command(command.__name__.rstrip("_"))(command)
    app.add_typer(keys, name="keys")


def create(name: Name, scopes: Scopes = "recommend,ingest", days: Days = None, rate: Rate = None) -> None:
    """Make a key and print it: the only time that it is seen."""
    from shared.contracts.access import Scope
    from shared.storage.relational.api_keys import create_key

    try:
        wanted = [Scope(scope.strip()) for scope in scopes.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--scopes takes {', '.join(Scope)}") from None
    lifetime = None if days is None else timedelta(days=days)
    _show_new(_changed(lambda rows: create_key(rows, name, wanted, lifetime=lifetime, requests_per_s=rate)))


def list_() -> None:
    """Print all keys, without what would let anybody use them."""
    from rich.console import Console
    from rich.table import Table

    from shared.storage.relational.api_keys import list_keys

    table = Table("id", "name", "scopes", "requests/s", "made", "state")
    for row in _with_rows(list_keys):
        rate = "-" if row.requests_per_s is None else f"{row.requests_per_s:g}"
        table.add_row(row.key_id, row.name, ", ".join(row.scopes), rate, f"{row.created_at:{TIME}}", _state(row))
    Console().print(table)


def rotate(which: Which, overlap_hours: OverlapHours = 24.0) -> None:
    """Make a key like an old one and print it; the old one is good for some time still."""
    from shared.storage.relational.api_keys import rotate_key

    _show_new(_changed(lambda rows: rotate_key(rows, which, timedelta(hours=overlap_hours))))


def revoke(which: Which) -> None:
    """End a key, or all keys of a name, now."""
    from shared.storage.relational.api_keys import revoke_keys

    for row in _changed(lambda rows: revoke_keys(rows, which)):
        typer.echo(f"Key {row.key_id} ({row.name}) is revoked.")


def _show_new(made: "NewKey") -> None:
    row = made.row
    until = "" if row.expires_at is None else f" until {row.expires_at:{TIME}}"
    typer.echo(f"Key {row.key_id} ({row.name}) may {', '.join(row.scopes)}{until}. It is not shown again:", err=True)
    typer.echo(made.key)


def _state(row: "KeyRow") -> str:
    if row.revoked_at is not None:
        return f"revoked {row.revoked_at:{TIME}}"
    if row.expires_at is None:
        return "good"
    ended = row.expires_at <= datetime.now(row.expires_at.tzinfo)
    return f"{'ended' if ended else 'good until'} {row.expires_at:{TIME}}"


def _changed(work: "Callable[[Connection], Out]") -> Out:
    """Change rows, and tell the gateways."""
    from shared.storage.relational.api_keys import usable_keys

    done, keys = _with_rows(lambda rows: (work(rows), usable_keys(rows)))
    _tell(keys)
    return done


def _tell(keys: "ApiKeys") -> None:
    from shared.service.settings import Settings
    from shared.storage.redis.api_keys import put_keys
    from shared.storage.redis.change_stream import ChangeKind, ChangePublisher
    from shared.storage.redis.clients import STORE_ERRORS, sync_client

    settings = Settings.load()
    try:
        with sync_client(settings.redis_stream_url) as client:
            put_keys(client, settings.namespace, keys)
            ChangePublisher(client, settings.namespace).publish(ChangeKind.KEYS, {})
    except STORE_ERRORS:
        typer.echo("The stream server cannot be reached: the gateways will hear of it when it is back.", err=True)


def _with_rows(work: "Callable[[Connection], Out]") -> Out:
    from shared.service.settings import Settings
    from shared.storage.relational.api_keys import UnknownKeyError
    from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, make_engine

    engine = make_engine(Settings.load().database_url, pool_size=1)
    try:
        with engine.begin() as connection:
            return work(connection)
    except STORAGE_DOWN_ERRORS:
        _fail("Postgres cannot be reached; start the platform with `aisle up`, or set AISLE_DATABASE_URL")
    except UnknownKeyError as error:
        _fail(f"No key that may still be used is called {error}; `aisle keys list` shows all")
    finally:
        engine.dispose()


def _fail(reason: str) -> NoReturn:
    typer.secho(reason, fg=typer.colors.RED, err=True)
    raise typer.Exit(EXIT_FAILED)
