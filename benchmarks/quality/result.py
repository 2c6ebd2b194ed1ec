"""The result file of one data set under one protocol: benchmarks/results/quality/<data>-<protocol>.json.

Called by   __main__.py writes it row by row, page.py reads all of them
Pieces      a later run of some rows replaces these rows and leaves the others, if data, protocol, track, device and
            target hash agree; else the file starts anew
Comparisons the fused list against every other row, from the NDCG@10 of each question, which lies beside the result
            files in `.questions/` (not in git): where that is missing, an earlier comparison of two rows that were both
            not measured again is kept
"""

import fcntl
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environment import ROOT, environment
from benchmarks.quality.compare import Doubles, paired
from benchmarks.quality.data_sets.data_set import DataSet
from benchmarks.quality.measure import Measured
from benchmarks.quality.models import ROWS
from benchmarks.quality.protocols import Benchmark
from benchmarks.quality.row_process import NotRun
from benchmarks.quality.task import Questions

FOLDER = ROOT / "benchmarks" / "results" / "quality"
AGREE = ("data", "protocol", "track", "device", "target_hash")
SUBJECT = "fused"


@dataclass(frozen=True)
class Asked:
    """What a result file is about."""

    protocol: str
    track: str
    device: str
    threads: int

    def path(self, data: str, folder: Path) -> Path:
        """Return the file; the usual track and device have no part in its name."""
        usual = {"no-query-time", "cpu"}
        more = "".join(f"-{part}" for part in (self.track, self.device) if part not in usual)
        return folder / f"{data}-{self.protocol}{more}.json"


class ResultFile:
    """One file, kept up to date row by row."""

    def __init__(self, data_set: DataSet, benchmark: Benchmark, asked: Asked, folder: Path = FOLDER) -> None:
        self.path = asked.path(data_set.name, folder)
        self._questions = folder / ".questions" / self.path.stem
        self.values = describe(data_set, benchmark, asked)
        self._read()

    def _read(self) -> None:
        """Take over the rows that the file has, if it answers the same questions."""
        known = json.loads(self.path.read_text()) if self.path.exists() else {}
        if all(known.get(key) == self.values[key] for key in AGREE):
            self.values.update({key: known[key] for key in ("rows", "not_run", "comparisons")})

    def put(self, measured: Measured | NotRun) -> None:
        """Write a row, or why there is none; another run may write other rows of the same file meanwhile."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (self.path.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            self._put(measured)

    def _put(self, measured: Measured | NotRun) -> None:
        name = measured.model if isinstance(measured, NotRun) else measured.values["model"]
        self._forget(name, also_row=isinstance(measured, Measured))
        if isinstance(measured, NotRun):
            self.values["not_run"].append({"model": name, "reason": measured.reason})
        else:
            where = environment()
            taken = {key: where[key] for key in ("measured_at", "commit", "dirty")}
            self.values["rows"].append({**measured.values, **taken})
            self._questions.mkdir(parents=True, exist_ok=True)
            np.save(self._questions / f"{name}.npy", measured.ndcg_Q.astype(np.float32))
        self._compare()
        self._write()

    def _forget(self, name: str, also_row: bool) -> None:
        """Take out what was known of a row; a row that could not be measured again stays as it was."""
        self.values["not_run"] = [entry for entry in self.values["not_run"] if entry["model"] != name]
        if also_row:
            self.values["rows"] = [row for row in self.values["rows"] if row["model"] != name]
            kept = [pair for pair in self.values["comparisons"] if name not in (pair["model"], pair["against"])]
            self.values["comparisons"] = kept

    def _compare(self) -> None:
        subject_Q = self._ndcg(SUBJECT)
        if subject_Q is None:
            return
        known = {pair["against"]: pair for pair in self.values["comparisons"]}
        for row in self.values["rows"]:
            other = row["model"]
            other_Q = self._ndcg(other)
            if other != SUBJECT and other_Q is not None:
                known[other] = {"model": SUBJECT, "against": other, "metric": "ndcg@10", **paired(subject_Q, other_Q)}
        self.values["comparisons"] = list(known.values())

    def _ndcg(self, name: str) -> Doubles | None:
        """Return the NDCG@10 of each question, if the row is in the file and was measured on this machine."""
        path = self._questions / f"{name}.npy"
        if not path.exists() or all(row["model"] != name for row in self.values["rows"]):
            return None
        ndcg_Q: Doubles = np.load(path).astype(np.float64)
        return ndcg_Q if len(ndcg_Q) == self.values["counts"]["test_questions"] else None

    def _write(self) -> None:
        order = [row.name for row in ROWS]
        self.values["rows"].sort(key=lambda row: order.index(row["model"]) if row["model"] in order else len(order))
        temporary = self.path.with_suffix(".partial")
        temporary.write_text(json.dumps(self.values, indent=1) + "\n")
        temporary.rename(self.path)


def describe(data_set: DataSet, benchmark: Benchmark, asked: Asked) -> dict[str, Any]:
    """Return everything but the rows."""
    where = environment()
    if asked.device == "cuda":
        import torch

        where["gpu"] = torch.cuda.get_device_name()
    return {
        "data": data_set.name,
        "protocol": asked.protocol,
        "track": asked.track,
        "device": asked.device,
        "threads": asked.threads,
        "commit": where.pop("commit"),
        "versions": {"python": where.pop("python"), **where.pop("libraries")},
        "machine": where,
        "target_hash": benchmark.target_hash,
        "note": "; ".join(filter(None, (benchmark.note, data_set.note))),
        "seen_items": "hidden" if data_set.hide_seen else "ranked again",
        "ties": "middle of the places they share",
        "counts": counts(data_set, benchmark),
        "warnings": [finding.as_json() for finding in benchmark.findings],
        "rows": [],
        "not_run": [],
        "comparisons": [],
    }


def counts(data_set: DataSet, benchmark: Benchmark) -> dict[str, Any]:
    """Return how large everything is."""
    log, task = data_set.interactions.log, benchmark.task
    return {
        "users": log.num_users,
        "items": task.num_items,
        "events": len(log),
        "train_events": len(task.train),
        "refit_events": len(task.refit),
        "validation_questions": len(task.validation),
        "test_questions": len(benchmark.test),
        "test_targets": sum(len(target_T) for target_T in benchmark.test.targets),
        "mean_history": mean_length(benchmark.test),
    }


def mean_length(questions: Questions) -> float:
    """Return the mean number of events of a history."""
    return round(float(np.mean([len(history) for history in questions.histories])), 2)
