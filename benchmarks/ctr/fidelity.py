"""Whether explanations name what counts: mask the groups they weigh most, and others at random; whose loss moves more?

Called by   benchmarks/ctr/measure.py
How         EXAMPLES candidates of the test slice, at the top of a list; for each, the MASKED groups with the largest
            Shapley values (either way) are set to their typical values, then MASKED groups drawn at random
Out         for each task how far the logit moved on average, and in what share of them the largest moved it more
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.ctr.data import CtrData
from shared.features.events import FloatArray, IntArray
from shared.models.multitask_calibration import logit
from shared.models.multitask_inputs import RankerRows
from shared.models.multitask_shapley import Contributions, Groups, Typical, explain, without

EXAMPLES, MASKED, SEED = 200, 3, 7
Chances = Callable[[RankerRows], FloatArray]


def fidelity(chances: Chances, data: CtrData) -> dict[str, Any]:
    """Return the test's figures, and what an explanation costs."""
    rng = np.random.default_rng(SEED)
    rows, fields = data.slices["test"].examples.rows, data.fields
    typical, groups = Typical.of(data.slices["train"].examples.rows), Groups.of(fields)
    place_X = np.sort(rng.choice(len(rows), min(EXAMPLES, len(rows)), replace=False)).astype(np.int32)
    largest, others, spent_s = [], [], 0.0
    for row in candidates(rows, place_X):
        began = time.process_time()
        explained = explain(chances, row, typical, fields)
        spent_s += time.process_time() - began
        own_T = logit(chances(row))[0]
        drawn = rng.choice(groups.names, MASKED, replace=False).tolist()
        largest.append(
            [abs(own_T[t] - moved(chances, row, typical, groups, top(one))[t]) for t, one in enumerate(explained)]
        )
        others.append(np.abs(own_T - moved(chances, row, typical, groups, drawn)))
    largest_XT, other_XT = np.array(largest), np.array(others)
    return {
        "examples": len(place_X),
        "masked": MASKED,
        "groups": list(groups.names),
        "cpu_ms_an_item": round(spent_s / len(place_X) * 1000, 2),
        "rows": [
            {
                "task": task,
                "largest": float(largest_XT[:, t].mean()),
                "random": float(other_XT[:, t].mean()),
                "largest_moved_more": float((largest_XT[:, t] > other_XT[:, t]).mean()),
            }
            for t, task in enumerate(fields.tasks)
        ],
    }


def candidates(rows: RankerRows, place_X: IntArray) -> list[RankerRows]:
    """Return each of the candidates alone, with its request."""
    found = []
    for place in place_X.tolist():
        some, place_M = rows.of_requests(rows.request_of_N[[place]])
        found.append(some.at(np.flatnonzero(place_M == place).astype(np.int32)))
    return found


def top(explained: Contributions) -> list[str]:
    """Return the groups that weigh most."""
    return sorted(explained.parts, key=lambda name: -abs(explained.parts[name]))[:MASKED]


def moved(chances: Chances, row: RankerRows, typical: Typical, groups: Groups, left_out: list[str]) -> FloatArray:
    """Return the logits without some groups."""
    logit_T: FloatArray = logit(chances(without(row, typical, groups, left_out)))[0]
    return logit_T
