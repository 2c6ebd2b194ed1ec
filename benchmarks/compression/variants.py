"""The variants of an encoder, each with what it is made of.

Called by   benchmarks/compression/compare.py
Engine      a pruned or distilled encoder and its original run as they are served (ONNX Runtime, float); int8 stands
            beside torch eager; `export` is the graph that serves beside the graph as it was trained
Dimensions  B histories, V items, D width
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.compression.trained import TEACHER_BLOCKS, Ground
from services.training.compression.distil import distil
from services.training.compression.prune import prune
from services.training.compression.quantise import int8_encoder
from services.training.progress import Report
from services.training.sequence.export import export_encoder, export_module
from services.training.sequence.model import SequenceModel
from shared.features.events import FloatArray
from shared.models.encoder import LastState
from shared.models.quantised_table import packed_rows, unpacked_rows
from shared.models.sources.sequence import SequenceSource, open_session
from shared.models.tensors import History, collate

Encode = Callable[[list[History]], FloatArray]


@dataclass(frozen=True)
class Target:
    """What a variant is to reach against what it was made of."""

    speed: float
    loss: float


TARGETS = {
    "export": Target(1.0, 0.0001),
    "int8": Target(2.5, 0.005),
    "pruned": Target(1.5, 0.01),
    "distilled": Target(4.0, 0.02),
}


@dataclass(frozen=True)
class Subject:
    """One encoder that is measured."""

    name: str
    encode: Encode
    item_VD: FloatArray
    size_mb: float
    """of encoder and item table, as they are stored"""


def pair(ground: Ground, name: str, report: Report) -> tuple[Subject, Subject]:
    """Return the original and the variant; what is missing is trained."""
    blocks = TEACHER_BLOCKS if name == "distilled" else ground.config.encoder.blocks
    model = ground.trained(blocks, report).model.eval()
    if name == "export":
        plain = export_module(LastState(model.encoder), model.encoder.config)
        return served(ground, "as trained", model, plain), served(ground, "export", model)
    if name == "int8":
        return eager(ground, model), int8(ground, model)
    small = ground.kept(name, lambda: smaller(ground, name, model, report))
    return served(ground, f"{blocks} blocks", model), served(ground, name, small)


def smaller(ground: Ground, name: str, model: SequenceModel, report: Report) -> SequenceModel:
    """Return the pruned or distilled model."""
    if name == "distilled":
        return distil(model, ground.material, ground.validation, ground.config, 1, report)
    return prune(model, ground.material, ground.validation, ground.config, 1, 1, report)


def eager(ground: Ground, model: SequenceModel) -> Subject:
    """Return the model in torch eager; its item vectors are made once, as for any other."""
    item_VD, last = items_of(model), LastState(model.encoder).eval()
    weights_mb = sum(parameter.numel() for parameter in model.encoder.parameters()) * 4 / 1e6

    def encode(histories: list[History]) -> FloatArray:
        batch = collate(histories, ground.config.encoder.max_length)
        arrays = (item_VD[batch.code_BL], batch.type_BL, batch.age_s_BL, batch.mask_BL)
        with torch.inference_mode():
            state_BD: FloatArray = last(*(torch.from_numpy(array) for array in arrays)).numpy()
        return state_BD

    return Subject("torch eager", encode, item_VD, weights_mb + item_VD.nbytes / 1e6)


def int8(ground: Ground, model: SequenceModel) -> Subject:
    """Return the model with encoder and item table in int8; the table is unpacked once, in memory."""
    packed_V, onnx = packed_rows(items_of(model)), int8_encoder(export_encoder(model.encoder))
    item_VD = unpacked_rows(packed_V)
    return Subject("int8", encoding(ground, onnx, item_VD), item_VD, (len(onnx) + packed_V.nbytes) / 1e6)


def served(ground: Ground, name: str, model: SequenceModel, onnx: bytes | None = None) -> Subject:
    """Return a model as it is served without compression, or as the graph that is given."""
    item_VD = items_of(model)
    onnx = onnx or export_encoder(model.encoder)
    return Subject(name, encoding(ground, onnx, item_VD), item_VD, (len(onnx) + item_VD.nbytes) / 1e6)


def items_of(model: SequenceModel) -> FloatArray:
    """Return item_VD."""
    item_VD: FloatArray = model.items.all().detach().numpy()
    return item_VD


def encoding(ground: Ground, onnx: bytes, item_VD: FloatArray) -> Encode:
    """Return the encoder as serving runs it."""
    return SequenceSource(open_session(onnx), item_VD, ground.config.encoder.max_length).encode
