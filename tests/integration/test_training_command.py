"""`aisle train` and `torchrun -m services.training`, as people start them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from services.command.main import app
from shared.features.registry import schema_hash
from shared.models.bundle import load_bundle
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


def test_a_shop_that_logs_its_lists_gets_a_ranker_of_clicks_and_purchases(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, database_url: str, stream_url: str, cache_url: str, tmp_path: Path
) -> None:
    urls = {"DATABASE_URL": database_url, "REDIS_STREAM_URL": stream_url, "REDIS_CACHE_URL": cache_url}
    for name, value in urls.items():
        monkeypatch.setenv(f"AISLE_{name}", value)
    aisle("simulate", "--out", tmp_path, "--users", 200, "--items", 60, "--days", 21, "--sessions", 9)
    for kind, file in (("items", "items"), ("users", "users"), ("interactions", "events")):
        aisle("import", kind, tmp_path / f"{file}.jsonl")
    done = start([*TRAIN, "--epochs", "1"], database_url, stream_url, tmp_path)
    assert done.returncode == 0, done.stderr
    with engine.connect() as connection:
        serving = current(connection)
    assert serving is not None
    report = serving.metrics["ranker"]
    assert (report["trained"], report["exposures"], report["missing"]) == (True, "impression", {})
    assert report["test"]["click"]["auc"] > 0.6
    ranker = load_bundle(Path(serving.bundle_url.removeprefix("file://")), schema_hash()).contents.ranker
    assert ranker is not None
    assert ranker.fields.tasks == ("click", "cart", "purchase")


def aisle(*arguments: object) -> None:
    """Run a command that must do well."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output


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
