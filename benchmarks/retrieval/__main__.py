"""make bench-retrieval: exact search against the index, from the trained table's own size to ten million items.

Called by   `make bench-retrieval`, or python -m benchmarks.retrieval [--sizes 100000 1000000] [--work FOLDER] [--build]
Out         benchmarks/results/retrieval.json, a table, docs/benchmarks/retrieval.md
Tables      the trained one as it is; larger ones resampled from it with neighbour distances matched (resample.py).
            They and their indexes stay in the work folder: --build only makes what is missing there, and a later run
            measures on a machine that has nothing else to do
Time        an hour at most on two idle cores, most of it training and the ten-million table; 12 GB of memory for that
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.environment import ROOT, environment
from benchmarks.retrieval.built import Built, built
from benchmarks.retrieval.measure import measure
from benchmarks.retrieval.page import write_page
from benchmarks.retrieval.resample import Resampler
from benchmarks.retrieval.trained import TrainedTable, trained_table
from services.command.progress_bars import ProgressBars
from shared.models.quantised_table import Int8Table

RESULT = ROOT / "benchmarks" / "results" / "retrieval.json"
WORK = ROOT / ".aisle" / "benchmarks" / "retrieval"
SIZES = (100_000, 1_000_000, 10_000_000)
COLUMNS = ("items", "table", "search", "p50 ms", "p99 ms", "CPU ms", "recall@100", "build s", "MB")
console = Console(width=140)


def main() -> None:
    """Measure every size and write the result after each, so that an interrupted run keeps what it has."""
    options = arguments()
    with ProgressBars(console) as bars:
        table = trained_table(options.work, bars.report)
    resampler = Resampler(table.item_VD)
    rows: list[dict[str, Any]] = []
    for size in options.sizes or (len(table.item_VD), *SIZES):
        made = built(size, table, resampler, options.threads, options.work)
        console.print(f"{size:,} items: table and index are there")
        if not options.build:
            with threadpool_limits(1):
                rows.append(row_of(made, table))
            write(rows[-1], about(table))
    if rows:
        show(rows)
        write_page()


def row_of(made: Built, table: TrainedTable) -> dict[str, Any]:
    """Return the figures of one size."""
    drawn, figures = made.drawn, measure(made, table.query_QD)
    neighbours = {"trained": vars(drawn.real), "this_table": vars(drawn.resampled)}
    figures["shortlist_scored_with"] = "int8" if isinstance(made.index.item_VD, Int8Table) else "float32"
    kind = "trained" if len(drawn.item_ND) == len(table.item_VD) else "resampled"
    figures |= {"table": kind, "step_share": round(drawn.share, 4), "nearest_distance": neighbours}
    return figures | {"environment": environment()}


def write(row: dict[str, Any], trained: dict[str, Any]) -> None:
    """Write a row beside those of former runs on the same trained table, each with the machine it was measured on."""
    former = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    kept = former["rows"] if former.get("trained") == trained else []
    rows = sorted([*(one for one in kept if one["items"] != row["items"]), row], key=lambda one: int(one["items"]))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"rows": rows, "trained": trained}, indent=2) + "\n")


def about(table: TrainedTable) -> dict[str, Any]:
    """Return what was trained."""
    return {"items": len(table.item_VD), "dim": table.item_VD.shape[1], "queries": len(table.query_QD)}


def show(rows: list[dict[str, Any]]) -> None:
    """Print one table."""
    table = Table(title="Best 100 of one state, one thread")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("table", "search") else "right")
    for row in rows:
        for cells in cells_of(row):
            table.add_row(*cells)
    console.print(table)


def cells_of(row: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the lines of one size: exact, the index, and the index under each filter."""
    exact, index, memory = row["exact"], row["index"], row["memory_mb"]
    items, kind = f"{row['items']:,}", row["table"]
    lines = [(items, kind, "exact", *clock(exact), "1", "-", "-")]
    found = (f"{index['recall@100']:.4f}", f"{index['build_s']:.1f}", f"{memory['together']:,.0f}")
    lines.append(("", "", f"index, {index['probes']} of {index['cells']} cells", *clock(index), *found))
    for one in row["filters"]:
        name = f"index, {one['filter']} ({one['allowed']:,})"
        lines.append(("", "", name, *clock(one), f"{one['recall@100']:.4f}", "", ""))
    return lines


def clock(times: dict[str, Any]) -> tuple[str, ...]:
    """Return the three times as text."""
    return tuple(f"{times[name]:.2f}" for name in ("p50_ms", "p99_ms", "cpu_p50_ms"))


def arguments() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="*", help="items; default: the trained table's own and all larger")
    parser.add_argument("--build", action="store_true", help="make tables and indexes, measure nothing")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of building the index")
    parser.add_argument("--work", type=Path, default=WORK, help="where the trained table is kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
