"""The result file of one data set: benchmarks/results/ctr/<data>.json, row by row.

Called by   __main__.py writes it, page.py reads all of them
Pieces      a later run of some models replaces their rows and leaves the others, if the test labels are the same
Gains       the ranker's AUC against each other model's, from chances kept beside the results in `.chances/` (not in
            git); where they are missing, the gain that the file has is kept
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ctr.data import SLICES, CtrData
from benchmarks.ctr.measure import MODELS, ORACLE, SUBJECT, Measured
from benchmarks.ctr.metrics import auc_gain
from benchmarks.environment import ROOT, environment

FOLDER = ROOT / "benchmarks" / "results" / "ctr"
DRAWS, SEED = 200, 7


class ResultFile:
    """One file, kept up to date."""

    def __init__(self, data: CtrData, folder: Path = FOLDER) -> None:
        self._data, self.path = data, folder / f"{data.name}.json"
        self._chances = folder / ".chances"
        self.values = described(data)
        known = json.loads(self.path.read_text()) if self.path.exists() else {}
        if known.get("test_hash") == self.values["test_hash"]:
            self.values |= {key: known.get(key) for key in ("rows", "gains", "serving", "fidelity")}

    def put(self, name: str, measured: Measured) -> None:
        """Write a model's rows, and what the ranker gains on it."""
        taken = {key: value for key, value in environment().items() if key in ("measured_at", "commit", "dirty")}
        self.values["rows"] = [row for row in self.values["rows"] if row["model"] != name]
        self.values["rows"] += [row | taken for row in measured.rows]
        self.values["rows"].sort(key=lambda row: (self._task(row), [*MODELS, ORACLE].index(row["model"])))
        if measured.serving is not None:
            self.values |= {"serving": measured.serving, "fidelity": measured.fidelity}
        self._chances.mkdir(parents=True, exist_ok=True)
        np.save(self._kept(name), measured.chances_NT)
        self._compare()
        temporary = self.path.with_suffix(".partial")
        temporary.write_text(json.dumps(self.values, indent=1) + "\n")
        temporary.rename(self.path)

    def _task(self, row: dict[str, Any]) -> int:
        return self._data.fields.tasks.index(row["task"])

    def _kept(self, name: str) -> Path:
        return self._chances / f"{self._data.name}-{name}-{self.values['test_hash']}.npy"

    def _compare(self) -> None:
        label_NT = self._data.slices["test"].examples.label_NT
        names = [name for name in MODELS if name != SUBJECT and self._kept(name).exists()]
        if not self._kept(SUBJECT).exists():
            return
        known = {(gain["against"], gain["task"]): gain for gain in self.values["gains"]}
        own_NT = np.load(self._kept(SUBJECT))
        auc = {(row["model"], row["task"]): row["auc"] for row in self.values["rows"]}
        for name in names:
            other_NT = np.load(self._kept(name))
            for place, task in enumerate(self._data.fields.tasks):
                interval = auc_gain(label_NT[:, place], own_NT[:, place], other_NT[:, place], DRAWS, SEED)
                gain = auc[SUBJECT, task] - auc[name, task]
                known[name, task] = {"against": name, "task": task, "auc": gain, "ci95": interval}
        self.values["gains"] = list(known.values())


def described(data: CtrData) -> dict[str, Any]:
    """Return everything but the rows."""
    where = environment()
    test = data.slices["test"].examples
    return {
        "data": data.name,
        "note": data.note,
        "tasks": list(data.fields.tasks),
        "missing": dict(data.missing),
        "numbers": len(data.fields.request_numbers) + len(data.fields.item_numbers),
        "categories": len(data.fields.request_categories) + len(data.fields.item_categories),
        "max_history": data.fields.max_history if data.fields.history else 0,
        "slices": {
            name: {
                "examples": len(data.slices[name].examples),
                **dict(zip(data.fields.tasks, data.slices[name].examples.label_NT.sum(axis=0).tolist(), strict=True)),
            }
            for name in SLICES
        },
        "test_hash": hashlib.sha256(
            np.packbits(test.label_NT).tobytes() + test.rows.item_number_NF.tobytes()
        ).hexdigest()[:16],
        "machine": where["cpu"],
        "versions": {"python": where["python"], **where["libraries"]},
        "rows": [],
        "gains": [],
        "serving": None,
        "fidelity": None,
    }
