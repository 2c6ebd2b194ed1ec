"""Triton kernels that score items and keep little: the best score of each group of items, then all of a few groups.

Called by   shared/models/gpu/top_items.py, which has the same in plain torch where there is no Triton
Why         the scores of ten million items for one state are 40 MB, written and read again to choose a hundred of them;
            the best of each group of 128 is 0.3 MB, and the item table is read once, which is all that must be
Dimensions  V items, D width (a power of two), GROUP items of a group, G groups, B states, K chosen groups of a state
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

FEWEST_STATES = 16
"""a matrix unit takes no fewer: states are filled up with zeros"""
PROGRAMS_PER_UNIT = 2
STAGES = 3
"""loads in flight while one group is scored: two programs of three stages fill a multiprocessor's shared memory"""


def group_maxima(item_VD: Tensor, state_BD: Tensor, allowed_V: Tensor | None, group: int) -> Tensor:
    """Return best_BG, float32: the highest score of each group; -inf where it has no allowed item."""
    batch, dim = state_BD.shape
    groups = -(-len(item_VD) // group)
    padded = max(FEWEST_STATES, triton.next_power_of_2(batch))
    state_PD = state_BD.new_zeros((padded, dim), dtype=item_VD.dtype)
    state_PD[:batch] = state_BD
    best_BG = torch.empty((batch, groups), dtype=torch.float32, device=item_VD.device)
    units = torch.cuda.get_device_properties(item_VD.device).multi_processor_count
    _maxima[(min(groups, units * PROGRAMS_PER_UNIT),)](
        item_VD,
        state_PD,
        item_VD if allowed_V is None else allowed_V,
        best_BG,
        len(item_VD),
        groups,
        batch,
        DIM=dim,
        GROUP=group,
        STATES=padded,
        FILTERED=allowed_V is not None,
        STAGES=STAGES,
        num_warps=4 if padded <= 64 else 8,
    )
    return best_BG


def group_scores(item_VD: Tensor, state_BD: Tensor, allowed_V: Tensor | None, group_BK: Tensor, group: int) -> Tensor:
    """Return score_BC, float32: those of every item of the chosen groups, in their order; -inf where not allowed."""
    batch, chosen = group_BK.shape
    score_BC = torch.empty((batch, chosen * group), dtype=torch.float32, device=item_VD.device)
    _scores[(batch, chosen)](
        item_VD,
        state_BD.to(item_VD.dtype).contiguous(),
        item_VD if allowed_V is None else allowed_V,
        group_BK.contiguous(),
        score_BC,
        len(item_VD),
        chosen,
        DIM=item_VD.shape[1],
        GROUP=group,
        FILTERED=allowed_V is not None,
        num_warps=4,
    )
    return score_BC


@triton.jit  # type: ignore[untyped-decorator]  # it reads annotations of its own only
def _maxima(  # type: ignore[no-untyped-def]
    item_ptr,
    state_ptr,
    allowed_ptr,
    best_ptr,
    items,
    groups,
    batch,
    DIM: tl.constexpr,
    GROUP: tl.constexpr,
    STATES: tl.constexpr,
    FILTERED: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:
    """Each program takes every n-th group; its tile of items meets all states at once."""
    place_D = tl.arange(0, DIM)
    place_B = tl.arange(0, STATES)
    place_R = tl.arange(0, GROUP)
    state_DB = tl.load(state_ptr + place_B[None, :] * DIM + place_D[:, None])
    for group in tl.range(tl.program_id(0), groups, tl.num_programs(0), num_stages=STAGES):
        row_R = group.to(tl.int64) * GROUP + place_R
        kept_R = row_R < items
        item_RD = tl.load(item_ptr + row_R[:, None] * DIM + place_D[None, :], mask=kept_R[:, None], other=0.0)
        score_RB = tl.dot(item_RD, state_DB)
        if FILTERED:
            kept_R = kept_R & (tl.load(allowed_ptr + row_R, mask=kept_R, other=0) != 0)
        score_RB = tl.where(kept_R[:, None], score_RB, float("-inf"))
        tl.store(best_ptr + place_B.to(tl.int64) * groups + group, tl.max(score_RB, axis=0), mask=place_B < batch)


@triton.jit  # type: ignore[untyped-decorator]  # it reads annotations of its own only
def _scores(  # type: ignore[no-untyped-def]
    item_ptr,
    state_ptr,
    allowed_ptr,
    group_ptr,
    score_ptr,
    items,
    chosen,
    DIM: tl.constexpr,
    GROUP: tl.constexpr,
    FILTERED: tl.constexpr,
) -> None:
    """One program for each chosen group of each state."""
    state, place = tl.program_id(0).to(tl.int64), tl.program_id(1)
    place_D = tl.arange(0, DIM)
    place_R = tl.arange(0, GROUP)
    group = tl.load(group_ptr + state * chosen + place)
    row_R = group.to(tl.int64) * GROUP + place_R
    kept_R = row_R < items
    item_RD = tl.load(item_ptr + row_R[:, None] * DIM + place_D[None, :], mask=kept_R[:, None], other=0.0)
    state_D = tl.load(state_ptr + state * DIM + place_D)
    score_R = tl.sum(item_RD.to(tl.float32) * state_D[None, :].to(tl.float32), axis=1)
    if FILTERED:
        kept_R = kept_R & (tl.load(allowed_ptr + row_R, mask=kept_R, other=0) != 0)
    score_R = tl.where(kept_R, score_R, float("-inf"))
    tl.store(score_ptr + (state * chosen + place) * GROUP + place_R, score_R)
