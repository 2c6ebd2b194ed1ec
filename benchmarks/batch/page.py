"""docs/benchmarks/batch.md, made from benchmarks/results/batch.json: no number is typed by hand.

Called by   __main__.py after a run; `python -m benchmarks.batch.page` alone
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.environment import ROOT

RESULT = ROOT / "benchmarks" / "results" / "batch.json"
PAGE = ROOT / "docs" / "benchmarks" / "batch.md"
TARGET = 2000
"""shoppers a second on two cores"""
HEAD = """# Lists made ahead

Made by `make bench-batch` from `benchmarks/results/batch.json`: `aisle batch --segment {segment}` on the running demo.

- Each list is the one that the live path would make now (`tests/unit/command/test_hot_lists.py` and
  `tests/e2e/test_hot_lists.py` compare them), kept where the gateway looks first.
- **Shoppers/s** is the median of {runs} runs, between the lowest and the highest; model and catalogue are loaded before
  the clock starts. **CPU** is of the processes that make lists, for each list; Redis, which the states come from, works
  beside them on the same cores.
- **Target**: {target:,} shoppers a second on two cores.

| processes | lists | shoppers/s | lowest to highest | CPU ms | target |
|---:|---:|---:|---:|---:|---|
"""


def write_page(result: Path = RESULT, page: Path = PAGE) -> None:
    """Make the page anew."""
    values = json.loads(result.read_text())
    machine, rows = values["environment"], values["rows"]
    head = HEAD.format(segment=values["segment"], runs=len(rows[0]["runs"]), target=TARGET)
    changed = " with changes" if machine["dirty"] else ""
    place = f"{machine['cores']} cores of {machine['cpu']}, commit {machine['commit']}{changed}"
    lines = [line(row, int(machine["cores"])) for row in rows]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"{head}{''.join(lines)}\nMeasured {machine['measured_at']} on {place}.\n")


def line(row: dict[str, Any], cores: int) -> str:
    """Return the line of one number of processes; the target is of two processes on two cores."""
    speeds = sorted(one["shoppers_per_s"] for one in row["runs"])
    reached = row["shoppers_per_s"] >= TARGET
    said = "reached" if reached else f"missed: {row['shoppers_per_s']:,} of {TARGET:,}"
    target = said if row["processes"] == cores == 2 else ""
    spread = f"{speeds[0]:,} to {speeds[-1]:,}"
    lists = row["runs"][0]["lists"]
    return (
        f"| {row['processes']} | {lists:,} | {row['shoppers_per_s']:,} | {spread} | {row['cpu_ms']:.2f} | {target} |\n"
    )


if __name__ == "__main__":
    write_page()
