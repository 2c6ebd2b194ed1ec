"""Progress reports and the one number made of them."""

import pytest

from services.training.config import TrainingConfig
from services.training.progress import Progress, StepProgress, under
from services.training.run_record import overall
from services.training.run_request import RunRequest


class FakeClock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def at(step: str, done: float, total: float) -> Progress:
    return Progress(step, done, total, "windows", 1.0, None)


def test_rate_and_time_left_follow_from_the_work_done() -> None:
    clock, reports = FakeClock(), []
    progress = StepProgress("evaluation", 100, "questions", reports.append, clock=clock)
    clock.now = 5.0
    progress.advance(20)
    assert reports[-1].rate_per_s == 4
    assert reports[-1].eta_s == 20


def test_reports_are_spaced_but_the_last_one_always_comes() -> None:
    clock, reports = FakeClock(), []
    progress = StepProgress("evaluation", 1000, "questions", reports.append, clock=clock)
    for _ in range(1000):
        clock.now += 0.001
        progress.advance()
    assert len(reports) < 10
    assert reports[-1].done == 1000


def test_steps_of_a_part_are_named_by_it() -> None:
    reports: list[Progress] = []
    under("refit", reports.append)(at("evaluation", 1, 2))
    assert reports[0].step == "refit: evaluation"


def test_whole_progress_never_falls_from_step_to_step_and_ends_at_one() -> None:
    steps = [
        at("read and clean", 1, 1),
        at("sequence epoch 1", 0, 10),
        at("sequence epoch 1", 10, 10),
        at("sequence epoch 4", 10, 10),
        at("collaborative tables", 5, 5),
        at("refit: collaborative tables", 5, 5),
        at("export and encode", 1, 1),
        at("fusion: candidates", 3, 6),
        at("fusion: weights", 1, 1),
        at("evaluation", 1, 1),
        at("refit: sequence epoch 1", 1, 1),
        at("refit: export and encode", 1, 1),
    ]
    numbers = [overall(step, epochs=4) for step in steps]
    assert numbers == sorted(numbers)
    assert numbers[-1] == pytest.approx(1)


def test_wishes_of_a_request_reach_the_configuration() -> None:
    wishes = RunRequest(name="spring", seed=3, epochs=2, min_item_events=9, promotion="never")
    config = TrainingConfig().with_wishes(wishes)
    assert (config.name, config.seed, config.min_item_events, config.promotion) == ("spring", 3, 9, "never")
    assert (config.sequence.epochs, config.sequence.seed) == (2, 3)


def test_what_cannot_change_the_model_is_not_in_the_manifest() -> None:
    stored = TrainingConfig().as_json()
    assert "threads" not in stored
    assert "promotion" not in stored
    assert stored["sequence"]["encoder"]["dim"] == 64
