"""Fit times of the library `implicit`, for implicit_fit.py; runs in an environment of its own.

Call        <its python> implicit_models.py '{"matrix": "x.npz", "threads": 2, "repeats": 5, "neighbours": 200,
            "factors": 64, "sweeps": 15}'
In          matrix.npz: data, indices, indptr, shape of users x items
Out         one line of JSON: the library's version and the seconds of every repeat of each model
"""

import json
import sys
import time

import implicit
import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender


def main() -> None:
    """Fit every model and print the times."""
    wanted = json.loads(sys.argv[1])
    stored = np.load(wanted["matrix"])
    parts = (stored["data"], stored["indices"], stored["indptr"])
    matrix = sp.csr_matrix(parts, shape=tuple(stored["shape"]))
    models = {
        "item_cf": lambda: CosineRecommender(K=wanted["neighbours"], num_threads=wanted["threads"]),
        "ials": lambda: AlternatingLeastSquares(
            factors=wanted["factors"], iterations=wanted["sweeps"], num_threads=wanted["threads"], random_state=7
        ),
    }
    times = {name: [seconds(make, matrix) for _ in range(wanted["repeats"])] for name, make in models.items()}
    print(json.dumps({"version": implicit.__version__, "times": times}))


def seconds(make, matrix) -> float:  # type: ignore[no-untyped-def]
    """Return how long one fit takes."""
    model = make()
    began_s = time.perf_counter()
    model.fit(matrix, show_progress=False)
    return time.perf_counter() - began_s


if __name__ == "__main__":
    main()
