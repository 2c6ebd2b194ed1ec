"""The page says what the result files say, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality.page import PUBLISHED, write_page


def spread(value: float) -> dict[str, Any]:
    return {"mean": value, "std": 0.0012, "ci95": [value - 0.01, value + 0.01]}


def row(model: str, ndcg: float, **more: Any) -> dict[str, Any]:
    names = ("hr@10", "hr@50", "ndcg@50", "mrr", "coverage@10", "popularity@10", "novelty@10", "diversity@10")
    base = {"model": model, "seeds": 5, "metrics": {"ndcg@10": spread(ndcg), **{name: spread(0.5) for name in names}}}
    part = {"questions": 4, "ndcg@10": {"mean": 0.4321, "std": None}}
    cost = {"fit_s": 1.0, "refit_s": 0.5, "latency_ms": 0.25, "peak_mb": 321.0, "configurations_tried": 6}
    trained = {"epochs": 0, "curve": [], "s_per_epoch": 0.0, "chosen": {}}
    return {**base, "seen": part, "unseen": {"questions": 0}, **cost, **trained, **more}


def result(rows: list[dict[str, Any]]) -> dict[str, Any]:
    count = {"users": 9, "items": 7, "events": 1234, "test_questions": 8, "mean_history": 3.5}
    return {
        "data": "amazon-beauty",
        "protocol": "leave-one-out",
        "track": "no-query-time",
        "device": "cpu",
        "threads": 2,
        "machine": {"cpu": "a processor"},
        "target_hash": "0123456789abcdef0123",
        "note": "last = test",
        "seen_items": "hidden",
        "counts": count,
        "warnings": [{"what": "duplicate rows", "count": 3, "then": "counted once", "first": "x row 2"}],
        "rows": rows,
        "not_run": [{"model": "ease", "reason": "too large"}],
        "comparisons": [{"model": "fused", "against": "item_cf", "difference": 0.02, "ci95": [0.01, 0.03]}],
    }


@pytest.fixture
def page(tmp_path: Path) -> str:
    rows = [row("item_cf", 0.0411, chosen={"neighbours": 200}), row("fused", 0.0654, curve=[0.1, 0.3, 0.2], epochs=2)]
    (tmp_path / "amazon-beauty-leave-one-out.json").write_text(json.dumps(result(rows)))
    times = {"note": "Both on one thread.", "rows": [{"what": "item_cf", "ours_s": 0.25, "runs": [1, 2]}]}
    (tmp_path / "fit-times.json").write_text(json.dumps(times))
    write_page(tmp_path, tmp_path / "docs" / "quality.md")
    return (tmp_path / "docs" / "quality.md").read_text()


def test_every_row_stands_in_the_table_with_its_interval(page: str) -> None:
    assert "| `item_cf` | 0.0411 ± 0.0012 | 0.0311 to 0.0511 | 0.5000 |" in page
    assert "| [amazon-beauty-leave-one-out](#amazon-beauty-leave-one-out) | 0.0411 | **0.0654** |" in page
    assert "- `item_cf`: neighbours 200" in page
    assert "- `fused`: epoch 2 of 3" in page


def test_what_was_noticed_not_run_and_compared_is_told(page: str) -> None:
    assert "- 3 duplicate rows: counted once (first: x row 2)" in page
    assert "Not run: `ease`: too large." in page
    assert "| `item_cf` | +0.0200 | +0.0100 to +0.0300 |" in page


def test_published_numbers_stand_beside_the_row_they_belong_to(page: str) -> None:
    published = json.loads(PUBLISHED.read_text())
    fused_line = next(line for line in page.splitlines() if line.startswith("| `fused` | 0.0654"))
    assert "0.0611 BSARec" in fused_line
    others = [entry for entry in published if entry["data"] == "movielens-1m"]
    assert others
    assert all(entry["model"] not in page for entry in others if entry["model"] != "gSASRec")


def test_files_of_other_forms_are_shown_as_they_are(page: str) -> None:
    assert "## fit-times\n\nBoth on one thread.\n\n| what | ours_s |\n| --- | --- |\n| item_cf | 0.25 |" in page


def test_every_table_has_its_picture(page: str, tmp_path: Path) -> None:
    name = "quality-amazon-beauty-leave-one-out.png"
    assert f"![accuracy, latency, diversity, training]({name})" in page
    assert (tmp_path / "docs" / name).read_bytes().startswith(b"\x89PNG")
