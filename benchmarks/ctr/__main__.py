"""make bench-ctr [DATA=<name>]: the multi-task ranker against its rivals on one data set, or on all of them.

In          a named set (data_sets/names.py); MODELS for some rows only
Out         benchmarks/results/ctr/<data>.json, docs/benchmarks/ctr.md with pictures, and the table on the screen
Ends        0; 2 with a sentence when a set is unknown or its files are missing
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.ctr.data import CtrData
from benchmarks.ctr.data_sets.names import NAMES, UnknownDataError, open_data
from benchmarks.ctr.measure import MODELS, ORACLE, measure, oracle
from benchmarks.ctr.page import COLUMNS, PAGE, cells, write_page
from benchmarks.ctr.result import FOLDER, ResultFile

console = Console(width=150)


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER, page: Path = PAGE) -> int:
    """Run the benchmark; return the exit status."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    try:
        for name in options.data or NAMES:
            values = run(open_data(name), options.models, folder)
            show(values)
    except UnknownDataError as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 2
    write_page(folder, page)
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.ctr", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", nargs="*", help=f"some of {', '.join(NAMES)}; all without a name")
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def run(data: CtrData, models: Sequence[str], folder: Path) -> dict[str, Any]:
    """Measure the models on one set."""
    file = ResultFile(data, folder)
    truth = oracle(data)
    if truth is not None:
        file.put(ORACLE, truth)
    for name in models:
        console.print(f"{data.name}: {name}", highlight=False)
        file.put(name, measure(data, name))
    return file.values


def show(values: dict[str, Any]) -> None:
    """Print the table of one set."""
    table = Table(title=f"{values['data']}: {values['note']}", title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("task", "model") else "right")
    for row in values["rows"]:
        table.add_row(*(cell.strip("`") for cell in cells(row)))
    console.print(table)
    for task, reason in values["missing"].items():
        console.print(f"not trained: {task} ({reason})", highlight=False)
    for gain in values["gains"]:
        low, high = gain["ci95"]
        console.print(f"{gain['task']}: {gain['auc']:+.4f} against {gain['against']} ({low:+.4f} to {high:+.4f})")
    if values["serving"]:
        console.print(f"serving: {values['serving']}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
