"""The page says what the result file says, and nothing else."""

import json
from pathlib import Path

from benchmarks.rerank.frontier import every_wish
from benchmarks.rerank.page import COLUMNS, write_page


def test_page_holds_every_row_and_the_times(tmp_path: Path) -> None:
    rows = [
        {"wish": wish, "method": wishes.method if wish == "diversity" else None}
        | {"strength": wishes.diversity or wishes.novelty}
        | {name: 0.001 * place + 0.01 * number for number, name in enumerate(COLUMNS)}
        for place, (wish, wishes) in enumerate(every_wish())
    ]
    figures = {"lists": 300, "mean_ms": 0.111, "p50_ms": 0.222, "p95_ms": 0.333, "p99_ms": 0.444}
    where = {"commit": "abc", "cpu": "some CPU", "measured_at": "2026-01-02T00:00:00+00:00", "cores": 2}
    values = {"environment": where, "questions": 1234, "candidates": 345.6, "load_average": 0.5}
    result = tmp_path / "rerank.json"
    result.write_text(json.dumps(values | {"rows": rows, "times": [{"wish": "pure order", **figures}]}))
    write_page(result, tmp_path / "rerank.md")
    page = (tmp_path / "rerank.md").read_text()
    assert page.count("\n| dpp |") == page.count("\n| mmr |") == page.count("\n| calibrated |") == 10
    assert "| pure order | 0.111 | 0.222 | 0.333 | 0.444 |" in page
    assert "1,234 questions" in page
    assert (tmp_path / "rerank.png").stat().st_size > 1000
