"""make bench-retrieval: exact search against the index, from the trained table's own size to ten million items.

Called by   `make bench-retrieval`, or python -m benchmarks.retrieval [--sizes 100000 1000000] [--work FOLDER]
Out         benchmarks/results/retrieval.json, a table, docs/benchmarks/retrieval.md
Tables      the trained one as it is; larger ones resampled from it with neighbour distances matched (resample.py)
Time        an hour at most on two idle cores, most of it training and the ten-million table; 12 GB of memory for that
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.environment import ROOT, environment
from benchmarks.retrieval.measure import measure
from benchmarks.retrieval.page import write_page
from benchmarks.retrieval.resample import Resampled, Resampler
from benchmarks.retrieval.trained import TrainedTable, trained_table
from services.command.progress_bars import ProgressBars
from shared.features.events import FloatArray
from shared.models.quantised_table import Int8Table, packed_rows
from shared.models.retrieval_index import BLOCK

RESULT = ROOT / "benchmarks" / "results" / "retrieval.json"
WORK = ROOT / ".aisle" / "benchmarks" / "retrieval"
SIZES = (100_000, 1_000_000, 10_000_000)
FLOAT_UP_TO = 1_000_000
"""items; the shortlist of larger tables is scored with int8 rows, which is what fits beside the index"""
COLUMNS = ("items", "table", "search", "p50 ms", "p99 ms", "CPU ms", "recall@100", "build s", "MB")
console = Console(width=140)


def main() -> None:
    """Measure every size and write the result after each, so that an interrupted run keeps what it has."""
    options = arguments()
    with ProgressBars(console) as bars:
        table = trained_table(options.work, bars.report)
    resampler = Resampler(table.item_VD)
    rows: list[dict[str, Any]] = []
    for size in (len(table.item_VD), *options.sizes):
        rows.append(row_of(size, table, resampler, options.threads))
        result = {"rows": rows, "trained": about(table), "environment": environment()}
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
        console.print(f"{size:,} items measured")
    show(rows)
    write_page()


def row_of(size: int, table: TrainedTable, resampler: Resampler, threads: int) -> dict[str, Any]:
    """Return the figures of one size."""
    if size == len(table.item_VD):
        drawn = Resampled(table.item_VD, 0.0, resampler.real, resampler.real)
    else:
        drawn = resampler.draw(size)
    refine_N = drawn.item_ND if size <= FLOAT_UP_TO else Int8Table(packed(drawn.item_ND))
    with threadpool_limits(1):
        figures = measure(drawn.item_ND, table.query_QD, refine_N, threads)
    neighbours = {"trained": vars(drawn.real), "this_table": vars(drawn.resampled)}
    figures["shortlist_scored_with"] = "float32" if refine_N is drawn.item_ND else "int8"
    kind = "trained" if drawn.item_ND is table.item_VD else "resampled"
    return {**figures, "table": kind, "step_share": round(drawn.share, 4), "nearest_distance": neighbours}


def packed(item_ND: FloatArray) -> np.ndarray:
    """Return the table in int8, made block by block."""
    return np.concatenate([packed_rows(item_ND[start : start + BLOCK]) for start in range(0, len(item_ND), BLOCK)])


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
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="of the resampled tables")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of building the index")
    parser.add_argument("--work", type=Path, default=WORK, help="where the trained table is kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
