"""One model on one data set: fitted, calibrated on a later slice, and measured once on the test slice.

Called by   benchmarks/ctr/__main__.py
Calibrated  all rows alike, by a line in logits (services/training/multitask/calibrate.py); the oracle needs none
Share       (AUC - 0.5) / (oracle AUC - 0.5), where the truth is known
Time        CPU seconds of this process: other load on the machine does not count
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.ctr.configurations import tried_on
from benchmarks.ctr.data import CtrData, Slice
from benchmarks.ctr.fidelity import fidelity
from benchmarks.ctr.metrics import measures
from benchmarks.ctr.models import Fitted, logistic, multitask, single_task, trees
from services.training.multitask.calibrate import fit_calibration
from services.training.multitask.config import MultitaskConfig
from services.training.multitask.export import export_ranker
from shared.models.multitask_session import RankerSession

WISHED_AUC = 0.85
"""what many a shop wishes for; the distance to it is printed, not promised"""
CANDIDATES, REPEATS = 300, 300
SUBJECT, ORACLE = "multitask", "oracle"
Tried = tuple[MultitaskConfig, ...]
MODELS: Mapping[str, Callable[[CtrData, Tried], Fitted]] = {
    "logistic": lambda data, tried: logistic(data),
    "lightgbm": lambda data, tried: trees(data),
    "single_task": single_task,
    SUBJECT: multitask,
}


@dataclass(frozen=True)
class Measured:
    """A model's rows, one a task, and its chances on the test slice."""

    rows: list[dict[str, Any]]
    chances_NT: npt.NDArray[np.float64]
    serving: dict[str, Any] | None = None
    fidelity: dict[str, Any] | None = None


def measure(data: CtrData, name: str) -> Measured:
    """Fit, calibrate and measure one model."""
    fitted = MODELS[name](data, tried_on(len(data.slices["train"].examples)))
    calibration, test = data.slices["calibration"].examples, data.slices["test"]
    method = fit_calibration(fitted.predict(calibration.rows).astype(np.float32), calibration.label_NT, "platt")
    raw_NT = fitted.predict(test.examples.rows)
    chances_NT = method.apply(raw_NT.astype(np.float32)).astype(np.float64)
    extra = {"fit_cpu_s": round(fitted.cpu_s, 1), "chosen": dict(fitted.chosen)}
    found = Measured(rows_of(data, name, chances_NT, extra), chances_NT)
    if fitted.ranker is None:
        return found
    model = export_ranker(fitted.ranker.model)
    session = RankerSession(model)
    return replace(found, serving=serving_cost(session, len(model), data), fidelity=fidelity(session.chances, data))


def oracle(data: CtrData) -> Measured | None:
    """Measure the truth itself, where it is known."""
    truth_NT = data.slices["test"].truth_NT
    if truth_NT is None:
        return None
    return Measured(rows_of(data, ORACLE, truth_NT, {"fit_cpu_s": 0.0, "chosen": {}}), truth_NT)


def rows_of(
    data: CtrData, name: str, chances_NT: npt.NDArray[np.float64], extra: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return a row for each task."""
    test = data.slices["test"]
    rows = []
    for place, task in enumerate(data.fields.tasks):
        found = measures(test.examples.label_NT[:, place], chances_NT[:, place], test.group_N)
        rows.append(
            {
                "model": name,
                "task": task,
                **found,
                "oracle_share": oracle_share(test, place, found["auc"]),
                "below_wished_auc": WISHED_AUC - found["auc"],
                **extra,
            }
        )
    return rows


def oracle_share(test: Slice, task: int, auc: float) -> float | None:
    """Return the share of the oracle's distance from chance, where there is an oracle."""
    if test.truth_NT is None:
        return None
    best = measures(test.examples.label_NT[:, task], test.truth_NT[:, task], test.group_N)["auc"]
    return (auc - 0.5) / (best - 0.5)


def serving_cost(session: RankerSession, size: int, data: CtrData) -> dict[str, Any]:
    """Return what one request of CANDIDATES candidates costs in ONNX Runtime on one core."""
    rows, _ = data.slices["test"].examples.rows.of_requests(np.zeros(1, np.int32))
    wide = rows.at(np.resize(np.arange(len(rows), dtype=np.int32), CANDIDATES))
    for _ in range(20):
        session.chances(wide)
    began = time.process_time()
    for _ in range(REPEATS):
        session.chances(wide)
    cpu_ms = (time.process_time() - began) / REPEATS * 1000
    return {
        "candidates": CANDIDATES,
        "events": rows.history_type_RL.shape[1],
        "cpu_ms": round(cpu_ms, 3),
        "bytes": size,
    }
