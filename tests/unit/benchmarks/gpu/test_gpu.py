"""The GPU benchmark where there is no GPU: its page, its load, and its refusal."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.page import RESULT, write_page
from benchmarks.gpu.serving import batch_row, load_row
from shared.models.encoder import EncoderConfig, SequenceEncoder
from shared.models.gpu.sequence_engine import SequenceEngine

ITEMS = 300


@pytest.fixture(scope="module")
def engine() -> SequenceEngine:
    config = EncoderConfig(dim=16, max_length=64)
    table_VD = np.random.default_rng(0).standard_normal((ITEMS, 16), np.float32)
    return SequenceEngine(SequenceEncoder(config), table_VD, 64, "cpu", sizes=(1, 8))


def test_the_page_shows_every_row_of_the_committed_result(tmp_path: Path) -> None:
    write_page(RESULT, tmp_path / "gpu.md")
    values, page = json.loads(RESULT.read_text()), (tmp_path / "gpu.md").read_text()
    rows = sum(len(values[part]) for part in ("retrieval", "batches", "load"))
    assert page.count("\n| ") == rows + 2 * 3  # each table has a head and a rule
    assert values["environment"]["gpu"] in page


def test_requests_at_a_fixed_rate_are_all_answered_or_refused(engine: SequenceEngine) -> None:
    row = load_row(engine, rate=40, largest=8, num_items=ITEMS)
    answered = round(row["achieved_per_s"] * 2)
    assert row["mean_batch"] >= 1
    assert 0 <= row["refused"] < 80
    assert answered > 0


def test_a_batch_takes_at_most_its_slowest_run(engine: SequenceEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu.serving.REPEATS", 5)
    row = batch_row(engine, 3, ITEMS)
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert row["requests_per_s"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU, so the benchmark would run")
def test_a_machine_without_a_gpu_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks.gpu"])
    assert main() == 2
    assert "finds no GPU" in capsys.readouterr().err
