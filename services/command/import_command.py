"""aisle import: a shop's products, shoppers and events from files, or a whole named set.

Called by   services/command/main.py
Exit code   0 done, 1 nothing of the file was imported (the reason is on stderr), 2 a wrong setting or flag
Twice       importing the same file again changes nothing
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.training.importing.fields import Kind
    from services.training.importing.importer import Importer
    from services.training.importing.mapping import ColumnMapping
    from services.training.importing.summary import ImportSummary

EXIT_FAILED = 1

imports = typer.Typer(
    no_args_is_help=True, help="Import products, shoppers and events from Parquet, CSV or JSON Lines."
)

File = Annotated[Path, typer.Argument(help=".parquet, .csv, .tsv, .jsonl or .ndjson")]
Map = Annotated[
    list[str] | None, typer.Option("--map", help="field=column, for example user_id=customer; may be repeated")
]
MappingFile = Annotated[Path | None, typer.Option("--mapping", help="TOML file with a part for each kind of file")]
Zone = Annotated[str | None, typer.Option(help="zone of times without one; else AISLE_TIMEZONE")]
RejectedTo = Annotated[Path | None, typer.Option(help="folder for rows that are not taken; else beside the file")]
Types = Annotated[list[str] | None, typer.Option("--type", help="theirs=ours, for example transaction=purchase")]
DefaultType = Annotated[str | None, typer.Option(help="type of all rows of a file without a type column")]


def register(app: typer.Typer) -> None:
    """Add `aisle import`."""
    app.add_typer(imports, name="import")


@imports.command()
def items(
    file: File,
    columns: Map = None,
    mapping: MappingFile = None,
    zone: Zone = None,
    rejected_to: RejectedTo = None,
) -> None:
    """Import products. Fields: item_id, title, categories, brand, price, stock, …, attributes.<name>."""
    with _importer(zone, rejected_to) as importer:
        _show([importer.items_file(file, _mapping("items", mapping, columns))])


@imports.command()
def users(
    file: File,
    columns: Map = None,
    mapping: MappingFile = None,
    zone: Zone = None,
    rejected_to: RejectedTo = None,
) -> None:
    """Import shoppers. Fields: user_id, age or age_band, gender, region, attributes.<name>."""
    with _importer(zone, rejected_to) as importer:
        _show([importer.users_file(file, _mapping("users", mapping, columns))])


@imports.command()
def interactions(
    file: File,
    columns: Map = None,
    types: Types = None,
    default_type: DefaultType = None,
    mapping: MappingFile = None,
    zone: Zone = None,
    rejected_to: RejectedTo = None,
) -> None:
    """Import events. Fields: user_id or visitor_id, item_id, occurred_at, type, quantity, price, …, context.<name>."""
    with _importer(zone, rejected_to) as importer:
        wanted = _mapping("interactions", mapping, columns, types, default_type)
        _show([importer.interactions_file(file, wanted)])


@imports.command()
def complete_journey(
    folder: Annotated[Path | None, typer.Option(help="folder with the Parquet files; else the package's")] = None,
    zone: Annotated[str, typer.Option(help="zone of the shop's clocks")] = "America/New_York",
    users_to: Annotated[Path | None, typer.Option(help="write the households here, as a JSON list")] = None,
    rejected_to: Annotated[
        Path | None, typer.Option(help="folder for rows that are not taken; else a folder of AISLE_HOME")
    ] = None,
) -> None:
    """Import The Complete Journey: a grocer's year of purchases, moved by whole weeks to end last week."""
    import json

    from services.training.importing.complete_journey import package_folder
    from shared.service.settings import Settings

    target = rejected_to or Settings.load().home / "imports"
    with _importer(zone, target) as importer:
        summaries, households, weeks = importer.complete_journey(folder or package_folder())
        _show(summaries)
        typer.echo(f"All times were moved by {weeks} weeks.")
    if users_to is not None:
        users_to.parent.mkdir(parents=True, exist_ok=True)
        users_to.write_text(json.dumps(households))


def _mapping(
    kind: "Kind",
    file: Path | None,
    columns: Sequence[str] | None,
    types: Sequence[str] | None = None,
    default_type: str | None = None,
) -> "ColumnMapping":
    from services.training.importing.mapping import ColumnMapping, read_mapping

    written = read_mapping(file, kind) if file else ColumnMapping(kind)
    return written.with_flags(columns or (), types or (), default_type)


@contextmanager
def _importer(zone: str | None, rejected_folder: Path | None) -> Iterator["Importer"]:
    """Open the stores, draw progress, tell services what changed; turn what may go wrong into one line and exit 1."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from rich.console import Console

    from services.command.progress_bars import ProgressBars
    from services.training.importing.errors import ImportFailedError
    from services.training.importing.importer import Importer, ImportPlace
    from services.training.importing.tell_services import RedisPlace, tell_services
    from shared.service.settings import Settings
    from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, make_engine

    settings = Settings.load()
    try:
        shop_zone = ZoneInfo(zone or settings.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise typer.BadParameter("not a time zone of the IANA database, such as Europe/Berlin") from None
    engine = make_engine(settings.database_url)
    try:
        with ProgressBars(Console(stderr=True)) as bars:
            importer = Importer(ImportPlace(engine, shop_zone, datetime.now(UTC), rejected_folder, bars.report))
            yield importer
        redis = RedisPlace(settings.redis_stream_url, settings.redis_cache_url, settings.namespace)
        if not tell_services(importer.changes, redis):
            typer.echo("Redis cannot be reached: services that run elsewhere were not told.", err=True)
    except ImportFailedError as error:
        _fail(str(error))
    except STORAGE_DOWN_ERRORS:
        _fail("Postgres cannot be reached; start the platform with `aisle up`, or set AISLE_DATABASE_URL")
    finally:
        engine.dispose()


def _fail(reason: str) -> None:
    typer.secho(f"Nothing was imported. {reason}", fg=typer.colors.RED, err=True)
    raise typer.Exit(EXIT_FAILED)


def _show(summaries: Sequence["ImportSummary"]) -> None:
    """Print what became of the rows, and every rule that struck."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    rows, rules = Table(title="Imported", title_justify="left"), Table(title="Cleaning", title_justify="left")
    for name in ("", "read", "new or changed", "known", "rejected"):
        rows.add_column(name, justify="right" if name else "left")
    for name in ("", "rule", "action", "rows", "meaning"):
        rules.add_column(name, justify="right" if name == "rows" else "left")
    for summary in summaries:
        numbers = (summary.rows_read, summary.rows_new, summary.rows_known, summary.rows_rejected)
        rows.add_row(summary.title, *(f"{number:,}" for number in numbers))
        for rule in summary.rules:
            if rule.rows:
                rules.add_row(summary.title, rule.rule, rule.action, f"{rule.rows:,}", rule.meaning)
    console.print(rows)
    if rules.row_count:
        console.print(rules)
    for summary in summaries:
        if summary.rows_erased:
            console.print(f"{summary.title}: {summary.rows_erased:,} events of erased shoppers were not stored")
        if summary.rejected_file:
            console.print(f"{summary.title}: rejected rows are in {summary.rejected_file}")
