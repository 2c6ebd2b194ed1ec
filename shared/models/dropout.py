"""Dropout whose mask comes from random bytes: on a CPU the usual mask is a tenth of an epoch, this one a hundredth.

Called by   shared/models/encoder.py, shared/models/blocks.py
Rate        rounded to 1/256, the step of a byte: 0.2 becomes 0.199; what is kept is scaled by the rounded rate
Repeatable  draws from torch's generator alone; in evaluation, and so in the exported model, it does nothing
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

STEPS = 256
BYTES_PER_DRAW = 8


class Dropout(nn.Module):
    """Zeroes units at random while training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropped = round(rate * STEPS)
        """of 256 units, how many are zeroed on average"""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.dropped:
            return x
        if x.is_cuda:  # there the usual mask costs nothing, and the compiler can fuse it
            return functional.dropout(x, self.dropped / STEPS)
        return x * (kept(x, self.dropped) * (STEPS / (STEPS - self.dropped)))


def kept(x: Tensor, dropped: int) -> Tensor:
    """Return a mask of the shape of x, 1 with probability 1 - dropped/256, else 0, in x's type."""
    draws = torch.empty(-(-x.numel() // BYTES_PER_DRAW), dtype=torch.int64, device=x.device)
    # The full range of 64 bits: `random_` without bounds stops at 2^63, which would leave one bit in 64 at zero.
    draws.random_(-(2**63), None)
    mask = draws.view(torch.uint8)[: x.numel()] >= dropped
    return mask.view(x.shape).to(x.dtype)
