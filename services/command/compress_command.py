"""aisle compress: the int8 variant of the serving model, with a cost card; the gate decides whether it serves.

Called by   services/command/main.py
Exit code   0 a variant was made, whether it serves or not; 1 there is none, with the reason; 2 a wrong flag or setting
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from services.training.compression.cards import CostCard
    from services.training.compression.compress import Compressed

EXIT_FAILED = 1

Data = Annotated[Path | None, typer.Option(help="Parquet folder to judge on; else the shop's Postgres")]


def register(app: typer.Typer) -> None:
    """Add `aisle compress`."""
    app.command(name="compress")(compress)


def compress(data: Data = None) -> None:
    """Make the serving model smaller and cheaper, measure what that loses, and serve it if that is little enough."""
    from rich.console import Console

    from services.command.progress_bars import ProgressBars
    from services.training.composition import run_place
    from services.training.compression.compress import compress as run
    from services.training.config import TrainingConfig
    from services.training.errors import TrainingError
    from shared.models.bundle import BundleError
    from shared.service.settings import Settings
    from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, make_engine

    settings = Settings.load()
    engine = make_engine(settings.database_url, pool_size=2)
    try:
        with ProgressBars(Console(stderr=True)) as bars:
            done = run(run_place(settings, engine, data), TrainingConfig(), bars.report)
    except STORAGE_DOWN_ERRORS:
        _fail("Postgres cannot be reached; start the platform with `aisle up`, or set AISLE_DATABASE_URL")
    except (TrainingError, BundleError) as error:
        _fail(str(error))
    finally:
        engine.dispose()
    _show(done)


def _fail(reason: str) -> NoReturn:
    typer.secho(f"No variant was made. {reason}", fg=typer.colors.RED, err=True)
    raise typer.Exit(EXIT_FAILED)


def _show(done: "Compressed") -> None:
    """Print both cards and the verdict."""
    from rich.console import Console

    console = Console()
    console.print(_table(done.base, done.variant))
    console.print(f"Model [bold]{done.published.version}[/bold]. {done.published.verdict.summary}", highlight=False)


def _table(base: "CostCard", variant: "CostCard") -> Any:
    from rich.table import Table

    table = Table(title="Cost cards: CPU time of one request, all sources and the fusion", title_justify="left")
    for name in ("model", "MB stored", "MB held", "p50 ms", "p99 ms", "CPU ms", "cost of a million", "NDCG@10", "AUC"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for card in (base, variant):
        speed = card.speed
        times = (f"{speed.p50_ms:.2f}", f"{speed.p99_ms:.2f}", f"{speed.cpu_ms:.2f}")
        cost = f"{speed.cpu_ms / base.speed.cpu_ms:.2f}"
        quality = (f"{card.ndcg_10:.4f}", f"{card.auc:.4f}")
        table.add_row(card.name, f"{card.size_mb:.2f}", f"{card.memory_mb:.2f}", *times, cost, *quality)
    return table
