"""The loss of the sequence Transformer."""

import numpy as np
import pytest
import torch

from services.training.examples.negative_sampling import NegativeSampler
from services.training.examples.sequences import TrainingBatch, cut_windows, make_batch
from services.training.sequence.model import SequenceModel, own_targets
from tests.unit.training.small_encoder import ITEMS, small_model, small_task


def a_batch(max_targets: int = 4) -> TrainingBatch:
    task, random = small_task(), np.random.default_rng(0)
    return make_batch(task.sequences, cut_windows(task.sequences, 16, random)[:6], max_targets, random)


def states_of(model: SequenceModel, batch: TrainingBatch) -> torch.Tensor:
    return model.states(batch, model.items(torch.from_numpy(batch.windows.code_BL)))


def test_with_all_items_the_loss_is_softmax_cross_entropy_without_the_other_targets() -> None:
    model, batch = small_model().eval(), a_batch()
    with torch.inference_mode():
        loss, queries = model(batch, None)
        logits = (states_of(model, batch) @ model.items.all().T).double().numpy()
    expected = 0.0
    for logit_V, target_M, mask_M in zip(logits, batch.target_QM, batch.target_mask_QM, strict=True):
        own = target_M[mask_M]
        rivals = np.exp(np.delete(logit_V, own)).sum()
        expected += np.mean([np.log(np.exp(logit_V[target]) + rivals) - logit_V[target] for target in own])
    assert queries == len(batch.target_QM)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_corrected_sampled_loss_is_close_to_that_of_all_items_on_average() -> None:
    model, batch = small_model().eval(), a_batch()
    random = np.random.default_rng(3)
    sampler = NegativeSampler(np.arange(1, ITEMS + 1), 24, 0.5, 0.75)
    with torch.inference_mode():
        whole = float(model(batch, None)[0])
        sampled = np.mean([float(model(batch, sampler.draw(random))[0]) for _ in range(60)])
    # Uncorrected, 24 draws of half of the items would give half of the sum: a loss lower by log 2, a fifth.
    assert sampled == pytest.approx(whole, rel=0.06)


def test_an_item_that_is_a_target_of_the_query_is_not_its_negative() -> None:
    targets = torch.tensor([[3, 5], [1, 0]])
    mask = torch.tensor([[True, True], [True, False]])
    own = own_targets(targets, mask, torch.tensor([0, 1, 5]), num_items=6)
    assert own.tolist() == [[False, False, True], [False, True, False]]


def test_no_query_no_loss_but_a_gradient_for_every_weight() -> None:
    task = small_task()
    batch = make_batch(task.sequences, np.array([[0, 5]]), 4, np.random.default_rng(0)).share(1, 2)
    model = small_model()
    loss, queries = model(batch, None)
    loss.backward()
    assert (float(loss.detach()), queries) == (0, 0)
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_targets_do_not_reach_the_state_that_predicts_them() -> None:
    """Exchange everything after a query's own time: its state must stay."""
    model, batch = small_model().eval(), a_batch()
    windows = batch.windows
    states = states_of(model, batch)
    place = len(batch.row_Q) // 2
    row, at = int(batch.row_Q[place]), int(batch.place_Q[place])
    windows.code_BL[row, at + 1 :] = (windows.code_BL[row, at + 1 :] + 7) % ITEMS
    with torch.inference_mode():
        assert torch.allclose(states_of(model, batch)[place], states[place], atol=1e-6)
