"""Each variant beside what it was made of: made, asked every test question, timed.

Called by   benchmarks/compression/__main__.py
Speed       of encoding one history and finding the best 100 items, one thread; a pruned or distilled encoder is timed
            in the same engine as its original (ONNX Runtime, float), int8 against torch eager
Quality     NDCG@10 and AUC of every test question over all items, seen items left out
Dimensions  B histories, V items, D width
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.compression.trained import TEACHER_BLOCKS, Ground
from benchmarks.quality.encoder_models import TorchEncoder
from benchmarks.quality.metrics import ranks_of
from benchmarks.quality.task import Questions
from services.training.compression.cards import CostCard, speed_of
from services.training.compression.distil import distil
from services.training.compression.prune import prune
from services.training.compression.quantise import int8_encoder
from services.training.evaluation.metrics import auc, ndcg
from services.training.progress import Report
from services.training.sequence.export import export_encoder
from services.training.sequence.model import SequenceModel
from shared.features.events import FloatArray
from shared.models.quantised_table import packed_rows, unpacked_rows
from shared.models.sources.scores import DenseScores
from shared.models.sources.sequence import SequenceSource, open_session
from shared.models.tensors import History

TIMED, BLOCK, BEST = 400, 256, 100
Encode = Callable[[list[History]], FloatArray]


@dataclass(frozen=True)
class Target:
    """What a variant is to reach against what it was made of."""

    speed: float
    loss: float


TARGETS = {"int8": Target(2.5, 0.005), "pruned": Target(1.5, 0.01), "distilled": Target(4.0, 0.02)}


@dataclass(frozen=True)
class Comparison:
    """A variant and its original."""

    base: CostCard
    card: CostCard
    target: Target
    speed: float
    """of the original's CPU time to this one's"""

    @property
    def missed(self) -> list[str]:
        """Return what of the target was missed."""
        missed = [] if self.speed >= self.target.speed else [f"speed {self.speed:.2f} of {self.target.speed:g}"]
        loss = self.card.loss(self.base)
        return missed + ([] if loss <= self.target.loss else [f"loss {loss:.2%}, {self.target.loss:.1%} allowed"])

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "base": self.base.as_json(self.base),
            "card": self.card.as_json(self.base),
            "speed": round(self.speed, 3),
            "target": vars(self.target),
            "missed": self.missed,
        }

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        card, speed = self.card, self.card.speed
        quality = (f"{card.ndcg_10:.4f}", f"{1 - card.loss(self.base):.2%}", f"{card.auc:.4f}", f"× {self.speed:.2f}")
        times = (f"{speed.p50_ms:.3f}", f"{speed.p99_ms:.3f}", f"{speed.cpu_ms:.3f}")
        cost = (f"{speed.cpu_ms / self.base.speed.cpu_ms:.2f}", f"{card.size_mb:.2f}")
        return (card.name, self.base.name, *quality, *times, *cost, "; ".join(self.missed) or "reached")


def compare(ground: Ground, name: str, report: Report) -> Comparison:
    """Make a variant and measure it beside its original."""
    blocks = TEACHER_BLOCKS if name == "distilled" else ground.config.encoder.blocks
    model = ground.trained(blocks, report).model
    with threadpool_limits(1):
        torch.set_num_threads(1)
        if name == "int8":
            base, card = torch_card(ground, model), int8_card(ground, model)
        else:
            base = float_card(ground, model, f"{blocks} blocks")
            card = float_card(ground, smaller(ground, name, model, report), name)
    return Comparison(base, card, TARGETS[name], base.speed.cpu_ms / card.speed.cpu_ms)


def smaller(ground: Ground, name: str, model: SequenceModel, report: Report) -> SequenceModel:
    """Return the pruned or distilled model."""
    if name == "distilled":
        return distil(model, ground.material, ground.validation, ground.config, 1, report)
    return prune(model, ground.material, ground.validation, ground.config, 1, 1, report)


def torch_card(ground: Ground, model: SequenceModel) -> CostCard:
    """Return the card of the model in torch eager."""
    item_VD = items_of(model)
    weights_mb = sum(parameter.numel() for parameter in model.encoder.parameters()) * 4 / 1e6
    encode = TorchEncoder(model, ground.config.encoder.max_length)
    return card_of(ground, "torch eager", encode, item_VD, weights_mb + item_VD.nbytes / 1e6)


def float_card(ground: Ground, model: SequenceModel, name: str) -> CostCard:
    """Return the card of a model as it is served without compression."""
    item_VD, onnx = items_of(model), export_encoder(model.encoder)
    return card_of(ground, name, served(ground, onnx, item_VD), item_VD, (len(onnx) + item_VD.nbytes) / 1e6)


def int8_card(ground: Ground, model: SequenceModel) -> CostCard:
    """Return the card of the model with encoder and item table in int8; the table is unpacked once, in memory."""
    packed_V, onnx = packed_rows(items_of(model)), int8_encoder(export_encoder(model.encoder))
    item_VD = unpacked_rows(packed_V)
    encode = served(ground, onnx, item_VD)
    return card_of(ground, "int8", encode, item_VD, (len(onnx) + packed_V.nbytes) / 1e6)


def items_of(model: SequenceModel) -> FloatArray:
    """Return item_VD."""
    item_VD: FloatArray = model.items.all().detach().numpy()
    return item_VD


def served(ground: Ground, onnx: bytes, item_VD: FloatArray) -> Encode:
    """Return the encoder as serving runs it."""
    return SequenceSource(open_session(onnx), item_VD, ground.config.encoder.max_length).encode


def card_of(ground: Ground, name: str, encode: Encode, item_VD: FloatArray, size_mb: float) -> CostCard:
    """Ask every test question, then time some of them one by one."""
    histories = ground.test.histories[:TIMED]

    def answer(place: int) -> object:
        return DenseScores(item_VD @ encode([histories[place]])[0]).top(BEST, None)

    speed = speed_of(answer, len(histories))
    ndcg_10, area = quality(ground.test, encode, item_VD)
    return CostCard(name, round(size_mb, 3), round(size_mb, 3), speed, ndcg_10, area)


def quality(test: Questions, encode: Encode, item_VD: FloatArray) -> tuple[float, float]:
    """Return NDCG@10 and AUC over all questions."""
    gains, areas = [], []
    for block in test.blocks(BLOCK):
        score_BV = encode(list(block.histories)) @ item_VD.T
        for place, score_V in enumerate(score_BV):
            score_V[block.hidden(place)] = -np.inf
            rank_T = ranks_of(score_V, block.targets[place])
            gains.append(ndcg(rank_T, 10))
            areas.append(auc(rank_T, len(item_VD)))
    return round(float(np.mean(gains)), 6), round(float(np.mean(areas)), 6)
