"""Sequential EASE: the linear model that best tells a shopper's next items from their last ones, in closed form.

Called by   tables.py (the product), and by way of it the row fused of benchmarks/quality
Regression  ridge: at every step of every shopper, x holds the items of this step and of those before, each
            `past_decay` lighter than the one after it; y the items of the next `ahead` steps, alike lighter by
            `ahead_decay`.
            W = (X'X + l2 I)^-1 X'Y, 0 on the diagonal
Steps       as in transitions.py; penalty, size and what is kept as in ease.py
Source      session-aware linear item-item models (SLIT of Choi et al., 2021)
Dimensions  G steps, V items, M items that take part, K neighbours
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from services.training.collaborative.ease import EaseConfig, inverse_gram, keep_heaviest, mean_row, most_weighted
from services.training.collaborative.transitions import TransitionConfig, count_pairs, find_steps, with_votes
from services.training.examples.sequences import Sequences
from shared.features.events import FloatArray
from shared.models.tables import Transitions

COLUMNS_AT_A_TIME = 1024
EASE = EaseConfig(penalty=0.1, max_items=8000)


@dataclass(frozen=True)
class SequentialEaseConfig:
    """What is told from what."""

    past: int = 15
    past_decay: float = 0.7
    ahead: int = 5
    ahead_decay: float = 0.5
    ease: EaseConfig = EASE


def fit_sequential_ease(sequences: Sequences, num_items: int, config: SequentialEaseConfig) -> Transitions:
    """Return for each item the items that it speaks for, or against, most."""
    steps = find_steps(sequences, num_items)
    code_M = most_weighted(steps.item_GV, config.ease.max_items)
    item_GM = sp.csr_array(steps.item_GV[:, code_M])
    before = TransitionConfig(window=max(1, config.past - 1), decay=config.past_decay)
    past_GM = sp.csr_array(item_GM + config.past_decay * (count_pairs(steps, before).T @ item_GM))
    after = TransitionConfig(window=config.ahead, decay=config.ahead_decay)
    next_GM = sp.csr_array(count_pairs(steps, after) @ item_GM)
    weight_MM = _solve(past_GM.astype(np.float32), next_GM.astype(np.float32), config.ease.penalty)
    near = keep_heaviest(weight_MM, code_M, num_items, config.ease.neighbours)
    return with_votes(near, config.past, config.past_decay)


def _solve(past_GM: sp.csr_array, next_GM: sp.csr_array, penalty: float) -> FloatArray:
    inverse_MM = inverse_gram(past_GM, penalty * mean_row(past_GM))
    cross_MM = sp.csc_array(past_GM.T @ next_GM)
    weight_MM = np.empty_like(inverse_MM)
    for first in range(0, cross_MM.shape[1], COLUMNS_AT_A_TIME):
        columns = slice(first, first + COLUMNS_AT_A_TIME)
        weight_MM[:, columns] = inverse_MM @ cross_MM[:, columns].toarray()
    np.fill_diagonal(weight_MM, 0)
    return weight_MM
