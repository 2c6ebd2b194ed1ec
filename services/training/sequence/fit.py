"""Fit the encoder to a log, and later let it go on with newer events.

Called by   services/training/pipeline.py
Start       item vectors begin at the factors of a damped SVD: on the Complete Journey one epoch from there is worth two
            from random vectors
Go on       after the evaluation, one short epoch over windows that end in the newest events, with new items behind the
            known ones, so that what is published has seen everything
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from services.training.collaborative.interactions import taste_matrix
from services.training.collaborative.svd import fit_svd
from services.training.examples.queries import QueryMaker, Question
from services.training.examples.sequences import Sequences
from services.training.examples.vocabulary import ItemVocabulary
from services.training.progress import Report, quiet
from services.training.sequence.config import SequenceConfig
from services.training.sequence.distributed import Team
from services.training.sequence.model import SequenceModel
from services.training.sequence.repeatable import repeatable
from services.training.sequence.sides import NO_SIDES, ItemSides
from services.training.sequence.suit import facts_of, suited
from services.training.sequence.trainer import SequenceTrainer, Surroundings, TrainingTask, Validate
from services.training.sequence.validation import NextBasketValidation
from shared.features.events import FloatArray, IntArray
from shared.models.tensors import history_of

SVD_DAMPING = 0.3
SVD_HALF_LIFE_DAYS = 90.0
SVD_LENGTH_POWER = 0.1
"""popular items have far longer factors; this power keeps a part of that"""
OWN_NOISE = 0.3
"""share of the random start that stays beside the factors"""
GO_ON_RATE = 0.2
"""learning rate of going on, as a share of that of training"""


@dataclass(frozen=True)
class Material:
    """What there is to learn from."""

    sequences: Sequences
    vocabulary: ItemVocabulary
    sides: ItemSides = NO_SIDES


@dataclass(frozen=True)
class FittedEncoder:
    """A trained model and how it got there."""

    model: SequenceModel
    validation_ndcg: float
    epochs: int


def fit_encoder(
    material: Material,
    validation: Validate,
    config: SequenceConfig,
    team: Team = Team(),  # noqa: B008 - frozen
    checkpoints: Path | None = None,
    report: Report = quiet,
) -> FittedEncoder:
    """Train from the start, or from the checkpoint of this very run."""
    config = suited_to(material, config)
    with repeatable(config, team):
        model = new_model(material, config)
        task = TrainingTask(material.sequences, material.vocabulary.count_V, fingerprint(material, config))
        state = SequenceTrainer(model, task, config, validation, Surroundings(team, checkpoints, report)).run()
    return FittedEncoder(model, state.best_score, state.epochs_done)


def go_on(
    fitted: SequenceModel, material: Material, from_ms: int, config: SequenceConfig, report: Report = quiet
) -> SequenceModel:
    """Return a model that has also learned what happened from `from_ms` on."""
    config = suited_to(material, config)
    once = replace(config, epochs=1, learning_rate=config.learning_rate * GO_ON_RATE, seed=config.seed + 1)
    with repeatable(once, Team()):
        model = grown_model(fitted, material, config)
        task = TrainingTask(material.sequences, material.vocabulary.count_V, "", from_ms)
        SequenceTrainer(model, task, once, None, Surroundings(report=report)).run()
    return model


def suited_to(material: Material, config: SequenceConfig) -> SequenceConfig:
    """Return the configuration for this log."""
    return suited(config, facts_of(material.sequences, len(material.vocabulary)))


def new_model(material: Material, config: SequenceConfig) -> SequenceModel:
    """Return a model at its start."""
    torch.manual_seed(config.seed)
    num_items = len(material.vocabulary)
    model = SequenceModel(config.encoder, num_items, material.sides)
    if config.svd_start:
        factor_VD = start_vectors(material.sequences, num_items, config)
        with torch.no_grad():
            model.items.own.weight.mul_(OWN_NOISE).add_(torch.from_numpy(factor_VD))
    return model


def start_vectors(sequences: Sequences, num_items: int, config: SequenceConfig) -> FloatArray:
    """Return SVD factors, as wide as the encoder and as large as random vectors; lengths are drawn together."""
    dim = config.encoder.dim
    taste_UV = taste_matrix(sequences, num_items, SVD_HALF_LIFE_DAYS)
    start_VD = np.zeros((num_items, dim), np.float32)
    if min(taste_UV.shape) < 3:
        return start_VD
    factor_VF = fit_svd(taste_UV, dim, SVD_DAMPING, config.seed).factor_VF
    length_V1 = np.maximum(np.linalg.norm(factor_VF, axis=1, keepdims=True), 1e-9)
    start_VD[:, : factor_VF.shape[1]] = factor_VF * length_V1 ** (SVD_LENGTH_POWER - 1)
    return start_VD / np.float32(np.sqrt((start_VD**2).mean() * dim))


def grown_model(fitted: SequenceModel, material: Material, config: SequenceConfig) -> SequenceModel:
    """Return a copy with the vocabulary's new items behind the known ones; they start at their kinds and texts."""
    torch.manual_seed(config.seed)
    model = SequenceModel(config.encoder, len(material.vocabulary), material.sides)
    known = fitted.state_dict()
    own_VD = torch.zeros_like(model.items.own.weight)
    own_VD[: fitted.num_items] = known["items.own.weight"]
    model.load_state_dict({**known, "items.own.weight": own_VD})
    return model


def validation_of(
    questions: Sequence[Question], maker: QueryMaker, code_of_row_N: IntArray, max_length: int
) -> NextBasketValidation:
    """Return the questions as the encoder is asked them: those with a known past and a known answer."""
    histories, targets = [], []
    for question in questions:
        history = history_of(maker.window(question), code_of_row_N, question.as_of_ms)
        target = code_of_row_N[question.target_row_T]
        if len(history) and (target >= 0).any():
            histories.append(history.newest(max_length))
            targets.append(target[target >= 0])
    return NextBasketValidation(histories, targets, max_length)


def fingerprint(material: Material, config: SequenceConfig) -> str:
    """Return a hash of everything that decides a run's weights."""
    digest = hashlib.sha256(repr(sorted(asdict(config).items())).encode())
    sequences, sides = material.sequences, material.sides
    arrays = [sequences.start_U1, sequences.code_E, sequences.type_E, sequences.at_ms_E, material.vocabulary.row_V]
    arrays += [kind.code_V for kind in sides.kinds.values()]
    arrays += [] if sides.text_VT is None else [sides.text_VT]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
