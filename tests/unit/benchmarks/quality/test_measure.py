"""How a row is measured: its configuration, its seeds, and scores that cannot be judged."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.folder import read_folder
from benchmarks.quality.measure import Limits, answer, measure
from benchmarks.quality.models import row_named
from benchmarks.quality.protocols import NO_QUERY_TIME, Benchmark, make_benchmark
from benchmarks.quality.row import Row, Training
from benchmarks.quality.splits import leave_one_out
from benchmarks.quality.task import QualityTask
from services.training.progress import Report
from shared.features.events import FloatArray
from shared.models.tensors import History
from tests.unit.benchmarks.quality.small_log import thirty_users


class Oracle:
    """Answers with fixed scores; remembers what it was asked to do."""

    def __init__(self, said: FloatArray, log: list[str], name: str = "") -> None:
        self.training, self._said_V, self._log, self._name = Training(), said, log, name

    def fit(self, task: QualityTask, seed: int, report: Report) -> None:
        self._log.append(f"fit {self._name} seed {seed}")

    def refit(self, task: QualityTask, seed: int, report: Report) -> None:
        self._log.append(f"refit {self._name} seed {seed}")

    def scores(self, histories: Sequence[History]) -> FloatArray:
        return np.repeat(self._said_V[None], len(histories), axis=0)


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    folder = thirty_users(tmp_path)
    return make_benchmark(read_folder(folder, folder), leave_one_out, True, NO_QUERY_TIME)


def test_the_configuration_that_is_best_on_validation_is_the_one_that_is_measured(benchmark: Benchmark) -> None:
    answers = np.concatenate(benchmark.task.validation.targets)
    good_V = np.bincount(answers, minlength=benchmark.task.num_items).astype(np.float32)
    done: list[str] = []

    def make(way: str) -> Oracle:
        return Oracle(good_V if way == "good" else -good_V, done, way)

    row = Row("oracle", make, ({"way": "bad"}, {"way": "good"}), stochastic=True)
    values = measure(row, benchmark, Limits(seeds=2)).values
    assert values["chosen"] == {"way": "good"}
    assert values["configurations_tried"] == 2
    assert values["tuning"][1]["validation_ndcg@10"] > values["tuning"][0]["validation_ndcg@10"]
    assert done[2:] == ["fit good seed 7", "refit good seed 7", "fit good seed 8", "refit good seed 8"]
    assert values["metrics"]["ndcg@10"]["std"] == 0


def test_no_further_seed_is_begun_when_the_time_is_over(benchmark: Benchmark) -> None:
    row = Row("oracle", lambda: Oracle(np.zeros(benchmark.task.num_items, np.float32), []), stochastic=True)
    values = measure(row, benchmark, Limits(seeds=5, deadline_s=0)).values
    assert values["seeds"] == 1
    assert values["metrics"]["ndcg@10"]["std"] is None


def test_seeds_side_by_side_come_to_the_same_as_one_after_the_other(benchmark: Benchmark) -> None:
    row = row_named("ials")
    in_turn, at_once = (measure(row, benchmark, Limits(seeds=2, at_once=many)) for many in (1, 2))
    np.testing.assert_array_equal(in_turn.ndcg_Q, at_once.ndcg_Q)
    assert (in_turn.values["seeds_at_once"], at_once.values["seeds_at_once"]) == (1, 2)
    assert in_turn.values["metrics"] == at_once.values["metrics"]


def test_seen_and_unseen_transitions_make_up_the_whole(benchmark: Benchmark) -> None:
    scores_V = np.random.default_rng(0).random(benchmark.task.num_items).astype(np.float32)
    values = measure(Row("oracle", lambda: Oracle(scores_V, [])), benchmark, Limits()).values
    seen, unseen = values["seen"], values["unseen"]
    assert seen["questions"] + unseen["questions"] == len(benchmark.test)
    whole = seen["questions"] * seen["hr@10"]["mean"] + unseen["questions"] * unseen["hr@10"]["mean"]
    assert whole / len(benchmark.test) == pytest.approx(values["metrics"]["hr@10"]["mean"], abs=1e-5)


@pytest.mark.parametrize(
    ("said", "message"), [(np.full(16, np.nan, np.float32), "not a number"), (np.zeros(3, np.float32), "the shape")]
)
def test_scores_that_cannot_be_judged_are_refused(benchmark: Benchmark, said: FloatArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        answer(Oracle(said, []), benchmark.test, benchmark.task.num_items)
