"""aisle train: read, clean, train, evaluate, judge and publish, with a bar for each step and the results as a table.

Called by   services/command/main.py, `make demo`
Exit code   0 a model was published, promoted or not; 1 none was (the reason is on stderr); 2 a wrong setting or flag
Record      a row of training_runs, as for a run of the training service: GET /runs shows it
"""

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from services.training.run import RunOutcome
    from services.training.run_request import RunRequest

EXIT_FAILED = 1
COLUMNS = ("HR@10", "HR@50", "NDCG@10", "NDCG@50", "MRR", "AUC", "coverage")
TABLES = {
    "": "all targets",
    "repeats": "what the shopper had bought before",
    "new": "what the shopper had never bought",
    "strangers": "all targets, the shopper unknown",
}

Data = Annotated[Path | None, typer.Option(help="Parquet folder to learn from; else the shop's Postgres")]
Epochs = Annotated[int | None, typer.Option(help="of the sequence Transformer")]
Seed = Annotated[int | None, typer.Option(help="two runs with one seed give the same bundle")]
Text = Annotated[str | None, typer.Option("--text", help="tfidf, or sentence: needs the extra `text`, and minutes")]
Name = Annotated[str, typer.Option(help="name of the model")]
Promote = Annotated[str, typer.Option(help="auto: the promotion gate decides; always; never")]


def register(app: typer.Typer) -> None:
    """Add `aisle train`."""
    app.command(name="train")(train)


def train(
    data: Data = None,
    epochs: Epochs = None,
    seed: Seed = None,
    text: Text = None,
    name: Name = "default",
    promote: Promote = "auto",
) -> None:
    """Train a model on the shop's events, evaluate it on the last week, and publish it if it is better."""
    from pydantic import ValidationError

    from services.training.run_request import RunRequest

    try:
        named = {"name": name, "epochs": epochs, "seed": seed, "text_encoder": text, "promotion": promote}
        wishes = RunRequest.model_validate(named)
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{first['loc'][0]}: {first['msg']}") from None
    outcome = _run(wishes, data)
    if outcome is not None:
        _show(outcome)


def _run(wishes: "RunRequest", data: Path | None) -> "RunOutcome | None":
    """Run with bars; turn what may go wrong into one line and exit 1."""
    from rich.console import Console

    from services.command.progress_bars import ProgressBars
    from services.training.composition import run_place
    from services.training.config import TrainingConfig
    from services.training.errors import TrainingError
    from services.training.launcher import STARTED_BY
    from services.training.run import recorded_run
    from services.training.run_record import RunRecord
    from shared.service.settings import Settings
    from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, make_engine
    from shared.storage.relational.runs import create_run

    settings = Settings.load()
    engine = make_engine(settings.database_url, pool_size=2)
    config = TrainingConfig().with_wishes(wishes)
    record = RunRecord(engine, uuid.uuid4().hex[:12], config.sequence.epochs)
    try:
        with engine.begin() as connection:
            create_run(connection, record.run_id, {**wishes.model_dump(exclude_defaults=True), STARTED_BY: "command"})
        with ProgressBars(Console(stderr=True)) as bars:
            return recorded_run(run_place(settings, engine, data), config, record, bars.report)
    except STORAGE_DOWN_ERRORS:
        _fail("Postgres cannot be reached; start the platform with `aisle up`, or set AISLE_DATABASE_URL")
    except TrainingError as error:
        _fail(str(error))
    finally:
        engine.dispose()


def _fail(reason: str) -> NoReturn:
    typer.secho(f"No model was made. {reason}", fg=typer.colors.RED, err=True)
    raise typer.Exit(EXIT_FAILED)


def _show(outcome: "RunOutcome") -> None:
    """Print the evaluation and the verdict."""
    from rich.console import Console

    from services.training.report_store import report_folder
    from shared.service.settings import Settings

    console = Console()
    evaluation = outcome.model.evaluation
    for name, title in TABLES.items():
        console.print(_table(evaluation[name] if name else evaluation, title))
    published = outcome.published
    console.print(f"Model [bold]{published.version}[/bold]. {published.verdict.summary}", highlight=False)
    if outcome.model.pictures:
        folder = report_folder(Settings.load().bundle_url, published.version)
        names = ", ".join(outcome.model.pictures)
        console.print(f"What its chances depend on: {names} in {folder}", highlight=False, soft_wrap=True)
    if published.verdict.promoted and not published.announced:
        console.print("Redis cannot be reached: ranking will find the new model when it next looks.")


def _table(part: dict[str, Any], title: str) -> Any:
    """Return one table of the evaluation."""
    from rich.table import Table

    table = Table(title=f"Test period, {title}: {part['questions']:,} baskets", title_justify="left")
    columns = [column for column in COLUMNS if any(column in row for row in part["rows"])]
    table.add_column("source")
    for column in columns:
        table.add_column(column, justify="right")
    for row in part["rows"]:
        table.add_row(row["source"], *(f"{row[column]:.4f}" for column in columns))
    return table
