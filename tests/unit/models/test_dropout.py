"""Dropout from random bytes."""

import pytest
import torch

from shared.models.dropout import Dropout


@pytest.mark.parametrize(("rate", "rounded"), [(0.5, 0.5), (0.2, 51 / 256)])
def test_units_are_zeroed_at_the_rate_and_the_mean_stays(rate: float, rounded: float) -> None:
    torch.manual_seed(0)
    dropped = Dropout(rate)(torch.ones(999, 1001))
    assert (dropped == 0).float().mean().item() == pytest.approx(rounded, abs=3e-3)
    assert dropped.mean().item() == pytest.approx(1, abs=5e-3)


def test_every_byte_of_a_draw_is_random() -> None:
    torch.manual_seed(0)
    zero_N8 = (Dropout(0.5)(torch.ones(8 * 4000)) == 0).view(4000, 8).float()
    assert torch.allclose(zero_N8.mean(dim=0), torch.full((8,), 0.5), atol=0.03)
    assert (torch.corrcoef(zero_N8.T) - torch.eye(8)).abs().max() < 0.08


def test_equal_seeds_zero_the_same_units_and_evaluation_none() -> None:
    dropout, x = Dropout(0.3), torch.randn(7, 9)
    masks = []
    for _ in range(2):
        torch.manual_seed(5)
        masks.append(dropout(x))
    assert torch.equal(*masks)
    assert torch.equal(dropout.eval()(x), x)
