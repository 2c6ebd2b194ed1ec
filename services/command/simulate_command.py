"""aisle simulate: a shop of simulated shoppers; its log as files, its difficulty, or its shoppers in a live stack.

Called by   services/command/main.py
Exit code   0 done, 1 the platform or Postgres cannot be reached or refused, 2 a wrong flag or setting
Numbers     are of simulated shoppers: they test the platform and compare rankers, and say nothing of a real shop
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.command import simulated_visits

if TYPE_CHECKING:
    from services.training.simulation.config import SimulationConfig

EXIT_FAILED = 1

Out = Annotated[Path | None, typer.Option(help="write items, users and events as JSON Lines into this folder")]
Against = Annotated[str | None, typer.Option(help="URL of a running gateway that the shoppers shall visit")]
ShowDifficulty = Annotated[bool, typer.Option("--difficulty", help="print the oracle's AUC and that of a regression")]
CatalogueName = Annotated[str, typer.Option("--catalogue", help="with --against: simulated (sent first), or shop")]
Visits = Annotated[int, typer.Option(min=1, help="with --against: sessions")]
Ending = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="day after the last one; else the log begins 2026-01-05")
]
Seed = Annotated[int, typer.Option(help="the same seed is the same shop")]
Users = Annotated[int, typer.Option(help="shoppers")]
Items = Annotated[int, typer.Option(help="products")]
Days = Annotated[int, typer.Option(help="length of the log")]
Sessions = Annotated[float, typer.Option(help="mean sessions of a shopper over all days")]
Length = Annotated[int, typer.Option("--list-length", help="items of a list")]


def register(app: typer.Typer) -> None:
    """Add `aisle simulate`."""
    app.command("simulate")(simulate)


def simulate(
    out: Out = None,
    against: Against = None,
    difficulty: ShowDifficulty = False,
    catalogue: CatalogueName = "simulated",
    visits: Visits = 200,
    ending: Ending = None,
    seed: Seed = 7,
    users: Users = 3000,
    items: Items = 1000,
    days: Days = 56,
    sessions: Sessions = 26.0,
    list_length: Length = 10,
) -> None:
    """Simulate shoppers: write their log, measure how hard it is to learn, or send them to a running platform."""
    from services.training.simulation.config import SimulationConfig, SimulationConfigError

    if out is None and against is None and not difficulty:
        raise typer.BadParameter("say what for: --out FOLDER, --difficulty or --against URL")
    if catalogue not in ("simulated", "shop"):
        raise typer.BadParameter("--catalogue takes simulated or shop")
    try:
        config = SimulationConfig(seed, users, items, days, sessions, list_length)
        config = config.ending_at(ending.replace(tzinfo=UTC)) if ending else config
    except SimulationConfigError as error:
        raise typer.BadParameter(str(error)) from None
    if out is not None or difficulty:
        _offline(config, out, difficulty)
    if against is not None:
        try:
            simulated_visits.visit(config, against, catalogue == "shop", visits)
        except simulated_visits.VisitError as error:
            typer.secho(str(error), fg=typer.colors.RED, err=True)
            raise typer.Exit(EXIT_FAILED) from None


def _offline(config: "SimulationConfig", out: Path | None, difficulty: bool) -> None:
    """Make the log and do with it what was asked for."""
    from rich.console import Console

    from services.command.progress_bars import ProgressBars
    from services.training.simulation.emit import write_shop
    from services.training.simulation.simulate import simulate as make_log

    started_s = time.process_time()
    log = make_log(config)
    pace = len(log.impressions) / (time.process_time() - started_s)
    typer.echo(
        f"Simulated {len(log.impressions):,} impressions and {len(log.events):,} acts, {pace:,.0f} a CPU second."
    )
    if out is not None:
        with ProgressBars(Console(stderr=True)) as bars:
            write_shop(log, out, bars.report)
        typer.echo(f"Import them: aisle import items {out}/items.jsonl, then users and interactions (events.jsonl).")
    if difficulty:
        from services.training.simulation.difficulty import measure_difficulty

        _print_difficulty(measure_difficulty(log))


def _print_difficulty(found: list[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Simulated shop, last fifth of the log", title_justify="left")
    table.add_column("task")
    for name in ("share of impressions", "oracle AUC", "regression AUC", "regression's share"):
        table.add_column(name, justify="right")
    for row in found:
        numbers = (f"{row.positive_share:.2%}", f"{row.oracle_auc:.4f}", f"{row.regression_auc:.4f}")
        table.add_row(row.task, *numbers, f"{row.regression_share:.3f}")
    Console().print(table)
