"""What a dashboard is made of, apart from Grafana's way to write it down.

Called by   dashboards.py (the definitions), build.py (as Grafana's JSON), render.py (as pictures)
"""

from dataclasses import dataclass
from typing import Literal

INTERVAL = "$__rate_interval"
"""Grafana's variable for the window of a rate: four scrapes, or the width of a pixel"""

Unit = Literal["percentunit", "s", "reqps", "short", "bytes", "cps", "eps", "bits"]


@dataclass(frozen=True)
class Query:
    """One PromQL expression; `legend` names its series, with {{label}} for a label's value."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One chart, or one number with `kind` "stat"."""

    title: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    kind: Literal["timeseries", "stat"] = "timeseries"
    stacked: bool = False
    limit: float | None = None
    """a line: the promise, in the panel's unit"""


@dataclass(frozen=True)
class Dashboard:
    """One page."""

    name: str
    title: str
    question: str
    panels: tuple[Panel, ...]


def one(title: str, expression: str, legend: str, **options: object) -> Panel:
    """Return a panel of one query."""
    return Panel(title, (Query(expression, legend),), **options)  # type: ignore[arg-type]


def quantiles(
    title: str, histogram: str, shares: tuple[float, ...], *, by: str = "", where: str = "", limit: float | None = None
) -> Panel:
    """Return a panel with quantiles of a histogram, for each value of the label `by`; `where` selects series."""
    labels = f"le, {by}" if by else "le"
    selector = f"{histogram}_bucket{{{where}}}" if where else f"{histogram}_bucket"
    series = f" {{{{{by}}}}}" if by else ""
    queries = tuple(
        Query(
            f"histogram_quantile({share}, sum by ({labels}) (rate({selector}[{INTERVAL}])))",
            f"p{share * 100:g}{series}",
        )
        for share in shares
    )
    return Panel(title, queries, unit="s", limit=limit)
