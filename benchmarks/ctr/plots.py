"""The reliability diagram of one result file: predicted against observed rates by tenths, a panel for each task.

Called by   page.py
Out         one PNG, the same bytes for the same numbers on the same library version
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.quality.plots import INK, LEAD, MUTED, STYLE

COLOURS = {"logistic": "#9aa5b1", "lightgbm": "#3e7cb1", "single_task": "#7c9a3e", "multitask": LEAD, "oracle": INK}


def draw(values: dict[str, Any], target: Path) -> None:
    """Write the picture."""
    tasks = values["tasks"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2 * len(tasks), 4), dpi=110, layout="constrained")
        panels = figure.subplots(1, len(tasks), squeeze=False)[0]
        for axes, task in zip(panels, tasks, strict=True):
            draw_task(axes, task, [row for row in values["rows"] if row["task"] == task])
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, metadata={"Software": None})


def draw_task(axes: Axes, task: str, rows: list[dict[str, Any]]) -> None:
    """One line a model, beside the diagonal of the truth."""
    least, most = 1e-5, 1.0
    for row in rows:
        points = [(part["predicted"], part["observed"]) for part in row["deciles"] if part["observed"] > 0]
        if points:
            predicted, observed = zip(*points, strict=True)
            axes.plot(
                predicted, observed, "o-", markersize=3, linewidth=1, color=COLOURS[row["model"]], label=row["model"]
            )
    every = [part[side] for row in rows for part in row["deciles"] for side in ("predicted", "observed")]
    low = max(min((rate for rate in every if rate > 0), default=least), least) * 0.8
    high = min(max(every, default=most) * 1.25, most)
    axes.plot([low, high], [low, high], color=MUTED, linewidth=0.8, linestyle="--")
    axes.set(xscale="log", yscale="log", title=task, xlabel="predicted rate", ylabel="observed rate")
    axes.legend(frameon=False, fontsize=8)
