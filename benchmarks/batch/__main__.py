"""make bench-batch: how many shoppers a second get their list made ahead, by one process and by one for each core.

Called by   `make bench-batch`, or python -m benchmarks.batch [--segment active-30d] [--runs 3]
In          a platform started by `make demo` or `aisle up`, with a trained model and shoppers
Out         benchmarks/results/batch.json, a line a row, docs/benchmarks/batch.md
Time        as `aisle batch` prints it: of making and keeping the lists, without loading the model. The first run, which
            brings every state into Redis, is not counted
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass

from benchmarks.batch.page import RESULT, write_page
from benchmarks.environment import environment

PRINTED = re.compile(r"([\d,]+) lists in ([\d.]+) s: ([\d,]+) shoppers/s, ([\d.]+) ms of a core each")


@dataclass(frozen=True)
class Run:
    """What one call of `aisle batch` printed."""

    lists: int
    seconds: float
    shoppers_per_s: int
    cpu_ms: float
    """of a core, for each list"""


def main() -> None:
    """Measure and write."""
    options = arguments()
    run(options.segment, options.processes[-1])
    rows = [row(options.segment, processes, options.runs) for processes in options.processes]
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    values = {"segment": options.segment, "rows": rows, "environment": environment()}
    RESULT.write_text(json.dumps(values, indent=2) + "\n")
    write_page()


def row(segment: str, processes: int, runs: int) -> dict[str, object]:
    """Return the medians of several runs, and each run."""
    each = [run(segment, processes) for _ in range(runs)]
    shoppers = int(statistics.median(one.shoppers_per_s for one in each))
    cpu_ms = round(statistics.median(one.cpu_ms for one in each), 2)
    print(f"{processes} processes: {shoppers:,} shoppers/s, {cpu_ms:.2f} ms of a core each")
    return {"processes": processes, "shoppers_per_s": shoppers, "cpu_ms": cpu_ms, "runs": list(map(asdict, each))}


def run(segment: str, processes: int) -> Run:
    """Make the lists once; CalledProcessError when that failed."""
    command = [sys.executable, "-m", "services.command.main", "batch", "--segment", segment]
    called = subprocess.run(
        [*command, "--processes", str(processes)], check=True, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    return read(called.stdout)


def read(printed: str) -> Run:
    """Return what the command said; ValueError when it made nothing."""
    found = PRINTED.search(printed)
    if found is None:
        raise ValueError(f"no lists were made: {printed.strip()}")
    lists, seconds, shoppers, cpu_ms = (number.replace(",", "") for number in found.groups())
    return Run(int(lists), float(seconds), int(shoppers), float(cpu_ms))


def arguments() -> argparse.Namespace:
    """Return the options."""
    cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--segment", default="active-30d", help="whose lists, as of `aisle batch`")
    parser.add_argument("--processes", type=int, nargs="+", default=sorted({1, cores}), help="one row for each number")
    parser.add_argument("--runs", type=int, default=3, help="of each row; the median counts")
    return parser.parse_args()


if __name__ == "__main__":
    main()
