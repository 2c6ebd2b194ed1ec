"""The whole MovieLens-1M table on one GPU, five seeds, in at most ten minutes.

Called by   hand: `python -m benchmarks.quality.gpu_table`
In          a machine with a GPU and the data set movielens-1m
Out         benchmarks/results/quality/movielens-1m-leave-one-out-cuda.json, page and table as of any run
How         rows that count go on the CPU while plain SASRec and the Transformer train on the GPU, both filling one
            file; the fused row comes last, since it takes the trained Transformers from their checkpoints
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


def command(models: Sequence[str], minutes: float, threads: int) -> list[str]:
    """Return the run of some rows."""
    wishes = {"--models": ",".join(models), "--seeds": SEEDS, "--device": "cuda", "--threads": threads}
    told = [str(part) for wish in {**wishes, "--budget-minutes": round(minutes, 2)}.items() for part in wish]
    return [sys.executable, "-m", "benchmarks.quality", DATA, *told]


def main() -> int:
    """Run the table."""
    began_s, cores = time.monotonic(), len(os.sched_getaffinity(0))
    names = [row.name for row in ROWS]
    counted = [name for name in names if name not in (*TRAINED, LAST)]
    share = max(1, cores // 2)
    together = [subprocess.Popen(command(models, BUDGET_MINUTES, share)) for models in (counted, TRAINED)]
    statuses = [process.wait() for process in together]
    left_minutes = BUDGET_MINUTES - (time.monotonic() - began_s) / 60
    if LAST in names:
        statuses.append(subprocess.call(command([LAST], max(left_minutes, 0), cores)))
    return next((status for status in statuses if status), 0)


if __name__ == "__main__":
    sys.exit(main())
