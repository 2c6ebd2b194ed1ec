"""The exact search of a GPU, in its plain torch form: against scoring every item."""

import numpy as np
import pytest
import torch

from shared.models.gpu.top_items import GROUP, TopItems


def bfloat16(table_VD: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(table_VD).bfloat16().float()


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@pytest.mark.parametrize(("num_items", "dim"), [(5 * GROUP + 7, 48), (70_000, 64), (90, 16)])
@pytest.mark.parametrize("allowed_share", [1.0, 0.3])
def test_the_best_items_are_those_of_all_scores(num_items: int, dim: int, allowed_share: float) -> None:
    table_VD, state_BD = drawn(num_items, dim), drawn(5, dim, seed=1)
    allowed_V = torch.from_numpy(np.random.default_rng(2).random(num_items) < allowed_share)
    every_BV = (bfloat16(state_BD) @ bfloat16(table_VD).T).masked_fill(~allowed_V, float("-inf"))
    wanted = torch.topk(every_BV, min(100, int(allowed_V.sum())))
    code_BK, score_BK = TopItems.of(table_VD, "cpu").search(torch.from_numpy(state_BD), 100, allowed_V)
    places = wanted.values.shape[1]
    torch.testing.assert_close(score_BK[:, :places], wanted.values, rtol=0, atol=1e-4)
    assert torch.equal(code_BK[:, :places], wanted.indices)
    assert torch.isinf(score_BK[:, places:]).all()
