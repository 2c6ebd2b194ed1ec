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

- **Speed** is the CPU time of the original for one request (encode one history, find the best 100 items, one thread)
  over that of the variant. int8 stands beside torch eager, the others beside their original in ONNX Runtime.
- **Cost** is the CPU time of a million requests as a share of the original's. **MB** is of encoder and item table, as
  they are stored.
- **Target**: reached, or what was missed and by how much.

| variant | of | NDCG@10 | of the original's | AUC | speed | p50 ms | p99 ms | CPU ms | cost | MB | target |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|
"""


def write_page(result: Path = RESULT, page: Path = PAGE) -> None:
    """Make the page anew."""
    values = json.loads(result.read_text())
    lines = [line(row) for row in values["rows"]]
    machine = values["environment"]
    foot = f"\nMeasured {machine['measured_at']} on {machine['cores']} cores of {machine['cpu']}, "
    foot += f"commit {machine['commit']}{' with changes' if machine['dirty'] else ''}.\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(HEAD.format(**values) + "".join(lines) + foot)


def line(row: dict[str, Any]) -> str:
    """Return two lines: the original and the variant."""
    parts = []
    for card, relative, note in (
        (row["base"], 1.0, ""),
        (row["card"], row["speed"], "; ".join(row["missed"]) or "reached"),
    ):
        speed = card["speed"]
        parts.append(
            f"| {card['name']} | {'' if card is row['base'] else row['base']['name']} | {card['ndcg_10']:.4f} "
            f"| {1 - card['loss']:.2%} | {card['auc']:.4f} | {relative:.2f} | {speed['p50_ms']:.3f} "
            f"| {speed['p99_ms']:.3f} | {speed['cpu_ms']:.3f} | {card['relative_cost_per_million']:.2f} "
            f"| {card['size_mb']:.2f} | {note} |\n"
        )
    return "".join(parts)


if __name__ == "__main__":
    write_page()
