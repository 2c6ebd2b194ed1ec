"""A variant beside its original: every test question asked of both, then some of them timed in turns.

Called by   benchmarks/compression/__main__.py
Speed       of encoding one history on one thread, which is all that a variant changes; the request, which is that and
            finding the best 100 items, stands beside it
Quality     NDCG@10 and AUC of every test question over all items, seen items left out
Dimensions  B histories, V items, T targets
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.compression.trained import Ground
from benchmarks.compression.variants import TARGETS, Subject, Target, pair
from benchmarks.quality.metrics import ranks_of
from benchmarks.quality.task import Questions
from services.training.compression.cards import CostCard, Speed, speeds_in_turns
from services.training.evaluation.metrics import auc, ndcg
from services.training.progress import Report
from shared.models.sources.scores import DenseScores

TIMED, BLOCK, BEST = 1000, 256, 100


@dataclass(frozen=True)
class Comparison:
    """A variant and its original; the cards hold the time of a request."""

    base: CostCard
    card: CostCard
    base_encode: Speed
    encode: Speed
    target: Target

    @property
    def speed(self) -> float:
        """Return the original's CPU time for encoding over the variant's."""
        return self.base_encode.cpu_ms / self.encode.cpu_ms

    @property
    def missed(self) -> list[str]:
        """Return what of the target was missed."""
        missed = [] if self.speed >= self.target.speed else [f"speed {self.speed:.2f} of {self.target.speed:g}"]
        loss = self.card.loss(self.base)
        return missed + ([] if loss <= self.target.loss else [f"loss {loss:.2%}, {self.target.loss:.1%} allowed"])

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "base": {**self.base.as_json(self.base), "encode": vars(self.base_encode)},
            "card": {**self.card.as_json(self.base), "encode": vars(self.encode)},
            "speed": round(self.speed, 3),
            "request_speed": round(self.base.speed.cpu_ms / self.card.speed.cpu_ms, 3),
            "target": vars(self.target),
            "missed": self.missed,
        }


def compare(ground: Ground, name: str, report: Report) -> Comparison:
    """Make a variant and measure it beside its original."""
    subjects = pair(ground, name, report)
    with threadpool_limits(1):
        torch.set_num_threads(1)
        quality = [quality_of(ground.test, subject) for subject in subjects]
        encoding, asking = times_of(ground, subjects)
    cards = [
        CostCard(subject.name, round(subject.size_mb, 3), round(subject.size_mb, 3), speed, *scores)
        for subject, speed, scores in zip(subjects, asking, quality, strict=True)
    ]
    return Comparison(cards[0], cards[1], encoding[0], encoding[1], TARGETS[name])


def times_of(ground: Ground, subjects: tuple[Subject, Subject]) -> tuple[list[Speed], list[Speed]]:
    """Return the time of encoding, then that of a request, of each."""
    histories = ground.test.histories[:TIMED]

    def answer(subject: Subject, place: int) -> object:
        return DenseScores(subject.item_VD @ subject.encode([histories[place]])[0]).top(BEST, None)

    encoders = [lambda place, each=each: each.encode([histories[place]]) for each in subjects]
    requests = [lambda place, each=each: answer(each, place) for each in subjects]
    return speeds_in_turns(encoders, len(histories)), speeds_in_turns(requests, len(histories))


def quality_of(test: Questions, subject: Subject) -> tuple[float, float]:
    """Return NDCG@10 and AUC over all questions."""
    gains, areas = [], []
    for block in test.blocks(BLOCK):
        score_BV = subject.encode(list(block.histories)) @ subject.item_VD.T
        for place, score_V in enumerate(score_BV):
            score_V[block.hidden(place)] = -np.inf
            rank_T = ranks_of(score_V, block.targets[place])
            gains.append(ndcg(rank_T, 10))
            areas.append(auc(rank_T, len(subject.item_VD)))
    return round(float(np.mean(gains)), 6), round(float(np.mean(areas)), 6)
