"""Fit the fusion's weights: a conditional logit over the candidates of each question.

Called by   services/training/pipeline.py
Loss        mean over questions of the mean over what was bought of -log softmax(score), plus
            l2 / 2 × |weights - prior|²; convex, so L-BFGS finds the one optimum and equal examples give equal weights
Sources     which of them a shop needs is decided here, too: by backward elimination, on the same examples
Source      McFadden (1974); columns are standardised first, so that one l2 fits all and weights can be compared
Dimensions  Q questions, C candidates in a row, F columns
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, OptimizeResult, minimize

from services.training.fusion.examples import FusionExamples
from services.training.fusion.prior import WeightPrior
from shared.features.standardise import Standardiser
from shared.models.columns import source_names
from shared.models.fusion import Fusion
from shared.models.sources.history import HISTORY_SOURCES
from shared.models.tensors import BoolArray

MAX_ITERATIONS = 200
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FitReport:
    """How well the weights explain the examples they were fitted on."""

    questions: int
    candidates: int
    loss_uniform: float
    """loss of equal scores, in nats"""
    loss: float
    iterations: int


def fit_fusion(examples: FusionExamples, l2: float, least_gain: float = 0.0) -> tuple[Fusion, FitReport]:
    """Return the fusion and what it achieved; a source that explains less than `least_gain` gets no weight.

    `least_gain` is a share of what all columns together explain: asking a source for every answer has to be worth it.
    """
    standard = Standardiser.fit(examples.matrix_CF)
    prior = WeightPrior.of(examples.feature_names)
    std_F = standard.std_F.astype(np.float64)
    logit = ConditionalLogit(standard.apply(examples.matrix_CF), examples, l2, prior.centre_F * std_F)
    least_F, greatest_F = prior.least_F * std_F, prior.greatest_F * std_F
    found = optimum(logit, np.clip(prior.centre_F * std_F, least_F, greatest_F), Bounds(least_F, greatest_F))
    uniform = logit.loss(np.zeros_like(std_F))[0]
    allowed = least_gain * (uniform - logit.loss(found.x)[0])
    silent_F = silent_columns(logit, found.x, examples.feature_names, allowed)
    if found.x[silent_F].any():
        heard = Bounds(np.where(silent_F, 0, least_F), np.where(silent_F, 0, greatest_F))
        found = optimum(logit, np.where(silent_F, 0, found.x), heard)
    fusion = Fusion(examples.feature_names, standard.mean_F, standard.std_F, found.x.astype(np.float32))
    loss = logit.loss(found.x)[0]
    report = FitReport(
        examples.num_questions, len(examples.bought_C), round(uniform, 6), round(loss, 6), int(found.nit)
    )
    return fusion, report


def optimum(logit: "ConditionalLogit", start_F: Weights, bounds: Bounds) -> OptimizeResult:
    """Return the weights of least loss within the bounds."""
    return minimize(logit, start_F, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": MAX_ITERATIONS})


def silent_columns(logit: "ConditionalLogit", weight_F: Weights, names: Sequence[str], allowed: float) -> BoolArray:
    """Return the columns of the history sources that together may go for at most `allowed` of loss, least missed first.

    Sources that say the same are each missed little but not all of them: so the next one is judged without those gone.
    """
    columns_of = {source: np.isin(names, source_names((source,))) for source in HISTORY_SOURCES}
    heard = {source: column_F for source, column_F in columns_of.items() if column_F.any()}
    silent_F, limit = np.zeros(len(names), np.bool_), logit.loss(weight_F)[0] + allowed
    while heard:
        loss_without = {s: logit.loss(np.where(silent_F | column_F, 0, weight_F))[0] for s, column_F in heard.items()}
        least_missed = min(loss_without, key=loss_without.__getitem__)
        if loss_without[least_missed] > limit:
            break
        silent_F |= heard.pop(least_missed)
    return silent_F


class ConditionalLogit:
    """The loss and its gradient as a function of the weights of standardised columns."""

    def __init__(
        self, column_CF: npt.NDArray[np.float32], examples: FusionExamples, l2: float, centre_F: Weights
    ) -> None:
        self._column_CF, self._l2, self._centre_F = column_CF, l2, centre_F
        self._start_Q = examples.start_Q1[:-1]
        self._size_Q = np.diff(examples.start_Q1)
        bought_Q = np.add.reduceat(examples.bought_C.astype(np.float64), self._start_Q)
        self._wanted_C = examples.bought_C / np.repeat(bought_Q, self._size_Q)

    def __call__(self, weight_F: Weights) -> tuple[float, Weights]:
        """Return loss and gradient, the prior included."""
        loss, gradient_F = self.loss(weight_F)
        away_F = weight_F - self._centre_F
        return loss + self._l2 / 2 * float(away_F @ away_F), gradient_F + self._l2 * away_F

    def loss(self, weight_F: Weights) -> tuple[float, Weights]:
        """Return what the examples alone say."""
        score_C = (self._column_CF @ weight_F.astype(np.float32)).astype(np.float64)
        best_Q = np.maximum.reduceat(score_C, self._start_Q)
        raised_C = np.exp(score_C - np.repeat(best_Q, self._size_Q))
        sum_Q = np.add.reduceat(raised_C, self._start_Q)
        questions = len(self._start_Q)
        loss = float((best_Q + np.log(sum_Q)).sum() - (self._wanted_C * score_C).sum()) / questions
        surplus_C = raised_C / np.repeat(sum_Q, self._size_Q) - self._wanted_C
        gradient_F = (surplus_C.astype(np.float32) @ self._column_CF).astype(np.float64) / questions
        return loss, gradient_F
