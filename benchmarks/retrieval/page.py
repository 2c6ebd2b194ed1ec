"""docs/benchmarks/retrieval.md, made from benchmarks/results/retrieval.json: no number is typed by hand.

Called by   __main__.py after a run; `python -m benchmarks.retrieval.page` alone
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environment import ROOT

PAGE = ROOT / "docs" / "benchmarks" / "retrieval.md"
RESULT = ROOT / "benchmarks" / "results" / "retrieval.json"
HEAD = """# Retrieval in large catalogues

Made by `make bench-retrieval` from `benchmarks/results/retrieval.json`.

- **Trained** is the item table of the product's own Transformer, trained on every item of the Complete Journey that was
  ever bought: {items:,} items of {dim} numbers. Queries are states of that encoder for shoppers of the two weeks it did
  not learn from.
- **Resampled** tables are not larger catalogues, of which none is here: each new item is a real one, moved by a share
  of the step between two other real neighbours. The share is chosen so that the median distance from an item to its
  nearest is that of the trained table; quartiles of both stand below.
- **Exact** scores every item, as the product does for a catalogue below {index_from:,} items. **Index** reads the cells
  nearest to the state and scores the shortlist again with the item table: float32, in int8 above a million items.
- **Recall** is the share of the exact best 100 that the index finds, for states it was not built with.
- **Times** are of one state at a time on one thread: wall clock, and CPU time of the thread. **Memory** is that of
  index and that item table together.
- **Target** of the index: recall at least {recall:g}; {times}. What is missed stands there.
"""
TABLE = "| items | table | search | p50 ms | p99 ms | CPU p50 ms | recall@100 | build s | MB | target |\n"
TABLE += "|---:|---|---|---:|---:|---:|---:|---:|---:|---|\n"


@dataclass(frozen=True)
class Target:
    """What the index is to reach at one size."""

    p50_ms: float
    memory_mb: float = math.inf

    def __str__(self) -> str:
        within = "" if self.memory_mb == math.inf else f" in at most {self.memory_mb:,.0f} MB"
        return f"at most {self.p50_ms:g} ms at the median{within}"


RECALL = 0.99
TARGETS = {1_000_000: Target(1.5), 10_000_000: Target(5.0, 3000.0)}
"""by number of items"""


def write_page(result: Path = RESULT, page: Path = PAGE) -> None:
    """Make the page anew."""
    from shared.models.retrieval_index import INDEX_FROM

    values = json.loads(result.read_text())
    times = ", ".join(f"for {size:,} items {target}" for size, target in TARGETS.items())
    head = HEAD.format(**values["trained"], index_from=INDEX_FROM, recall=RECALL, times=times)
    parts = [head, "\n## Exact and index\n\n", TABLE]
    parts += [line for row in values["rows"] for line in searches(row)]
    parts += ["\n## Filters inside the search\n\n", "The shortest of all lists of 100, and what a filter costs.\n\n"]
    parts += ["| items | filter | allowed | p50 ms | CPU p50 ms | recall@100 | shortest list | forbidden items |\n"]
    parts += ["|---:|---|---:|---:|---:|---:|---:|---:|\n"]
    parts += [filter_line(row, one) for row in values["rows"] for one in row["filters"]]
    parts += ["\n## Distance from an item to its nearest\n\n", "| items | table | lower quartile | median | upper |\n"]
    parts += ["|---:|---|---:|---:|---:|\n", *(distances(row) for row in values["rows"])]
    parts += ["\n", *(measured(row) for row in values["rows"])]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("".join(parts))


def searches(row: dict[str, Any]) -> list[str]:
    """Return the lines of exact and index of one size."""
    exact, index = row["exact"], row["index"]
    first = f"| {row['items']:,} | {row['table']} |"
    effort = f"{index['probes']} of {index['cells']} cells, shortlist × {index['shortlist']}"
    return [
        f"{first} exact | {clock(exact)} | 1 | | | |\n",
        f"{first} index, {effort} | {clock(index)} | {index['recall@100']:.4f} | {index['build_s']:.1f} "
        f"| {row['memory_mb']['together']:,.0f} | {judged(row)} |\n",
    ]


def judged(row: dict[str, Any]) -> str:
    """Return what of the target was missed, and by how much."""
    index, memory_mb = row["index"], row["memory_mb"]["together"]
    target = TARGETS.get(row["items"], Target(math.inf))
    missed = [f"recall {index['recall@100']:.4f}"] if index["recall@100"] < RECALL else []
    missed += [f"p50 {index['p50_ms']:.2f} of {target.p50_ms:g} ms"] if index["p50_ms"] > target.p50_ms else []
    missed += [f"{memory_mb:,.0f} of {target.memory_mb:,.0f} MB"] if memory_mb > target.memory_mb else []
    return "missed: " + ", ".join(missed) if missed else "reached"


def filter_line(row: dict[str, Any], one: dict[str, Any]) -> str:
    """Return the line of one filter."""
    times = f"{one['p50_ms']:.2f} | {one['cpu_p50_ms']:.2f}"
    found = f"{one['recall@100']:.4f} | {one['shortest_list']} | {one['forbidden']}"
    return f"| {row['items']:,} | {one['filter']} | {one['allowed']:,} | {times} | {found} |\n"


def distances(row: dict[str, Any]) -> str:
    """Return the quartiles of one table."""
    found = row["nearest_distance"]["this_table"]
    return f"| {row['items']:,} | {row['table']} | {found['low']} | {found['median']} | {found['high']} |\n"


def measured(row: dict[str, Any]) -> str:
    """Return when and where a size was measured."""
    machine = row["environment"]
    changed = " with changes" if machine["dirty"] else ""
    place = f"{machine['cores']} cores of {machine['cpu']}, commit {machine['commit']}{changed}"
    return f"- {row['items']:,} items: {machine['measured_at']}, {place}\n"


def clock(times: dict[str, Any]) -> str:
    """Return the three times."""
    return " | ".join(f"{times[name]:.2f}" for name in ("p50_ms", "p99_ms", "cpu_p50_ms"))


if __name__ == "__main__":
    write_page()
