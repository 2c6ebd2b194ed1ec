"""Validation that remembers what it said after every epoch, also over an interruption.

Called by   encoder_models.py, the trainer calls it after each epoch
Kept        beside the checkpoint, as epochs.json; a run that goes on from a checkpoint goes on with the record, too. An
            epoch that was validated but not saved when the run was stopped is trained again and gives the same score
Seconds     of training and validation, without what lies between two processes
"""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.quality.row import Training
from services.training.sequence.model import SequenceModel
from services.training.sequence.validation import NextBasketValidation


@dataclass
class EpochRecord:
    """Scores and seconds of each epoch, in a file or in memory only."""

    path: Path | None
    scores: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    began_s: float = field(default_factory=time.perf_counter)

    @staticmethod
    def open(folder: Path | None) -> "EpochRecord":
        """Return what is known of the run in a folder."""
        path = folder / "epochs.json" if folder else None
        known = json.loads(path.read_text()) if path and path.exists() else {"scores": [], "seconds": []}
        return EpochRecord(path, known["scores"], known["seconds"])

    def add(self, score: float) -> None:
        """Remember one epoch."""
        now_s = time.perf_counter()
        self.scores.append(score)
        self.seconds.append(now_s - self.began_s)
        self.began_s = now_s
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps({"scores": self.scores, "seconds": self.seconds}))

    def training(self, epochs: int) -> Training:
        """Return how a run of so many epochs went; epochs that were trained twice count once."""
        scores, seconds = list(self.scores), list(self.seconds)
        while len(scores) > epochs:
            twice = next(
                (place for place in range(1, len(scores)) if scores[place] == scores[place - 1]), len(scores) - 1
            )
            del scores[twice], seconds[twice]
        if not scores:
            return Training()
        best = scores.index(max(scores))
        total_s = sum(seconds)
        return Training(best + 1, total_s / len(seconds), tuple(scores), sum(seconds[: best + 1]), total_s)


@dataclass(frozen=True)
class RecordedValidation(NextBasketValidation):
    """NextBasketValidation with a record."""

    record: EpochRecord = field(default_factory=lambda: EpochRecord(None))

    def __call__(self, model: SequenceModel) -> float:
        """Return the mean NDCG@10."""
        score = super().__call__(model)
        self.record.add(score)
        return score
