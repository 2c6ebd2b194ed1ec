"""docs/benchmarks/compression.md, made from benchmarks/results/compression.json: no number is typed by hand.

Called by   __main__.py after a run; `python -m benchmarks.compression.page` alone
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.environment import ROOT

PAGE = ROOT / "docs" / "benchmarks" / "compression.md"
RESULT = ROOT / "benchmarks" / "results" / "compression.json"
HEAD = """# Smaller models

Made by `make bench-compression` from `benchmarks/results/compression.json`: {data}; {items:,} items, {questions:,}
questions. Each variant stands beside what it was made of.

- **Speed** is the CPU time of encoding one history, the original's over the variant's, on one thread, both timed in
  turns. int8 stands beside torch eager, the pruned and the distilled encoder beside their original as it is served, and
  `export`, the graph that serves every bundle, beside the graph as it was trained.
- **Request** is the same for a whole request: encode, score every item, take the best 100. What finds items is the same
  for all, so it draws every ratio towards one.
- **Cost** is the CPU time of a million requests as a share of the original's. **MB** is of encoder and item table, as
  they are stored.
- **Target**: reached, or what was missed and by how much.

| variant | of | NDCG@10 | kept | AUC | speed | encode p50 ms | p99 ms | CPU ms | request | cost | MB | target |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|
"""


def write_page(result: Path = RESULT, page: Path = PAGE) -> None:
    """Make the page anew."""
    values = json.loads(result.read_text())
    rows = values["rows"]
    lines = [line(row) for row in rows.values()]
    foot = "\n" + "".join(measured(name, row["environment"]) for name, row in rows.items())
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(HEAD.format(**values) + "".join(lines) + foot)


def measured(name: str, machine: dict[str, Any]) -> str:
    """Return when and where a variant was measured."""
    commit = f"commit {machine['commit']}{' with changes' if machine['dirty'] else ''}"
    return f"- {name}: {machine['measured_at']}, {machine['cores']} cores of {machine['cpu']}, {commit}\n"


def line(row: dict[str, Any]) -> str:
    """Return two lines: the original and the variant."""
    base, card = row["base"], row["card"]
    reached = "; ".join(row["missed"]) or "reached"
    return cells(base, "", 1.0, 1.0, "") + cells(card, base["name"], row["speed"], row["request_speed"], reached)


def cells(card: dict[str, Any], of: str, speed: float, request_speed: float, note: str) -> str:
    """Return the line of one card."""
    encode = card["encode"]
    return (
        f"| {card['name']} | {of} | {card['ndcg_10']:.4f} | {1 - card['loss']:.2%} | {card['auc']:.4f} "
        f"| {speed:.2f} | {encode['p50_ms']:.3f} | {encode['p99_ms']:.3f} | {encode['cpu_ms']:.3f} "
        f"| {request_speed:.2f} | {card['relative_cost_per_million']:.2f} | {card['size_mb']:.2f} | {note} |\n"
    )


if __name__ == "__main__":
    write_page()
