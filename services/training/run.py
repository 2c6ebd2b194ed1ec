"""One training run with everything around it: record, pipeline, publication.

Called by   services/training/__main__.py (the service's child process, torchrun), the `aisle train` command
Record      a row of training_runs: state, step, progress, metrics, error, version; read by GET /runs/{id}
Resume      the encoder's checkpoint lies in the work folder until a model is published; the next run with the same log
            and configuration goes on from it
"""

from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from services.training.config import TrainingConfig
from services.training.examples.source import ExampleSource
from services.training.pipeline import Pipeline, TrainedModel
from services.training.progress import Report, quiet, under
from services.training.publish import ModelStore, Published, publish
from services.training.rival import ServingModel
from services.training.sequence.checkpoint import remove_checkpoint
from services.training.sequence.distributed import joined_team
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


def train_and_publish(place: RunPlace, config: TrainingConfig, report: Report = quiet) -> RunOutcome | None:
    """Run the pipeline and publish its model; None in the processes of a team that only help."""
    with place.store.engine.connect() as connection:
        serving = current(connection)
    rival = ServingModel(
        serving,
        place.store.store_url,
        place.work / "bundles",
        config.fusion.per_source,
        under("serving model", report),
    )
    with joined_team(config.sequence.device) as team:
        report = report if team.leads else quiet
        pipeline = Pipeline(place.source, place.zone, config, rival.ask, place.work, team, report)
        model = pipeline.run()
    if model is None:
        return None
    published = publish(model, place.store, serving.version if serving else None)
    remove_checkpoint(place.work)
    return RunOutcome(model, published)
