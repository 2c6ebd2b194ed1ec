"""Two processes train the same model as one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "tests.unit.training.small_encoder"


def losses_of(command: list[str], answer: Path) -> dict[str, list[float]]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [*command, str(answer)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    loaded: dict[str, list[float]] = json.loads(answer.read_text())
    return loaded


def test_two_gloo_processes_match_the_loss_and_weights_of_one(tmp_path: Path) -> None:
    alone = losses_of([sys.executable, "-m", PROGRAM], tmp_path / "alone.json")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", PROGRAM]
    team = losses_of(torchrun, tmp_path / "team.json")
    assert len(alone["losses"]) == 3
    assert team["losses"] == pytest.approx(alone["losses"], abs=1e-4)
    assert team["weights"] == pytest.approx(alone["weights"], abs=1e-2)
