"""Training runs: they learn, repeat, resume and stop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from services.training.errors import DivergedError
from services.training.sequence.checkpoint import load_checkpoint
from services.training.sequence.config import SequenceConfig
from services.training.sequence.distributed import Team
from services.training.sequence.export import export_encoder
from services.training.sequence.model import SequenceModel
from services.training.sequence.repeatable import repeatable
from services.training.sequence.trainer import SequenceTrainer, make_sampler, rate_at
from shared.models.encoder import LastState
from shared.models.sources.sequence import SequenceSource, open_session
from tests.unit.training.small_encoder import CONFIG, ITEMS, small_model, small_task, trained


def weights_of(trainer: SequenceTrainer) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in trainer.model.parameters()]


def same(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return all(torch.equal(first, second) for first, second in zip(one, two, strict=True))


def test_loss_falls_below_that_of_knowing_only_the_half_of_the_shop() -> None:
    losses = trained(replace(CONFIG, epochs=12, patience=99, full_softmax_up_to=100)).state.losses
    assert losses[-1] < np.log(ITEMS / 2) + 0.1 < losses[0]


def test_two_runs_give_equal_weights() -> None:
    config = replace(CONFIG, encoder=replace(CONFIG.encoder, dropout=0.3))
    assert same(weights_of(trained(config)), weights_of(trained(config)))


def test_another_seed_gives_other_weights() -> None:
    assert not same(weights_of(trained()), weights_of(trained(replace(CONFIG, seed=8))))


class InterruptedRunError(Exception):
    """Stands for a process that is killed."""


class StopAfter:
    """A validation that ends the run when it is asked for the n-th time."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def __call__(self, model: SequenceModel) -> float:
        self.calls -= 1
        if self.calls < 0:
            raise InterruptedRunError
        return 0.5


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=4, patience=9, encoder=replace(CONFIG.encoder, dropout=0.3))
    whole = trained(config, lambda model: 0.5)
    with pytest.raises(InterruptedRunError):
        trained(config, StopAfter(2), checkpoints=tmp_path)
    resumed = trained(config, lambda model: 0.5, checkpoints=tmp_path)
    assert resumed.state.losses == whole.state.losses
    assert same(weights_of(resumed), weights_of(whole))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = trained(checkpoints=tmp_path)
    again = trained(validate=StopAfter(0), checkpoints=tmp_path)
    assert same(weights_of(first), weights_of(again))


def test_a_checkpoint_of_other_events_is_not_taken(tmp_path: Path) -> None:
    trained(checkpoints=tmp_path)
    assert load_checkpoint(tmp_path, "small") is not None
    assert load_checkpoint(tmp_path, "other") is None


def test_training_stops_when_validation_does_not_improve_and_keeps_the_best_weights() -> None:
    scores = iter([0.1, 0.3, 0.2, 0.1, 0.4])
    seen: list[list[torch.Tensor]] = []

    def validate(model: SequenceModel) -> float:
        seen.append([parameter.detach().clone() for parameter in model.parameters()])
        return next(scores)

    trainer = trained(replace(CONFIG, epochs=5, patience=2), validate)
    assert trainer.state.epochs_done == 4
    assert trainer.state.best_score == 0.3
    assert same(weights_of(trainer), seen[1])


def test_a_loss_that_is_not_finite_ends_the_run_with_a_hint() -> None:
    model = small_model()
    with torch.no_grad():
        model.items.own.weight[0] = float("nan")
    trainer = SequenceTrainer(model, small_task(), CONFIG, lambda model: 0.0)
    with pytest.raises(DivergedError, match="lower learning rate"):
        trainer.run()


def test_learning_rate_rises_then_falls_along_a_cosine() -> None:
    rates = [rate_at(done, 0.1) for done in np.linspace(0, 1, 101)]
    assert max(rates) == 1
    assert rates.index(1) == 10
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.02)


def test_a_vocabulary_up_to_the_limit_gets_the_full_softmax_and_a_larger_one_negatives() -> None:
    config = SequenceConfig(negatives=64, full_softmax_up_to=100)
    random = np.random.default_rng(0)
    assert make_sampler(np.ones(100, np.int64), config).draw(random) is None
    many = make_sampler(np.ones(101, np.int64), config).draw(random)
    assert many is not None
    assert 0 < len(many.code_N) <= 64


def test_threads_and_mode_are_as_before_after_training() -> None:
    before = torch.get_num_threads()
    with repeatable(replace(CONFIG, threads=1), Team()):
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()


def test_exported_encoder_answers_as_the_trained_one_for_any_length_and_is_repeatable() -> None:
    model = trained(replace(CONFIG, epochs=1)).model
    exported = export_encoder(model.encoder)
    assert exported == export_encoder(model.encoder)
    source = SequenceSource(open_session(exported), model.items.all().detach().numpy(), CONFIG.encoder.max_length)
    sequences = small_task().sequences
    for length in (1, 2, 7, 16):
        history = sequences.history(0, length)
        vector_BLD = model.items.all()[torch.from_numpy(history.code_L.astype(np.int64))][None]
        age_s_BL = torch.from_numpy(((history.as_of_ms - history.at_ms_L) / 1000).astype(np.float32))[None]
        with torch.inference_mode():
            expected = LastState(model.encoder.eval())(
                vector_BLD, torch.from_numpy(history.type_L.astype(np.int64))[None], age_s_BL, torch.ones(1, length) > 0
            )
        assert np.allclose(source.encode([history]), expected.numpy(), atol=1e-5)
