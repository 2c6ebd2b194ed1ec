"""A run of the benchmark on a small shop: rows, gains and the page come from what was measured."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ctr import __main__ as command
from benchmarks.ctr import measure as measuring
from benchmarks.ctr.data import Source, by_share, cut
from benchmarks.ctr.page import write_page
from services.training.multitask.config import MultitaskConfig
from services.training.multitask.labels import trainable
from shared.models.multitask_layers import RankerShape
from tests.unit.training.multitask.small_shop import FIELDS, PER_REQUEST, small_shop

REQUESTS = 1500
QUICK = MultitaskConfig(shape=RankerShape(embedding=4, width=16, cross=8, experts=2, expert=16, tower=8), epochs=2)


def data_set(name: str) -> object:
    shop = small_shop(REQUESTS)
    labels = trainable({"click": shop.examples.label_NT[:, 0], "purchase": shop.examples.label_NT[:, 1]})
    at_ms_R = np.arange(REQUESTS, dtype=np.int64)
    source = Source(name, "small", FIELDS, shop.examples.rows, labels, at_ms_R, at_ms_R // 5, shop.truth_NT)
    return cut(source, by_share(at_ms_R, 0.0, (0.6, 0.7, 0.8)))


def test_slices_follow_each_other_in_time_and_share_no_request():
    data = data_set("small")
    sizes = [len(part.examples) for part in data.slices.values()]
    assert sum(sizes) == REQUESTS * PER_REQUEST
    assert sizes == pytest.approx([share * REQUESTS * PER_REQUEST for share in (0.6, 0.1, 0.1, 0.2)], abs=PER_REQUEST)
    assert [part.group_N.max() <= after.group_N.min() for part, after in zip(*pairs(data), strict=True)] == [True] * 3


def pairs(data: object) -> tuple[list, list]:
    parts = list(data.slices.values())
    return parts[:-1], parts[1:]


def test_a_run_writes_rows_gains_and_a_page_with_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "open_data", data_set)
    monkeypatch.setattr(measuring, "tried_on", lambda size: (QUICK, replace(QUICK, learning_rate=1e-2)))
    cost = {"candidates": 300, "events": 4, "cpu_ms": 1.0, "bytes": 9}
    monkeypatch.setattr(measuring, "serving_cost", lambda session, size, data: cost)
    page = tmp_path / "docs" / "ctr.md"
    assert command.main(["small", "--models", "logistic", "multitask"], tmp_path, page) == 0
    values = json.loads((tmp_path / "small.json").read_text())
    assert [(row["model"], row["task"]) for row in values["rows"]] == [
        (model, task) for task in ("click", "purchase") for model in ("logistic", "multitask", "oracle")
    ]
    for row in values["rows"]:
        assert {"auc", "gauc", "log_loss", "ne", "ece", "oracle_share"} <= row.keys()
        assert f"{row['auc']:.4f}" in page.read_text()
    oracle = [row for row in values["rows"] if row["model"] == "oracle"]
    assert [row["oracle_share"] for row in oracle] == [1.0, 1.0]
    assert {gain["against"] for gain in values["gains"]} == {"logistic"}
    assert values["fidelity"]["examples"] == 200
    for row in values["fidelity"]["rows"]:
        assert row["largest"] > row["random"]
        assert f"{row['largest']:.3f} | {row['random']:.3f}" in page.read_text()
    assert (tmp_path / "docs" / "ctr-small.png").stat().st_size > 1000
    before = page.read_bytes()
    write_page(tmp_path, page)
    assert page.read_bytes() == before


def test_an_unknown_set_ends_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert command.main(["nowhere"], tmp_path, tmp_path / "ctr.md") == 2
    assert "unknown data set nowhere" in capsys.readouterr().out
