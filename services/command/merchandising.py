"""Change the shop's rules and scenarios, and tell every process: one transaction, then one word to each server.

Called by   services/command/rules_command.py, services/command/scenarios_command.py
Told        the cache server the new version, so that lists kept under another one are stale; the stream server all
            rules, for the gateways; the change stream, so that each process reads them anew
Exit code   1 when Postgres or Redis cannot be reached (the reason is on stderr); 2 what is asked makes no sense
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from pydantic import ValidationError

    from shared.contracts.merchandising import Merchandising
    from shared.service.settings import Settings
    from shared.storage.relational.engine import Connection

EXIT_FAILED, EXIT_REFUSED = 1, 2


def read() -> "Merchandising":
    """Return all rules and scenarios."""
    from shared.service.settings import Settings
    from shared.storage.relational import rules

    return _in_transaction(Settings.load(), rules.load)


def change(write: "Callable[[Connection], None]") -> None:
    """Write in a transaction and tell everybody; nothing is written when `write` exits."""
    from shared.service.settings import Settings
    from shared.storage.relational import rules

    def written(connection: "Connection") -> "Merchandising":
        write(connection)
        return rules.load(connection)

    settings = Settings.load()
    _tell(settings, _in_transaction(settings, written))


def refuse(reason: str) -> NoReturn:
    """End with a reason; nothing was changed."""
    typer.secho(f"Nothing was changed. {reason}", fg=typer.colors.RED, err=True)
    raise typer.Exit(EXIT_REFUSED)


def refuse_invalid(error: "ValidationError") -> NoReturn:
    """Name the fields that are wrong, never their values."""
    reasons = (f"{'.'.join(map(str, one['loc'])) or 'rule'}: {one['msg']}" for one in error.errors())
    refuse("; ".join(reasons))


def _in_transaction(settings: "Settings", work: "Callable[[Connection], Merchandising]") -> "Merchandising":
    from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, make_engine

    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with engine.begin() as connection:
            return work(connection)
    except STORAGE_DOWN_ERRORS:
        typer.secho("Postgres cannot be reached; start the platform with `aisle up`", fg=typer.colors.RED, err=True)
        raise typer.Exit(EXIT_FAILED) from None
    finally:
        engine.dispose()


def _tell(settings: "Settings", now: "Merchandising") -> None:
    from shared.storage.redis.change_stream import ChangeKind, ChangePublisher
    from shared.storage.redis.clients import STORE_ERRORS, sync_client
    from shared.storage.redis.merchandising_store import put_merchandising
    from shared.storage.redis.recommendation_cache import name_rules_version

    version = now.version or ""
    try:
        with sync_client(settings.redis_cache_url) as cache:
            name_rules_version(cache, settings.namespace, version)
        with sync_client(settings.redis_stream_url) as stream:
            put_merchandising(stream, settings.namespace, now)
            ChangePublisher(stream, settings.namespace).publish(ChangeKind.RULES, {"version": version})
    except STORE_ERRORS:
        reason = "It is stored, but Redis cannot be reached to tell the services; run the command again."
        typer.secho(reason, fg=typer.colors.RED, err=True)
        raise typer.Exit(EXIT_FAILED) from None
