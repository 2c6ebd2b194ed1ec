"""Rows that train in epochs: the product's sequence Transformer, and plain SASRec as a configuration of the same code.

Called by   models.py
Learns      `task.train` alone; the epoch is chosen by NDCG@10 on at most 4,000 random validation questions, ranked as
            the test is. Validation events are not learned afterwards
Asks        as serving does: ONNX Runtime on a CPU (shared/models/sources/sequence.py), torch on a GPU
Dimensions  B histories, D width, V items
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.environment import ROOT
from benchmarks.quality.recorded_validation import EpochRecord, RecordedValidation
from benchmarks.quality.row import Training
from benchmarks.quality.task import QualityTask
from services.training.progress import Report
from services.training.sequence.config import SequenceConfig
from services.training.sequence.export import export_encoder
from services.training.sequence.fit import Material, fingerprint, fit_encoder
from services.training.sequence.model import SequenceModel
from services.training.sequence.sides import NO_SIDES, sides_of
from services.training.sequence.suit import facts_of, suited
from shared.features.events import FloatArray
from shared.models.encoder import EncoderConfig, LastState
from shared.models.sources.sequence import SequenceSource, open_session
from shared.models.tensors import History, collate

CHOICE_QUESTIONS, CHOICE_SEED = 4000, 7
Configure = Callable[[QualityTask], SequenceConfig]
Encode = Callable[[Sequence[History]], FloatArray]
"""histories → state_BD"""
Serve = Callable[[SequenceModel, FloatArray, SequenceConfig], Encode]


class EncoderModel:
    """A trained encoder as a row."""

    def __init__(self, configure: Configure, with_sides: bool, serve: Serve | None = None) -> None:
        self.configure, self._with_sides, self._serve = configure, with_sides, serve or served
        self.training = Training()
        self._encode: Encode | None = None
        self._item_VD = np.empty((0, 0), np.float32)

    def fit(self, task: QualityTask, seed: int, report: Report) -> None:
        """Train until validation no longer improves."""
        config = replace(self.configure(task), seed=seed, threads=task.threads, device=task.device)
        sides = sides_of(task.catalogue, task.vocabulary.row_V) if self._with_sides else NO_SIDES
        material = Material(task.train, task.vocabulary, sides)
        folder = run_folder(task.work, material, config)
        validation = recorded_validation(task, config.encoder.max_length, folder)
        fitted = fit_encoder(material, validation, config, checkpoints=folder, report=report)
        self.training = validation.record.training(fitted.epochs)
        self._item_VD = fitted.model.items.all().detach().cpu().numpy()
        self._encode = self._serve(fitted.model, self._item_VD, config)

    def refit(self, task: QualityTask, seed: int, report: Report) -> None:
        """Nothing: what was trained stays."""

    def scores(self, histories: Sequence[History]) -> FloatArray:
        """Return the product of state and item vectors."""
        if self._encode is None:
            raise RuntimeError("fit comes before scores")
        return self._encode(histories) @ self._item_VD.T


def served(model: SequenceModel, item_VD: FloatArray, config: SequenceConfig) -> Encode:
    """Return the encoder as a function of histories."""
    length = config.encoder.max_length
    if config.device == "cpu":
        source = SequenceSource(open_session(export_encoder(model.encoder)), item_VD, length)
        return lambda histories: source.encode(list(histories))
    return TorchEncoder(model, length)


@dataclass(frozen=True)
class TorchEncoder:
    """The encoder on the device it was trained on."""

    model: SequenceModel
    max_length: int

    def __call__(self, histories: Sequence[History]) -> FloatArray:
        """Return state_BD."""
        batch = collate(histories, self.max_length)
        self.model.eval()
        with torch.inference_mode():
            item_VD = self.model.items.all()
            arrays = (batch.type_BL, batch.age_s_BL, batch.mask_BL)
            inputs = [torch.from_numpy(array).to(item_VD.device) for array in arrays]
            vector_BLD = item_VD[torch.from_numpy(batch.code_BL).to(item_VD.device)]
            state_BD: FloatArray = LastState(self.model.encoder)(vector_BLD, *inputs).float().cpu().numpy()
        return state_BD


def run_folder(work: Path | None, material: Material, config: SequenceConfig) -> Path | None:
    """Return where the checkpoint of this run lies: another log, configuration, seed or code has another folder."""
    if work is None:
        return None
    digest = hashlib.sha256(fingerprint(material, config).encode())
    for path in sorted((*(ROOT / "services/training/sequence").glob("*.py"), *(ROOT / "shared/models").glob("*.py"))):
        digest.update(path.read_bytes())
    return work / digest.hexdigest()[:16]


def recorded_validation(task: QualityTask, max_length: int, folder: Path | None) -> RecordedValidation:
    """Return the questions that choose the epoch."""
    asked = task.validation.sample(CHOICE_QUESTIONS, CHOICE_SEED)
    record = EpochRecord.open(folder)
    return RecordedValidation(asked.histories, asked.targets, max_length, not asked.hide_seen, record)


def usual_length(task: QualityTask) -> int:
    """Return 200 events where most users have more than 50 in training, else 50, as in the published tables."""
    return 200 if np.median(np.diff(task.train.start_U1)) > 50 else 50


def transformer() -> EncoderModel:
    """The Transformer that the product serves, with the product's defaults."""

    def configure(task: QualityTask) -> SequenceConfig:
        return SequenceConfig(encoder=EncoderConfig(max_length=usual_length(task)))

    return EncoderModel(configure, with_sides=True)


def sasrec() -> EncoderModel:
    """SASRec with full softmax: no gates, no times, no item features, random start."""

    def configure(task: QualityTask) -> SequenceConfig:
        fitting = suited(SequenceConfig(), facts_of(task.train, task.num_items))
        encoder = EncoderConfig.plain(64, usual_length(task), fitting.encoder.dropout)
        plain = SequenceConfig(encoder=encoder, suit=False, svd_start=False, average=0.0)
        # From a random start it learns for longer than the product; the steps of an epoch are the same.
        return replace(plain, epochs=40, patience=5, learning_rate=1e-3, tokens_per_batch=fitting.tokens_per_batch)

    return EncoderModel(configure, with_sides=False)
