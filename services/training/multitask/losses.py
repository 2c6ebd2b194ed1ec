"""What the ranker is trained to minimise: the log-loss of every step over all impressions.

Called by   services/training/multitask/fit.py
Source      entire-space losses (ESMM, Ma et al. 2018); weights by uncertainty (Kendall, Gal and Cipolla 2018)
Dimensions  N candidates, T tasks
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LARGEST_LOG_P = -1e-6


def log_loss_T(log_p_NT: Tensor, label_NT: Tensor) -> Tensor:
    """Return the mean log-loss of each task from the log of its chance."""
    log_p_NT = log_p_NT.clamp(max=LARGEST_LOG_P)
    log_not_NT = torch.log(-torch.expm1(log_p_NT))
    return -(label_NT * log_p_NT + (1 - label_NT) * log_not_NT).mean(dim=0)


class WeightedLoss(nn.Module):
    """The tasks' losses as one: by given weights, or by weights that the training finds."""

    weight_T: Tensor

    def __init__(self, weights: Sequence[float], uncertainty: bool) -> None:
        super().__init__()
        self.register_buffer("weight_T", torch.tensor(list(weights)))
        self.log_variance_T = nn.Parameter(torch.zeros(len(weights)), requires_grad=uncertainty)

    def forward(self, loss_T: Tensor) -> Tensor:
        weighted: Tensor = self.weight_T * (loss_T * torch.exp(-self.log_variance_T) + self.log_variance_T)
        return weighted.sum()
