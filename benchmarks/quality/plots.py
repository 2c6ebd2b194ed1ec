"""Three pictures of one result file: accuracy against latency, accuracy against diversity, training curves.

Called by   page.py
Out         one PNG, the same bytes for the same numbers on the same library version
Frontier    the rows that no other row beats in both NDCG@10 and diversity are joined by a line
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

INK, MUTED, LEAD = "#1f2933", "#7b8794", "#c2410c"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e4e7eb",
    "axes.axisbelow": True,
}


def draw(values: dict[str, Any], target: Path) -> None:
    """Write the picture of a result file that has rows."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(13, 4), dpi=110, layout="constrained")
        latency, diversity, curves = figure.subplots(1, 3)
        draw_latency(latency, values["rows"])
        draw_diversity(diversity, values["rows"])
        draw_curves(curves, values["rows"])
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, metadata={"Software": None})


def draw_latency(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """One dot a row, with the interval of its NDCG@10."""
    for row in rows:
        score, colour = row["metrics"]["ndcg@10"], colour_of(row)
        low, high = score["ci95"]
        reach = [[max(score["mean"] - low, 0)], [max(high - score["mean"], 0)]]
        axes.errorbar(row["latency_ms"], score["mean"], yerr=reach, fmt="o", color=colour, markersize=5, elinewidth=1)
        label(axes, row, row["latency_ms"], score["mean"])
    axes.set_xscale("log")
    for set_formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        set_formatter(FuncFormatter(plain_ticks))
    axes.set(title="Accuracy and latency", xlabel="ms a user, one thread", ylabel="NDCG@10")
    axes.margins(x=0.25, y=0.12)


def plain_ticks(value: float, place: int | None) -> str:
    """Return 0.2, 0.5, 1, 2 ... and nothing between, so that labels do not meet."""
    return f"{value:g}" if f"{value:e}"[0] in "125" else ""


def draw_diversity(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """One dot a row, and the line of those that no other row beats in both."""
    points = [(row["metrics"]["diversity@10"]["mean"], row["metrics"]["ndcg@10"]["mean"], row) for row in rows]
    for x, y, row in points:
        axes.plot(x, y, "o", color=colour_of(row), markersize=5)
        label(axes, row, x, y)
    best = sorted((x, y) for x, y, _ in points if not any(u >= x and v >= y and (u, v) != (x, y) for u, v, _ in points))
    axes.plot([x for x, _ in best], [y for _, y in best], color=MUTED, linewidth=1, zorder=1)
    axes.set(title="Accuracy and diversity, with the frontier", xlabel="diversity of a list of ten", ylabel="NDCG@10")
    axes.margins(x=0.25, y=0.12)


def draw_curves(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """NDCG@10 on validation after every epoch; a dot where it was best."""
    trained = [row for row in rows if row["curve"]]
    for row in trained:
        curve = row["curve"]
        (line,) = axes.plot(range(1, len(curve) + 1), curve, linewidth=1.4, label=row["model"])
        best = curve.index(max(curve))
        axes.plot(best + 1, curve[best], "o", color=line.get_color(), markersize=5)
    axes.set(title="Training, first seed", xlabel="epoch", ylabel="validation NDCG@10")
    if trained:
        axes.legend(frameon=False)
    else:
        axes.text(0.5, 0.5, "no row trains in epochs", ha="center", va="center", color=MUTED, transform=axes.transAxes)


def colour_of(row: dict[str, Any]) -> str:
    """Return the colour of a row: the product's own list stands out."""
    return LEAD if row["model"] == "fused" else INK


def label(axes: Axes, row: dict[str, Any], x: float, y: float) -> None:
    """Write the name of a row beside its dot."""
    axes.annotate(row["model"], (x, y), xytext=(5, 4), textcoords="offset points", fontsize=7.5, color=colour_of(row))
