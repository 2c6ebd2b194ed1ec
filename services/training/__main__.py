"""Run one training run to its end: the child process of the training service, and what `torchrun` starts.

Called by   services/training/launcher.py: python -m services.training --run-id RUN --parent PID
            operators: torchrun --nproc-per-node 2 -m services.training [--data FOLDER]
Exit code   0 the model is published (promoted or not), 1 it is not; the reason is in the run's row and on stderr
"""

import argparse
import os
import sys
import uuid
from pathlib import Path

from services.training.composition import run_place
from services.training.config import TrainingConfig
from services.training.errors import TrainingError
from services.training.launcher import STARTED_BY
from services.training.progress import Progress
from services.training.run import recorded_run
from services.training.run_record import RunRecord
from services.training.run_request import RunRequest
from shared.service.logs import configure_logging
from shared.service.settings import Settings
from shared.storage.relational.engine import Engine, make_engine
from shared.storage.relational.runs import create_run, get_run


def main() -> int:
    """Return the exit code."""
    given = _arguments()
    settings = Settings.load()
    configure_logging("training-run", settings.log_level)
    engine = make_engine(settings.database_url, pool_size=2)
    leads = os.environ.get("RANK", "0") == "0"
    run_id = given.run_id or (_new_run(engine) if leads else "")
    config = TrainingConfig().with_wishes(_wishes(engine, run_id))

    def watch_parent(_progress: Progress) -> None:
        if given.parent and os.getppid() != given.parent:
            raise SystemExit("the training service that started this run is gone")

    place = run_place(settings, engine, given.data)
    try:
        recorded_run(place, config, RunRecord(engine, run_id, config.sequence.epochs) if leads else None, watch_parent)
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.training", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run-id", help="row of training_runs to fill; a new one if absent")
    parser.add_argument("--parent", type=int, help="end when this process is no longer the parent")
    parser.add_argument("--data", type=Path, help="Parquet folder to learn from; Postgres if absent")
    return parser.parse_args()


def _new_run(engine: Engine) -> str:
    run_id = uuid.uuid4().hex[:12]
    with engine.begin() as connection:
        create_run(connection, run_id, {STARTED_BY: "command"})
    return run_id


def _wishes(engine: Engine, run_id: str) -> RunRequest:
    with engine.connect() as connection:
        run = get_run(connection, run_id)
    wishes = {} if run is None else {name: value for name, value in run.config.items() if name != STARTED_BY}
    return RunRequest.model_validate(wishes)


if __name__ == "__main__":
    sys.exit(main())
