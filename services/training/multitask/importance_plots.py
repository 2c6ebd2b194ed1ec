"""Two pictures of what the ranker's chances depend on: a beeswarm of all parts, and bars of their mean sizes.

Called by   services/training/multitask/step.py
Out         PNG files by name, a panel for each task; the same bytes for the same numbers on the same library version
Beeswarm    one dot a candidate and group, where its part lies; near dots are moved apart; the colour is the chance
"""

import io
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.training.multitask.importance import Importance
from shared.features.events import FloatArray

BEESWARM, BARS = "importance-beeswarm.png", "importance-bars.png"
BANDS, ROW_HEIGHT = 60, 0.8
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
}
UNIT = "part of the logit"


def pictures_of(importance: Importance) -> dict[str, bytes]:
    """Return both pictures."""
    return {BEESWARM: _drawn(importance, _beeswarm), BARS: _drawn(importance, _bars)}


def _drawn(importance: Importance, draw: Any) -> bytes:
    with mpl.rc_context(STYLE):
        height = 1.2 + 0.4 * len(importance.groups)
        figure = Figure(figsize=(5.2 * len(importance.tasks), height), dpi=110, layout="constrained")
        panels = figure.subplots(1, len(importance.tasks), squeeze=False)[0]
        for task, axes in enumerate(panels):
            draw(figure, axes, importance, task)
        target = io.BytesIO()
        figure.savefig(target, format="png", metadata={"Software": None})
    return target.getvalue()


def _beeswarm(figure: Figure, axes: Axes, importance: Importance, task: int) -> None:
    order = importance.order(task)
    chance_X = importance.logit_XT[:, task].argsort().argsort() / max(len(importance.logit_XT) - 1, 1)
    span = float(np.abs(importance.part_XTG[:, task]).max()) or 1.0
    for row, group in enumerate(reversed(order)):
        part_X = importance.part_XTG[:, task, group]
        dots = axes.scatter(part_X, row + spread_apart(part_X, span), c=chance_X, s=7, cmap="viridis", linewidths=0)
    axes.axvline(0, color="#7b8794", linewidth=0.8)
    axes.set(title=f"p_{importance.tasks[task]}", xlabel=f"{UNIT}, {len(chance_X)} candidates shown")
    axes.set_yticks(range(len(order)), [importance.groups[group] for group in reversed(order)])
    bar = figure.colorbar(dots, ax=axes, ticks=[0, 1], label="chance", aspect=30, pad=0.01)
    bar.ax.set_yticklabels(["lowest", "highest"])


def spread_apart(part_X: FloatArray, span: float) -> FloatArray:
    """Return how far each dot is moved up or down: dots of one narrow band stand beside each other."""
    band_X = np.floor(part_X / span * BANDS).astype(np.int64)
    moved_X = np.zeros(len(part_X), np.float32)
    _, most = np.unique(band_X, return_counts=True)
    step = ROW_HEIGHT / max(int(most.max()), 10)
    for band in np.unique(band_X):
        place = np.flatnonzero(band_X == band)
        moved_X[place] = (np.arange(len(place)) - (len(place) - 1) / 2) * step
    return moved_X


def _bars(figure: Figure, axes: Axes, importance: Importance, task: int) -> None:
    order = list(reversed(importance.order(task)))
    size_G = importance.mean_size_G(task)
    bars = axes.barh(range(len(order)), size_G[order], color="#c2410c", height=0.6)
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.set(title=f"p_{importance.tasks[task]}", xlabel=f"mean absolute {UNIT}")
    axes.set_yticks(range(len(order)), [importance.groups[group] for group in order])
    axes.margins(x=0.12)
