"""The benchmark from the command line to the result file, on a stranger's folder."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.quality.__main__ import main
from benchmarks.quality.data_sets.registry import open_data_set
from benchmarks.quality.protocols import NO_QUERY_TIME, make_benchmark
from benchmarks.quality.result import Asked, ResultFile
from benchmarks.quality.row_process import NotRun
from benchmarks.quality.splits import leave_one_out
from tests.unit.benchmarks.quality.small_log import thirty_users


def run(folder: Path, results: Path, *wishes: str) -> int:
    return main([str(folder), "--threads", "1", *wishes], results, results / "quality.md")


def test_a_strangers_folder_gets_a_table_and_can_be_filled_in_pieces(tmp_path: Path) -> None:
    folder, results = thirty_users(tmp_path / "stranger"), tmp_path / "results"
    assert run(folder, results, "--models", "popularity,item_cf") == 0
    path = results / "stranger-leave-one-out.json"
    first = json.loads(path.read_text())
    assert (first["data"], first["protocol"], first["track"]) == ("stranger", "leave-one-out", "no-query-time")
    assert first["counts"]["test_questions"] == 30
    popularity, item_cf = first["rows"]
    assert (popularity["model"], item_cf["model"]) == ("popularity", "item_cf")
    # A user's second group of items is never right: item-CF knows the two groups, popularity does not.
    assert item_cf["metrics"]["mrr"]["mean"] > popularity["metrics"]["mrr"]["mean"]
    assert item_cf["configurations_tried"] == 6
    low, high = item_cf["metrics"]["ndcg@10"]["ci95"]
    assert low < item_cf["metrics"]["ndcg@10"]["mean"] < high
    assert item_cf["peak_mb"] >= item_cf["start_mb"] > 0

    assert run(folder, results, "--models", "recent_popularity,user_cf") == 0
    second = json.loads(path.read_text())
    assert [row["model"] for row in second["rows"]] == ["popularity", "item_cf", "user_cf"]
    assert second["rows"][:2] == first["rows"]
    assert second["not_run"] == [{"model": "recent_popularity", "reason": "the data set has no timestamps"}]


def test_rows_that_the_budget_does_not_reach_are_listed_with_the_reason(tmp_path: Path) -> None:
    folder = thirty_users(tmp_path / "stranger")
    assert run(folder, tmp_path / "results", "--models", "popularity,svd", "--budget-minutes", "0") == 0
    result = json.loads((tmp_path / "results" / "stranger-leave-one-out.json").read_text())
    reason = "BUDGET_MINUTES ran out before it was begun"
    assert result["not_run"] == [{"model": "popularity", "reason": reason}, {"model": "svd", "reason": reason}]
    assert result["rows"] == []


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        (["--models", "magic"], "there is no model 'magic'"),
        (["--device", "cuda"], "finds no GPU here"),
        (["--protocol", "sessions"], "stranger has no protocol 'sessions': choose from leave-one-out, time"),
        (["--protocol", "time"], "a split by time needs the time of every event"),
    ],
)
def test_a_wish_that_cannot_be_met_is_told_in_a_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    wishes: list[str],
    sentence: str,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(thirty_users(tmp_path / "stranger"), tmp_path / "results", *wishes) == 2
    assert sentence in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


def test_a_missing_data_set_is_told_with_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AISLE_DATA_DIR", str(tmp_path))
    assert main(["amazon-beauty"], tmp_path / "results", tmp_path / "quality.md") == 2
    told = capsys.readouterr().out.replace("\n", " ")
    assert f"{tmp_path}/amazon-beauty/interactions.parquet is missing" in told
    assert "AISLE_DATA_DIR" in told


def test_the_result_file_starts_anew_when_the_answers_have_changed(tmp_path: Path) -> None:
    results = tmp_path / "results"
    folder = thirty_users(tmp_path / "stranger")
    run(folder, results, "--models", "popularity", "--budget-minutes", "0")
    path = results / "stranger-leave-one-out.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "target_hash": "of other answers"}))
    run(folder, results, "--models", "svd", "--budget-minutes", "0")
    again = json.loads(path.read_text())
    assert [entry["model"] for entry in again["not_run"]] == ["svd"]
    assert again["target_hash"] == stored["target_hash"]


def test_two_runs_of_one_file_keep_each_others_rows(tmp_path: Path) -> None:
    folder = thirty_users(tmp_path / "stranger")
    data_set = open_data_set(str(folder))
    benchmark = make_benchmark(data_set.interactions, leave_one_out, True, NO_QUERY_TIME)
    asked = Asked("leave-one-out", NO_QUERY_TIME, "cpu", 1)
    first, second = (ResultFile(data_set, benchmark, asked, tmp_path / "results") for _ in range(2))
    first.put(NotRun("svd", "one"))
    second.put(NotRun("ease", "two"))
    stored = json.loads(first.path.read_text())
    assert [entry["model"] for entry in stored["not_run"]] == ["svd", "ease"]
