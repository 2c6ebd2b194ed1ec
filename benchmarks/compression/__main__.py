"""make bench-compression: variants of the encoder of Amazon Beauty, each with a cost card beside what it is made of.

Called by   `make bench-compression`, or python -m benchmarks.compression [--variants export int8 pruned distilled]
Out         benchmarks/results/compression.json, a table, docs/benchmarks/compression.md
Time        of two idle cores a few minutes for the product's encoder and a quarter of an hour for the deep teacher;
            what was trained is kept in the work folder
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.compression.compare import Comparison, compare
from benchmarks.compression.page import RESULT, write_page
from benchmarks.compression.trained import Ground, open_ground
from benchmarks.compression.variants import TARGETS
from benchmarks.environment import ROOT, environment
from services.command.progress_bars import ProgressBars

WORK = ROOT / ".aisle" / "benchmarks" / "compression"
VARIANTS = tuple(TARGETS)
COLUMNS = ("variant", "of", "NDCG@10", "kept", "speed", "encode p50 ms", "p99 ms", "CPU ms", "request", "MB", "target")
console = Console(width=150)


def main() -> None:
    """Train what is missing, measure, and write after each variant, so that an interrupted run keeps what it has."""
    options = arguments()
    ground = open_ground(options.work, options.threads)
    comparisons = []
    with ProgressBars(console) as bars:
        for name in options.variants:
            comparisons.append(compare(ground, name, bars.report))
            write(ground, {name: comparisons[-1].as_json()})
    show(comparisons)
    write_page()


def write(ground: Ground, measured: dict[str, Any]) -> None:
    """Write variants beside those of former runs, each with the environment it was measured in."""
    rows = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else {}
    rows |= {name: {**row, "environment": environment()} for name, row in measured.items()}
    values = {
        "data": "amazon-beauty, leave-one-out, all items ranked, seen items left out",
        "items": ground.task.num_items,
        "questions": len(ground.test),
        "rows": {name: rows[name] for name in VARIANTS if name in rows},
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(values, indent=2) + "\n")


def show(comparisons: list[Comparison]) -> None:
    """Print one table."""
    table = Table(title="Cost cards, one thread; speed: times that of what the variant was made of")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("variant", "of", "target") else "right")
    for one in comparisons:
        table.add_row(*cells(one))
    console.print(table)


def cells(one: Comparison) -> tuple[str, ...]:
    """Return the row of a variant."""
    card, encode = one.card, one.encode
    quality = (f"{card.ndcg_10:.4f}", f"{1 - card.loss(one.base):.2%}")
    times = (f"× {one.speed:.2f}", f"{encode.p50_ms:.3f}", f"{encode.p99_ms:.3f}", f"{encode.cpu_ms:.3f}")
    request = f"× {one.base.speed.cpu_ms / card.speed.cpu_ms:.2f}"
    return (
        card.name,
        one.base.name,
        *quality,
        *times,
        request,
        f"{card.size_mb:.2f}",
        "; ".join(one.missed) or "reached",
    )


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of training")
    parser.add_argument("--work", type=Path, default=WORK, help="where trained encoders are kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
