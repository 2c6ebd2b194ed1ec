"""The comparison of fit times, with a library in place of `implicit`."""

import json
import stat
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.quality.rivals.implicit_fit import compared, main, parse, summary, table_rows

SAYS = {"version": "0.0", "times": {"item_cf": [2.0, 4.0, 3.0], "ials": [9.0, 9.0, 9.0]}}


def library(folder: Path, body: str) -> str:
    """Write a program that stands for the python of the library."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def tastes() -> sp.csr_array:
    return sp.random_array((30, 20), density=0.3, rng=np.random.default_rng(0), dtype=np.float32).tocsr()


def test_each_model_stands_beside_its_nearest_of_kind(tmp_path: Path) -> None:
    python = library(tmp_path, f"echo '{json.dumps(SAYS)}'")
    found = compared("small", tastes(), parse(["--implicit-python", python, "--repeats", "3", "--factors", "4"]))
    assert (found["users"], found["items"], found["implicit"]) == (30, 20, "0.0")
    assert found["models"]["user_cf"]["implicit_s"]["median"] == 3
    assert found["models"]["svd"]["implicit_s"]["median"] == 9
    assert len(found["models"]["ials"]["aisle_s"]["repeats"]) == 3
    ours = found["models"]["item_cf"]
    assert ours["times_faster"] == pytest.approx(3 / ours["aisle_s"]["median"], rel=0.05)
    line = next(row for row in table_rows(found) if row["model"] == "svd")
    assert (line["data"], line["implicit"], line["implicit_s"]) == ("small", "ials", 9)


def test_a_library_that_cannot_be_run_is_said_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.quality.rivals.implicit_fit.taste_of", lambda name: tastes())
    python = library(tmp_path, "echo 'No module named implicit' >&2; exit 1")
    assert main(["--implicit-python", python, "--factors", "4"], tmp_path / "results") == 2
    assert "No module named implicit" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_the_median_is_of_the_repeats() -> None:
    assert summary([3.0, 1.0, 2.0]) == {"median": 2.0, "repeats": [3.0, 1.0, 2.0]}
