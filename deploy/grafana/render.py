"""Draw each dashboard from a running Prometheus as a picture: `python -m deploy.grafana.render --prometheus URL`.

Called by   hand, for the pictures of docs/monitoring.md: what a reader will see, where no Grafana is at hand
In          the queries of dashboards.py over the last --minutes, as Grafana would ask them
Out         docs/grafana-<name>.png
Errors      an exit code and a line when Prometheus cannot be reached or refuses a query
"""

import argparse
import json
import math
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter, date2num
from matplotlib.gridspec import SubplotSpec

from deploy.grafana.dashboards import DASHBOARDS
from deploy.grafana.panels import INTERVAL, Dashboard, Panel, Query

DOCS = Path(__file__).resolve().parents[2] / "docs"
POINTS = 180
FRESH_S = 15
COLUMNS = 4
BACK, CARD, TEXT, GRID = "#111217", "#181b1f", "#ccccdc", "#2c3235"
COLOURS = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#c4162a", "#37872d", "#fade2a")
SCALES = {"percentunit": (100, " %"), "bytes": (1e-6, " MB"), "s": (1, " s"), "reqps": (1, " /s"), "cps": (1, " /s")}


@dataclass(frozen=True)
class Series:
    """One line of a panel."""

    name: str
    at_s: list[float]
    values: list[float]


@dataclass(frozen=True)
class Prometheus:
    """The server, and the time to look at."""

    url: str
    since_s: float
    until_s: float
    window: str
    """in place of Grafana's variable"""

    def series(self, query: Query) -> list[Series]:
        """Return what a query finds."""
        step_s = (self.until_s - self.since_s) / POINTS
        parameters = {
            "query": query.expression.replace(INTERVAL, self.window),
            "start": self.since_s,
            "end": self.until_s,
            "step": step_s,
        }
        with urllib.request.urlopen(f"{self.url}/api/v1/query_range?{urllib.parse.urlencode(parameters)}") as answer:
            found = json.load(answer)["data"]["result"]
        return [_series(query.legend, result) for result in found]


def _series(legend: str, result: dict[str, Any]) -> Series:
    name = re.sub(r"{{(\w+)}}", lambda label: result["metric"].get(label[1], ""), legend).strip()
    points = [(float(at_s), float(value)) for at_s, value in result["values"]]
    kept = [(at_s, value) for at_s, value in points if math.isfinite(value)]
    return Series(name, [at_s for at_s, _ in kept], [value for _, value in kept])


def draw(dashboard: Dashboard, prometheus: Prometheus, path: Path) -> None:
    """Write one picture."""
    rows = _rows(dashboard.panels)
    heights = [1 if row[0].kind == "stat" else 2.4 for row in rows]
    figure = pyplot.figure(figsize=(16, 1.1 + 1.35 * sum(heights)), facecolor=BACK)
    grid = figure.add_gridspec(len(rows), COLUMNS, height_ratios=heights, hspace=0.5, wspace=0.25)
    grid.update(left=0.045, right=0.985, top=1 - 0.9 / figure.get_figheight(), bottom=0.4 / figure.get_figheight())
    figure.text(0.02, 1 - 0.35 / figure.get_figheight(), dashboard.title, color=TEXT, fontsize=15, weight="bold")
    figure.text(0.2, 1 - 0.35 / figure.get_figheight(), dashboard.question, color=TEXT, fontsize=11)
    for number, row in enumerate(rows):
        width = 1 if row[0].kind == "stat" else 2
        for place, panel in enumerate(row):
            _draw_panel(figure, grid[number, place * width : (place + 1) * width], panel, prometheus)
    figure.savefig(path, dpi=80, facecolor=BACK)
    pyplot.close(figure)


def _rows(panels: Sequence[Panel]) -> list[list[Panel]]:
    """Return the panels row by row: four numbers or two charts."""
    rows: list[list[Panel]] = []
    for panel in panels:
        full = 4 if panel.kind == "stat" else 2
        if not rows or rows[-1][0].kind != panel.kind or len(rows[-1]) == full:
            rows.append([])
        rows[-1].append(panel)
    return rows


