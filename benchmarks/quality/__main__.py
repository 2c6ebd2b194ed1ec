"""make bench-quality DATA=<name or folder>: every recommender of Aisle on one data set, ranked over all items.

In          a named public set (data_sets/registry.py) or any folder with an interactions.parquet
Out         benchmarks/results/quality/<data>-<protocol>.json, docs/benchmarks/quality.md, and the table on the screen
Bounds      SEEDS for rows that a seed changes; BUDGET_MINUTES for the whole run: rows not reached are listed as not run
Ends        0; 2 with a sentence when the data or the wishes cannot be used
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.quality.data_sets.data_set import DataSet
from benchmarks.quality.data_sets.registry import NAMED, open_data_set
from benchmarks.quality.errors import ProtocolError, QualityError
from benchmarks.quality.measure import Limits
from benchmarks.quality.models import ROWS, row_named
from benchmarks.quality.page import PAGE, write_page
from benchmarks.quality.protocols import TRACKS, Benchmark, make_benchmark
from benchmarks.quality.result import FOLDER, Asked, ResultFile
from benchmarks.quality.row_process import NotRun, run_row
from services.training.importing.errors import ImportFailedError

SHOWN = ("hr@10", "ndcg@10", "hr@50", "ndcg@50", "mrr", "coverage@10", "popularity@10", "novelty@10", "diversity@10")
console = Console(width=170)


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER, page: Path = PAGE) -> int:
    """Run the benchmark; return the exit status."""
    options = parse(arguments)
    try:
        check_device(options.device)
        data_set = open_data_set(options.data)
        names = chosen_rows(options.models)
        protocol = options.protocol or next(iter(data_set.splits))
        track = options.track or data_set.track
        asked = Asked(protocol, track, options.device, options.threads)
        benchmark = prepare(data_set, asked, folder / ".checkpoints" / data_set.name)
    except (QualityError, ImportFailedError, ValueError) as error:
        console.print(f"[red]{error}[/red]", highlight=False)
        return 2
    file = ResultFile(data_set, benchmark, asked, folder)
    tell_findings(file.values)
    run_rows(names, benchmark, options, file)
    show(file.values)
    write_page(folder, page)
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.quality", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("data", help=f"a folder, or one of {', '.join(NAMED)}")
    parser.add_argument("--seeds", type=positive, default=5)
    parser.add_argument("--seeds-at-once", type=positive, default=1, help="each in a process of its own")
    parser.add_argument("--budget-minutes", type=float, default=float("inf"))
    parser.add_argument("--models", default="", help=f"some of {','.join(row.name for row in ROWS)}")
    parser.add_argument("--protocol", default="", help="leave-one-out, time or sessions; without it the usual one")
    parser.add_argument("--track", choices=TRACKS, help="without it the usual one of the data set")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=positive, default=usual_threads())
    return parser.parse_args(arguments)


def usual_threads() -> int:
    """Return as many as the machine has cores, unless OMP_NUM_THREADS asks for fewer."""
    cores = len(os.sched_getaffinity(0))
    return min(cores, int(os.environ.get("OMP_NUM_THREADS") or cores))


def positive(text: str) -> int:
    """Return a whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected a whole number from 1 on")
    return number


def chosen_rows(models: str) -> list[str]:
    """Return the rows to run, in the order of the table."""
    wanted = [row_named(name.strip()).name for name in models.split(",") if name.strip()]
    return [row.name for row in ROWS if not wanted or row.name in wanted]


def check_device(device: str) -> None:
    """Refuse a GPU that is not there before anything is measured."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise QualityError(f"DEVICE=cuda: torch {torch.__version__} finds no GPU here")


def prepare(data_set: DataSet, asked: Asked, work: Path) -> Benchmark:
    """Make the questions."""
    splits = data_set.splits
    if asked.protocol not in splits:
        raise ProtocolError(f"{data_set.name} has no protocol {asked.protocol!r}: choose from {', '.join(splits)}")
    benchmark = make_benchmark(data_set.interactions, splits[asked.protocol], data_set.hide_seen, asked.track)
    task = replace(benchmark.task, device=asked.device, threads=asked.threads, work=work)
    return replace(benchmark, task=task)


def run_rows(names: Sequence[str], benchmark: Benchmark, options: argparse.Namespace, file: ResultFile) -> None:
    """Measure one row after the other, as long as there is time."""
    deadline_s = time.time() + 60 * options.budget_minutes
    for name in names:
        if time.time() >= deadline_s:
            file.put(NotRun(name, "BUDGET_MINUTES ran out before it was begun"))
            continue
        console.print(f"{name} ...", highlight=False)
        limits = Limits(options.seeds, deadline_s, options.seeds_at_once)
        measured = run_row(name, benchmark, limits, lambda line: console.print(f"  {line}"))
        file.put(measured)
        if isinstance(measured, NotRun):
            console.print(f"  not run: {measured.reason}", highlight=False)
        else:
            console.print(f"  NDCG@10 {measured.values['metrics']['ndcg@10']['mean']:.4f}", highlight=False)


def tell_findings(values: dict[str, Any]) -> None:
    """Print what was noticed about the data."""
    console.print(f"{values['data']}: {values['note']}; {values['counts']}", highlight=False)
    for warning in values["warnings"]:
        where = f" (first: {warning['first']})" if warning["first"] else ""
        console.print(f"  {warning['count']:,} {warning['what']}: {warning['then']}{where}", highlight=False)


def show(values: dict[str, Any]) -> None:
    """Print the table."""
    about = f"{values['data']}, {values['protocol']}, {values['track']}"
    title = f"{about}: full ranking of {values['counts']['items']:,} items"
    table = Table(title=title)
    for column in ("model", "seeds", *SHOWN, "seen", "unseen", "fit s", "ms/user", "MB"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in values["rows"]:
        metrics = [f"{row['metrics'][name]['mean']:.4g}" for name in SHOWN]
        apart = [f"{row[part]['ndcg@10']['mean']:.4f}" if "ndcg@10" in row[part] else "" for part in ("seen", "unseen")]
        cost = [f"{row['fit_s'] + row['refit_s']:.1f}", f"{row['latency_ms']:.2f}", f"{row['peak_mb']:.0f}"]
        table.add_row(row["model"], str(row["seeds"]), *metrics, *apart, *cost)
    for entry in values["not_run"]:
        table.add_row(entry["model"], "not run: " + entry["reason"])
    console.print(table)
    for pair in values["comparisons"]:
        low, high = pair["ci95"]
        line = f"{pair['model']} - {pair['against']}: {pair['difference']:+.4f} [{low:+.4f}, {high:+.4f}] NDCG@10"
        console.print(line, highlight=False)


if __name__ == "__main__":
    # Ends through `finally`, so that the process of a row does not outlive this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
