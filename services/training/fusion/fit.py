"""Fit the fusion's weights: a conditional logit over the candidates of each question.

Called by   services/training/pipeline.py
Loss        mean over questions of the mean over what was bought of -log softmax(score), plus
            l2 / 2 × |weights - prior|²; convex, so L-BFGS finds the one optimum and equal examples give equal weights
Source      McFadden (1974); columns are standardised first, so that one l2 fits all and weights can be compared
Dimensions  Q questions, C candidates in a row, F columns
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, minimize

from services.training.fusion.examples import FusionExamples
from services.training.fusion.prior import WeightPrior
from shared.features.standardise import Standardiser
from shared.models.fusion import Fusion

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


def fit_fusion(examples: FusionExamples, l2: float, max_iterations: int = 200) -> tuple[Fusion, FitReport]:
    """Return the fusion and what it achieved."""
    standard = Standardiser.fit(examples.matrix_CF)
    prior = WeightPrior.of(examples.feature_names)
    std_F = standard.std_F.astype(np.float64)
    logit = ConditionalLogit(standard.apply(examples.matrix_CF), examples, l2, prior.centre_F * std_F)
    start_F = np.clip(prior.centre_F, prior.least_F, prior.greatest_F) * std_F
    found = minimize(
        logit,
        start_F,
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(prior.least_F * std_F, prior.greatest_F * std_F),
        options={"maxiter": max_iterations},
    )
    fusion = Fusion(examples.feature_names, standard.mean_F, standard.std_F, found.x.astype(np.float32))
    report = FitReport(
        examples.num_questions,
        len(examples.bought_C),
        round(logit.loss(np.zeros_like(start_F))[0], 6),
        round(logit.loss(found.x)[0], 6),
        int(found.nit),
    )
    return fusion, report


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
