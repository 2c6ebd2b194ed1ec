"""The comparison of training speed, with a program in place of RecTools."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.quality.rivals.training_speed import main
from tests.unit.benchmarks.quality.small_log import thirty_users


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def run(folder: Path, python: Path, results: Path, *wishes: str) -> int:
    return main(["--data", str(folder), "--rectools-python", str(python), "--threads", "1", *wishes], results)


def pairs(results: Path) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((results / "training-speed.json").read_text())["rows"]
    return loaded


def test_the_rival_gets_the_same_events_and_the_same_shape_and_the_ratio_is_written(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    copy = f"""echo "$2" > {seen}.json; cp "$(echo "$2" | sed 's/.*"events": "\\([^"]*\\)".*/\\1/')" {seen}.csv"""
    python = program(tmp_path / "python", copy + """; echo noise; echo '{"epoch_s": 500.0, "loss": "softmax"}'""")
    assert run(thirty_users(tmp_path / "stranger"), python, tmp_path / "results") == 0
    (result,) = pairs(tmp_path / "results")
    wishes = json.loads(Path(f"{seen}.json").read_text())
    assert result["aisle"]["shape"].items() <= wishes.items()
    assert (wishes["loss"], wishes["threads"]) == ("softmax", 1)
    assert len(pd.read_csv(f"{seen}.csv")) == result["events"] > 0
    assert result["aisle"]["epoch_s"] > 0
    assert result["times_faster"] == pytest.approx(500 / result["aisle"]["epoch_s"], rel=1e-2)


def test_a_run_replaces_the_pair_of_its_loss_and_keeps_the_other(tmp_path: Path) -> None:
    folder, results = thirty_users(tmp_path / "stranger"), tmp_path / "results"
    for loss, seconds in (("softmax", 1), ("sampled", 2), ("softmax", 3)):
        python = program(tmp_path / "python", f"echo '{{\"epoch_s\": {seconds}}}'")
        assert run(folder, python, results, "--loss", loss) == 0
    assert [(pair["loss"], pair["rectools"]["epoch_s"]) for pair in pairs(results)] == [("sampled", 2), ("softmax", 3)]
    assert [pair["aisle"]["negatives"] for pair in pairs(results)] == [2048, None]


def test_a_rival_that_cannot_run_is_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    python = program(tmp_path / "python", "echo no module named rectools >&2; exit 1")
    assert run(thirty_users(tmp_path / "stranger"), python, tmp_path / "results") == 2
    assert "no module named rectools" in capsys.readouterr().err
    assert run(tmp_path / "stranger", tmp_path / "nothing", tmp_path / "results") == 2
    assert not (tmp_path / "results").exists()