def _draw_panel(figure: Any, place: SubplotSpec, panel: Panel, prometheus: Prometheus) -> None:
    axes: Axes = figure.add_subplot(place, facecolor=CARD)
    axes.set_title(panel.title, color=TEXT, fontsize=9, loc="left")
    axes.tick_params(colors=TEXT, labelsize=7, length=0)
    for spine in axes.spines.values():
        spine.set_color(GRID)
    found = [series for query in panel.queries for series in prometheus.series(query) if series.values]
    if not found:
        axes.text(0.5, 0.5, "no data", color="#8e8e9e", ha="center", va="center", transform=axes.transAxes, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    elif panel.kind == "stat":
        _draw_number(axes, panel, found)
    else:
        _draw_lines(axes, panel, found, prometheus)


def _draw_number(axes: Axes, panel: Panel, found: Sequence[Series]) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    middle = {"ha": "center", "va": "center", "transform": axes.transAxes}
    # As Grafana's instant query: what is there now, not a version that was replaced.
    shown = [series for series in found if series.at_s[-1] > max(one.at_s[-1] for one in found) - FRESH_S][:2]
    for number, series in enumerate(shown):
        left = (number + 0.5) / len(shown)
        axes.text(left, 0.6, readable(series.values[-1], panel.unit), color=COLOURS[0], fontsize=17, **middle)
        axes.text(left, 0.2, series.name, color=TEXT, fontsize=8, **middle)


def _draw_lines(axes: Axes, panel: Panel, found: Sequence[Series], prometheus: Prometheus) -> None:
    factor, _ = SCALES.get(panel.unit, (1, ""))
    ordered = sorted(found, key=lambda series: series.name)
    if panel.stacked:
        _draw_stack(axes, ordered, factor)
    else:
        for number, series in enumerate(ordered):
            moments = [_moment(at_s) for at_s in series.at_s]
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(moments, [value * factor for value in series.values], color=colour, lw=1.2, label=series.name)
    if panel.limit is not None:
        axes.axhline(panel.limit * factor, color="#f2495c", lw=1, ls="--", label="promise")
    axes.set_xlim(_moment(prometheus.since_s), _moment(prometheus.until_s))
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])  # room for the legend
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))
    axes.yaxis.set_major_formatter(lambda value, _place: readable(value / factor, panel.unit))
    axes.grid(color=GRID, lw=0.5)
    shown = axes.legend(fontsize=6.5, ncols=2, loc="upper left", facecolor=CARD, edgecolor=GRID, framealpha=0.8)
    for text in shown.get_texts():
        text.set_color(TEXT)


def _draw_stack(axes: Axes, found: Sequence[Series], factor: float) -> None:
    moments = sorted({at_s for series in found for at_s in series.at_s})
    values = []
    for series in found:
        known = dict(zip(series.at_s, series.values, strict=True))
        values.append([known.get(at_s, 0.0) * factor for at_s in moments])
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(found))]
    axes.stackplot(
        [_moment(at_s) for at_s in moments], values, labels=[series.name for series in found], colors=colours, alpha=0.7
    )


def _moment(at_s: float) -> float:
    """Return a time as matplotlib counts it."""
    return float(date2num(datetime.fromtimestamp(at_s, UTC)))


def readable(value: float, unit: str) -> str:
    """Return a number as a person reads it."""
    if unit == "s" and value >= 7200:
        return f"{value / 86400:.1f} d" if value >= 172_800 else f"{value / 3600:.1f} h"
    factor, suffix = SCALES.get(unit, (1, ""))
    scaled = value * factor
    return f"{scaled:,.0f}{suffix}" if abs(scaled) >= 1000 else f"{scaled:.3g}{suffix}"


def main() -> int:
    """Draw them all."""
    parser = argparse.ArgumentParser(description="Draw the dashboards from a running Prometheus")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--out", type=Path, default=DOCS)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--window", default="1m", help="of rates: at least four scrapes")
    wanted = parser.parse_args()
    now_s = time.time()
    prometheus = Prometheus(wanted.prometheus, now_s - wanted.minutes * 60, now_s, wanted.window)
    try:
        for dashboard in DASHBOARDS:
            path = wanted.out / f"grafana-{dashboard.name}.png"
            draw(dashboard, prometheus, path)
            print(path)
    except urllib.error.URLError as error:
        print(f"Prometheus at {wanted.prometheus} does not answer the queries: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
