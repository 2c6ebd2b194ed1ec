"""The whole MovieLens-1M table on one GPU, five seeds, in at most ten minutes.

Called by   hand: `python -m benchmarks.quality.gpu_table`
In          a machine with a GPU and the data set movielens-1m
Out         benchmarks/results/quality/movielens-1m-leave-one-out-cuda.json, page and table as of any run
How         rows that count go on the CPU while all seeds of plain SASRec and of the Transformer train side by side on
            the GPU, which one small encoder alone would leave idle; the fused row follows the Transformer, whose
            trained weights it takes from their checkpoints. All fill one file
Ends        the first exit status that is not 0
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.quality.models import ROWS

DATA, SEEDS, BUDGET_MINUTES = "movielens-1m", 5, 10.0
TRAINED, LAST = ("transformer", "sasrec"), "fused"


def run_of(models: Sequence[str], began_s: float, threads: int) -> subprocess.Popen[bytes]:
    """Start the run of some rows."""
    left_minutes = max(BUDGET_MINUTES - (time.monotonic() - began_s) / 60, 0)
    wishes = {
        "--models": ",".join(models),
        "--seeds": SEEDS,
        "--seeds-at-once": SEEDS,
        "--device": "cuda",
        "--threads": threads,
        "--budget-minutes": round(left_minutes, 2),
    }
    told = [str(part) for wish in wishes.items() for part in wish]
    return subprocess.Popen([sys.executable, "-m", "benchmarks.quality", DATA, *told])


def main() -> int:
    """Run the table."""
    began_s, cores = time.monotonic(), len(os.sched_getaffinity(0))
    counted = [row.name for row in ROWS if row.name not in (*TRAINED, LAST)]
    each = max(1, cores // SEEDS)  # the same for all: threads are a part of what a checkpoint was trained with
    transformer, sasrec = (run_of([name], began_s, each) for name in TRAINED)
    others = run_of(counted, began_s, max(1, cores // 4))
    statuses = [transformer.wait()]
    statuses += [process.wait() for process in (run_of([LAST], began_s, each), sasrec, others)]
    print(f"the table took {(time.monotonic() - began_s) / 60:.1f} minutes")
    return next((status for status in statuses if status), 0)


if __name__ == "__main__":
    sys.exit(main())
