"""aisle metrics: what the lists brought, from the stored log: CTR, CVR, revenue, coverage, diversity, novelty.

Called by   services/command/main.py
Exit code   0 done, also when no list was shown; 1 Postgres cannot be reached; 2 a wrong flag or setting
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from shared.storage.relational.business_metrics import BusinessMetrics, Grouping, Period

EXIT_FAILED = 1
DEFAULT_DAYS = 7
FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]

Since = Annotated[datetime | None, typer.Option(formats=FORMATS, help="first moment; else seven days before the last")]
Until = Annotated[datetime | None, typer.Option(formats=FORMATS, help="end, not included; else now")]
By = Annotated[str, typer.Option(help="comma separated: scenario, model, served_from, arms; empty: all lists as one")]
WindowDays = Annotated[float, typer.Option(min=0.01, max=365, help="days in which an act counts for a list")]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]


def register(app: typer.Typer) -> None:
    """Add `aisle metrics`."""
    app.command("metrics")(metrics)


def metrics(
    since: Since = None,
    until: Until = None,
    by: By = "scenario,model",
    window_days: WindowDays = 7.0,
    as_json: Json = False,
) -> None:
    """Print clicks, purchases, revenue and variety of the lists shown, by scenario and model version."""
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    from shared.service.settings import Settings
    from shared.storage.relational.business_metrics import Period, business_metrics
    from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, make_engine

    groupings = _groupings(by)
    settings = Settings.load()
    zone = ZoneInfo(settings.timezone)
    end = _in_zone(until, zone) or datetime.now(zone)
    period = Period(_in_zone(since, zone) or end - timedelta(days=DEFAULT_DAYS), end, timedelta(days=window_days))
    if period.since >= period.until:
        raise typer.BadParameter("--since must lie before --until")
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            rows = business_metrics(connection, period, groupings)
    except STORAGE_DOWN_ERRORS:
        typer.secho("Postgres cannot be reached; start the platform with `aisle up`", fg=typer.colors.RED, err=True)
        raise typer.Exit(EXIT_FAILED) from None
    finally:
        engine.dispose()
    _print_json(period, rows) if as_json else _print_table(period, groupings, rows)


def _groupings(by: str) -> "list[Grouping]":
    from shared.storage.relational.business_metrics import GROUPINGS

    wanted = {name.strip() for name in by.split(",") if name.strip()}
    unknown = wanted.difference(GROUPINGS)
    if unknown:
        raise typer.BadParameter(f"--by takes {', '.join(GROUPINGS)}; not {', '.join(sorted(unknown))}")
    return [name for name in GROUPINGS if name in wanted]


def _in_zone(moment: datetime | None, zone: Any) -> datetime | None:
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=zone)


def _print_json(period: "Period", rows: "list[BusinessMetrics]") -> None:
    import json
    from dataclasses import asdict

    ratios = ("click_rate", "purchases_per_click", "purchases_per_place", "revenue_per_session")
    document = {
        "since": period.since.isoformat(),
        "until": period.until.isoformat(),
        "window_days": period.window.total_seconds() / 86_400,
        "rows": [asdict(row) | {name: getattr(row, name) for name in ratios} for row in rows],
    }
    typer.echo(json.dumps(document, indent=2))


def _print_table(period: "Period", groupings: "list[Grouping]", rows: "list[BusinessMetrics]") -> None:
    from rich.console import Console
    from rich.table import Table

    caption = f"Lists shown from {period.since:%Y-%m-%d %H:%M} until {period.until:%Y-%m-%d %H:%M %Z}"
    if not rows:
        typer.echo(f"{caption}: none.")
        return
    table = Table(title=caption, title_justify="left")
    table.add_column("/".join(groupings))
    for row in rows:
        table.add_column("\n".join(row.group.values()) or "all lists", justify="right")
    cells = [_cells(row) for row in rows]
    for name in cells[0]:
        table.add_row(name, *(of_group[name] for of_group in cells))
    Console().print(table)


def _cells(row: "BusinessMetrics") -> dict[str, str]:
    """Return what is printed of a group: its name, and its value as text."""
    clicks = "-" if row.purchases_per_click is None else f"{row.purchases_per_click:.2%}"
    return {
        "lists": f"{row.lists:,}",
        "sessions": f"{row.sessions:,}",
        "items shown": f"{row.places:,}",
        "clicks": f"{row.clicks:,}",
        "CTR": f"{row.click_rate:.2%}",
        "purchases": f"{row.purchases:,}",
        "CVR, of clicks": clicks,
        "CVR, of items shown": f"{row.purchases_per_place:.3%}",
        "revenue": f"{row.revenue:,.2f}",
        "revenue a session": f"{row.revenue_per_session:,.2f}",
        "coverage": "-" if row.coverage is None else f"{row.coverage:.1%}",
        "diversity": "-" if row.diversity is None else f"{row.diversity:.3f}",
        "novelty, bits": f"{row.novelty:.2f}",
    }
