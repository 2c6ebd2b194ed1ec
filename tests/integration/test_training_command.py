"""`aisle train` and `torchrun -m services.training`, as people start them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from shared.storage.relational.model_registry import current
from shared.storage.relational.runs import RunState, create_run, get_run, list_runs
from tests.integration.training_support import fill_with_tiny_shop

ROOT = Path(__file__).resolve().parents[2]
TRAIN = [sys.executable, "-m", "services.command.main", "train"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def start(command: list[str], database_url: str, stream_url: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in an install of its own."""
    install = {"AISLE_HOME": str(home), "AISLE_DATABASE_URL": database_url, "AISLE_REDIS_STREAM_URL": stream_url}
    environment = {**os.environ, **install, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "COLUMNS": "140"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_train_prints_the_evaluation_and_publishes(
    engine: Engine, database_url: str, stream_url: str, tmp_path: Path
) -> None:
    fill_with_tiny_shop(engine)
    done = start([*TRAIN, "--epochs", "1", "--name", "autumn"], database_url, stream_url, tmp_path)
    assert done.returncode == 0, done.stderr
    with engine.connect() as connection:
        serving, (row,) = current(connection), list_runs(connection)
    assert serving is not None
    assert f"Model {serving.version}. Promoted: NDCG@10 is" in done.stdout
    assert "what the shopper had never bought" in done.stdout
    assert "sequence epoch 1" in done.stderr
    assert (row.state, row.config) == (RunState.SUCCEEDED, {"name": "autumn", "epochs": 1, "started_by": "command"})


def test_two_processes_of_torchrun_make_one_model(
    engine: Engine, database_url: str, stream_url: str, tmp_path: Path
) -> None:
    fill_with_tiny_shop(engine)
    with engine.begin() as connection:
        create_run(connection, "team", {"epochs": 1})
    done = start([*TORCHRUN, "-m", "services.training", "--run-id", "team"], database_url, stream_url, tmp_path)
    assert done.returncode == 0, done.stderr
    with engine.connect() as connection:
        serving, row = current(connection), get_run(connection, "team")
    assert row is not None
    assert serving is not None
    assert (row.state, row.version) == (RunState.SUCCEEDED, serving.version)


def test_train_says_in_one_line_why_there_is_no_model(
    engine: Engine, database_url: str, stream_url: str, tmp_path: Path
) -> None:
    done = start(TRAIN, database_url, stream_url, tmp_path)
    assert done.returncode == 1
    assert "No model was made. there are no events to train on" in done.stderr
    assert "Traceback" not in done.stderr
    done = start([*TRAIN, "--data", str(tmp_path / "nowhere")], database_url, stream_url, tmp_path)
    assert done.returncode == 1
    assert "has no interactions.parquet" in done.stderr.replace("\n", " ")
    with engine.connect() as connection:
        assert {row.state for row in list_runs(connection)} == {RunState.FAILED}


def test_train_without_a_database_names_the_remedy(stream_url: str, tmp_path: Path) -> None:
    nowhere = "postgresql+psycopg2://aisle@127.0.0.1:1/aisle"
    done = start(TRAIN, nowhere, stream_url, tmp_path)
    assert done.returncode == 1
    assert "aisle up" in done.stderr


@pytest.mark.parametrize("flags", [["--promote", "perhaps"], ["--epochs", "0"], ["--text", "magic"]])
def test_a_wrong_flag_is_named(flags: list[str], database_url: str, stream_url: str, tmp_path: Path) -> None:
    done = start([*TRAIN, *flags], database_url, stream_url, tmp_path)
    assert done.returncode == 2
    named = {"--promote": "promotion", "--epochs": "epochs", "--text": "text_encoder"}[flags[0]]
    assert named in done.stderr
