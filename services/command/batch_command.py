"""aisle batch: make the lists of a segment's shoppers ahead, so that their next request is answered from the cache.

Called by   services/command/main.py
Segment     --segment active-30d, --attribute region=north (may be repeated), --users FILE; a shopper must be in all
Holds       until the shopper, the model, the rules or an item of the list changes, and no longer than the hour of the
            shop, since a list depends on it: run it at the beginning of each hour
Exit code   0 done; 1 a store cannot be reached, or no model serves; 2 a segment that makes no sense
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from services.command.hot_lists import Wanted
    from services.command.hot_lists_worker import Done
    from shared.service.settings import Settings

EXIT_FAILED, EXIT_REFUSED = 1, 2
SEGMENT = re.compile(r"active-(\d{1,4})d")
DEFAULT_TTL_S = 3600

Segment = Annotated[str | None, typer.Option(help="active-<days>d: did something in so many days")]
Attributes = Annotated[
    list[str] | None, typer.Option("--attribute", help="name=value, as the shop said of the account")
]
Users = Annotated[Path | None, typer.Option(help="file with one user id a line", exists=True, dir_okay=False)]
NumItems = Annotated[int, typer.Option(min=1, max=200, help="as the page asks for it")]
Scenario = Annotated[str | None, typer.Option(help="as the page asks for it")]
Ttl = Annotated[int, typer.Option("--ttl", min=1, help="seconds a list may be shown")]
Processes = Annotated[int | None, typer.Option(min=1, help="default: one for each core")]


def register(app: typer.Typer) -> None:
    """Add `aisle batch`."""
    app.command(name="batch")(batch)


def batch(
    segment: Segment = None,
    attribute: Attributes = None,
    users: Users = None,
    num_items: NumItems = 10,
    scenario: Scenario = None,
    ttl_s: Ttl = DEFAULT_TTL_S,
    processes: Processes = None,
) -> None:
    """Make the lists of many shoppers ahead."""
    import os

    from pydantic import ValidationError

    from services.command.hot_lists import Wanted
    from shared.service.settings import Settings

    settings = Settings.load()
    wanted = Wanted(num_items, scenario)
    try:
        wanted.by("u:anybody")
    except ValidationError as error:
        _refuse(f"--scenario: {error.errors()[0]['msg']}")
    user_keys = _segment(settings, segment, attribute or [], users)
    if not user_keys:
        typer.echo("Nobody is in this segment; nothing was made.")
        return
    done = _made(settings, user_keys, wanted, ttl_s, min(processes or os.cpu_count() or 1, len(user_keys)))
    lists, seconds = sum(one.lists for one in done), max(one.seconds for one in done)
    cpu_ms = 1000 * sum(one.cpu_seconds for one in done) / lists
    typer.echo(f"{lists:,} lists in {seconds:.1f} s: {lists / seconds:,.0f} shoppers/s, {cpu_ms:.2f} ms of a core each")


def _segment(settings: "Settings", segment: str | None, attributes: list[str], users: Path | None) -> list[str]:
    """Return the keys of the shoppers that are in everything that was asked for."""
    from datetime import UTC, datetime, timedelta

    from shared.contracts.identifiers import normalise_identifier, user_key
    from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, make_engine
    from shared.storage.relational.segments import active_since, with_attributes

    days = None if segment is None else SEGMENT.fullmatch(segment)
    pairs = [pair.partition("=") for pair in attributes]
    if segment is not None and days is None:
        _refuse(f"--segment {segment!r}: say active-<days>d, such as active-30d")
    if not all(name and value for name, _, value in pairs):
        _refuse("--attribute: say name=value")
    if segment is None and not attributes and users is None:
        _refuse("say whose lists: --segment, --attribute or --users")
    parts: list[list[str]] = []
    if users is not None:
        lines = [line.strip() for line in users.read_text().splitlines() if line.strip()]
        try:
            parts.append([user_key(normalise_identifier(line), None) for line in lines])
        except ValueError as error:
            _refuse(f"--users: {error}")
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            if days is not None:
                parts.append(active_since(connection, datetime.now(UTC) - timedelta(days=int(days[1]))))
            if pairs:
                parts.append(with_attributes(connection, {name: value for name, _, value in pairs}))
    except STORAGE_DOWN_ERRORS:
        _fail("Postgres cannot be reached; start the platform with `aisle up`, or set AISLE_DATABASE_URL")
    finally:
        engine.dispose()
    first, *others = parts
    return [key for key in dict.fromkeys(first) if all(key in other for other in map(set, others))]


def _made(settings: "Settings", user_keys: Sequence[str], wanted: "Wanted", ttl_s: int, processes: int) -> list["Done"]:
    """Make the lists in so many processes; each takes every n-th shopper.

    A library that multiplies matrices counts its threads when it is loaded, so they are set before a process begins:
    with one for each core in every process, they wait for each other, and a list took three times as long.
    """
    import os
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from deploy.local.stack import SINGLE_THREADED
    from services.command.hot_lists_worker import NothingServesError, work
    from services.feature.user_state import StateUnavailableError
    from services.ranking.model_host import RegistryAwayError
    from services.ranking.serving_model import ModelRefusedError
    from shared.storage.redis.clients import STORE_ERRORS

    shares = [user_keys[place::processes] for place in range(processes)]
    os.environ.update(dict.fromkeys(SINGLE_THREADED, "1"))
    try:
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            running = [pool.submit(work, settings, share, wanted, ttl_s) for share in shares]
            return [one.result() for one in running]
    except (NothingServesError, ModelRefusedError, RegistryAwayError, StateUnavailableError) as error:
        _fail(str(error))
    except STORE_ERRORS:
        _fail("Redis cannot be reached; start the platform with `aisle up`, or set AISLE_REDIS_CACHE_URL")


def _fail(reason: str) -> NoReturn:
    typer.secho(f"Not all lists were made. {reason}", fg=typer.colors.RED, err=True)
    raise typer.Exit(EXIT_FAILED)


def _refuse(reason: str) -> NoReturn:
    typer.secho(f"Nothing was made. {reason}", fg=typer.colors.RED, err=True)
    raise typer.Exit(EXIT_REFUSED)
