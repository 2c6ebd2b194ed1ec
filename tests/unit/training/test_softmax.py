"""The softmax in blocks: the loss and the gradients of plain autograd."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from services.training.sequence import softmax
from services.training.sequence.softmax import full_softmax

QUERIES, ITEMS, DIM = 11, 17, 6


def plain_loss(state_QD: Tensor, item_VD: Tensor, target_QM: Tensor, mask_QM: Tensor) -> Tensor:
    """Return the loss query by query, target by target: against all items that are not targets themselves."""
    total = torch.zeros((), dtype=torch.float64)
    for state_D, target_M, mask_M in zip(state_QD, target_QM, mask_QM, strict=True):
        own = target_M[mask_M]
        logit_V = item_VD @ state_D
        rival_V = torch.ones(len(item_VD), dtype=torch.bool)
        rival_V[own] = False
        for target in own:
            chosen = torch.cat([logit_V[target][None], logit_V[rival_V]])
            total = total - functional.log_softmax(chosen, dim=0)[0] / len(own)
    return total


def case(targets: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return states, items, distinct targets and a mask that leaves out some of them by repeating the first."""
    random = np.random.default_rng(0)
    target_QM = np.stack([random.permutation(ITEMS)[:targets] for _ in range(QUERIES)])
    mask_QM = np.arange(targets) < random.integers(1, targets + 1, QUERIES)[:, None]
    target_QM = np.where(mask_QM, target_QM, target_QM[:, :1])
    state_QD, item_VD = random.normal(size=(QUERIES, DIM)) * 2, random.normal(size=(ITEMS, DIM))
    as_tensor = torch.from_numpy
    return as_tensor(state_QD), as_tensor(item_VD), as_tensor(target_QM), as_tensor(mask_QM)


@pytest.mark.parametrize("targets", [1, 4])
@pytest.mark.parametrize("block_queries", [1, 4, 64])
def test_loss_and_gradients_are_those_of_plain_autograd(
    targets: int, block_queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(softmax, "BLOCK_QUERIES", block_queries)
    state_QD, item_VD, target_QM, mask_QM = case(targets)
    exact = [state_QD.requires_grad_(), item_VD.requires_grad_()]
    expected = plain_loss(*exact, target_QM, mask_QM)
    expected_gradients = torch.autograd.grad(expected * 0.5, exact)
    single = [tensor.detach().float().requires_grad_() for tensor in exact]
    found = full_softmax(*single, target_QM, mask_QM)
    gradients = torch.autograd.grad(found * 0.5, single)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-4, atol=1e-5)


def test_a_target_without_any_probability_gives_a_finite_loss_and_a_gradient_towards_it() -> None:
    state_QD, item_VD = torch.ones(1, 1, requires_grad=True), torch.tensor([[200.0], [-200.0]], requires_grad=True)
    loss = full_softmax(state_QD, item_VD, torch.tensor([[1]]), torch.ones(1, 1, dtype=torch.bool))
    loss.backward()
    assert torch.isfinite(loss)
    assert item_VD.grad is not None
    assert item_VD.grad[1, 0] == -1


def test_no_query_gives_no_loss_and_no_gradient() -> None:
    item_VD = torch.ones(3, 2, requires_grad=True)
    empty = torch.empty(0, 1, dtype=torch.int64)
    loss = full_softmax(torch.empty(0, 2, requires_grad=True), item_VD, empty, empty.bool())
    loss.backward()
    assert float(loss.detach()) == 0
    assert item_VD.grad is not None
    assert not item_VD.grad.any()
