"""Seconds to fit Aisle's counting models beside those of the library `implicit`, on the same matrices in the same run.

Call        python -m benchmarks.quality.rivals.implicit_fit --implicit-python <python of an environment that has it>
            (python -m venv there; pip install implicit==0.7.3)
In          the events of named data sets up to the test, as the taste matrix of the product
Out         benchmarks/results/quality/fit-times.json: every repeat, the median, and how many times faster Aisle is
Fair        equal matrix, threads, neighbours and factors, one after the other. iALS: `implicit` makes its 15 default
            sweeps from a random start, Aisle its 4 from the singular vectors, whose time counts. user-CF and SVD have
            no counterpart there: they are timed beside its item-CF and its ALS, the nearest of kind
Ends        0; 2 with a sentence when `implicit` cannot be run
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.environment import environment
from benchmarks.quality.data_sets.registry import open_data_set
from benchmarks.quality.protocols import NO_QUERY_TIME, make_benchmark
from benchmarks.quality.result import FOLDER
from services.training.collaborative.ials import IalsConfig, fit_ials
from services.training.collaborative.interactions import taste_matrix
from services.training.collaborative.item_cf import fit_item_cf
from services.training.collaborative.svd import fit_svd
from services.training.collaborative.user_cf import fit_user_cf

RIVAL = Path(__file__).with_name("implicit_models.py")
RIVAL_OF = {"item_cf": "item_cf", "user_cf": "item_cf", "svd": "ials", "ials": "ials"}
HALF_LIFE_DAYS, SHRINKAGE, SEED = 90.0, 1.0, 7
LIMIT_S = 600
NOTE = "Seconds to fit Aisle's counting models and those of the library `implicit` on the same matrix: medians, one run"


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Time both on every data set and write the result; return the exit status."""
    options = parse(arguments)
    try:
        sets = [compared(name, taste_of(name), options) for name in options.data.split(",")]
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        print(f"implicit cannot be run by {options.implicit_python}: {error}", file=sys.stderr)
        return 2
    about = {"environment": environment(), "threads": options.threads, "note": NOTE}
    result = {**about, "rows": [row for each in sets for row in table_rows(each)], "sets": sets}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fit-times.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(sets, indent=2))
    return 0


def taste_of(name: str) -> sp.csr_array:
    """Return users x items of a named data set, without the test."""
    data_set = open_data_set(name)
    split = data_set.splits["leave-one-out"]
    task = make_benchmark(data_set.interactions, split, data_set.hide_seen, NO_QUERY_TIME).task
    return taste_matrix(task.refit, task.num_items, HALF_LIFE_DAYS)


def compared(name: str, taste_UV: sp.csr_array, options: argparse.Namespace) -> dict[str, Any]:
    """Return the times of both on one matrix."""
    ours = our_times(taste_UV, options)
    theirs = implicit_times(taste_UV, options)
    rows = {}
    for model, seconds in ours.items():
        rival = theirs["times"][RIVAL_OF[model]]
        rows[model] = {
            "aisle_s": summary(seconds),
            "implicit_model": RIVAL_OF[model],
            "implicit_s": summary(rival),
            "times_faster": round(statistics.median(rival) / statistics.median(seconds), 2),
        }
    users, items = taste_UV.shape
    size = {"users": users, "items": items, "entries": int(taste_UV.nnz)}
    return {"data": name, **size, "implicit": theirs["version"], "models": rows}


def table_rows(compared_set: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the medians of one data set as lines of the page."""
    return [
        {
            "data": compared_set["data"],
            "model": model,
            "aisle_s": times["aisle_s"]["median"],
            "implicit": times["implicit_model"],
            "implicit_s": times["implicit_s"]["median"],
            "times_faster": times["times_faster"],
        }
        for model, times in compared_set["models"].items()
    ]


def our_times(taste_UV: sp.csr_array, options: argparse.Namespace) -> dict[str, list[float]]:
    """Return the seconds of every repeat of each of our models."""
    fits: Mapping[str, Callable[[], object]] = {
        "item_cf": lambda: fit_item_cf(taste_UV, options.neighbours, SHRINKAGE, options.threads),
        "user_cf": lambda: fit_user_cf(taste_UV, SEED),
        "svd": lambda: fit_svd(taste_UV, options.factors, 0.0, SEED),
        "ials": lambda: fit_ials(taste_UV, IalsConfig(factors=options.factors), SEED, options.threads),
    }
    return {model: [seconds_of(fit) for _ in range(options.repeats)] for model, fit in fits.items()}


def seconds_of(fit: Callable[[], object]) -> float:
    """Return how long one fit takes."""
    began_s = time.perf_counter()
    fit()
    return time.perf_counter() - began_s


def implicit_times(taste_UV: sp.csr_array, options: argparse.Namespace) -> dict[str, Any]:
    """Return the version and the seconds of every repeat of each model of the library."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "matrix.npz"
        np.savez(path, data=taste_UV.data, indices=taste_UV.indices, indptr=taste_UV.indptr, shape=taste_UV.shape)
        names = ("threads", "repeats", "neighbours", "factors", "sweeps")
        wanted = {"matrix": str(path), **{name: getattr(options, name) for name in names}}
        # One thread of BLAS, as the library itself asks for: its own threads share the work.
        run = subprocess.run(
            [options.implicit_python, str(RIVAL), json.dumps(wanted)],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            check=False,
        )
    if run.returncode:
        raise ValueError((run.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    found: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return found


def summary(seconds: Sequence[float]) -> dict[str, Any]:
    """Return the median and every repeat."""
    return {"median": round(statistics.median(seconds), 4), "repeats": [round(second, 4) for second in seconds]}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks.quality.rivals.implicit_fit")
    parser.add_argument("--implicit-python", required=True, help="python of an environment with implicit")
    parser.add_argument("--data", default="movielens-1m,amazon-beauty", help="named data sets")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--neighbours", type=int, default=200)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--sweeps", type=int, default=15, help="of implicit's ALS")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
