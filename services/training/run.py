"""One training run with everything around it: record, pipeline, publication.

Called by   services/training/__main__.py (the service's child process, torchrun), the `aisle train` command
Record      a row of training_runs: state, step, progress, metrics, error, version; read by GET /runs/{id}
Resume      the encoder's checkpoint lies in the work folder until a model is published; the next run with the same log
            and configuration goes on from it
Errors      TrainingError; whatever ends a run is in its row before it goes on to the caller
"""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from services.training.asking import Asking
from services.training.config import TrainingConfig
from services.training.examples.source import ExampleSource
from services.training.pipeline import Pipeline, TrainedModel
from services.training.progress import Progress, Report, quiet, under
from services.training.publish import ModelStore, Published, publish
from services.training.rival import ServingModel
from services.training.run_record import RunRecord
from services.training.sequence.checkpoint import remove_checkpoint
from services.training.sequence.distributed import Team, joined_team
from services.training.work_folder import only_run
from shared.storage.relational.model_registry import current


@dataclass(frozen=True)
class RunPlace:
    """Where a run reads, works and publishes."""

    source: ExampleSource
    zone: tzinfo
    store: ModelStore
    work: Path
    """folder for checkpoints and fetched bundles"""


@dataclass(frozen=True)
class RunOutcome:
    """What a run made."""

    model: TrainedModel
    published: Published


def recorded_run(
    place: RunPlace, config: TrainingConfig, record: RunRecord | None, report: Report = quiet
) -> RunOutcome | None:
    """Run, and keep the row; None in the processes of a team that only help, which have no row."""
    if record is None:
        return train_and_publish(place, config)
    record.begin()
    try:
        outcome = train_and_publish(place, config, _both(record.report, report))
    # Whatever ends the run, an interrupt too, must reach the row that people look at.
    except BaseException as error:
        record.fail(str(error) or type(error).__name__)
        raise
    if outcome is not None:
        published = outcome.published
        record.succeed(published.version, published.verdict.summary, outcome.model.contents.facts.metrics)
    return outcome


def train_and_publish(place: RunPlace, config: TrainingConfig, report: Report = quiet) -> RunOutcome | None:
    """Run the pipeline and publish its model; None in the processes of a team that only help."""
    with ExitStack() as stack:
        team = stack.enter_context(joined_team(config.sequence.device))
        if team.leads:
            stack.enter_context(only_run(place.work))
        return _train_and_publish(place, config, team, report)


def _train_and_publish(place: RunPlace, config: TrainingConfig, team: Team, report: Report) -> RunOutcome | None:
    with place.store.engine.connect() as connection:
        serving = current(connection)
    asking = Asking(config.fusion.per_source, config.cores, under("serving model", report))
    rival = ServingModel(serving, place.store.store_url, place.work / "bundles", asking)
    model = Pipeline(place.source, place.zone, config, rival.ask, place.work, team, report).run()
    if model is None:
        return None
    published = publish(model, place.store, serving.version if serving else None)
    remove_checkpoint(place.work)
    return RunOutcome(model, published)


def _both(first: Report, second: Report) -> Report:
    def report(progress: Progress) -> None:
        first(progress)
        second(progress)

    return report
