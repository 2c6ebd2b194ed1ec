"""Rows that train: record of the epochs, going on from a checkpoint, and plain SASRec as a configuration."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.encoder_models import (
    EncoderModel,
    TorchEncoder,
    run_folder,
    sasrec,
    served,
    transformer,
    usual_length,
)
from benchmarks.quality.folder import read_folder
from benchmarks.quality.protocols import NO_QUERY_TIME, make_benchmark
from benchmarks.quality.recorded_validation import EpochRecord
from benchmarks.quality.splits import leave_one_out
from benchmarks.quality.task import QualityTask
from services.training.progress import Progress, quiet
from services.training.sequence.config import SequenceConfig
from services.training.sequence.fit import Material, new_model
from services.training.sequence.model import SequenceModel
from services.training.sequence.sides import NO_SIDES
from shared.features.events import FloatArray
from shared.models.encoder import EncoderConfig
from tests.unit.benchmarks.quality.small_log import thirty_users


@pytest.fixture
def task(tmp_path: Path) -> QualityTask:
    folder = thirty_users(tmp_path / "stranger")
    return make_benchmark(read_folder(folder, folder), leave_one_out, True, NO_QUERY_TIME).task


def small(task: QualityTask) -> SequenceConfig:
    return SequenceConfig(encoder=EncoderConfig(dim=8, blocks=1, heads=1, max_length=8), suit=False, epochs=2)


def in_torch(model: SequenceModel, item_VD: FloatArray, config: SequenceConfig) -> TorchEncoder:
    """Serve without the export, which takes seconds."""
    return TorchEncoder(model, config.encoder.max_length)


def test_a_fit_that_was_done_before_is_taken_from_its_checkpoint_with_its_record(
    task: QualityTask, tmp_path: Path
) -> None:
    task = replace(task, work=tmp_path / "work")
    first, second = EncoderModel(small, False, in_torch), EncoderModel(small, False, in_torch)
    first.fit(task, 7, quiet)
    trained: list[Progress] = []
    second.fit(task, 7, trained.append)
    assert trained == []
    assert second.training == first.training
    assert len(first.training.curve) == 2
    asked = task.validation.histories[:3]
    np.testing.assert_array_equal(second.scores(asked), first.scores(asked))


def test_another_seed_has_another_folder(task: QualityTask, tmp_path: Path) -> None:
    material = Material(task.train, task.vocabulary, NO_SIDES)
    folders = {run_folder(tmp_path, material, replace(small(task), seed=seed)) for seed in (7, 7, 8)}
    assert len(folders) == 2
    assert run_folder(None, material, small(task)) is None


def test_the_gpu_path_answers_as_serving_does(task: QualityTask) -> None:
    trained = new_model(Material(task.train, task.vocabulary, NO_SIDES), small(task))
    histories = task.validation.histories[:4]
    item_VD = trained.items.all().detach().numpy()
    expected = served(trained, item_VD, small(task))(histories)
    np.testing.assert_allclose(TorchEncoder(trained, 8)(histories), expected, atol=1e-5)


def test_an_epoch_that_was_validated_twice_counts_once(tmp_path: Path) -> None:
    record = EpochRecord.open(tmp_path)
    for score in (0.1, 0.3):
        record.add(score)
    again = EpochRecord.open(tmp_path)
    for score in (0.3, 0.2):
        again.add(score)
    training = again.training(epochs=3)
    assert training.curve == (0.1, 0.3, 0.2)
    assert training.epochs == 2
    assert training.fit_s == pytest.approx(3 * training.s_per_epoch)


def test_sasrec_is_plain_and_both_read_long_histories_where_there_are_some(task: QualityTask) -> None:
    plain, product = sasrec().configure(task), transformer().configure(task)
    assert usual_length(task) == plain.encoder.max_length == product.encoder.max_length == 50
    assert (plain.encoder.gates, plain.encoder.times, plain.svd_start, plain.suit) == (False, False, False, False)
    assert (product.encoder.gates, product.suit) == (True, True)
