"""The fused row: sources under weights that validation chose, with an encoder that knows or does not know."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.folder import read_folder
from benchmarks.quality.fused_model import FusedModel
from benchmarks.quality.measure import answer
from benchmarks.quality.protocols import NO_QUERY_TIME, Benchmark, make_benchmark
from benchmarks.quality.row import Training
from benchmarks.quality.splits import leave_one_out
from benchmarks.quality.task import QualityTask, Questions
from services.training.progress import Report, quiet
from shared.features.events import FloatArray
from shared.models.tensors import History
from tests.unit.benchmarks.quality.small_log import thirty_users


class FixedEncoder:
    """An encoder that likes the same items whoever asks."""

    def __init__(self, score_V: FloatArray) -> None:
        self.training, self._score_V = Training(epochs=3), score_V
        self.refitted = False

    def fit(self, task: QualityTask, seed: int, report: Report) -> None:
        pass

    def refit(self, task: QualityTask, seed: int, report: Report) -> None:
        self.refitted = True

    def scores(self, histories: Sequence[History]) -> FloatArray:
        return np.repeat(self._score_V[None], len(histories), axis=0)


class KnowingEncoder(FixedEncoder):
    """An encoder that was told the answers."""

    def __init__(self, asked: Questions, items: int) -> None:
        super().__init__(np.zeros(items, np.float32))
        pairs = zip(asked.histories, asked.targets, strict=True)
        self._answer_of = {history.code_L.tobytes(): target_T for history, target_T in pairs}

    def scores(self, histories: Sequence[History]) -> FloatArray:
        score_BV = super().scores(histories)
        for score_V, history in zip(score_BV, histories, strict=True):
            score_V[self._answer_of[history.code_L.tobytes()]] = 5
        return score_BV


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    folder = thirty_users(tmp_path)
    return make_benchmark(read_folder(folder, folder), leave_one_out, True, NO_QUERY_TIME)


def fused(benchmark: Benchmark, score_V: FloatArray) -> tuple[FusedModel, FixedEncoder]:
    encoder = FixedEncoder(score_V)
    model = FusedModel(encoder)
    model.fit(benchmark.task, 7, quiet)
    model.refit(benchmark.task, 7, quiet)
    return model, encoder


def test_items_of_the_users_own_group_come_first_though_the_encoder_says_nothing(benchmark: Benchmark) -> None:
    model, encoder = fused(benchmark, np.zeros(benchmark.task.num_items, np.float32))
    best_BK = answer(model, benchmark.test, benchmark.task.num_items).top_QK[:, :2]
    log = benchmark.task.refit
    for history, best_K in zip(benchmark.test.histories, best_BK.tolist(), strict=True):
        users = [
            set(log.code_E[start:stop].tolist()) for start, stop in zip(log.start_U1, log.start_U1[1:], strict=False)
        ]
        group = set().union(*(items for items in users if items & set(history.code_L.tolist())))
        assert set(best_K) <= group
    assert model.training.epochs == 3
    assert not encoder.refitted


def test_an_encoder_that_knows_the_answers_is_believed(benchmark: Benchmark) -> None:
    asked, items = benchmark.task.validation, benchmark.task.num_items
    model = FusedModel(KnowingEncoder(asked, items))
    model.fit(benchmark.task, 7, quiet)
    assert answer(model, asked, items).ndcg_Q.mean() > 0.98


def test_scores_before_the_fit_are_refused() -> None:
    with pytest.raises(RuntimeError, match="fit comes before scores"):
        FusedModel(FixedEncoder(np.zeros(2, np.float32))).scores([])
