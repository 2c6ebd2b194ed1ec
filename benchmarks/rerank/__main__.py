"""make bench-rerank: what variety and novelty cost in accuracy, and what re-ranking costs in time.

In          MovieLens-100K below the data folder (AISLE_DATA_DIR, else ../shared/data)
Out         benchmarks/results/rerank.json, docs/benchmarks/rerank.md and its picture
Flags       --questions N; --times-only measures the times anew and keeps the frontier of the result file
Exit code   1 when the data is missing
"""

import argparse
import json
import os
import sys
from typing import Any

from benchmarks.environment import environment
from benchmarks.quality.data_sets.registry import data_root
from benchmarks.quality.errors import MissingDataError
from benchmarks.rerank.frontier import offers, rows, times
from benchmarks.rerank.page import PAGE, RESULT, write_page
from benchmarks.rerank.shop import NAME, train
from services.training.progress import Progress

QUESTIONS = 1000


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rerank")
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--times-only", action="store_true")
    given = parser.parse_args()
    try:
        trained = train(data_root(), given.questions, _say)
    except MissingDataError as error:
        print(error, file=sys.stderr)
        return 1
    asked = offers(trained)
    before: dict[str, Any] = json.loads(RESULT.read_text()) if given.times_only else {}
    sizes = [len(one.offer.candidates.row_C) for one in asked]
    result = {
        "data": NAME,
        "environment": environment(),
        "questions": len(asked),
        "candidates": sum(sizes) / len(sizes),
        "rows": before.get("rows") or list(rows(trained, asked)),
        "load_average": os.getloadavg()[0],
        "times": times(trained),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    write_page()
    for row in result["times"]:
        print(f"{row['wish']:<40} mean {row['mean_ms']:.3f} ms, p95 {row['p95_ms']:.3f} ms of CPU time")
    print(f"{RESULT.name} and {PAGE.name} are written.")
    return 0


def _say(progress: Progress) -> None:
    """Print the end of each step."""
    if progress.done >= progress.total:
        print(f"{progress.step}: {progress.note}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
