"""The softmax over items and its gradient: of every item in blocks that stay in the cache, or of sampled items.

Called by   services/training/sequence/model.py
Dimensions  Q queries, C queries of a block, D width, V items, M targets of a query, N negatives
Loss        of each target against all items but the query's other targets, averaged over the targets of a query
Why blocks  the logits of a batch are hundreds of megabytes, and each pass over them costs as much as the product that
            made them. Since the loss is a plain sum, its gradient is known as soon as a block's logits are, so that
            forward and backward share one visit to each block: three times faster than autograd (2,048 queries, 12,101
            items, D 64, one core: 0.16 s against 0.48 s), and the memory is that of one block
Source      the idea of Cut Cross-Entropy (Wijmans et al. 2024), here for a CPU's cache
"""

from typing import Any

import torch
from torch import Tensor

BLOCK_QUERIES = 64
"""on a CPU: with more, the logits leave the cache; with fewer, the products are small (measured up to 27,000 items)"""
GPU_BLOCK_LOGITS = 2**27
SMALLEST = 1e-37
"""a probability below this counts as this, so that the loss stays finite"""


def full_softmax(state_QD: Tensor, item_VD: Tensor, target_QM: Tensor, mask_QM: Tensor) -> Tensor:
    """Return the summed loss of all queries against every item."""
    # Targets left out by the mask are targets of the query, too (examples/sequences.py), and so no rivals.
    share_QM = mask_QM / mask_QM.sum(dim=1, keepdim=True)
    loss: Tensor = _FullSoftmax.apply(state_QD, item_VD, target_QM, share_QM)  # type: ignore[no-untyped-call]
    return loss


def sampled_softmax(
    negative_QN: Tensor, positive_QM: Tensor, mask_QM: Tensor, log_expected_N: Tensor, own_QN: Tensor
) -> Tensor:
    """Return the summed loss against sampled negatives; the target is in the sum for certain and is not corrected."""
    corrected_QN = (negative_QN - log_expected_N).masked_fill(own_QN, float("-inf"))
    rivals_Q1 = torch.logsumexp(corrected_QN, dim=1, keepdim=True)
    loss_QM = torch.logaddexp(positive_QM, rivals_Q1) - positive_QM
    return ((loss_QM * mask_QM).sum(dim=1) / mask_QM.sum(dim=1)).sum()


class _FullSoftmax(torch.autograd.Function):
    """Computes the gradients in the forward pass; backward only scales them."""

    @staticmethod
    def forward(ctx: Any, state_QD: Tensor, item_VD: Tensor, target_QM: Tensor, share_QM: Tensor) -> Tensor:
        fast = torch.bfloat16 if state_QD.is_cuda else torch.float32
        state_QD, table_VD = state_QD.to(fast), item_VD.to(fast)
        state_grad_QD, item_grad_VD = torch.empty_like(state_QD), torch.zeros_like(item_VD)
        loss = state_QD.new_zeros((), dtype=torch.float32)
        rows = max(1, GPU_BLOCK_LOGITS // len(item_VD)) if state_QD.is_cuda else BLOCK_QUERIES
        for first in range(0, len(state_QD), rows):
            block = slice(first, first + rows)
            probability_CV = torch.softmax((state_QD[block] @ table_VD.T).float(), dim=1)
            block_loss, scale_C1 = loss_and_gradient(probability_CV, target_QM[block], share_QM[block])
            loss += block_loss
            gradient_CV = probability_CV.to(fast)
            torch.mm(gradient_CV, table_VD, out=state_grad_QD[block])
            state_grad_QD[block] *= scale_C1
            add_product(item_grad_VD, gradient_CV.T, (state_QD[block] * scale_C1).to(fast))
        ctx.save_for_backward(state_grad_QD.float(), item_grad_VD)
        return loss

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, Tensor, None, None]:
        state_grad_QD, item_grad_VD = ctx.saved_tensors
        return state_grad_QD * scale, item_grad_VD * scale, None, None


def loss_and_gradient(probability_CV: Tensor, target_CM: Tensor, share_CM: Tensor) -> tuple[Tensor, Tensor]:
    """Return the summed loss of a block and the scale of each row; turn the probabilities, in place, into the gradient.

    The gradient by the logits is scale x row: scaling the rows of the small products saves a pass over the large one.
    """
    own_CM = probability_CV.gather(1, target_CM).clamp_min(SMALLEST)
    if target_CM.shape[1] == 1:
        probability_CV.scatter_add_(1, target_CM, torch.full_like(own_CM, -1))
        return -own_CM.log().sum(), torch.ones_like(own_CM)
    probability_CV.scatter_(1, target_CM, 0)
    against_CM = own_CM + probability_CV.sum(dim=1, keepdim=True)
    scale_C1 = (share_CM / against_CM).sum(dim=1, keepdim=True)
    probability_CV.scatter_add_(1, target_CM, share_CM * (own_CM / against_CM - 1) / scale_C1)
    return ((against_CM.log() - own_CM.log()) * share_CM).sum(), scale_C1


def add_product(sum_VD: Tensor, left_VC: Tensor, right_CD: Tensor) -> None:
    """Add a product to a sum kept in float32, in place."""
    if left_VC.dtype == sum_VD.dtype:
        sum_VD.addmm_(left_VC, right_CD)
    else:
        sum_VD += left_VC @ right_CD
