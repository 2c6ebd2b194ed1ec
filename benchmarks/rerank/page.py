"""docs/benchmarks/rerank.md and its picture, made from benchmarks/results/rerank.json: no number is typed by hand.

Called by   __main__.py after a run; `python -m benchmarks.rerank.page` alone
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.environment import ROOT
from benchmarks.quality.plots import MUTED, STYLE

RESULT = ROOT / "benchmarks" / "results" / "rerank.json"
PAGE = ROOT / "docs" / "benchmarks" / "rerank.md"
PICTURE = PAGE.with_suffix(".png")
COLOURS = {"dpp": "#c2410c", "mmr": "#1d4ed8", "calibrated": "#047857", "novelty": "#7e22ce"}
COLUMNS = ("ndcg@10", "hr@10", "ild", "genre_ild", "novelty", "coverage", "gini", "calibration")
HEAD = """# What variety and novelty cost

`make bench-rerank`: one model, one set of offers, re-ranked by the code that serves (`services/ranking/rerank`) under
one wish after another. This page is made from `benchmarks/results/rerank.json`.

- **Data**: MovieLens-100K, split by time as `aisle train` splits; the model has seen nothing of the test days. Films
  are items, genres categories, ratings views; what a shopper rated before is not offered.
- **ILD**: mean distance of two items of a list, by the cosine of their content and (genre) by their top category. The
  re-ranker works on the same content vectors, so ILD says that it does what it is for; coverage, Gini and calibration
  are what it does not optimise (calibration apart, for the method of that name).
- **Novelty**: mean of -log2 p(item) in bits. **Gini** of how often items are shown: lower is more even.
  **Calibration**: KL divergence of the list's genres from the shopper's, lower is nearer.
- MovieLens is no shop: what a strength costs in a shop is to be measured on that shop's own log.
"""


def write_page(result: Path = RESULT, page: Path = PAGE) -> None:
    """Make page and picture anew."""
    values = json.loads(result.read_text())
    page.parent.mkdir(parents=True, exist_ok=True)
    draw(values["rows"], page.with_suffix(".png"))
    parts = [HEAD, _about(values), f"![What variety and novelty cost]({PICTURE.name})\n", _table(values["rows"])]
    page.write_text("\n".join([*parts, _times(values)]))


def draw(rows: Sequence[dict[str, Any]], target: Path) -> None:
    """Draw NDCG@10 against ILD, novelty and coverage; one line a method, from strength 0 to 1."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(13, 4), dpi=110, layout="constrained")
        for axes, (column, name) in zip(
            figure.subplots(1, 3),
            (("ild", "ILD (content)"), ("novelty", "novelty, bits"), ("coverage", "coverage")),
            strict=True,
        ):
            _lines(axes, rows, column)
            axes.set_xlabel(name)
            axes.set_ylabel("NDCG@10")
        figure.axes[0].legend(frameon=False)
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, metadata={"Software": None})


def _lines(axes: Axes, rows: Sequence[dict[str, Any]], column: str) -> None:
    pure = next(row for row in rows if row["wish"] == "none")
    for name, colour in COLOURS.items():
        line = [pure, *(row for row in rows if name in (row["method"], row["wish"]))]
        axes.plot(
            [row[column] for row in line], [row["ndcg@10"] for row in line], "o-", color=colour, label=name,
            markersize=3.5, linewidth=1.2,
        )  # fmt: skip
    axes.plot([pure[column]], [pure["ndcg@10"]], "s", color=MUTED, markersize=7, zorder=3)


def _about(values: dict[str, Any]) -> str:
    where = values["environment"]
    return (
        f"{values['questions']:,} questions, lists of 10 out of {values['candidates']:.0f} candidates on average; "
        f"commit {where['commit']}, {where['cpu']}, {where['measured_at'][:10]}.\n"
    )


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = ["wish", "strength", *COLUMNS]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    for row in rows:
        name = row["method"] or row["wish"]
        lines.append(
            "| " + " | ".join([name, f"{row['strength']:.1f}", *(f"{row[one]:.4f}" for one in COLUMNS)]) + " |"
        )
    return "\n".join(lines) + "\n"


def _times(values: dict[str, Any]) -> str:
    lines = [
        "## Time\n",
        f"CPU time of one thread for 300 candidates and 20 places, {values['times'][0]['lists']:,} lists each, while "
        f"the machine's load average was {values['load_average']:.1f} on {values['environment']['cores']} cores.\n",
        "| wish | mean ms | p50 ms | p95 ms | p99 ms |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in values["times"]:
        figures = " | ".join(f"{row[name]:.3f}" for name in ("mean_ms", "p50_ms", "p95_ms", "p99_ms"))
        lines.append(f"| {row['wish']} | {figures} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_page()
